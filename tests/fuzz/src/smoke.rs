//! A fixed sample of inputs for each target: seeds, and seeds changed by a generator with a fixed
//! start, so that two runs see the same bytes.

/// Packets of both versions to start from: each kind, with and without properties.
pub const CODEC_SEEDS: &[&[u8]] = &[
    b"\x10\x0E\0\x04MQTT\x04\x02\0\x3C\0\x02c1",
    b"\x10\x1F\0\x04MQTT\x04\xF4\0\0\0\x01c\0\x03w/t\0\x04gone\0\x01u\0\x02\0\xFF",
    b"\x10\x19\0\x04MQTT\x05\x02\0\x3C\x0B\x11\0\0\0\x09\x21\0\x08\x22\0\0\0\x01c",
    b"\x10\x2D\0\x04MQTT\x05\x0E\0\x3C\0\0\x01c\x19\x18\0\0\0\x01\x02\0\0\0\x02\x01\x01\
      \x08\0\x01r\x03\0\x01t\x26\0\0\0\0\0\x01w\0\0",
    b"\x20\x02\x01\0",
    b"\x20\x0D\0\0\x0A\x21\0\x02\x24\x01\x12\0\x02id",
    b"\x30\x07\0\x03a/bhi",
    b"\x3D\x09\0\x03a/b\x12\x34hi",
    b"\x32\x2D\0\x03a/b\0\x07\x23\x23\0\x02\x02\0\0\0\x3C\x0B\x01\x0B\x80\x01\
      \x01\x01\x08\0\x01r\x09\0\x02\0\x01\x03\0\x01t\x26\0\x01k\0\x01vhi",
    b"\x30\x07\0\0\x03\x23\0\x09x",
    b"\x40\x02\0\x01",
    b"\x50\x0F\0\x01\x97\x0B\x1F\0\x01r\x26\0\x01a\0\x01b",
    b"\x62\x03\0\x01\x92",
    b"\x70\x04\0\x01\0\0",
    b"\x82\x0C\0\x0A\0\x03a/+\0\0\x01#\x02",
    b"\x82\x1E\0\x01\x0A\x0B\x80\x01\x26\0\x01k\0\x01v\0\x01a\x2D\0\x0A$share/g/a\x10",
    b"\x90\x10\0\x01\x0C\x1F\0\x02no\x26\0\x01k\0\x01v\x87",
    b"\xA2\x18\0\x02\0\0\x03a/+\0\x0A$share/g/#\0\x02a#",
    b"\xB0\x02\x01\x02",
    b"\xB0\x05\0\x09\0\0\x11",
    b"\xC0\x00",
    b"\xD0\x00",
    b"\xE0\x00",
    b"\xE0\x07\0\x05\x11\0\0\0\x3C",
    b"\xF0\x0D\x18\x0B\x15\0\x03GS2\x16\0\x02\0\xFF",
];

/// Lines of filters and topics to start from.
pub const TOPIC_SEEDS: &[&[u8]] = &[
    b"a/b/c\na/+/c\na/#\n#\n+\n+/+/+\n$SYS/a\n$SYS/#\n+/a\n/\n//\n/+\n+/\n",
    b"$share/g/a/#\n$share/g\n$share//a\n$share/+/a\n$share/g/\n$shared/a\n$share",
    b"a#\na/#/b\n+a\n##\n++\na/+b\n#/\n\0\na\0b",
    b"sport\nsport/#\nsport/tennis/#\nsport/+\nsport/\nsport/tennis/player1",
    b"a//b\na/+/b\na/+/+\na//#\n//#\n/#\n//+",
];

/// PROXY headers of both versions to start from, with TLVs and without.
pub const PROXY_SEEDS: &[&[u8]] = &[
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 1883\r\nrest",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 1883\r\n",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xC0\0\x02\x01\xC0\0\x02\x02\x03\xE8\x07\x5B\
      \x02\0\x04host",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01\
      \x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x02\x03\xE8\x07\x5B",
];

