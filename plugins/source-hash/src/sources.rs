//! The hash over the files that determine a component. Knows nothing of components.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{Guest, Source};

/// SHA-256 in lower-case hexadecimal over names and contents of [`files`], each with its length
/// before it, so that no byte can move from one to the next unseen.
///
/// # Errors
/// A file cannot be read.
pub fn hash(root: &Path, guest: &Guest) -> io::Result<String> {
    let mut digest = Sha256::new();
    for (name, path) in files(root, guest)? {
        let content = fs::read(path)?;
        for part in [name.as_bytes(), &content] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The files that determine a component, by their name from the repository's root with `/`, in byte
/// order of the names. Unit tests, readmes and example manifests are not among them.
///
/// # Errors
/// A folder cannot be read.
pub fn files(root: &Path, guest: &Guest) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    let shared = ["plugins/Cargo.lock", "plugins/componentize/src", "wit"];
    let of_crates =
        ["plugins/Cargo.toml", "plugins/build", "plugin-sdk/Cargo.toml", "plugin-sdk/src"];
    for name in shared {
        collect(root, name, &mut files)?;
    }
    match &guest.source {
        Source::Crate { folder, uses } => {
            for name in of_crates {
                collect(root, name, &mut files)?;
            }
            for folder in uses.iter().chain([folder]) {
                collect(root, &format!("{folder}/Cargo.toml"), &mut files)?;
                collect(root, &format!("{folder}/src"), &mut files)?;
            }
        }
        Source::Text { file, .. } => collect(root, file, &mut files)?,
    }
    Ok(files)
}

fn collect(root: &Path, name: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    let path = root.join(name);
    if !fs::metadata(&path)?.is_dir() {
        files.insert(name.to_owned(), path);
        return Ok(());
    }
    for entry in fs::read_dir(&path)? {
        let entry = entry?.file_name();
        // Names in this repository are text; another one would be a stray file that must not go
        // unseen.
        let Some(entry) = entry.to_str() else {
            return Err(io::Error::other(format!("{name}: file name {entry:?} is not UTF-8")));
        };
        if entry != "tests.rs" && entry != "tests" && !entry.starts_with('.') {
            collect(root, &format!("{name}/{entry}"), files)?;
        }
    }
    Ok(())
}
