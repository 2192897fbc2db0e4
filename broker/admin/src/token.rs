//! The bearer token: made on first start, kept in memory as a hash only.
//!
//! Knows nothing of HTTP; `listener` loads it, `guard` asks it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustix::{fs::OFlags, io::Errno};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Error;

/// SHA-256 of the token. A fast hash is enough because the token is random: there is nothing to
/// guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether this is the token; takes the same time for every wrong one.
    pub(crate) fn matches(&self, offered: &[u8]) -> bool {
        self.0.ct_eq(&Self::of(offered).0).into()
    }
}

/// Reads the token file, or makes it. The second value tells whether it was made now.
pub(crate) fn load_or_create(path: &Path) -> Result<(TokenHash, bool), Error> {
    // A link would be followed to a file that somebody else may choose.
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    match OpenOptions::new().read(true).custom_flags(no_link).open(path) {
        Ok(file) => load(path, file).map(|hash| (hash, false)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path).map(|hash| (hash, true))
        }
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            Err(Error::TokenFileContent { path: path.to_owned() })
        }
        Err(source) => Err(unreadable(path, source)),
    }
}

fn load(path: &Path, file: File) -> Result<TokenHash, Error> {
    let metadata = file.metadata().map_err(|source| unreadable(path, source))?;
    if !metadata.is_file() {
        return Err(Error::TokenFileContent { path: path.to_owned() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::TokenFileMode { path: path.to_owned(), mode });
    }
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if ![0, user].contains(&owner) {
        return Err(Error::TokenFileOwner { path: path.to_owned(), owner, user });
    }
    let mut content = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize));
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut content)
        .map_err(|source| unreadable(path, source))?;
    let token = content.trim_ascii();
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if !TOKEN_BYTES.contains(&token.len()) || !token.iter().all(allowed) {
        return Err(Error::TokenFileContent { path: path.to_owned() });
    }
    Ok(TokenHash::of(token))
}

/// `create_new` (O_EXCL) with the final mode: at no moment can anybody else open the file, and a
/// file or link that somebody put there meanwhile is never written to.
fn create(path: &Path) -> Result<TokenHash, Error> {
    let mut random = Zeroizing::new([0_u8; 32]);
    getrandom::fill(random.as_mut_slice()).map_err(Error::Random)?;
    let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice()));
    let unwritable = |source| Error::TokenFile { path: path.to_owned(), action: "written", source };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(unwritable)?;
    let written = file
        .write_all(token.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all());
    if let Err(source) = written {
        if let Err(error) = std::fs::remove_file(path) {
            tracing::warn!(%error, path = %path.display(), "half a token file stays behind");
        }
        return Err(unwritable(source));
    }
    Ok(TokenHash::of(token.as_bytes()))
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::TokenFile { path: path.to_owned(), action: "read", source }
}

const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 32..=512;
const FILE_BYTES_MAX: u64 = 1024;

#[cfg(test)]
mod tests;
