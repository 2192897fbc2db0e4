//! The archive: gzip over tar, its files each with a SHA-256 in a manifest at the end, and that one's SHA-256 behind it.
//!
//! ```text
//! portcullis-backup.json · any files · manifest.json · manifest.sha256
//! ```
//!
//! Behind that stands a second, empty gzip member whose comment is the SHA-256 of all bytes before it: gzip has bits that
//! mean nothing, and this notices them too.
//!
//! Both ways are streams: memory does not grow with what is in it. A reader takes an archive as this module writes it or
//! not at all: header, order, names, lengths, sums and the end are all known. Knows nothing of what the files mean.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Component, Path},
};

use aws_lc_rs::digest::{self, SHA256};
use flate2::{Compression, GzBuilder, bufread::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

use super::{About, FORMAT, name};

/// Beginning of every archive: gzip without name, time or system.
const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// Largest manifest: some hundred thousand files.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Bytes of the file that says what an archive is.
const ABOUT_BYTES_MAX: u64 = 1 << 20;
/// Longest name of a file: what Linux has for paths.
const NAME_BYTES_MAX: u64 = 4096;
/// What tar has behind its last file: two blocks of zeros.
const END_BYTES: usize = 1024;

/// The member that holds the sum: its header, which says that a comment follows, and an empty stream behind that.
const SEAL: [u8; 10] = [0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 255];
const SEAL_END: [u8; 11] = [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Bytes of that member: the sum has 64 digits.
const SEAL_BYTES: usize = SEAL.len() + 64 + SEAL_END.len();

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    /// Its name, parts separated by `/`.
    pub(super) path: String,
    /// Its length.
    pub(super) bytes: u64,
    /// SHA-256 in hexadecimal.
    sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    files: Vec<Listed>,
}

/// What an archive says of itself and holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Its first file.
    pub(super) about: About,
    /// All files but manifest and its sum, in order.
    pub(super) files: Vec<Listed>,
}

impl Summary {
    /// The same for a program; `file` is where it lies.
    pub(crate) fn json(&self, file: &Path) -> serde_json::Value {
        let bytes: u64 = self.files.iter().map(|file| file.bytes).sum();
        serde_json::json!({
            "file": file.display().to_string(),
            "files": self.files.len(),
            "bytes": bytes,
            "about": self.about,
        })
    }
}

/// Writes an archive.
pub(super) struct Writer<W: Write> {
    tar: tar::Builder<GzEncoder<Sealing<W>>>,
    files: Vec<Listed>,
}

impl<W: Write> Writer<W> {
    /// Begins with what the archive is.
    pub(super) fn begin(out: W, about: &About) -> io::Result<Self> {
        let out = Sealing { out, context: digest::Context::new(&SHA256) };
        let gzip = GzBuilder::new().mtime(0).operating_system(255).write(out, Compression::fast());
        let mut writer = Self { tar: tar::Builder::new(gzip), files: Vec::new() };
        writer.bytes(name::ABOUT, &serde_json::to_vec_pretty(about)?)?;
        Ok(writer)
    }

    /// A file that is in memory.
    pub(super) fn bytes(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.file(path, bytes.len() as u64, bytes)
    }

    /// A file of exactly this length.
    pub(super) fn file(&mut self, path: &str, bytes: u64, content: impl Read) -> io::Result<()> {
        let sha256 = self.entry(path, bytes, content)?;
        self.files.push(Listed { path: path.to_owned(), bytes, sha256 });
        Ok(())
    }

    fn entry(&mut self, path: &str, bytes: u64, content: impl Read) -> io::Result<String> {
        check_path(path)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_entry_type(tar::EntryType::Regular);
        let mut summed = Summed::new(content.take(bytes));
        // A name of more than 100 bytes gets an entry of its own, as GNU tar does.
        self.tar.append_data(&mut header, path, &mut summed)?;
        if summed.bytes != bytes {
            let what = format!("{path} ended after {} of {bytes} bytes", summed.bytes);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        Ok(summed.sum())
    }

    /// Ends with the manifest.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let manifest = Manifest { files: std::mem::take(&mut self.files) };
        let manifest = serde_json::to_vec_pretty(&manifest)?;
        let sum = self.entry(name::MANIFEST, manifest.len() as u64, manifest.as_slice())?;
        self.entry(name::MANIFEST_SUM, sum.len() as u64, sum.as_bytes())?;
        self.tar.into_inner()?.finish()?.seal()
    }
}

