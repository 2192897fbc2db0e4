//! Reads the access log: lines of one day that match, the latest first, page by page.
//!
//! Owns the bound on what one search reads. Knows nothing of who asks.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use super::{AccessLog, writer::file_of_day};
use crate::Entry;

/// Bytes that one search reads; the page says where to go on.
const SCANNED_BYTES_MAX: u64 = 8 << 20;
/// Bytes that are read at once. A line has 64 KiB at most: see [`Entry`].
const PIECE_BYTES: u64 = 256 << 10;

/// Which lines.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessQuery<'a> {
    /// Days since 1970-01-01.
    pub day: u64,
    /// Only those about this Client Identifier.
    pub client_id: Option<&'a str>,
    /// Only those of this `type`.
    pub kind: Option<&'a str>,
    /// Only those of this principal.
    pub principal: Option<&'a str>,
    /// Only those of this address, without port.
    pub address: Option<&'a str>,
    /// [`AccessPage::next`] of the page before; `None` = from the end of the day.
    pub before: Option<u64>,
    /// Lines at most.
    pub limit: usize,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct AccessPage {
    /// The latest first.
    pub entries: Vec<Entry<'static>>,
    /// Where to go on; `None` = everything that there is was looked at.
    pub next: Option<u64>,
}

impl AccessLog {
    /// The lines that match, from the end of the day backwards, of a bounded piece of the file. Blocks.
    /// No file = no lines.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn search(&self, query: AccessQuery<'_>) -> io::Result<AccessPage> {
        let mut page = AccessPage::default();
        let mut file = match File::open(self.config.folder.join(file_of_day(query.day))) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(page),
            Err(error) => return Err(error),
        };
        let bytes = file.metadata()?.len();
        let mut at = query.before.map_or(bytes, |before| before.min(bytes));
        let last = at.saturating_sub(SCANNED_BYTES_MAX);
        while at > last {
            let begin = at.saturating_sub(PIECE_BYTES);
            let piece = read(&mut file, begin, at)?;
            let (first, end) = whole_lines(&piece, begin == 0);
            let mut from = begin + end as u64;
            let lines = piece.get(first..end).unwrap_or_default();
            for line in lines.split_inclusive(|byte| *byte == b'\n').rev() {
                from -= line.len() as u64;
                // Whatever somebody else put there is left out.
                let entry = std::str::from_utf8(line).ok().and_then(parse);
                if let Some(entry) = entry.filter(|entry| matches(entry, query)) {
                    page.entries.push(entry);
                }
                if page.entries.len() >= query.limit {
                    page.next = (from > 0).then_some(from);
                    return Ok(page);
                }
            }
            // A piece in which no line begins is larger than any of ours.
            at = if first < end { begin + first as u64 } else { begin };
        }
        page.next = (at > 0).then_some(at);
        Ok(page)
    }
}

fn read(file: &mut File, begin: u64, end: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(end - begin).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where the first line of a piece begins, and where the last one ends: what is cut at an edge, or is
/// being written now, is left out.
fn whole_lines(piece: &[u8], is_begin_of_file: bool) -> (usize, usize) {
    let is_end = |byte: &u8| *byte == b'\n';
    let behind = |at: usize| at + 1;
    let first = match is_begin_of_file {
        true => 0,
        false => piece.iter().position(is_end).map_or(piece.len(), behind),
    };
    (first, piece.iter().rposition(is_end).map_or(0, behind).max(first))
}

fn parse(line: &str) -> Option<Entry<'static>> {
    serde_json::from_str(line).ok()
}

fn matches(entry: &Entry<'_>, query: AccessQuery<'_>) -> bool {
    let is = |wanted: Option<&str>, found: Option<&str>| {
        wanted.is_none_or(|wanted| found == Some(wanted))
    };
    let address = entry.remote.as_deref().map(|remote| {
        let socket = remote.parse::<std::net::SocketAddr>();
        socket.map_or_else(|_| remote.to_owned(), |socket| socket.ip().to_canonical().to_string())
    });
    is(query.client_id, entry.client_id.as_deref())
        && is(query.kind, Some(&*entry.kind))
        && is(query.principal, entry.principal.as_deref())
        && is(query.address, address.as_deref())
}
