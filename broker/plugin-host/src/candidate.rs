//! What lies in the folder for one plugin right now: component, manifest and `[files]`, read as one
//! picture.
//!
//! Reads and hashes; judges only what can be judged without the component's inside. Blocking: call
//! it off the async threads.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use access::{UploadProgress, UploadedPlugin};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use crate::{
    component,
    generation::Generation,
    manifest::Manifest,
    sources::Revisions,
    trust::{Signed, Trust},
};

/// Bytes of all `[files]` of one plugin together.
const FILES_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a manifest.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a signature file.
const SIGNATURE_BYTES_MAX: u64 = 16 << 10;
/// Characters of a plugin's name.
const NAME_MAX: usize = 64;

/// Ends the name of a candidate in shadow mode, before `.wasm`.
pub(crate) const SHADOW: &str = ".shadow";

/// Where plugins and their files may lie.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The hot-drop folder.
    pub(crate) dir: PathBuf,
    /// Folders for `[files]`.
    pub(crate) file_roots: Vec<PathBuf>,
    /// Whose plugins are loaded.
    pub(crate) trust: Arc<Trust>,
    /// What changed in the configuration that manifests may name.
    pub(crate) revisions: Revisions,
    /// Contents of `[files]` that stand for what lies there: a test's own.
    pub(crate) given: BTreeMap<String, Vec<u8>>,
}

/// What was found for a name.
pub(crate) enum Found {
    /// No `NAME.wasm`; what the files looked like when it was not there.
    Missing(Stamp),
    /// The files changed while they were read.
    Unstable,
    /// A picture of the files.
    Reading(Box<Reading>),
}

/// One picture of a plugin's files.
pub(crate) struct Reading {
    /// Sizes and times of the files in the picture.
    pub(crate) stamp: Stamp,
    /// Whether there is a manifest.
    pub(crate) has_manifest: bool,
    /// The manifest (defaults without a file); `None` when it is not acceptable.
    pub(crate) manifest: Option<Manifest>,
    /// Everything, or why not.
    pub(crate) contents: Result<Contents, Unusable>,
    /// The same of a candidate in shadow mode, if there is one.
    pub(crate) shadow: Option<Result<Contents, Unusable>>,
}

/// Everything that a generation is made of.
#[derive(Clone)]
pub(crate) struct Contents {
    /// What the operator or an upload brought.
    pub(crate) version: Version,
    /// `[files]` by name.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// SHA-256 of each.
    pub(crate) file_hashes: BTreeMap<String, String>,
    /// What answers now, and may hand its state over.
    pub(crate) heir_of: Option<Arc<Generation>>,
    /// What the version before it imports, where more than that must be approved.
    pub(crate) predecessor: Option<Vec<String>>,
    /// It only sees what is asked.
    pub(crate) in_shadow: bool,
    /// Who wants to know how far its build is.
    pub(crate) progress: UploadProgress,
    /// SHA-256 over all of it, the engine and the changes of what it was granted, in hexadecimal.
    pub(crate) id: String,
}

/// By what a version is known, as in `DATA_DIR/plugin-versions/NAME/HASH`: the hash of a component with its manifest.
pub fn version_hash(wasm: Vec<u8>, manifest: Option<String>) -> String {
    Version::new(Arc::new(wasm), manifest, None).hash
}

/// A component with its manifest, as they lay in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    /// `NAME.wasm`.
    pub(crate) wasm: Arc<Vec<u8>>,
    /// The text of `NAME.toml`.
    pub(crate) manifest: Option<String>,
    /// `NAME.sig`. Not in the hash: it speaks of the other two.
    pub(crate) signature: Option<String>,
    /// SHA-256 over component and manifest, in hexadecimal.
    pub(crate) hash: String,
}

impl Version {
    pub(crate) fn new(
        wasm: Arc<Vec<u8>>,
        manifest: Option<String>,
        signature: Option<String>,
    ) -> Self {
        let mut hasher = Sha256::new();
        hasher.update((wasm.len() as u64).to_be_bytes());
        hasher.update(&*wasm);
        // An empty manifest is another statement than none.
        hasher.update([u8::from(manifest.is_some())]);
        hasher.update(manifest.as_deref().unwrap_or_default());
        Self { wasm, manifest, signature, hash: hex(&hasher.finalize()) }
    }

    /// SHA-256 of the manifest, in hexadecimal; empty = there is none.
    pub(crate) fn manifest_hash(&self) -> String {
        self.manifest.as_ref().map_or_else(String::new, |text| hex(&Sha256::digest(text)))
    }

