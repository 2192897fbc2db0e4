//! Every kind of record survives the way to bytes and back; bytes that are none are told apart.

use super::*;

fn origin() -> Origin {
    Origin { session: SessionKey(300), packet_id: PacketId::new(65_535).expect("not 0") }
}

fn message(payload: &[u8]) -> MessageRef<'_> {
    MessageRef {
        topic: "a/ü",
        forwarded: &[1, 1],
        payload,
        qos: QoS::ExactlyOnce,
        retain: true,
        expires_at_unix: Some(u64::MAX),
    }
}

fn all(payload: &[u8]) -> Vec<Record<'_>> {
    let owed = |number, ids: &[u32]| Owed {
        session: SessionKey(number),
        number: number * 1_000,
        qos: QoS::AtLeastOnce,
        retain: number % 2 == 0,
        shared: number % 3 == 0,
        subscription_identifiers: ids.into(),
    };
    let plain = MessageRef { expires_at_unix: None, retain: false, ..message(payload) };
    vec![
        Record::Message { message: message(payload), origin: Some(origin()) },
        Record::Message { message: plain, origin: None },
        Record::Owed {
            position: Position(40),
            bytes: 1 << 33,
            expires_at_unix: None,
            owed: vec![owed(1, &[]), owed(2, &[1, 268_435_455]), owed(3, &[])].into(),
        },
        Record::Owed {
            position: Position(0),
            bytes: 0,
            expires_at_unix: Some(1),
            owed: vec![].into(),
        },
        Record::Completed { session: SessionKey(1), numbers: vec![1, 2, u64::MAX].into() },
        Record::Received { session: SessionKey(0), number: 127 },
        Record::Accepted(origin()),
        Record::Released(origin()),
    ]
}

#[test]
fn records_come_back() {
    for payload in [&b""[..], b"x", &[0xff; 100_000]] {
        let mut bytes = Vec::new();
        for record in all(payload) {
            append(&record, &mut bytes);
        }
        let mut rest = bytes.as_slice();
        for record in all(payload) {
            let (found, length) = read(rest).expect("a record");
            assert_eq!(found, record);
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
    }
}

#[test]
fn a_flipped_bit_is_seen_and_so_is_a_missing_byte() {
    for record in all(b"payload") {
        let mut bytes = Vec::new();
        append(&record, &mut bytes);
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err(), "{record:?} cut at {at}");
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(read(&bytes).is_err(), "{record:?}, bit {bit} of byte {at}");
                bytes[at] ^= 1 << bit;
            }
        }
    }
}

/// A length that is a lie is found out before anything is allocated for it.
#[test]
fn lies_about_lengths() {
    for body in [
        &[MESSAGE, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..],
        &[OWED, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        &[COMPLETED, 0, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[COMPLETED, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[MESSAGE, 3, 1, b'a', 0, 0],
        &[ACCEPTED, 1, 0],
        &[99],
        &[],
    ] {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        assert!(check(body, checksum(&length, body)).is_err(), "{body:?}");
    }
}
