//! What strangers and clients can make the broker spend: memory by lengths that they only announce, time by long lists.

use std::time::Duration;

use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{BOTH, Client, Setup, packets};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    super::{
        folder::ALICE,
        knock::{enter, login},
        process::{Program, root},
        proof,
    },
    barrage::barrage,
    bytes::long,
    start_open, unharmed,
};

use ProtocolVersion::{V5, V311};

const MIB: u64 = 1 << 20;

/// Memory that came since then.
fn grown(program: &Program, since: u64) -> u64 {
    program.resident_bytes().saturating_sub(since)
}

/// As many connections that have said `bytes` and keep silent; the broker has seen each.
async fn silent(program: &Program, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(program.mqtt()).await.expect("the listener accepts");
        stream.write_all(bytes).await.expect("it is taken");
        open.push(stream);
    }
    unharmed(program).await;
    open
}

/// N2: memory is taken for what a length only announces, before authentication (CVE-2017-7651, CVE-2023-0809, mosquitto).
#[tokio::test]
async fn announced_lengths_cost_nothing() {
    let count = if proof() { 2_000 } else { 500 };
    let (_folder, program) = start_open("[limits]\nconnect_timeout = \"20s\"\n").await;
    unharmed(&program).await;
    let before = program.resident_bytes();
    for first in [0x10, 0x30, 0x82] {
        // 256 MB, and a start of CONNECT: refused by its length alone.
        let bytes = [&[first, 0xFF, 0xFF, 0xFF, 0x7F][..], &[0, 4], b"MQTT"].concat();
        for mut stream in silent(&program, count, &bytes).await {
            let mut answer = Vec::new();
            let end = stream.read_to_end(&mut answer);
            let end = tokio::time::timeout(Duration::from_secs(5), end).await;
            assert!(end.is_ok(), "{first:02X} still open");
        }
    }
    // What a stranger may send, 64 KiB: waited for, and nothing reserved for it.
    let allowed = [&[0x10, 0x80, 0xFE, 0x03][..], &[0, 4], b"MQTT"].concat();
    let open = silent(&program, count, &allowed).await;
    let grown = grown(&program, before);
    println!("{count} connections that announce: {} KiB", grown >> 10);
    assert!(grown < 64 * MIB, "{grown} bytes");
    drop(open);
    unharmed(&program).await;
}

/// N40: a buffer is reserved by a number from the wire, which overflows (RUSTSEC-2026-0007, bytes).
#[tokio::test]
async fn buffers_grow_with_what_came() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("the lock file");
    for (number, minor, patch) in versions(&lock, "bytes") {
        assert!((number, minor, patch) >= (1, 11, 1), "bytes {number}.{minor}.{patch}");
    }
    let (_folder, program) = start_open("[limits]\npacket_bytes = 268435460\n").await;
    unharmed(&program).await;
    let before = program.resident_bytes();
    let mut open = Vec::new();
    for number in 0..50 {
        let id = format!("c-{number}");
        let mut client = enter(program.mqtt(), login(&id, ALICE)).await;
        // Allowed, and never sent: 256 MB.
        client.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b't', 0, b'x']).await;
        open.push(client);
    }
    unharmed(&program).await;
    let grown = grown(&program, before);
    assert!(grown < 64 * MIB, "{grown} bytes");
}

/// The versions of a crate in a lock file.
pub(super) fn versions(lock: &str, name: &str) -> Vec<(u64, u64, u64)> {
    let line = format!("name = \"{name}\"");
    let mut lines = lock.lines();
    let mut found = Vec::new();
    while lines.any(|next| next == line) {
        let version = lines.next().and_then(|next| next.strip_prefix("version = \""));
        let version = version.expect("a version").trim_end_matches('"');
        let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        found.push((next(), next(), next()));
    }
    found
}