    fn signed<'a>(&'a self, name: &'a str) -> Signed<'a> {
        Signed { name, wasm: &self.wasm, manifest: self.manifest.as_deref() }
    }
}

impl Contents {
    /// A component without manifest and files.
    pub(crate) fn alone(wasm: Vec<u8>, id: String) -> Self {
        let version = Version::new(Arc::new(wasm), None, None);
        let (files, file_hashes, progress) = Default::default();
        let (heir_of, predecessor, in_shadow) = (None, None, false);
        Self { version, files, file_hashes, heir_of, predecessor, in_shadow, progress, id }
    }
}

/// A version that was kept, with the files that it names as they are now.
pub(crate) struct Revived {
    /// All of it.
    pub(crate) contents: Contents,
    /// Its manifest, with the standing that today's gives it.
    pub(crate) manifest: Manifest,
    /// Of the files that it names.
    pub(crate) stamp: Stamp,
}

/// Why the files cannot become a generation.
#[derive(Clone, Debug)]
pub(crate) struct Unusable {
    /// For the operator.
    pub(crate) sentence: String,
    /// It may be otherwise next time though no file changes.
    pub(crate) passing: bool,
}

/// Sizes, times and inodes of files; equal stamps = nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<(PathBuf, Option<FileStamp>)>);

/// What can change about a file from outside. The time of change is in it because whoever writes in
/// place can set the other one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    size_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: (u64, u64),
}

impl FileStamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            size_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        })
    }
}

impl Stamp {
    /// Of these files now; one that is not there counts as absent.
    pub(crate) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamped = |path: PathBuf| {
            let stamp = FileStamp::of(&path);
            (path, stamp)
        };
        Self(paths.into_iter().map(stamped).collect())
    }

    /// The files that it is about.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }

    /// This, and these files as they are now.
    pub(crate) fn with(&self, more: &[PathBuf]) -> Self {
        self.and(&Self::of(more.iter().cloned()))
    }

    /// This, and what the other one has beside it.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut stamp = self.clone();
        let more = other.0.iter().filter(|(path, _)| self.paths().all(|known| known != path));
        stamp.0.extend(more.cloned());
        stamp
    }

    /// Whether this one of them was not there, and still is not.
    pub(crate) fn is_absent(&self, path: &Path) -> bool {
        self.0.iter().any(|(known, stamp)| known == path && stamp.is_none()) && absent(path)
    }

    /// The same files again.
    pub(crate) fn again(&self) -> Self {
        Self::of(self.0.iter().map(|(path, _)| path.clone()))
    }
}

/// Letters, digits, `-` and `_`, 1 to 64 of them.
pub(crate) fn valid_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

impl Places {
    /// `NAME.wasm`.
    pub(crate) fn wasm(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.wasm"))
    }

    /// `NAME.toml`.
    pub(crate) fn manifest(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.toml"))
    }

    /// `NAME.sig`.
    pub(crate) fn signature(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.sig"))
    }

