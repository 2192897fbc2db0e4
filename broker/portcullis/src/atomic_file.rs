//! Writing files that must never be seen half-written or by others: a new file beside the old one,
//! flushed, renamed over it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

/// Replaces `file` as a whole. A new one has mode 0600; one that was there keeps owner, group, and
/// of its mode what others than these two do not have (0640), so that a broker that runs under its
/// own user can still read it after root wrote it. A symbolic link stays one: its target is
/// replaced.
pub(crate) fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let kept = |old: u32| old & 0o640 | 0o600;
    replace_with_mode(file, content, |old| old.map_or(0o600, kept))
}

/// As [`replace`], for files without secrets: mode 0644.
pub(crate) fn replace_public(file: &Path, content: &[u8]) -> io::Result<()> {
    replace_with_mode(file, content, |_| 0o644)
}

/// `mode` makes the new mode of the old one.
fn replace_with_mode(
    file: &Path,
    content: &[u8],
    mode: impl Fn(Option<u32>) -> u32,
) -> io::Result<()> {
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

fn write_temporary(
    temporary: &Path,
    target: &Path,
    content: &[u8],
    mode: impl Fn(Option<u32>) -> u32,
) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    let old = fs::metadata(target).ok();
    if let Some(old) = &old {
        let new = file.metadata()?;
        // An owner or group that cannot be kept is an error: with another one the broker might not
        // be able to read the file, or somebody else might.
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
    }
    // After the owner: until then the group is not the one that the mode was meant for.
    let mode = mode(old.map(|old| old.mode()));
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: Option<u32>, new: u32) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        if let Some(old) = old {
            fs::write(&file, "old").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(old)).unwrap();
        }
        replace(&file, b"new").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, new, "{old:?}");
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn the_group_still_reads_and_nobody_else_does() {
        check(None, 0o600);
        check(Some(0o600), 0o600);
        check(Some(0o640), 0o640);
        check(Some(0o664), 0o640);
        check(Some(0o400), 0o600);
    }

    #[test]
    fn owner_and_group_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "old").unwrap();
        // Only root can give a file away; anybody else keeps what is his own.
        let given = std::os::unix::fs::chown(&file, Some(7), Some(8)).is_ok();
        let before = fs::metadata(&file).unwrap();
        replace(&file, b"new").unwrap();
        let after = fs::metadata(&file).unwrap();
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()), "{given}");
    }
}