/// Reads an archive and hands on its files, each of which must be read to its end. Only when this returns are they known
/// to be whole: what was made of them until then must not be used otherwise.
///
/// # Errors
/// It is not whole, with the name of what is wrong, or `found` fails.
pub(super) fn read(
    archive: impl Read,
    found: &mut dyn FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> io::Result<Summary> {
    let mut archive = BufReader::with_capacity(1 << 16, Unsealing::new(archive));
    let mut beginning = [0; GZIP.len()];
    archive.read_exact(&mut beginning).map_err(|_| broken("is no backup: it is too short"))?;
    if beginning != GZIP {
        return Err(broken("is no backup of portcullis: it begins otherwise"));
    }
    let gzip = GzDecoder::new(GZIP.as_slice().chain(archive));
    let mut tar = tar::Archive::new(gzip);
    let (mut files, mut about, mut manifest) = (Vec::new(), None, None);
    let mut names = BTreeSet::new();
    let (mut whole, mut long_name) = (false, None);
    // Raw: else a long name would be read into memory as long as it says that it is.
    for entry in tar.entries()?.raw(true) {
        let mut entry = entry.map_err(|error| after(&files, &error))?;
        if whole {
            return Err(broken("goes on behind its end"));
        }
        if entry.header().entry_type().is_gnu_longname() {
            if long_name.replace(name_in(&mut entry)?).is_some() {
                return Err(broken("holds two names for one file"));
            }
            continue;
        }
        let (path, bytes) = described(&entry, long_name.take())?;
        if !names.insert(path.clone()) {
            return Err(broken(&format!("{path} stands in it twice")));
        }
        let kept = match path.as_str() {
            name::ABOUT => Some(ABOUT_BYTES_MAX),
            name::MANIFEST => Some(MANIFEST_BYTES_MAX),
            name::MANIFEST_SUM => Some(ABOUT_BYTES_MAX),
            _ => None,
        };
        let mut summed = Summed::new(&mut entry);
        let mut content = Vec::new();
        match kept {
            Some(most) if bytes > most => return Err(broken(&format!("{path} is too long"))),
            Some(_) => summed.read_to_end(&mut content).map(drop),
            None if about.is_none() => return Err(broken("does not begin with what it is")),
            None => found(&path, &mut summed),
        }
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        if summed.bytes != bytes {
            return Err(broken(&format!("{path} was not read to its end")));
        }
        let sha256 = summed.sum();
        match path.as_str() {
            name::MANIFEST => {
                manifest = Some((content, sha256));
                continue;
            }
            name::MANIFEST_SUM => {
                check_manifest(manifest.as_ref(), &content, &files)?;
                whole = true;
                continue;
            }
            _ if manifest.is_some() => return Err(broken(&format!("{path} comes too late"))),
            name::ABOUT => about = Some(understand(&content)?),
            _ => {}
        }
        files.push(Listed { path, bytes, sha256 });
    }
    if !whole {
        return Err(broken("ends early: it was not written to its end"));
    }
    check_end(tar.into_inner())?;
    let about = about.ok_or_else(|| broken("does not say what it is"))?;
    Ok(Summary { about, files })
}

/// The long name of the next entry, which has an entry of its own and ends with a zero.
fn name_in(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
    let bytes = entry.header().size()?;
    if bytes > NAME_BYTES_MAX {
        let what = format!("holds a name of {bytes} bytes, allowed: at most {NAME_BYTES_MAX}");
        return Err(broken(&what));
    }
    let mut name = Vec::new();
    entry.read_to_end(&mut name)?;
    name.pop_if(|last| *last == 0);
    Ok(name)
}

/// Name and length of an entry that is a file with a name as we write it.
fn described(
    entry: &tar::Entry<'_, impl Read>,
    long_name: Option<Vec<u8>>,
) -> io::Result<(String, u64)> {
    let path = long_name.map_or_else(|| entry.path_bytes(), Cow::Owned);
    let path = std::str::from_utf8(&path).map_err(|_| broken("holds a name that is not UTF-8"))?;
    if !entry.header().entry_type().is_file() {
        return Err(broken(&format!("{path:?} is no file")));
    }
    check_path(path)?;
    Ok((path.to_owned(), entry.header().size()?))
}

/// Only names below the folder that they are put into.
fn check_path(path: &str) -> io::Result<()> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let clean = !path.is_empty()
        && !path.chars().any(char::is_control)
        && !path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if plain && clean {
        Ok(())
    } else {
        Err(broken(&format!("{path:?} is no name of a file in it")))
    }
}

