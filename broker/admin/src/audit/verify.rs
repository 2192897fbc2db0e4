//! Whether the files of an audit log are what was written: `portcullis audit verify`.
//!
//! Knows nothing of a running broker. A chain of hashes shows that a line was changed, added, moved
//! or taken out; whoever may write the files can still make a whole new chain, which only somebody
//! who noted an earlier hash notices.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use super::{chain::Head, day::Day, writer};

/// What a good log looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// Files.
    pub files: usize,
    /// Lines.
    pub lines: u64,
    /// Number of the last line.
    pub last: u64,
    /// Hash of the last line, in hexadecimal.
    pub hash: String,
}

/// Why a log is none.
#[derive(Debug, thiserror::Error)]
pub enum AuditFault {
    /// A line is not the one that was written.
    #[error("{}:{line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The folder is not one of a log.
    #[error("{}: {what}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Follows the chain through all files of a folder.
///
/// # Errors
/// The first line that does not belong where it is.
pub fn verify_audit(folder: &Path) -> Result<AuditReport, AuditFault> {
    let of_folder = |what| AuditFault::Folder { path: folder.to_owned(), what };
    let days = writer::days(folder)
        .map_err(|source| AuditFault::Unreadable { path: folder.to_owned(), source })?;
    if days.is_empty() {
        return Err(of_folder("no file YYYY-MM-DD.jsonl is there".to_owned()));
    }
    let mut head = writer::anchor(folder).map_err(of_folder)?;
    let (first, mut files) = (head.seq, 0);
    for (day, path) in days {
        // A file whose deletion was cut short: the anchor stands for it.
        let unreadable = |source| AuditFault::Unreadable { path: path.clone(), source };
        if files == 0 && first > 0 && writer::ends_at(&path, &head).map_err(unreadable)? {
            continue;
        }
        head = verify_file(&path, day, head)?;
        files += 1;
    }
    Ok(AuditReport { files, lines: head.seq - first, last: head.seq, hash: head.hash })
}

fn verify_file(path: &Path, day: Day, mut head: Head) -> Result<Head, AuditFault> {
    let unreadable = |source| AuditFault::Unreadable { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut number = 0;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let most = writer::LINE_BYTES_MAX as u64;
        let read = io::Read::take(&mut file, most).read_until(b'\n', &mut bytes);
        if read.map_err(unreadable)? == 0 {
            return Ok(head);
        }
        number += 1;
        let fault = |what: &str| AuditFault::Line {
            path: path.to_owned(),
            line: number,
            what: what.to_owned(),
        };
        let line = bytes.strip_suffix(b"\n").ok_or_else(|| fault("has no end"))?;
        let line = std::str::from_utf8(line).map_err(|_| fault("is not UTF-8"))?;
        head = head.follow(line).map_err(|what| fault(&what))?;
        check_day(line, day).map_err(|what| fault(&what))?;
    }
}

/// A clock that went back wrote into the file of a later day, never of an earlier one.
fn check_day(line: &str, day: Day) -> Result<(), String> {
    let link: super::chain::Link = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let of_line = link.time.get(..10).and_then(Day::parse);
    if of_line.is_some_and(|of_line| of_line <= day) {
        return Ok(());
    }
    Err(format!("has the time {:?}, which is behind the day of its file", link.time))
}
