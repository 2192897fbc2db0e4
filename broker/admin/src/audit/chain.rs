//! One line of the log: its number, its time, the hash of the line before, and what happened.
//!
//! Knows nothing of files.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{day, record::Record};

/// Where a chain has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// Number of the last line; 0 = none was written.
    pub(super) seq: u64,
    /// SHA-256 of the last line without its end, in hexadecimal; zeros when there is none.
    pub(super) hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    seq: u64,
    time: String,
    previous: &'a str,
    #[serde(flatten)]
    record: &'a Record,
}

/// What of a line the chain is made of.
#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) time: String,
    pub(super) previous: String,
}

impl Head {
    /// The next line, with its end.
    pub(super) fn line(&self, record: &Record, unix_ms: u64) -> Result<String, String> {
        let written = Written {
            seq: self.seq.saturating_add(1),
            time: day::rfc3339(unix_ms),
            previous: &self.hash,
            record,
        };
        let mut line = serde_json::to_string(&written).map_err(|error| error.to_string())?;
        line.push('\n');
        Ok(line)
    }

    /// The chain with this line, without its end, behind it; or why it does not belong there.
    pub(super) fn follow(&self, line: &str) -> Result<Self, String> {
        let link: Link = serde_json::from_str(line)
            .map_err(|error| format!("is no line of the log: {error}"))?;
        if link.seq != self.seq.saturating_add(1) {
            return Err(format!("has number {}, expected {}", link.seq, self.seq + 1));
        }
        if link.previous != self.hash {
            return Err(
                "does not hold the hash of the line before: one of both was changed".to_owned()
            );
        }
        Ok(Self { seq: link.seq, hash: hash(line) })
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(line: &str) -> String {
    let digest = Sha256::digest(line.as_bytes());
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(half), 16));
        }
        text
    })
}
