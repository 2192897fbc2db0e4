//! Folders and files put into their places, as belonging to whom they have to.
//!
//! Root may restore for the user of the broker: what is new belongs to whom the folder around it belongs to, and the group
//! may read a file where it may read that folder. Whoever is not root writes what is his own.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown},
    path::Path,
};

use crate::{
    atomic_file::{folder_of, replace},
    failure::Failure,
};

/// Of the mode of a folder: its group lists it and goes into it.
const GROUP_READS: u32 = 0o050;

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What is written there belongs to whoever runs this, unless that is root; the broker could not use it otherwise.
pub(super) fn check_owner(folder: &Path) -> Result<(), Failure> {
    let owner = fs::metadata(folder).map_err(at(folder))?.uid();
    let user = rustix::process::geteuid().as_raw();
    if is_root() || owner == user {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "{}: belongs to user {owner} and this is user {user}: run it as root or as the user of the \
         broker, as with sudo -u",
        folder.display()
    )))
}

/// Whether files can be made in a folder, or where it will be made; tried, since modes do not tell everything.
pub(super) fn check_writable(folder: &Path) -> Result<(), Failure> {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder);
    let probe = there.join(format!(".restore-{}-probe", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe);
    made.and_then(|_| fs::remove_file(&probe)).map_err(|error| {
        Failure::Refused(format!(
            "{}: cannot be written ({error}), and nothing was changed: run it as root, who gives \
             what is new to the owner of its folder",
            there.display()
        ))
    })
}

/// Makes a folder and those above it that are not there.
pub(super) fn make_folder(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    make_folder(above)?;
    DirBuilder::new().mode(0o700).create(folder).map_err(at(folder))?;
    give_to_owner_of(above, folder)
}

/// Replaces a file as a whole; one that was there keeps its owner and, but for others, its mode.
pub(super) fn put(file: &Path, content: &[u8]) -> Result<(), Failure> {
    let folder = folder_of(file);
    make_folder(folder)?;
    let is_new = file.symlink_metadata().is_err();
    replace(file, content).map_err(at(file))?;
    if is_new && is_root() {
        give_to_owner_of(folder, file)?;
        let mode = fs::metadata(folder).map_err(at(folder))?.mode();
        let mode = if mode & GROUP_READS == GROUP_READS { 0o640 } else { 0o600 };
        fs::set_permissions(file, Permissions::from_mode(mode)).map_err(at(file))?;
    }
    Ok(())
}

/// Copies a file to where what was there before is kept, with its owner.
pub(super) fn copy_aside(file: &Path, place: &Path) -> Result<(), Failure> {
    make_folder(folder_of(place))?;
    fs::copy(file, place).map_err(at(place))?;
    if is_root() {
        let metadata = fs::metadata(file).map_err(at(file))?;
        chown(place, Some(metadata.uid()), Some(metadata.gid())).map_err(at(place))?;
    }
    Ok(())
}

/// Gives all of `place` to whom `folder` belongs to.
pub(super) fn give_all_to_owner_of(folder: &Path, place: &Path) -> Result<(), Failure> {
    give_to_owner_of(folder, place)?;
    if is_root() && place.symlink_metadata().map_err(at(place))?.is_dir() {
        for entry in fs::read_dir(place).map_err(at(place))? {
            give_all_to_owner_of(folder, &entry.map_err(at(place))?.path())?;
        }
    }
    Ok(())
}

fn give_to_owner_of(folder: &Path, place: &Path) -> Result<(), Failure> {
    if !is_root() {
        return Ok(());
    }
    let owner = fs::metadata(folder).map_err(at(folder))?;
    lchown(place, Some(owner.uid()), Some(owner.gid())).map_err(at(place))
}

/// Makes what was done in a folder last.
pub(super) fn sync(folder: &Path) -> Result<(), Failure> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Failure + use<> {
    let path = path.display().to_string();
    move |error| Failure::Refused(format!("{path}: {error}"))
}
