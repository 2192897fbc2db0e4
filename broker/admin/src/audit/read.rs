//! Searching the log: one day at a time, the newest lines first.
//!
//! Knows nothing of HTTP. The work of a search is one pass over the file of a day.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;

use super::{day::Day, record::Action, writer};

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    /// `YYYY-MM-DD`; `None` = today.
    pub(crate) day: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) action: Option<Action>,
    /// Only lines with a smaller number.
    pub(crate) before: Option<u64>,
    /// At most so many.
    pub(crate) limit: usize,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// The day that was searched.
    pub(crate) day: String,
    /// The newest first.
    pub(crate) records: Vec<Value>,
    /// Number of the last of them, when there may be more.
    pub(crate) next: Option<u64>,
    /// Days that there are, the newest first.
    pub(crate) days: Vec<String>,
}

/// What of a line decides whether it fits.
#[derive(Deserialize)]
struct Line {
    seq: u64,
    action: Action,
    #[serde(default)]
    user: Option<String>,
}

impl Search {
    /// Whether the day is one.
    pub(crate) fn has_day(&self) -> bool {
        self.day.as_deref().is_none_or(|day| Day::parse(day).is_some())
    }

    fn fits(&self, line: &Line) -> bool {
        self.before.is_none_or(|before| line.seq < before)
            && self.action.is_none_or(|action| line.action == action)
            && self.user.as_ref().is_none_or(|user| line.user.as_ref() == Some(user))
    }
}

pub(super) fn search(folder: &Path, search: &Search, today: Day) -> io::Result<Found> {
    let day = search.day.as_deref().and_then(Day::parse).unwrap_or(today);
    let days = writer::days(folder)?;
    let mut found = Found {
        day: day.to_string(),
        days: days.iter().rev().map(|(day, _)| day.to_string()).collect(),
        ..Found::default()
    };
    let Some((_, path)) = days.into_iter().find(|(known, _)| *known == day) else {
        return Ok(found);
    };
    // One more than asked for, to know whether there are more.
    let mut newest: VecDeque<(u64, String)> = VecDeque::new();
    let mut lines = BufReader::new(File::open(path)?);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let most = writer::LINE_BYTES_MAX as u64;
        if io::Read::take(&mut lines, most).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        // A line that is none is for `portcullis audit verify`, and one that is being written for
        // the next search.
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        let Ok(line) = serde_json::from_str::<Line>(text) else { continue };
        if search.fits(&line) {
            newest.push_back((line.seq, text.to_owned()));
            if newest.len() > search.limit + 1 {
                newest.pop_front();
            }
        }
    }
    if newest.len() > search.limit {
        newest.pop_front();
        found.next = newest.front().map(|(seq, _)| *seq);
    }
    let records = newest.iter().rev().map(|(_, text)| serde_json::from_str(text));
    found.records = records.collect::<Result<_, _>>()?;
    Ok(found)
}
