//! Interface `files`: snapshots of the files that the operator named, and an index over their
//! lines.
//!
//! The index keeps 16 bytes a line beside the snapshot, so that a password file of a million users
//! costs no copy of itself and never enters a guest. It is built once per file and separator, however
//! many ask for it.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{
    bindings::portcullis::plugin::files::{Error, Host},
    budget::Stop,
    instance::State,
};

/// Bytes of one `read`.
const READ_BYTES_MAX: u32 = 1 << 20;
/// Lines and bytes of one `lookup`.
const LINES_MAX: usize = 64;
const LINES_BYTES_MAX: usize = 64 << 10;
/// Different separators that one file is indexed by.
const INDEXES_MAX: usize = 4;
/// Lines of one index: 64 MB.
const INDEX_LINES_MAX: usize = 4_000_000;

/// The files of one generation.
#[derive(Debug, Default)]
pub(crate) struct FileSet(BTreeMap<String, Arc<Snapshot>>);

/// Contents of one file, and its indexes.
#[derive(Debug)]
pub(crate) struct Snapshot {
    contents: Vec<u8>,
    /// By separator; none of a file that has too many lines for one.
    indexes: Mutex<Vec<(char, Option<Arc<Index>>)>>,
    /// One builds, the others wait for what it makes.
    builder: Arc<Semaphore>,
    #[cfg(test)]
    builds: std::sync::atomic::AtomicUsize,
}

/// Lines by the hash of their key; the hash is keyed, so that nobody can build a file of
/// collisions.
#[derive(Debug)]
struct Index {
    hasher: RandomState,
    /// (hash of the key, offset of the line), sorted.
    lines: Vec<(u64, u64)>,
}

impl FileSet {
    /// Takes the contents over.
    pub(crate) fn new(contents: BTreeMap<String, Vec<u8>>) -> Self {
        let snapshot = |contents| Arc::new(Snapshot::new(contents));
        Self(contents.into_iter().map(|(name, contents)| (name, snapshot(contents))).collect())
    }

    fn get(&self, name: &str) -> Result<&Arc<Snapshot>, Error> {
        self.0.get(name).ok_or_else(|| {
            Error::Unknown(format!("the manifest names no file {name:?} under [files]"))
        })
    }
}

