//! What is wrong with a configuration: one problem per place, and the list of all of them.
//!
//! Knows nothing of TOML: `document.rs` finds the places, the other files of `config/` the faults.

use std::{fmt, path::PathBuf};

/// One fault, printed as `FILE:LINE: key: value: what, allowed range`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Line, counted from 1.
    pub(crate) line: usize,
    /// Key with its tables, e.g. `limits.packet_bytes`; empty when the file is no TOML at all.
    pub(crate) key: String,
    /// The value as it stands in the file (never an expanded secret); `missing` when it is not
    /// there.
    pub(crate) value: String,
    /// What is wrong, with the allowed range.
    pub(crate) what: String,
}

/// All faults of one file, in the order of their lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problems {
    /// The file as it was named on the command line.
    pub(crate) file: PathBuf,
    /// At least one where it is an error.
    pub(crate) problems: Vec<Problem>,
}

impl Problems {
    /// A list that is sorted by line and free of repetitions.
    pub(crate) fn new(file: PathBuf, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        problems.dedup();
        Self { file, problems }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{}: ", self.file.display(), problem.line)?;
            if !problem.key.is_empty() {
                write!(f, "{}: ", problem.key)?;
            }
            if !problem.value.is_empty() {
                write!(f, "{}: ", problem.value)?;
            }
            f.write_str(&problem.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
