//! Reads the access log: lines of one day that match, page by page.
//!
//! Owns the bound on what one search reads. Knows nothing of who asks.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
};

use super::{AccessLog, writer::file_of_day};
use crate::Entry;

/// Bytes that one search reads; the page says where to go on.
const SCANNED_BYTES_MAX: u64 = 8 << 20;
/// A line is never longer: see [`Entry`].
const LINE_BYTES_MAX: u64 = 64 << 10;

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
    /// [`AccessPage::next`] of the page before; 0 = from the start of the day.
    pub after: u64,
    /// Lines at most.
    pub limit: usize,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct AccessPage {
    /// In the order in which they were written.
    pub entries: Vec<Entry<'static>>,
    /// Where to go on; `None` = everything that there is was looked at.
    pub next: Option<u64>,
}

impl AccessLog {
    /// The lines that match, from a bounded piece of the file. Blocks. No file = no lines.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn search(&self, query: AccessQuery<'_>) -> io::Result<AccessPage> {
        let mut page = AccessPage::default();
        let file = match File::open(self.config.folder.join(file_of_day(query.day))) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(page),
            Err(error) => return Err(error),
        };
        let mut at = query.after;
        let mut file = BufReader::new(file);
        if at > 0 {
            // From the middle of a line on the rest of it is no line: the search then begins with
            // the next.
            file.seek(SeekFrom::Start(at - 1))?;
            at += read_line(&mut file, &mut Vec::new())?.saturating_sub(1);
        }
        let end = at.saturating_add(SCANNED_BYTES_MAX);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = read_line(&mut file, &mut line)?;
            if read == 0 || !line.ends_with(b"\n") {
                // What is being written now is read the next time.
                return Ok(page);
            }
            at += read;
            // Whatever somebody else put there is left out.
            let entry = std::str::from_utf8(&line).ok().and_then(|line| parse(line));
            if let Some(entry) = entry.filter(|entry| matches(entry, query)) {
                page.entries.push(entry);
            }
            if page.entries.len() >= query.limit || at >= end {
                page.next = Some(at);
                return Ok(page);
            }
        }
    }
}

fn parse(line: &str) -> Option<Entry<'static>> {
    serde_json::from_str(line).ok()
}

fn read_line(file: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<u64> {
    let read = io::Read::take(file, LINE_BYTES_MAX).read_until(b'\n', line)?;
    Ok(read as u64)
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