fn understand(about: &[u8]) -> io::Result<About> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let unclear = |error: serde_json::Error| broken(&format!("does not say what it is: {error}"));
    let Format { format } = serde_json::from_slice(about).map_err(unclear)?;
    if format != FORMAT {
        let what = format!("has format {format}; this program reads format {FORMAT} only");
        return Err(broken(&what));
    }
    serde_json::from_slice(about).map_err(unclear)
}

fn check_manifest(
    manifest: Option<&(Vec<u8>, String)>,
    sum: &[u8],
    files: &[Listed],
) -> io::Result<()> {
    let (manifest, sha256) = manifest.ok_or_else(|| broken("has no manifest"))?;
    if sha256.as_bytes() != sum {
        return Err(broken("has a manifest that does not fit its SHA-256"));
    }
    let listed: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| broken(&format!("has a manifest that is none: {error}")))?;
    for (listed, found) in listed.files.iter().zip(files) {
        if listed != found {
            return Err(broken(&format!("{} is not what the manifest says", found.path)));
        }
    }
    if listed.files.len() != files.len() {
        return Err(broken("does not hold the files that the manifest names"));
    }
    Ok(())
}

/// Nothing but the end of tar, of gzip and of the file.
fn check_end<R: Read>(mut gzip: Gzip<'_, R>) -> io::Result<()> {
    let mut rest = Vec::new();
    let read = gzip.by_ref().take(END_BYTES as u64 + 1).read_to_end(&mut rest);
    read.map_err(|error| broken(&format!("is damaged at its end: {error}")))?;
    if rest.len() > END_BYTES || rest.iter().any(|byte| *byte != 0) {
        return Err(broken("goes on behind its end"));
    }
    let (_, mut file) = gzip.into_inner().into_inner();
    if !file.fill_buf()?.is_empty() {
        return Err(broken("goes on behind its end"));
    }
    if file.into_inner().ends_with_its_seal() {
        return Ok(());
    }
    Err(broken("does not fit the SHA-256 at its end"))
}

/// What an archive is read through.
type Gzip<'a, R> = GzDecoder<io::Chain<&'a [u8], BufReader<Unsealing<R>>>>;

/// The member at the end of an archive whose bytes before it have this sum.
fn seal(context: digest::Context) -> Vec<u8> {
    [&SEAL, hexadecimal(context).as_bytes(), &SEAL_END].concat()
}

fn hexadecimal(context: digest::Context) -> String {
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sums up what is written.
struct Sealing<W> {
    out: W,
    context: digest::Context,
}

impl<W: Write> Sealing<W> {
    fn seal(mut self) -> io::Result<()> {
        self.out.write_all(&seal(self.context))?;
        self.out.flush()
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.context.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads all but the last [`SEAL_BYTES`], and sums it up.
struct Unsealing<R> {
    content: R,
    context: digest::Context,
    /// Read, and not handed on: the last bytes so far.
    held: Vec<u8>,
}

impl<R: Read> Unsealing<R> {
    fn new(content: R) -> Self {
        Self { content, context: digest::Context::new(&SHA256), held: Vec::new() }
    }

    /// Whether what was held back at the end is the seal of everything before.
    fn ends_with_its_seal(self) -> bool {
        seal(self.context) == self.held
    }
}

impl<R: Read> Read for Unsealing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let wanted = SEAL_BYTES + bytes.len();
        while self.held.len() < wanted {
            let missing = (wanted - self.held.len()) as u64;
            if self.content.by_ref().take(missing).read_to_end(&mut self.held)? == 0 {
                break;
            }
        }
        let count = self.held.len().saturating_sub(SEAL_BYTES).min(bytes.len());
        for (slot, byte) in bytes.iter_mut().zip(self.held.drain(..count)) {
            *slot = byte;
        }
        self.context.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// What is wrong between two files.
fn after(files: &[Listed], error: &io::Error) -> io::Error {
    let before = files.last().map_or("its beginning", |file| file.path.as_str());
    broken(&format!("is damaged behind {before}: {error}"))
}

/// Sums up what is read.
struct Summed<R> {
    content: R,
    context: digest::Context,
    bytes: u64,
}

impl<R: Read> Summed<R> {
    fn new(content: R) -> Self {
        Self { content, context: digest::Context::new(&SHA256), bytes: 0 }
    }

    /// In hexadecimal.
    fn sum(self) -> String {
        hexadecimal(self.context)
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(bytes)?;
        self.context.update(bytes.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}