/// Frames of a WebSocket client to start from, behind a byte that says where they are cut.
pub const FRAME_SEEDS: &[&[u8]] = &[
    b"\x03\x82\x83\x01\x02\x03\x04abc\x89\x81\0\0\0\0p\x82\xFE\0\x7E\0\0\0\0",
    b"\x01\x02\x81\0\0\0\0a\0\x80\0\0\0\0\x80\x81\0\0\0\0b\x8A\x80\0\0\0\0",
    b"\x08\x82\x80\0\0\0\0\x88\x82\0\0\0\0\x03\xE8\x82\x80\0\0\0\0",
];

/// Configurations to start from: every key there is, and short ones with a fault.
pub const CONFIGURATION_SEEDS: &[&[u8]] = &[
    include_bytes!("../../../docs/configure/reference.toml"),
    b"data_dir = \"d\"\n[[listeners]]\nname = \"m\"\nbind = \"127.0.0.1:0\"\n[limits]\n\
      packet_bytes = \"64KiB\"\nconnect_timeout = 5\nconnect_rate = 0\n",
    b"data_dir = \"${env:X}\"\n[[listeners]]\nname = \"u\"\nbind = \"s\"\n\
      transport = \"unix\"\nmode = \"0999\"\n\
      [listeners.proxy_protocol]\ntrusted = [\"10.0.0.0/33\"]\n\
      [sql.a]\nurl = \"postgres://u@h/d\"\n",
    b"[jwt.a]\nsecret = \"x\"\nalgorithms = [\"none\"]\n[keys.k]\n[[keys.k.key]]\nid = -1\n\
      value = \"\x1b\"\n[admin.roles.r]",
];

/// Requests for a WebSocket to start from: one that is agreed to, and two that are refused.
pub const UPGRADE_SEEDS: &[&[u8]] = &[
    b"GET /mqtt HTTP/1.1\r\nHost: broker.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
      Sec-WebSocket-Protocol: mqtt\r\nOrigin: https://app.example\r\n\r\n\x82\x80",
    b"GET /mqtt HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
      Sec-WebSocket-Protocol: mqtt\r\nOrigin: https://evil.example\r\n\r\n",
    b"POST /other?a=b HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
];

/// Bodies of records of the store's log to start from: each kind, with and without what may be left out.
pub const RECORD_SEEDS: &[&[u8]] = &[
    b"\x01\x01\x01t\0\x01x",
    b"\x01\x1E\x80\x94\xEB\xDC\x03\x05\x07\x01t\x02ab\x01x",
    b"\x02\x64\x05\0\x02\x01\x01\x01\x02\x02\x1A\x01\x09",
    b"\x03\x01\x02\x05\x06",
    b"\x04\x01\x05",
    b"\x05\x01\x07",
    b"\x06\x01\x07",
];

/// A revocation list to start from, as OpenSSL makes it: two certificates, one with a reason.
pub const LIST_SEEDS: &[&[u8]] = &[include_bytes!("../seeds/list.crl")];

/// An answer of OCSP to start from, as OpenSSL makes it: 7 is revoked.
pub const ANSWER_SEEDS: &[&[u8]] = &[include_bytes!("../seeds/answer.ocsp")];

/// Calls `body` with each seed and with `rounds` changed seeds.
pub fn smoke(body: fn(&[u8]), seeds: &[&[u8]], rounds: u32) {
    for seed in seeds {
        body(seed);
    }
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..rounds {
        let mut data = seeds[random.below(seeds.len())].to_vec();
        for _ in 0..=random.below(4) {
            change(&mut data, seeds, &mut random);
        }
        body(&data);
    }
}

/// One change: a byte, a cut, a repetition, or a piece of another seed.
fn change(data: &mut Vec<u8>, seeds: &[&[u8]], random: &mut Random) {
    let at = random.below(data.len() + 1);
    match random.below(6) {
        0 => data.truncate(at),
        1 => data.insert(at, random.interesting()),
        2 if at < data.len() => data[at] = random.interesting(),
        3 if at < data.len() => data[at] ^= 1 << random.below(8),
        4 if at < data.len() => {
            data.remove(at);
        }
        _ => {
            let other = seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            let to = from + random.below(other.len() - from + 1);
            data.splice(at..at, other[from..to].iter().copied());
        }
    }
}

