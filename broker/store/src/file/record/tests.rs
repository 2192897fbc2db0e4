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

/// Bytes with a checksum that fits and no sense: they are refused, or say something that comes back.
#[test]
fn nonsense_is_refused_or_comes_back() {
    let mut seed = 3_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    let (mut refused, mut accepted) = (0, 0);
    let kinds = all(b"payload");
    for _ in 0..200_000 {
        let mut whole = Vec::new();
        append(&kinds[random(kinds.len())], &mut whole);
        let mut body = whole.split_off(HEAD_BYTES);
        for _ in 0..=random(3) {
            let at = random(body.len());
            match random(4) {
                0 => body[at] = random(256) as u8,
                1 => body[at] ^= 1 << random(8),
                2 => body.insert(at, random(256) as u8),
                _ if body.len() > 1 => _ = body.remove(at),
                _ => {}
            }
        }
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        let Ok(record) = check(&body, checksum(&length, &body)) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        let mut again = Vec::new();
        append(&record, &mut again);
        assert_eq!(read(&again).expect("a record").0, record, "{body:?}");
    }
    assert!(refused > 10_000 && accepted > 10_000, "{refused} {accepted}");
}
