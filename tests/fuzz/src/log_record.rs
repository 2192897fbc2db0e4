//! Any bytes, taken as a record of the store's log: what reads means the same when written again, and no part of it and
//! nothing like it is a record.

use store::untrusted::{framed, log_record as read};

/// Reads `data` as it is, and as the body of a record whose length and checksum are right.
pub fn log_record(data: &[u8]) {
    check(data);
    check(&framed(data));
}

fn check(data: &[u8]) {
    let Some((said, length, again)) = read(data) else { return };
    assert!(length <= data.len());
    assert_eq!(read(&data[..length - 1]), None, "a part of it is one");
    let mut flipped = data[..length].to_vec();
    flipped[length - 1] ^= 1;
    assert_eq!(read(&flipped), None, "with another bit it is one");
    let (twice, written, _) = read(&again).expect("what was written can be read");
    assert_eq!((twice, written), (said, again.len()));
}
