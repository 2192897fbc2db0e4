//! Reading certificates, keys and lists from files: how large they may be, who may read a key, and sentences that name the
//! file when something is wrong.
//!
//! Knows nothing of what is made of them.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
    pem::{Error, PemObject},
};

/// Something about a file that keeps it from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which key of the configuration names it: `cert`, `key`, `client_ca`, `crl` and so on.
    pub what: &'static str,
    /// The sentence, which begins with the file.
    pub sentence: String,
}

impl Fault {
    pub(super) fn new(what: &'static str, file: &Path, problem: impl fmt::Display) -> Self {
        Self { what, sentence: format!("{}: {problem}", file.display()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls.{}: {}", self.what, self.sentence)
    }
}

/// A certificate with those up to its authority, or a file of authorities.
pub(super) fn certificates(
    what: &'static str,
    file: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(Fault::new(what, file, "holds no certificate in PEM"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(Fault::new(what, file, format!("is not PEM: {}", no_content(&error)))),
    }
}

/// A private key.
pub(super) fn private_key(file: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| {
        let what = match error {
            Error::NoItemsFound => {
                "holds no private key in PEM that is not encrypted (PKCS #8, PKCS #1 or SEC 1)"
            }
            other => return Fault::new("key", file, format!("is not PEM: {}", no_content(&other))),
        };
        Fault::new("key", file, what)
    })
}

/// Lists, each in DER.
pub(super) fn lists(file: &Path, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    if !bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Ok(vec![bytes.to_vec()]);
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(bytes);
    let read: Result<Vec<_>, _> = lists.map(|list| list.map(|list| list.to_vec())).collect();
    match read {
        Ok(lists) if lists.is_empty() => Err(Fault::new("crl", file, "holds no X509 CRL in PEM")),
        Ok(lists) => Ok(lists),
        Err(error) => Err(Fault::new("crl", file, format!("is not PEM: {}", no_content(&error)))),
    }
}

/// What is wrong, without quoting a file that may hold a key.
fn no_content(error: &Error) -> &'static str {
    match error {
        Error::MissingSectionEnd { .. } => "the END line is missing",
        Error::IllegalSectionStart { .. } => "a BEGIN line is broken",
        Error::Base64Decode(_) => "it is not base64",
        Error::Io(_) => "it cannot be read",
        Error::NoItemsFound => "nothing is in it",
        _ => "it is too large or broken",
    }
}

/// A file of at most so many bytes.
pub(super) fn read(what: &'static str, file: &Path, most: u64) -> Result<Vec<u8>, Fault> {
    let read = || {
        let metadata = fs::metadata(file)?;
        if !metadata.is_file() {
            return Err(io::Error::other("is no regular file"));
        }
        if metadata.len() > most {
            let length = metadata.len();
            return Err(io::Error::other(format!("has {length} bytes, allowed: at most {most}")));
        }
        fs::read(file)
    };
    read().map_err(|error| Fault::new(what, file, format!("cannot be read: {error}")))
}

/// Who else could use a private key. Its group may read it: that may be the broker's.
pub(super) fn check_key(file: &Path) -> Result<(), Fault> {
    let metadata = fs::metadata(file)
        .map_err(|error| Fault::new("key", file, format!("cannot be read: {error}")))?;
    let user = rustix::process::geteuid().as_raw();
    // Root may look at the files of a service whose user it does not know.
    if user != 0 && ![0, user].contains(&metadata.uid()) {
        let owner = metadata.uid();
        let what = format!("owner {owner}: allowed: 0 or {user}, the user of the broker");
        return Err(Fault::new("key", file, what));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & KEY_FORBIDDEN != 0 {
        let allowed = mode & !KEY_FORBIDDEN;
        let what = format!(
            "mode {mode:04o}: others can use it, allowed: {allowed:04o} (chmod {allowed:o} {})",
            file.display()
        );
        return Err(Fault::new("key", file, what));
    }
    Ok(())
}

/// Written by the group, or anything by others.
const KEY_FORBIDDEN: u32 = 0o027;
/// Of certificates, and of a key.
pub(super) const PEM_BYTES_MAX: u64 = 1 << 20;
/// Of a file of authorities.
pub(super) const AUTHORITIES_BYTES_MAX: u64 = 16 << 20;
/// Of a revocation list: some four million certificates.
pub(super) const CRL_BYTES_MAX: u64 = 160 << 20;

/// The folders that must be watched to notice a change of these files: that of the name, and that of what the name leads to.
pub(super) fn folders<'a>(files: impl IntoIterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for file in files {
        let target = file.canonicalize().ok();
        for path in [Some(file), target.as_deref()].into_iter().flatten() {
            let folder = path.parent().unwrap_or_else(|| Path::new("/")).to_owned();
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders
}
