//! Random numbers from the operating system.

use crate::bindings::portcullis::plugin::random;

/// `length` random bytes. Asks the host in parts of the 4,096 bytes that it gives at a time.
#[must_use]
pub fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let part = (length - bytes.len()).min(PART_BYTES);
        // At most PART_BYTES, so the conversion never cuts.
        bytes.extend(random::bytes(part as u32));
    }
    bytes
}

/// What the host gives in one call.
const PART_BYTES: usize = 4_096;
