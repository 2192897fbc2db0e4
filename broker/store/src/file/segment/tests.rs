//! Headers come back, and nothing else passes for one. Whole files are tried in `file/tests.rs`.

use super::*;

#[test]
fn headers_come_back() {
    let chain = Chain { batch: 7, checksum: 9 };
    let header = SegmentHeader { number: 1, first: 1 << 50, chain, salt: 5 };
    assert_eq!(SegmentHeader::decode(&header.encode()), Ok(Some(header)));
    let batch = BatchHeader { number: 8, bytes: 3, before: 9, state: 2 };
    assert_eq!(BatchHeader::decode(&batch.encode(5), 5), Some(batch));
    assert_eq!(BatchHeader::decode(&batch.encode(5), 6), None, "of another store");
}

#[test]
fn a_flipped_bit_is_seen() {
    let header = SegmentHeader { number: 1, first: 2, chain: Chain::default(), salt: 5 }.encode();
    let batch = BatchHeader { number: 8, bytes: 3, before: 9, state: 2 }.encode(5);
    for bit in 0..8 * SEGMENT_HEADER {
        let mut header = header;
        header[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(SegmentHeader::decode(&header), Ok(None)), "bit {bit}");
    }
    for bit in 0..8 * BATCH_HEADER {
        let mut batch = batch;
        batch[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(BatchHeader::decode(&batch, 5), None, "bit {bit}");
    }
}
