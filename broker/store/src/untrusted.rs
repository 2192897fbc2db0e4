//! What reads the bytes of the disk before anything is known of them, for the fuzz targets alone.

use crate::file::record;

/// The first record of `bytes`: what it says, how long it is, and how the same is written now. `None` = there is none.
pub fn log_record(bytes: &[u8]) -> Option<(String, usize, Vec<u8>)> {
    let (record, length) = record::read(bytes).ok()?;
    let mut again = Vec::new();
    record::append(&record, &mut again);
    Some((format!("{record:?}"), length, again))
}

/// A body with the head that makes it whole.
pub fn framed(body: &[u8]) -> Vec<u8> {
    record::framed(body)
}
