//! Writing files that must never be seen half-written or by others: a new file beside the old one,
//! flushed, renamed over it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

/// Replaces `file` as a whole; it ends with mode 0600 and keeps the owner it had, so that a broker
/// that runs under its own user can still read it after root wrote it. A symbolic link stays one:
/// its target is replaced.
pub(crate) fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    replace_with_mode(file, content, 0o600)
}

/// As [`replace`], for files without secrets: mode 0644.
pub(crate) fn replace_public(file: &Path, content: &[u8]) -> io::Result<()> {
    replace_with_mode(file, content, 0o644)
}

fn replace_with_mode(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let target = match fs::canonicalize(file) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(file)?,
        Err(error) => return Err(error),
    };
    let temporary = beside(&target)?;
    let written = write_temporary(&temporary, &target, content, mode)
        .and_then(|()| fs::rename(&temporary, &target))
        .and_then(|()| File::open(folder_of(&target))?.sync_all());
    if written.is_err() {
        // The first error is the one to report; a leftover is at worst an unreadable 0600 file.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The folder that a file stands in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn beside(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    Ok(target.with_file_name(temporary))
}

fn write_temporary(temporary: &Path, target: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    if let Ok(old) = fs::metadata(target) {
        let new = file.metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
    }
    file.write_all(content)?;
    file.sync_all()
}
