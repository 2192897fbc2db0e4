//! Any bytes, taken as a revocation list: nothing panics, no part of a list is one, and none holds more than fits in it.

use server::untrusted::revocation_list as read;

/// Reads `data`, and all but its last byte.
pub fn revocation_list(data: &[u8]) {
    if let Ok(revoked) = read(data) {
        assert!(revoked <= data.len() / ENTRY_BYTES_MIN, "{revoked} in {} bytes", data.len());
        assert!(read(&data[..data.len() - 1]).is_err(), "a part of it is one");
    }
}

/// A sequence of a number of one byte and a time.
const ENTRY_BYTES_MIN: usize = 20;
