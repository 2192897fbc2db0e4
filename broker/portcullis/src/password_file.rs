//! Password files: one `USER:HASH` a line, as the plugin `password-file` reads them.
//!
//! Owns hashing and editing. Knows nothing of terminals: `passwd.rs` asks for the password. Holds a
//! file to the rules of that plugin (`plugins/password-file/src`): one that it refuses would leave
//! the old one in force, and with it whoever was just taken out.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};

use crate::{
    atomic_file::{folder_of, replace},
    failure::Failure,
};

/// Longest password: what an MQTT field can carry.
pub(crate) const PASSWORD_BYTES_MAX: usize = 65_535;

/// Memory of one hash in KiB, passes and lanes: OWASP's first recommendation for argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Longest line that the plugin reads, its end included.
const LINE_BYTES_MAX: usize = 4_096;

const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// Refuses a name that cannot stand in a password file. How long it may be depends on the hash
/// beside it: [`check_line`] sees both.
pub(crate) fn check_user(user: &str) -> Result<(), Failure> {
    let what = if user.is_empty() {
        "is empty"
    } else if user.len() >= LINE_BYTES_MAX {
        "is longer than a line of a password file may be, 4096 bytes"
    } else if user.contains(':') {
        "contains ':', which ends the name in a password file"
    } else if user.starts_with('#') {
        "starts with '#', which marks a comment in a password file"
    } else if user.chars().any(|c| c.is_control() || c == BYTE_ORDER_MARK) {
        "contains a control character or a byte order mark"
    } else if user.trim() != user {
        "has white space around it"
    } else {
        return Ok(());
    };
    Err(Failure::Refused(format!("user {user:?} {what}")))
}

/// Refuses a file that the plugin would refuse, with the first line that is wrong.
fn check_file(file: &Path, content: &[u8]) -> Result<(), Failure> {
    for (number, line) in (1..).zip(lines(content)) {
        check_line(line).map_err(|what| {
            let file = file.display();
            Failure::Refused(format!("{file}:{number}: {what}; nothing was written"))
        })?;
    }
    Ok(())
}

/// The rules of one line, without its end. The error fits behind "line 7: ".
fn check_line(line: &[u8]) -> Result<(), &'static str> {
    if line.len() >= LINE_BYTES_MAX {
        return Err("is longer than 4096 bytes with its end");
    }
    let line = std::str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    if line.starts_with('#') {
        return Ok(());
    }
    if line.trim().is_empty() {
        return Err("is blank");
    }
    let (user, hash) = line.split_once(':').ok_or("has no colon between user and hash")?;
    if check_user(user).is_err() {
        return Err("has no user, or one with white space around or a control character in it");
    }
    if hash.is_empty() || hash.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("has no hash, or one with white space in it");
    }
    Ok(())
}

/// The argon2id PHC string of a password, with a fresh salt.
pub(crate) fn hash(password: &[u8]) -> Result<String, Failure> {
    if password.is_empty() {
        return Err(Failure::Refused("an empty password is not accepted".to_owned()));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        let what = format!("the password is longer than {PASSWORD_BYTES_MAX} bytes");
        return Err(Failure::Refused(what));
    }
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| Failure::internal("argon2id parameters", error))?;
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password)
        .map_err(|error| Failure::internal("hashing the password", error))?;
    Ok(hash.to_string())
}

/// Puts `user` with `hash` in place of every line that it had whose hash begins with `scheme`, or at
/// the end. Makes the file if there is none.
pub(crate) fn set(file: &Path, user: &str, hash: &str, scheme: &str) -> Result<(), Failure> {
    check_user(user)?;
    let start = format!("{user}:{scheme}");
    let is_replaced = |line: &[u8]| line.starts_with(start.as_bytes());
    edit(file, |old| {
        let mut new = Vec::with_capacity(old.len() + user.len() + hash.len() + 2);
        let mut written = false;
        for line in lines(old) {
            if is_replaced(line) {
                if !written {
                    push_line(&mut new, format!("{user}:{hash}").as_bytes());
                }
                written = true;
            } else {
                push_line(&mut new, line);
            }
        }
        if !written {
            push_line(&mut new, format!("{user}:{hash}").as_bytes());
        }
        Ok(new)
    })
}

/// Takes every line of `user` out; refuses to take out the last one.
pub(crate) fn delete(file: &Path, user: &str) -> Result<(), Failure> {
    // Other names that nobody may have are there to be taken out.
    if user.is_empty() || user.contains(':') || user.starts_with('#') {
        check_user(user)?;
    }
    edit(file, |old| {
        if !lines(old).any(|line| is_of(line, user)) {
            let what = format!("{} has no user {user:?}", file.display());
            return Err(Failure::Refused(what));
        }
        let mut new = Vec::with_capacity(old.len());
        for line in lines(old).filter(|line| !is_of(line, user)) {
            push_line(&mut new, line);
        }
        if lines(&new).all(|line| line.starts_with(b"#")) {
            return Err(Failure::Refused(last_user(file, user)));
        }
        Ok(new)
    })
}

/// The plugin refuses a file without users, as it refuses every broken one: a running broker would
/// go on with the file of before.
fn last_user(file: &Path, user: &str) -> String {
    format!(
        "{user:?} is the last user of {}, and the plugin password-file refuses a file without \
         users: a running broker would keep the old one, and {user:?} with it; to let nobody in, \
         put enabled = false into the plugin's manifest, or add another user first",
        file.display()
    )
}

/// Reads, changes and replaces a file while no other `portcullis passwd` does the same in that
/// folder.
fn edit(
    file: &Path,
    change: impl FnOnce(&[u8]) -> Result<Vec<u8>, Failure>,
) -> Result<(), Failure> {
    let folder = folder_of(file);
    let lock = File::open(folder).and_then(|lock| lock.lock().map(|()| lock));
    let lock = lock.map_err(|error| {
        Failure::Refused(format!("{}: cannot be opened: {error}", folder.display()))
    })?;
    let old = match fs::read(file) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(Failure::Refused(format!("{}: cannot be read: {error}", file.display())));
        }
    };
    let new = change(&old)?;
    check_file(file, &new)?;
    let written = replace(file, &new).map_err(|error| {
        Failure::Refused(format!("{}: cannot be written: {error}", file.display()))
    });
    drop(lock);
    written
}

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line))
}

fn is_of(line: &[u8], user: &str) -> bool {
    line.strip_prefix(user.as_bytes()).is_some_and(|rest| rest.first() == Some(&b':'))
}

fn push_line(content: &mut Vec<u8>, line: &[u8]) {
    content.extend_from_slice(line);
    content.push(b'\n');
}

#[cfg(test)]
mod tests;