impl Snapshot {
    fn new(contents: Vec<u8>) -> Self {
        Self {
            contents,
            indexes: Mutex::default(),
            builder: Arc::new(Semaphore::new(1)),
            #[cfg(test)]
            builds: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        if length > READ_BYTES_MAX {
            return Err(Error::TooLarge(format!("length {length}: at most {READ_BYTES_MAX}")));
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.contents.len());
        let end = start.saturating_add(length as usize).min(self.contents.len());
        Ok(self.contents.get(start..end).unwrap_or_default().to_vec())
    }

    /// None = it was not tried yet.
    fn indexed(&self, separator: char) -> Option<Result<Arc<Index>, Error>> {
        let indexes = self.indexes.lock();
        match indexes.iter().find(|(known, _)| *known == separator) {
            Some((_, index)) => Some(index.clone().ok_or_else(too_many_lines)),
            None if indexes.len() >= INDEXES_MAX => Some(Err(Error::TooLarge(format!(
                "a file is indexed by at most {INDEXES_MAX} separators"
            )))),
            None => None,
        }
    }

    /// Builds the index if there is none yet; the caller holds the builder's permit. Takes about a
    /// second for a hundred megabytes.
    fn index(&self, separator: char) -> Result<Arc<Index>, Error> {
        if let Some(index) = self.indexed(separator) {
            return index;
        }
        #[cfg(test)]
        self.builds.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let built = self.build_index(separator).map(Arc::new);
        self.indexes.lock().push((separator, built.clone()));
        built.ok_or_else(too_many_lines)
    }

    /// One call's way to the index, on a thread that may block.
    async fn index_elsewhere(
        self: Arc<Self>,
        separator: char,
    ) -> Option<Result<Arc<Index>, Error>> {
        let permit = Arc::clone(&self.builder).acquire_owned().await.ok()?;
        let build = move || {
            // Held until the work is done, also when the call that began it is over.
            let _permit = permit;
            self.index(separator)
        };
        tokio::task::spawn_blocking(build).await.ok()
    }

    /// None = too many lines.
    fn build_index(&self, separator: char) -> Option<Index> {
        let hasher = RandomState::new();
        let mut lines = Vec::new();
        let mut offset = 0_u64;
        for line in self.contents.split_inclusive(|byte| *byte == b'\n') {
            if let Some(key) = key_of(line_text(line), separator) {
                if lines.len() >= INDEX_LINES_MAX {
                    return None;
                }
                lines.push((hasher.hash_one(key), offset));
            }
            offset += line.len() as u64;
        }
        lines.sort_unstable();
        lines.shrink_to_fit();
        Some(Index { hasher, lines })
    }

    fn lookup(&self, index: &Index, separator: char, key: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let hash = index.hasher.hash_one(key);
        let first = index.lines.partition_point(|(known, _)| *known < hash);
        let candidates = index.lines.iter().skip(first).take_while(|(known, _)| *known == hash);
        let mut found = Vec::new();
        let mut bytes = 0;
        for (_, offset) in candidates {
            let rest = usize::try_from(*offset).ok().and_then(|start| self.contents.get(start..));
            let line = rest.unwrap_or_default().split(|byte| *byte == b'\n').next();
            let line = line_text(line.unwrap_or_default());
            if key_of(line, separator) != Some(key) {
                continue;
            }
            bytes += line.len();
            if found.len() >= LINES_MAX || bytes > LINES_BYTES_MAX {
                return Err(Error::TooLarge(format!(
                    "at most {LINES_MAX} lines and {LINES_BYTES_MAX} bytes are given for one key"
                )));
            }
            found.push(line.to_vec());
        }
        Ok(found)
    }
}

fn too_many_lines() -> Error {
    let text = format!("a file of more than {INDEX_LINES_MAX} lines with a key is not indexed");
    Error::TooLarge(text)
}

/// A line without its end.
fn line_text(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What stands before the first separator; comments and lines without a separator have no key.
fn key_of(line: &[u8], separator: char) -> Option<&[u8]> {
    if line.starts_with(b"#") {
        return None;
    }
    let mut buffer = [0; 4];
    let separator = separator.encode_utf8(&mut buffer).as_bytes();
    let at = line.windows(separator.len()).position(|window| window == separator)?;
    line.get(..at)
}

impl Host for State {
    fn size(&mut self, name: String) -> wasmtime::Result<Result<u64, Error>> {
        Ok(self.lent.files.get(&name).map(|file| file.contents.len() as u64))
    }

    fn read(
        &mut self,
        name: String,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        Ok(self.lent.files.get(&name).and_then(|file| file.read(offset, length)))
    }

    async fn lookup(
        &mut self,
        name: String,
        separator: char,
        key: String,
    ) -> wasmtime::Result<Result<Vec<Vec<u8>>, Error>> {
        let file = match self.lent.files.get(&name) {
            Ok(file) => Arc::clone(file),
            Err(error) => return Ok(Err(error)),
        };
        if let Some(index) = file.indexed(separator) {
            return Ok(index.and_then(|index| file.lookup(&index, separator, key.as_bytes())));
        }
        self.meter.before_wait()?;
        let building = Arc::clone(&file).index_elsewhere(separator);
        let deadline = tokio::time::Instant::from_std(self.meter.deadline());
        let index = match tokio::time::timeout_at(deadline, building).await {
            Ok(built) => built.ok_or_else(|| wasmtime::Error::msg("the index was not built"))?,
            Err(_) => {
                self.meter.stop(Stop::Deadline);
                return Err(wasmtime::Error::msg("the deadline passed in files.lookup"));
            }
        };
        Ok(index.and_then(|index| file.lookup(&index, separator, key.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(contents: &str) -> Arc<Snapshot> {
        let contents = BTreeMap::from([("f".to_owned(), contents.as_bytes().to_vec())]);
        Arc::clone(FileSet::new(contents).get("f").unwrap())
    }

    #[track_caller]
    fn finds(contents: &str, separator: char, key: &str, expected: &[&str]) {
        let file = file(contents);
        let index = file.index(separator).unwrap();
        let found = file.lookup(&index, separator, key.as_bytes()).unwrap();
        let found: Vec<_> = found.iter().map(|line| str::from_utf8(line).unwrap()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lookup_by_first_separator() {
        let users = "alice:1:x\r\n#bob:2\nbob:3\n\nalice\nalice:4\nbobby:5";
        finds(users, ':', "alice", &["alice:1:x", "alice:4"]);
        finds(users, ':', "bob", &["bob:3"]);
        finds(users, ':', "bobby", &["bobby:5"]);
        finds(users, ':', "#bob", &[]);
        finds(users, ':', "alice:1", &[]);
        finds(users, ':', "", &[]);
        finds(":empty\n", ':', "", &[":empty"]);
        finds("käse→1\n", '→', "käse", &["käse→1"]);
        finds("", ':', "x", &[]);
    }

    #[test]
    fn reads_are_ranges() {
        let file = file("hello");
        assert_eq!(file.read(1, 3).unwrap(), b"ell");
        assert_eq!(file.read(3, 100).unwrap(), b"lo");
        assert_eq!(file.read(u64::MAX, 1).unwrap(), b"");
        assert!(matches!(file.read(0, READ_BYTES_MAX + 1), Err(Error::TooLarge(_))));
    }

    #[test]
    fn bounds_hold() {
        let many = file(&"a:1\n".repeat(LINES_MAX + 1));
        let index = many.index(':').unwrap();
        assert!(matches!(many.lookup(&index, ':', b"a"), Err(Error::TooLarge(_))));
        let long = file(&format!("a:{}\n", "x".repeat(LINES_BYTES_MAX)));
        let index = long.index(':').unwrap();
        assert!(matches!(long.lookup(&index, ':', b"a"), Err(Error::TooLarge(_))));
        for separator in ['a', 'b', 'c'] {
            many.index(separator).unwrap();
        }
        assert!(matches!(many.index('e'), Err(Error::TooLarge(_))));
    }

    #[tokio::test]
    async fn an_index_is_built_once_however_many_ask() {
        let file = file(&"a:1\n".repeat(50_000));
        let asked: Vec<_> =
            (0..64).map(|_| tokio::spawn(Arc::clone(&file).index_elsewhere(':'))).collect();
        for asked in asked {
            assert!(asked.await.unwrap().unwrap().is_ok());
        }
        assert_eq!(file.builds.load(std::sync::atomic::Ordering::SeqCst), 1);
    }

    #[test]
    fn a_file_of_too_many_lines_is_refused_once() {
        let lines = file(&":\n".repeat(INDEX_LINES_MAX + 1));
        for _ in 0..2 {
            let Err(Error::TooLarge(text)) = lines.index(':') else { panic!("indexed") };
            assert!(text.contains("4000000 lines"), "{text}");
        }
        assert_eq!(lines.builds.load(std::sync::atomic::Ordering::SeqCst), 1);
        assert!(lines.index('x').is_ok(), "no line has such a key");
    }
}