    /// `NAME.shadow.wasm`: a candidate that only sees what is asked.
    pub(crate) fn shadow(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}{SHADOW}.wasm"))
    }

    /// `NAME.shadow.sig`.
    pub(crate) fn shadow_signature(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}{SHADOW}.sig"))
    }

    /// Takes a picture. `engine` goes into the identity. `uploaded` stands for `NAME.wasm`, whether
    /// that is there or not, and for `NAME.sig` if it brought one.
    pub(crate) fn read(
        &self,
        name: &str,
        engine: &[u8; 32],
        uploaded: Option<&UploadedPlugin>,
    ) -> Found {
        let own = || {
            let shadow = [self.shadow(name), self.shadow_signature(name)];
            [self.wasm(name), self.manifest(name), self.signature(name)].into_iter().chain(shadow)
        };
        let before = Stamp::of(own());
        if uploaded.is_none() && before.is_absent(&self.wasm(name)) {
            return Found::Missing(before);
        }
        let (text, manifest) = match self.manifest_of(name) {
            Ok(read) => read,
            Err(unusable) => {
                return Found::Reading(Box::new(Reading {
                    stamp: before,
                    has_manifest: true,
                    manifest: None,
                    contents: Err(unusable),
                    shadow: None,
                }));
            }
        };
        let stamp = Stamp::of(own().chain(self.targets(&manifest)));
        let has_manifest = text.is_some();
        let shadow = self.shadow_contents(name, text.clone(), &manifest, engine);
        let version = self.version(name, text, uploaded);
        let contents = version.and_then(|version| self.contents(name, version, &manifest, engine));
        let progress = uploaded.map(|uploaded| uploaded.progress.clone()).unwrap_or_default();
        let contents = contents.map(|contents| Contents { progress, ..contents });
        if stamp.again() != stamp || before.again() != before {
            return Found::Unstable;
        }
        Found::Reading(Box::new(Reading {
            stamp,
            has_manifest,
            manifest: Some(manifest),
            contents,
            shadow,
        }))
    }

    /// With the manifest and the files of the live one.
    fn shadow_contents(
        &self,
        name: &str,
        text: Option<String>,
        manifest: &Manifest,
        engine: &[u8; 32],
    ) -> Option<Result<Contents, Unusable>> {
        let path = self.shadow(name);
        if absent(&path) {
            return None;
        }
        let read = || {
            let wasm = read_whole(&path, component::WASM_BYTES_MAX)?;
            let signature = self.signature_at(&self.shadow_signature(name))?;
            let version = Version::new(Arc::new(wasm), text, signature);
            let contents = self.contents(name, version, manifest, engine)?;
            Ok(Contents { in_shadow: true, ..contents })
        };
        Some(read())
    }

    /// The text of the manifest and what it says; the defaults without one.
    pub(crate) fn manifest_of(&self, name: &str) -> Result<(Option<String>, Manifest), Unusable> {
        let path = self.manifest(name);
        if absent(&path) {
            return Ok((None, Manifest::default()));
        }
        let bytes = read_whole(&path, MANIFEST_BYTES_MAX)?;
        let text = String::from_utf8(bytes).map_err(|_| Unusable {
            sentence: format!("{}: is not UTF-8", path.display()),
            passing: false,
        })?;
        let manifest = Manifest::parse(&path, &text)
            .map_err(|error| Unusable { sentence: error.to_string(), passing: false })?;
        Ok((Some(text), manifest))
    }

    /// Component, manifest and signature as they lie there, or as they were sent.
    fn version(
        &self,
        name: &str,
        manifest: Option<String>,
        uploaded: Option<&UploadedPlugin>,
    ) -> Result<Version, Unusable> {
        let wasm = match uploaded {
            Some(uploaded) => uploaded.wasm.clone(),
            None => read_whole(&self.wasm(name), component::WASM_BYTES_MAX)?,
        };
        let signature = match uploaded.and_then(|uploaded| uploaded.signature.clone()) {
            Some(signature) => Some(signature),
            None => self.signature_at(&self.signature(name))?,
        };
        Ok(Version::new(Arc::new(wasm), manifest, signature))
    }

    fn signature_at(&self, path: &Path) -> Result<Option<String>, Unusable> {
        if absent(path) {
            return Ok(None);
        }
        let bytes = read_whole(path, SIGNATURE_BYTES_MAX)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// What lies in the folder, whether it may be loaded or not.
    pub(crate) fn version_now(&self, name: &str) -> Result<(Version, Manifest), Unusable> {
        let (text, manifest) = self.manifest_of(name)?;
        Ok((self.version(name, text, None)?, manifest))
    }

    fn contents(
        &self,
        name: &str,
        version: Version,
        manifest: &Manifest,
        engine: &[u8; 32],
    ) -> Result<Contents, Unusable> {
        // May be otherwise next time: component and signature are two files, and one comes first.
        self.trust
            .judge(version.signed(name), version.signature.as_deref())
            .map_err(|sentence| Unusable { sentence, passing: true })?;
        let mut left = FILES_BYTES_MAX;
        let mut files = BTreeMap::new();
        for (file, path) in &manifest.files {
            let contents = match self.given.get(file) {
                Some(given) => given.clone(),
                None => self.file(file, path, left)?,
            };
            left = left.saturating_sub(contents.len() as u64);
            files.insert(file.clone(), contents);
        }
        let revisions = self.revisions.of(&manifest.grants);
        let hash = |(name, bytes): (&String, &Vec<u8>)| (name.clone(), hex(&Sha256::digest(bytes)));
        let file_hashes = files.iter().map(hash).collect();
        let id = identity(engine, &version, &file_hashes, &revisions);
        let (heir_of, predecessor, in_shadow) = (None, None, false);
        let progress = UploadProgress::default();
        Ok(Contents { version, files, file_hashes, heir_of, predecessor, in_shadow, progress, id })
    }

    fn targets<'a>(&'a self, manifest: &'a Manifest) -> impl Iterator<Item = PathBuf> + 'a {
        manifest.files.values().map(|path| self.dir.join(path))
    }

    /// A version that was kept, as far as that is still allowed: whom the operator trusts is asked
    /// anew, today's manifest must grant all that its own does, and decides where it stands. Errors
    /// are sentences.
    pub(crate) fn revive(
        &self,
        name: &str,
        version: Version,
        today: &Manifest,
        engine: &[u8; 32],
    ) -> Result<Revived, String> {
        let path = self.manifest(name);
        let manifest = match &version.manifest {
            Some(text) => Manifest::parse(&path, text).map_err(|error| error.to_string())?,
            None => Manifest::default(),
        };
        if let Some(more) = manifest.grants_beyond(today) {
            return Err(format!("its manifest grants {more}, which today's does not"));
        }
        let manifest = manifest.standing_as(today);
        let stamp = Stamp::of(self.targets(&manifest));
        let contents = self.contents(name, version, &manifest, engine);
        let contents = contents.map_err(|unusable| unusable.sentence)?;
        match stamp.again() == stamp {
            true => Ok(Revived { contents, manifest, stamp }),
            false => Err("its files are being written".to_owned()),
        }
    }

    /// One of `[files]`: it must lie inside a root after every symbolic link is resolved. The file
    /// that was opened is judged, not its path: a link can be turned in between.
    fn file(&self, name: &str, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unusable> {
        let shown = path.display();
        let path = self.dir.join(path);
        let opened = open(&path).and_then(|file| real_path(&file).map(|real| (file, real)));
        let (file, real) = opened.map_err(|error| Unusable {
            sentence: format!("files.{name} = \"{shown}\": {error}"),
            passing: true,
        })?;
        let inside = self
            .file_roots
            .iter()
            .filter_map(|root| fs::canonicalize(root).ok())
            .any(|root| real.starts_with(root));
        if !inside {
            let roots: Vec<_> =
                self.file_roots.iter().map(|root| root.display().to_string()).collect();
            return Err(Unusable {
                sentence: format!(
                    "files.{name} = \"{shown}\": is really {}, outside of file_roots ({})",
                    real.display(),
                    roots.join(", ")
                ),
                passing: true,
            });
        }
        read_opened(file, &real, bytes_max).map_err(|unusable| Unusable {
            sentence: format!("files.{name}: {}", unusable.sentence),
            ..unusable
        })
    }
}

pub(crate) fn absent(path: &Path) -> bool {
    matches!(fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Opens for reading without waiting: a named pipe would wait for its writer for ever. Nothing of
/// what is opened is read before it is known to be a regular file.
fn open(path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Where an open file really lies.
fn real_path(file: &fs::File) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn read_whole(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unusable> {
    let file = open(path).map_err(|error| Unusable {
        sentence: format!("{}: {error}", path.display()),
        passing: true,
    })?;
    read_opened(file, path, bytes_max)
}

fn read_opened(file: fs::File, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Unusable> {
    let unusable = |sentence: String, passing| Unusable {
        sentence: format!("{}: {sentence}", path.display()),
        passing,
    };
    let io_error = |error: io::Error| unusable(error.to_string(), true);
    let metadata = file.metadata().map_err(io_error)?;
    if !metadata.is_file() {
        return Err(unusable("is not a regular file".to_owned(), false));
    }
    if metadata.len() > bytes_max {
        let sentence = format!("is {} bytes large; at most {bytes_max} are read", metadata.len());
        return Err(unusable(sentence, false));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // It may have grown since.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(io_error)?;
    if bytes.len() as u64 > bytes_max {
        let sentence = format!("is larger than {bytes_max} bytes; no more are read");
        return Err(unusable(sentence, false));
    }
    Ok(bytes)
}

fn identity(
    engine: &[u8; 32],
    version: &Version,
    files: &BTreeMap<String, String>,
    revisions: &[(&str, &str, u64)],
) -> String {
    let mut hasher = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    part(engine);
    part(version.hash.as_bytes());
    for (name, hash) in files {
        part(name.as_bytes());
        part(hash.as_bytes());
    }
    for (table, name, revision) in revisions {
        part(table.as_bytes());
        part(name.as_bytes());
        part(&revision.to_be_bytes());
    }
    hex(&hasher.finalize())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
