//! Backups of a whole broker: made while it runs (`make.rs`), in an archive that says of every byte whether it is whole
//! (`archive.rs`), of the files that belong into it (`collect.rs`, `without_secrets.rs`), looked through by `portcullis backup verify` and brought back by `portcullis restore` (`restore.rs`).
//!
//! An archive holds what clients were promised (sessions, subscriptions, queued and in-flight messages, retained
//! messages), bans, plugins and the configuration. Secrets are in it only where somebody asked for them.

mod archive;
mod collect;
mod make;
mod progress;
mod restore;
mod versions;
mod without_secrets;

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use self::{archive::Summary, progress::Watched};
pub(crate) use self::{make::Maker, restore::run as restore};
use crate::{api::printable, ctl::time, failure::Failure};

/// Format of archives that are written, and the only one that is read.
const FORMAT: u32 = 1;

/// The first file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    /// [`FORMAT`].
    format: u32,
    /// Version of the program that wrote it.
    version: String,
    /// When it was begun, seconds since 1970.
    created_unix: u64,
    /// Whether secrets are in it.
    secrets: bool,
    /// What was left out although it belongs into it, as sentences.
    left_out: Vec<String>,
}

/// Names in an archive.
mod name {
    pub(super) const ABOUT: &str = "portcullis-backup.json";
    pub(super) const CONFIG: &str = "portcullis.toml";
    pub(super) const KEYS: &str = "keys.json";
    pub(super) const STORE_MARK: &str = "store/mark";
    /// Followed by the number of a piece.
    pub(super) const STORE_ENTRIES: &str = "store/entries/";
    /// Followed by the number of a file.
    pub(super) const STORE_LOG: &str = "store/log/";
    /// Followed by the path below the data folder.
    pub(super) const DATA: &str = "data/";
    /// Followed by the path below the folder of plugins.
    pub(super) const PLUGINS: &str = "plugins/";
    pub(super) const MANIFEST: &str = "manifest.json";
    pub(super) const MANIFEST_SUM: &str = "manifest.sha256";
}

/// `portcullis backup verify`: reads an archive from the first byte to the last.
pub(crate) fn verify(file: &Path) -> Result<(), Failure> {
    let summary = look_through(file)?;
    print!("{}", told(file, &summary));
    Ok(())
}

/// Reads an archive and hands nothing on.
pub(crate) fn look_through(file: &Path) -> Result<Summary, Failure> {
    let refused = |error: io::Error| Failure::Refused(format!("{}: {error}", file.display()));
    let opened = Watched::open(file, "reading it back").map_err(refused)?;
    archive::read(opened, &mut |_, content| io::copy(content, &mut io::sink()).map(drop))
        .map_err(refused)
}

/// What is in an archive, for whoever looked through it.
pub(crate) fn told(file: &Path, summary: &Summary) -> String {
    let about = &summary.about;
    let secrets = if about.secrets { "with secrets" } else { "without secrets" };
    let bytes = summary.files.iter().map(|file| file.bytes).sum::<u64>();
    let mut lines = format!(
        "{}: whole\n  made by portcullis {}, format {}, {}, {secrets}\n  \
         {} files, {bytes} bytes\n",
        file.display(),
        printable(&about.version),
        about.format,
        time(about.created_unix),
        summary.files.len(),
    );
    for what in &about.left_out {
        lines.push_str(&format!("  left out: {}\n", printable(what)));
    }
    lines
}

#[cfg(test)]
mod tests;