/// Xorshift: enough to spread the sample, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A byte that means something more often than not.
    fn interesting(&mut self) -> u8 {
        const MEANINGFUL: &[u8] = b"\0\x01\x02\x7F\x80\xFF/+#$a\n\x0B\x1F\x26";
        match self.below(2) {
            0 => MEANINGFUL[self.below(MEANINGFUL.len())],
            _ => self.next() as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocation_list() {
        assert_eq!(server::untrusted::revocation_list(LIST_SEEDS[0]), Ok(2));
        smoke(super::super::revocation_list, LIST_SEEDS, 100_000);
    }

    #[test]
    fn ocsp_answer() {
        smoke(super::super::ocsp_answer, ANSWER_SEEDS, 50_000);
    }

    #[test]
    fn codec_decode() {
        smoke(super::super::codec_decode, CODEC_SEEDS, 200_000);
    }

    #[cfg(feature = "configuration")]
    #[test]
    fn configuration() {
        smoke(super::super::configuration, CONFIGURATION_SEEDS, 4_000);
        // A sample in which nothing is a configuration would prove little.
        let reference = include_str!("../../../docs/configure/reference.toml");
        let small = "data_dir = \"d\"\n[[listeners]]\nname = \"m\"\nbind = \"127.0.0.1:0\"\n";
        for good in [reference, small] {
            assert_eq!(portcullis::untrusted::configuration(good), (true, Vec::new()));
            super::super::configuration(good.as_bytes());
        }
    }

    #[test]
    fn topic_filter() {
        smoke(super::super::topic_filter, TOPIC_SEEDS, 20_000);
    }

    #[test]
    fn proxy_header() {
        smoke(super::super::proxy_header, PROXY_SEEDS, 200_000);
        let complete =
            |seed: &&&[u8]| server::untrusted::proxy_header(seed).is_ok_and(|n| n.is_some());
        assert_eq!(PROXY_SEEDS.iter().filter(complete).count(), PROXY_SEEDS.len());
    }

    #[test]
    fn websocket_upgrade() {
        smoke(super::super::websocket_upgrade, UPGRADE_SEEDS, 100_000);
        let agreed = |seed: &[u8]| server::untrusted::websocket_upgrade(seed).is_ok();
        assert_eq!(
            UPGRADE_SEEDS.iter().map(|seed| agreed(seed)).collect::<Vec<_>>(),
            [true, false, false]
        );
    }

    #[test]
    fn log_record() {
        smoke(super::super::log_record, RECORD_SEEDS, 200_000);
        for seed in RECORD_SEEDS {
            let framed = store::untrusted::framed(seed);
            assert!(store::untrusted::log_record(&framed).is_some(), "{seed:02X?}");
        }
    }

    #[test]
    fn websocket_frames() {
        smoke(super::super::websocket_frames, FRAME_SEEDS, 200_000);
        let good = |seed: &&&[u8]| {
            let (payload, end) = server::untrusted::websocket_payload(&seed[1..], 1_000);
            !payload.is_empty() && end.is_none_or(|end| end.starts_with("Closed"))
        };
        assert_eq!(FRAME_SEEDS.iter().filter(good).count(), FRAME_SEEDS.len() - 1);
    }

    /// A sample that never decodes anything would prove nothing.
    #[test]
    fn seeds_decode() {
        use codec::{Decoded, ProtocolVersion, decode};
        for seed in CODEC_SEEDS {
            let decodes = [ProtocolVersion::V311, ProtocolVersion::V5].map(|version| {
                matches!(decode(seed, version, 1000), Ok(Decoded::Packet(_, n)) if n == seed.len())
            });
            assert!(decodes.contains(&true), "{seed:02X?}");
        }
    }
}
