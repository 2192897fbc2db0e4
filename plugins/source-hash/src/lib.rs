//! Tells whether a prebuilt component still fits its sources.
//!
//! - *Owns* the list of prebuilt components, the hash over the files that determine one, and the
//!   custom section that carries this hash inside the component.
//! - *Knows nothing of* compilers: `plugins/build` runs those, `componentize` writes the section.
//! - *Start reading at* [`check`].
#![forbid(unsafe_code)]

mod guests;
mod section;
mod sources;

use std::{fs, io, path::Path};

pub use guests::{Contract, GUESTS, Guest, Source};
pub use section::{append_custom_section, find_custom_section};
pub use sources::{files, hash};

/// The custom section that carries the hash, as lower-case hexadecimal text.
pub const SECTION: &str = "portcullis-source-hash";

/// What is wrong with one prebuilt component.
#[derive(Debug, PartialEq, Eq)]
pub enum Staleness {
    /// The file is not there.
    Missing,
    /// It carries no hash.
    Unmarked,
    /// Its sources have changed since it was built.
    Changed,
}

/// Compares every prebuilt component under the repository's `root` with its sources. What is
/// returned has to be built again by `plugins/build`.
///
/// # Errors
/// A source or a component cannot be read.
pub fn check(root: &Path) -> io::Result<Vec<(&'static Guest, Staleness)>> {
    let mut stale = Vec::new();
    for guest in GUESTS {
        if let Some(why) = check_one(root, guest)? {
            stale.push((guest, why));
        }
    }
    Ok(stale)
}

fn check_one(root: &Path, guest: &Guest) -> io::Result<Option<Staleness>> {
    let component = match fs::read(root.join(guest.output)) {
        Ok(component) => component,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(Staleness::Missing));
        }
        Err(error) => return Err(error),
    };
    let Some(recorded) = find_custom_section(&component, SECTION) else {
        return Ok(Some(Staleness::Unmarked));
    };
    let fits = recorded == hash(root, guest)?.as_bytes();
    Ok((!fits).then_some(Staleness::Changed))
}

#[cfg(test)]
mod tests;
