//! One line of the password file. Knows the shape of a line; whether the hash is a good one is the
//! host's to say.

use std::str;

/// One user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// User Name as in CONNECT; not empty.
    pub(crate) user: &'a str,
    /// Stored hash; not empty.
    pub(crate) hash: &'a str,
}

/// Reads a line without its end; none for a comment.
///
/// # Errors A sentence that fits behind "line 7: ". A blank line is an error too: in a file where
/// every line lets somebody in, nothing is skipped silently (CVE-2018-12551).
pub(crate) fn parse(line: &[u8]) -> Result<Option<Entry<'_>>, &'static str> {
    let line = str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    if line.starts_with(COMMENT) {
        return Ok(None);
    }
    if line.trim().is_empty() {
        return Err("is blank");
    }
    let Some((user, hash)) = line.split_once(SEPARATOR) else {
        return Err("has no colon between user and hash");
    };
    if user.is_empty() {
        return Err("has an empty user");
    }
    // Also what an editor leaves behind unseen: nobody could ever log in under such a name.
    if user.trim() != user || user.chars().any(|c| c.is_control() || c == BYTE_ORDER_MARK) {
        return Err("has white space around the user, or a control character in it");
    }
    if hash.is_empty() {
        return Err("has an empty hash");
    }
    if hash.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("has white space in the hash");
    }
    Ok(Some(Entry { user, hash }))
}

/// Between user and hash.
pub(crate) const SEPARATOR: char = ':';
const COMMENT: char = '#';
const BYTE_ORDER_MARK: char = '\u{FEFF}';

#[cfg(test)]
mod tests;
