//! `[store]`: what survives the process, and where it is kept.

use std::path::{Path, PathBuf};

use ::store::Durability;

use super::{table::Table, unit::Unit};

/// How messages, sessions and retained messages are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    /// What an acknowledgement promises; `None` = nothing outlives the process.
    pub(crate) durability: Option<Durability>,
    /// The folder.
    pub(crate) path: PathBuf,
    /// Bytes that must be free on the disk for messages to be taken.
    pub(crate) free_bytes_min: u64,
}

const KIB: u64 = 1 << 10;
const TIB: u64 = 1 << 40;
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Reads `[store]`. `data_dir` is missing when it was at fault itself.
pub(super) fn read(table: Table<'_>, folder: &Path, data_dir: Option<&Path>) -> Store {
    let words =
        [("fsync", Some(Durability::Fsync)), ("os", Some(Durability::Os)), ("memory", None)];
    let path = match table.string("path") {
        Some(path) => folder.join(path.value),
        None => data_dir.unwrap_or(folder).join("store"),
    };
    let store = Store {
        durability: table.choice("durability", &words, Some(Durability::Fsync)),
        path,
        free_bytes_min: table.number("free_bytes_min", Unit::Bytes, KIB..=TIB, FREE_BYTES_MIN),
    };
    table.finish();
    store
}
