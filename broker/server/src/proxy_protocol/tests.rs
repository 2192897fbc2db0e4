use super::*;

/// A version 2 header: command, family and transport, addresses and TLVs.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [V2_MARK, &[0x20 | command, family], &length, body].concat()
}

/// 192.0.2.1:1000 to 192.0.2.2:1883.
const ADDRESSES: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 3, 232, 7, 91];
const PROXY: u8 = 1;
const LOCAL: u8 = 0;
const TCP4: u8 = 0x11;

#[track_caller]
fn check(header: &[u8], expect: Option<&str>) {
    let expect = expect.map(|text| text.parse().unwrap());
    let with_more = [header, b"\x10\x0E\0\x04MQTT"].concat();
    assert_eq!(decode(&with_more).unwrap(), Some((expect, header.len())));
    for cut in 0..header.len() {
        assert_eq!(decode(&header[..cut]).unwrap(), None, "{cut} bytes");
    }
}

#[track_caller]
fn refused(header: &[u8], sentence: &str) {
    assert_eq!(decode(header).unwrap_err().to_string(), sentence);
}

const MALFORMED: &str = "no PROXY header, or a malformed one";

#[test]
fn version_1() {
    check(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 1883\r\n", Some("192.0.2.1:1000"));
    check(b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 1883\r\n", Some("[2001:db8::1]:1000"));
    check(b"PROXY UNKNOWN\r\n", None);
    check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None);
    for malformed in [
        &b"\x10\x0E\0\x04MQTT"[..],
        b"GET / HTTP/1.1\r\n",
        b"PROXYTCP4 192.0.2.1 192.0.2.2 1000 1883\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1000\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1000 1883\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 1883\rx",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1000 1883\r\n",
    ] {
        refused(malformed, MALFORMED);
    }
    // 107 bytes at most, whole or not.
    refused(&[&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(), MALFORMED);
    refused(&[&b"PROXY UNKNOWN "[..], &[b'x'; 92], b"\r\n"].concat(), MALFORMED);
    check(&[&b"PROXY UNKNOWN "[..], &[b'x'; 91], b"\r\n"].concat(), None);
}

#[test]
fn version_2() {
    check(&v2(PROXY, TCP4, &ADDRESSES), Some("192.0.2.1:1000"));
    let mut addresses = [0; 36];
    addresses[..4].copy_from_slice(&[0x20, 1, 0x0D, 0xB8]);
    addresses[15] = 1;
    addresses[32..34].copy_from_slice(&1_000_u16.to_be_bytes());
    check(&v2(PROXY, 0x21, &addresses), Some("[2001:db8::1]:1000"));
    check(&v2(LOCAL, 0, &[]), None);
    // The addresses of LOCAL mean nothing, and a Unix socket has none.
    check(&v2(LOCAL, TCP4, &ADDRESSES), None);
    check(&v2(PROXY, 0, &[]), None);
    check(&v2(PROXY, 0x31, &[0; 216]), None);
    refused(&v2(PROXY, 0x12, &ADDRESSES), "a PROXY header for datagrams");
    refused(&v2(2, TCP4, &ADDRESSES), MALFORMED);
    refused(&v2(PROXY, 0x41, &ADDRESSES), MALFORMED);
    refused(&v2(PROXY, TCP4, &ADDRESSES[..11]), MALFORMED);
    let mut other_version = v2(PROXY, TCP4, &ADDRESSES);
    other_version[12] = 0x31;
    refused(&other_version, MALFORMED);
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

#[test]
fn tlvs_are_skipped_within_bounds() {
    let authority = tlv(2, b"broker.example");
    let unknown = tlv(0xEA, &[7; 900]);
    check(
        &v2(PROXY, TCP4, &[&ADDRESSES[..], &authority, &unknown].concat()),
        Some("192.0.2.1:1000"),
    );
    let cut = [&ADDRESSES[..], &authority[..5]].concat();
    refused(&v2(PROXY, TCP4, &cut), MALFORMED);
    // Told by the length: nothing more is read.
    let long = v2(PROXY, TCP4, &[&ADDRESSES[..], &tlv(4, &[0; 4_081])].concat());
    refused(&long[..16], "a PROXY header of 4112 bytes, allowed: at most 4096");
}

#[test]
fn a_checksum_is_checked() {
    let with_checksum = |checksum: u32| {
        let tlvs = [tlv(4, b"pad"), tlv(3, &checksum.to_be_bytes()), tlv(5, b"unique")].concat();
        v2(PROXY, TCP4, &[&ADDRESSES[..], &tlvs].concat())
    };
    let right = CRC32C.checksum(&with_checksum(0));
    check(&with_checksum(right), Some("192.0.2.1:1000"));
    refused(&with_checksum(right ^ 1), "a PROXY header with a wrong CRC32C");
    refused(&v2(PROXY, TCP4, &[&ADDRESSES[..], &tlv(3, &[1, 2, 3])].concat()), MALFORMED);
    // What LOCAL carries means nothing.
    check(&v2(LOCAL, 0, &tlv(3, &[1, 2, 3])), None);
    // As the specification of CRC32C has it.
    assert_eq!(CRC32C.checksum(b"123456789"), 0xE306_9283);
}

#[tokio::test]
async fn the_rest_of_the_stream_is_kept() {
    let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 1883\r\n";
    let mut early = Vec::new();
    let source = read(&mut &[&header[..], b"behind"].concat()[..], &mut early).await.unwrap();
    assert_eq!((source, &*early), (Some("192.0.2.1:1000".parse().unwrap()), &b"behind"[..]));
    let refused = read(&mut &header[..20], &mut Vec::new()).await.unwrap_err();
    let expect = "connection ended before the PROXY header was complete: unexpected end of file";
    assert_eq!(refused.to_string(), expect);
}
