use super::*;

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const FIN: u8 = 0x80;
const CONTINUE: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        middle @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// All of a stream, `at_once` bytes at a time: its payload, the pings to answer and the end.
fn unwrap(stream: &[u8], at_once: usize) -> (Vec<u8>, Vec<Vec<u8>>, Option<End>) {
    let mut inbound = Inbound::new(MOST);
    let (mut all, mut pings) = (Vec::new(), Vec::new());
    for chunk in stream.chunks(at_once) {
        let mut chunk = chunk.to_vec();
        let (count, end) = inbound.unwrap(&mut chunk);
        all.extend(&chunk[..count]);
        pings.extend(inbound.take_ping());
        if end.is_some() {
            return (all, pings, end);
        }
    }
    (all, pings, None)
}

const MOST: usize = 100_000;

#[track_caller]
fn violates(stream: &[u8], expect: Violation) {
    for at_once in [1, 3, stream.len()] {
        let (_, _, end) = unwrap(stream, at_once);
        assert_eq!(end, Some(End::Violation(expect)), "{at_once} bytes at once");
    }
}

/// However the frames lie and wherever the stream is cut, the payload is the same.
#[test]
fn payload_goes_on_as_it_comes() {
    let payload: Vec<u8> = (0..70_000_u32).map(|n| (n % 251) as u8).collect();
    let (one, rest) = payload.split_at(1);
    let (two, rest) = rest.split_at(125);
    let (three, rest) = rest.split_at(300);
    let (four, five) = rest.split_at(66_000);
    let stream = [
        frame(FIN | BINARY, one),
        frame(FIN | BINARY, &[]),
        frame(BINARY, two),
        frame(CONTINUE, &[]),
        frame(FIN | PING, b"between"),
        frame(FIN | PONG, b"unasked"),
        frame(FIN | CONTINUE, three),
        frame(FIN | BINARY, four),
        frame(BINARY, &[]),
        frame(FIN | CONTINUE, five),
        frame(FIN | CLOSE, &[3, 232, b'b', b'y', b'e']),
    ]
    .concat();
    for at_once in [1, 2, 3, 5, 7, 8, 13, 127, 4_096, 65_536, stream.len()] {
        let (found, pings, end) = unwrap(&stream, at_once);
        assert!(found == payload, "{at_once} bytes at once");
        assert_eq!(pings, [b"between".to_vec()]);
        assert_eq!(end, Some(End::Closed(Some(CloseCode::Normal))));
    }
}

#[test]
fn only_the_latest_ping_waits_for_its_answer() {
    let stream = [frame(FIN | PING, b"1"), frame(FIN | PING, b""), frame(FIN | PING, b"3")];
    let (_, pings, end) = unwrap(&stream.concat(), 1_000);
    assert_eq!((pings, end), (vec![b"3".to_vec()], None));
}

#[test]
fn what_comes_behind_the_end_is_not_looked_at() {
    let stream = [
        frame(FIN | BINARY, b"first"),
        frame(FIN | CLOSE, &[]),
        frame(FIN | TEXT, b"x"),
        frame(FIN | BINARY, b"late"),
    ];
    let (found, _, end) = unwrap(&stream.concat(), 1_000);
    assert_eq!((&*found, end), (&b"first"[..], Some(End::Closed(None))));
}

#[test]
fn rules_of_frames() {
    violates(&frame(FIN | TEXT, b"hello"), Violation::Text);
    violates(&[frame(BINARY, b"a"), frame(TEXT, b"b")].concat(), Violation::Text);
    violates(
        &[frame(BINARY, b"a"), frame(FIN | BINARY, b"b")].concat(),
        Violation::UnfinishedMessage,
    );
    violates(&frame(FIN | CONTINUE, b"a"), Violation::NoMessage);
    violates(&[FIN | BINARY, 1, b'a'], Violation::Unmasked);
    for reserved in [0x40, 0x20, 0x10] {
        violates(&frame(FIN | reserved | BINARY, b"a"), Violation::ReservedBits);
    }
    for opcode in [3, 7, 11, 15] {
        violates(&frame(FIN | opcode, b"a"), Violation::Header);
    }
    violates(&frame(PING, b"a"), Violation::Control);
    violates(&frame(FIN | PING, &[0; 126]), Violation::Control);
    violates(&frame(FIN | CLOSE, &[3]), Violation::Close);
    for code in [0_u16, 999, 1005, 1006, 1015, 2000, 5000] {
        violates(&frame(FIN | CLOSE, &code.to_be_bytes()), Violation::Close);
    }
    violates(&frame(FIN | CLOSE, &[3, 232, 0xFF]), Violation::Close);
    // Lengths in a longer form than they need.
    let long_form = [&[FIN | BINARY, 0x80 | 126, 0, 1][..], &MASK, b"a"].concat();
    violates(&long_form, Violation::Header);
    let long_form = [&[FIN | BINARY, 0x80 | 127, 0, 0, 0, 0, 0, 0, 1, 0][..], &MASK].concat();
    violates(&long_form, Violation::Header);
}

/// Told by the header: nothing is read of what is too long.
#[test]
fn messages_are_bounded_frame_by_frame() {
    let most = MOST as u64;
    let too_long = Violation::TooLong { most };
    let header =
        |length: u64| [&[FIN | BINARY, 0x80 | 127][..], &length.to_be_bytes(), &MASK].concat();
    violates(&header(most + 1), too_long);
    violates(&header(u64::MAX), too_long);
    let (_, _, end) = unwrap(&header(most), 1_000);
    assert_eq!(end, None);
    let parts = [frame(BINARY, &[0; MOST]), frame(CONTINUE, b""), frame(FIN | CONTINUE, b"1")];
    violates(&parts.concat(), too_long);
    // Each message begins anew.
    let whole = frame(FIN | BINARY, &[7; MOST]);
    let (found, _, end) = unwrap(&[whole.clone(), whole].concat(), 10_000);
    assert_eq!((found.len(), end), (2 * MOST, None));
}

#[test]
fn the_bound_can_change() {
    let mut inbound = Inbound::new(4);
    inbound.set_most(8);
    let mut bytes = frame(FIN | BINARY, b"12345678");
    assert_eq!(inbound.unwrap(&mut bytes), (8, None));
    assert_eq!(&bytes[..8], b"12345678");
}

#[test]
fn close_codes() {
    assert_eq!(Violation::Text.close_code(), CloseCode::Unsupported);
    assert_eq!(Violation::TooLong { most: 1 }.close_code(), CloseCode::Size);
    assert_eq!(Violation::Unmasked.close_code(), CloseCode::Protocol);
}
