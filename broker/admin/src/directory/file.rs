//! The file of the directory: strict reading, and writing as a whole.
//!
//! Knows nothing of what is in it but whether it is well formed: a broken file stops the start, since
//! to go on without it would be to let in, or keep out, somebody by accident.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use super::{Kept, ROLES_MAX, TOKENS_MAX, USERS_MAX, is_name, token, user};
use crate::{Error, administrators::Permissions, password};

/// The only format there is.
pub(super) const VERSION: u32 = 1;

const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the file says; `None` = there is none.
pub(super) fn load(folder: &Path, path: &Path) -> Result<Option<Kept>, Error> {
    let fault = |what: String| Error::Directory { path: path.to_owned(), what };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| fault(format!("its folder cannot be made: {error}")))?;
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(no_link).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(format!("it cannot be read: {error}"))),
    };
    check_owner(&file).map_err(fault)?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|error| fault(format!("it cannot be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(fault(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    // The error of serde names line and column, and no content but names of fields.
    let kept: Kept = serde_json::from_slice(&text)
        .map_err(|error| fault(format!("it is not what the broker wrote: {error}")))?;
    check(&kept).map_err(fault)?;
    Ok(Some(kept))
}

/// What the file says without what is secret: the same users with a password that nobody has and without one-time
/// codes, the same roles, no tokens.
///
/// # Errors
/// It is not what the broker wrote.
pub fn without_secrets(text: &[u8]) -> Result<Vec<u8>, String> {
    let fault = |error| format!("it is not what the broker wrote: {error}");
    let mut kept: Kept = serde_json::from_slice(text).map_err(fault)?;
    check(&kept)?;
    kept.tokens.clear();
    for user in kept.users.values_mut() {
        password::NOBODYS.clone_into(&mut user.password);
        user.totp = None;
    }
    serde_json::to_vec_pretty(&kept).map_err(fault)
}

fn check_owner(file: &File) -> Result<(), String> {
    let metadata = file.metadata().map_err(|error| format!("it cannot be read: {error}"))?;
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_file() || mode & 0o077 != 0 {
        return Err(format!(
            "its mode is {mode:04o}, so others than its owner can use it: run chmod 600"
        ));
    }
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if [0, user].contains(&owner) {
        return Ok(());
    }
    Err(format!("it belongs to user {owner}, neither root nor the user of this process ({user})"))
}

fn check(kept: &Kept) -> Result<(), String> {
    if kept.version != VERSION {
        return Err(format!("its version is {}, allowed: {VERSION}", kept.version));
    }
    for (what, count, most) in [
        ("users", kept.users.len(), USERS_MAX),
        ("roles", kept.roles.len(), ROLES_MAX),
        ("tokens", kept.tokens.len(), TOKENS_MAX),
    ] {
        if count > most {
            return Err(format!("it has {count} {what}, allowed: at most {most}"));
        }
    }
    let names = kept.users.keys().chain(kept.roles.keys()).chain(kept.tokens.keys());
    for name in names {
        if !is_name(name) {
            return Err(format!("{name:?} is no name"));
        }
    }
    for (name, user) in &kept.users {
        user::check(user).map_err(|what| format!("user {name}: {what}"))?;
    }
    for (name, permissions) in &kept.roles {
        Permissions::of(permissions).map_err(|what| format!("role {name}: {what}"))?;
    }
    for (id, token) in &kept.tokens {
        token::check(token).map_err(|what| format!("token {id}: {what}"))?;
    }
    Ok(())
}

/// Replaces the file: at no moment is half of it there, and a power cut leaves the old or the new.
pub(super) fn save(path: &Path, kept: &Kept) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(kept)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it would be larger than the broker reads"));
    }
    let beside = path.with_extension("json.new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    File::open(folder)?.sync_all()
}