/// CONNECTs that are refused, each for another reason.
fn bad_connects() -> Vec<Vec<u8>> {
    let connect = |level: u8, flags: u8, rest: &[&[u8]]| {
        let head = [&[0, 4][..], b"MQTT", &[level, flags, 0, 60]].concat();
        let rest = rest.concat();
        packets::framed(0x10, &[&head, &rest])
    };
    vec![
        // Will properties: a property that is none of them, twice the same, longer than the packet, an invalid QoS.
        connect(5, 0x06, &[&[0, 0, 1, b'c', 2, 0x24, 1], &[0, 1, b'w', 0, 0]]),
        connect(5, 0x06, &[&[0, 0, 1, b'c', 4, 0x01, 1, 0x01, 1], &[0, 1, b'w', 0, 0]]),
        connect(5, 0x06, &[&[0, 0, 1, b'c', 0x7F, 0x26], &[0, 1, b'w', 0, 0]]),
        connect(5, 0x1E, &[&[0, 0, 1, b'c', 0], &[0, 1, b'w', 0, 0]]),
        // Properties of CONNECT: unknown, of no length, a session expiry that is cut.
        connect(5, 0x02, &[&[2, 0x7E, 0], &[0, 1, b'c']]),
        connect(5, 0x02, &[&[3, 0x11, 0, 0], &[0, 1, b'c']]),
        // Reserved flag, password without a user name in 3.1.1, a level and a name that nobody has.
        connect(4, 0x03, &[&[0, 1, b'c']]),
        connect(4, 0x42, &[&[0, 1, b'c'], &[0, 1, b'p']]),
        connect(9, 0x02, &[&[0, 1, b'c']]),
        packets::framed(0x10, &[&[0, 4], b"MQXX", &[4, 2, 0, 60, 0, 1, b'c']]),
        packets::framed(0x10, &[&[0, 1, b'c']]),
        vec![0x10, 0],
    ]
}

/// N4: CONNECTs that are refused leave something behind (CVE-2017-7654, CVE-2023-3592, mosquitto).
#[tokio::test]
async fn refused_connects_leave_nothing_behind() {
    let count = if proof() { 1_000_000 } else { 4_000 };
    let (_folder, program) = start_open("").await;
    let bad = bad_connects();
    let inputs = |count| (0..count).map(|at: usize| bad[at % bad.len()].clone());
    barrage(program.mqtt(), inputs(count / 4)).await;
    let before = program.resident_bytes();
    barrage(program.mqtt(), inputs(count)).await;
    let grown = grown(&program, before);
    println!("{count} refused CONNECTs: {} KiB", grown >> 10);
    assert!(grown < 16 * MIB, "{grown} bytes");
    unharmed(&program).await;
}

/// N22: changed CONNECTs make the broker loop or grow (CVE-2021-22116, -33175, -33176: RabbitMQ, EMQX, VerneMQ).
#[tokio::test]
async fn changed_connects_cost_little() {
    let count: u32 = if proof() { 200_000 } else { 3_000 };
    let (_folder, program) = start_open("").await;
    let deep = "/".repeat(60);
    let will = codec::Will {
        user_properties: vec![("n".to_owned(), "v".to_owned()); 8],
        ..codec::Will::new(&deep, b"payload")
    };
    let seeds: Vec<_> = BOTH
        .into_iter()
        .map(|version| packets::with_will(packets::login(version, "seed", ALICE), will.clone()))
        .map(|seed| packets::encoded(seed.version, &Packet::Connect(Box::new(seed))))
        .collect();
    let mut random = fastrand::Rng::with_seed(22);
    let inputs: Vec<_> = (0..count)
        .map(|_| {
            let mut input = random.choice(&seeds).expect("a seed").clone();
            for _ in 0..=random.usize(..4) {
                let at = random.usize(..input.len());
                match random.u8(..3) {
                    0 => input[at] = random.u8(..),
                    1 => input.truncate(at.max(2)),
                    _ => input[at] ^= 1 << random.u8(..8),
                }
            }
            input
        })
        .collect();
    unharmed(&program).await;
    let (before, cpu) = (program.resident_bytes(), program.cpu());
    barrage(program.mqtt(), inputs).await;
    let (grown, cpu) = (grown(&program, before), program.cpu() - cpu);
    println!("{count} changed CONNECTs: {} KiB, {cpu:?} of CPU", grown >> 10);
    assert!(grown < 64 * MIB, "{grown} bytes");
    assert!(cpu < count * Duration::from_millis(3), "{cpu:?}");
    unharmed(&program).await;
}

