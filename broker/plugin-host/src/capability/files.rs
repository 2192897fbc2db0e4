//! Interface `files`: snapshots of the files that the operator named, and an index over their
//! lines.
//!
//! The index keeps 16 bytes a line beside the snapshot, so that a password file of a million users
//! costs no copy of itself and never enters a guest.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use parking_lot::Mutex;

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

/// The files of one generation.
#[derive(Debug, Default)]
pub(crate) struct FileSet(BTreeMap<String, Arc<Snapshot>>);

/// Contents of one file, and its indexes.
#[derive(Debug)]
pub(crate) struct Snapshot {
    contents: Vec<u8>,
    indexes: Mutex<Vec<(char, Arc<Index>)>>,
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
        let snapshot = |contents| Arc::new(Snapshot { contents, indexes: Mutex::default() });
        Self(contents.into_iter().map(|(name, contents)| (name, snapshot(contents))).collect())
    }

    fn get(&self, name: &str) -> Result<&Arc<Snapshot>, Error> {
        self.0.get(name).ok_or_else(|| {
            Error::Unknown(format!("the manifest names no file {name:?} under [files]"))
        })
    }
}

impl Snapshot {
    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        if length > READ_BYTES_MAX {
            return Err(Error::TooLarge(format!("length {length}: at most {READ_BYTES_MAX}")));
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.contents.len());
        let end = start.saturating_add(length as usize).min(self.contents.len());
        Ok(self.contents.get(start..end).unwrap_or_default().to_vec())
    }

    fn indexed(&self, separator: char) -> Option<Arc<Index>> {
        let indexes = self.indexes.lock();
        let found = indexes.iter().find(|(known, _)| *known == separator);
        found.map(|(_, index)| Arc::clone(index))
    }

    /// Builds the index if there is none yet. Takes about a second for a hundred megabytes.
    fn index(&self, separator: char) -> Result<Arc<Index>, Error> {
        if let Some(index) = self.indexed(separator) {
            return Ok(index);
        }
        if self.indexes.lock().len() >= INDEXES_MAX {
            let text = format!("a file is indexed by at most {INDEXES_MAX} separators");
            return Err(Error::TooLarge(text));
        }
        let built = Arc::new(self.build_index(separator));
        let mut indexes = self.indexes.lock();
        // Another call may have been faster.
        if let Some((_, index)) = indexes.iter().find(|(known, _)| *known == separator) {
            return Ok(Arc::clone(index));
        }
        indexes.push((separator, Arc::clone(&built)));
        Ok(built)
    }

    fn build_index(&self, separator: char) -> Index {
        let hasher = RandomState::new();
        let mut lines = Vec::new();
        let mut offset = 0_u64;
        for line in self.contents.split_inclusive(|byte| *byte == b'\n') {
            if let Some(key) = key_of(line_text(line), separator) {
                lines.push((hasher.hash_one(key), offset));
            }
            offset += line.len() as u64;
        }
        lines.sort_unstable();
        lines.shrink_to_fit();
        Index { hasher, lines }
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
            return Ok(file.lookup(&index, separator, key.as_bytes()));
        }
        let builder = Arc::clone(&file);
        let building = tokio::task::spawn_blocking(move || builder.index(separator));
        let deadline = tokio::time::Instant::from_std(self.meter.deadline());
        let index = match tokio::time::timeout_at(deadline, building).await {
            Ok(built) => built.map_err(|_| wasmtime::Error::msg("the index was not built"))?,
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
}