/// N14: many user properties cost time by their square (CVE-2021-41039, mosquitto).
#[tokio::test]
async fn user_properties_cost_time_by_their_number() {
    let (_folder, program) = start_open("").await;
    // 64 KiB of pairs of nothing with nothing.
    let pairs = [0x26, 0, 0, 0, 0].repeat(13_000);
    let length = [0xE8, 0xFB, 0x03];
    let publish = long(0x32, &[&[0, 1, b't'], &[0, 1], &length, &pairs, b"x"]);
    const ROUNDS: u32 = 100;
    let mut client = enter(program.mqtt(), login("pairs", ALICE)).await;
    let before = program.cpu();
    for _ in 0..ROUNDS {
        client.send_bytes(&publish).await;
        assert_eq!(client.puback(1).await, ReasonCode::QuotaExceeded);
    }
    let each = (program.cpu() - before) / ROUNDS;
    println!("13,000 user properties: {each:?} of CPU");
    assert!(each < Duration::from_millis(5), "{each:?}");
    // As many as a CONNECT may have room for.
    let pairs = [0x26, 0, 0, 0, 0].repeat(13_000);
    let head = [&[0, 4][..], b"MQTT", &[5, 2, 0, 60], &length].concat();
    let mut stranger = Client::open(program.mqtt(), V5).await;
    stranger.send_bytes(&long(0x10, &[&head, &pairs, &[0, 1, b'c']])).await;
    assert_eq!(stranger.last_words().await, Some(ReasonCode::QuotaExceeded));
    unharmed(&program).await;
}

/// N18: a QoS 2 message that is sent again and again is kept again and again (CVE-2023-28366, mosquitto).
#[tokio::test]
async fn a_repeated_message_is_kept_once() {
    const AT_ONCE: usize = 200;
    let count = if proof() { 100_000 } else { 10_000 };
    let (_folder, program) = start_open("").await;
    let mut watcher = enter(program.mqtt(), login("watcher", ALICE)).await;
    watcher.subscribe("t", QoS::AtMostOnce).await;
    let mut client = enter(program.mqtt(), login("again", ALICE)).await;
    let payload = "x".repeat(1_000);
    client.send(packets::qos2(1, "t", &payload)).await;
    client.pubrec(1).await;
    watcher.take("t", &payload).await;
    let before = program.resident_bytes();
    for _ in 0..count / AT_ONCE {
        let again = (0..AT_ONCE).map(|_| packets::again(packets::qos2(1, "t", &payload)));
        client.send_all(again).await;
        for _ in 0..AT_ONCE {
            client.pubrec(1).await;
        }
    }
    let grown = grown(&program, before);
    println!("{count} repetitions: {} KiB", grown >> 10);
    assert!(grown < 8 * MIB, "{grown} bytes");
    watcher.quiet().await;
}

/// N21: a client holds its place by a long keep alive, in silence (CVE-2020-13849, the protocol itself).
#[tokio::test]
async fn a_long_keep_alive_holds_no_place() {
    let broker = Setup::with(|live| live.limits.sizes.keep_alive_max = 1).start().await;
    for version in BOTH {
        for keep_alive in [u16::MAX, 0] {
            let connect = Connect { keep_alive, ..Connect::new(version, "silent") };
            let (mut client, connack) = broker.enter(connect).await;
            let told = if version == V311 { None } else { Some(1) };
            assert_eq!(connack.server_keep_alive, told, "{version:?} {keep_alive}");
            client.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
        }
    }
}
