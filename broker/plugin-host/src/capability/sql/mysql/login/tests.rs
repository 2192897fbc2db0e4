//! Proofs as others compute them, and greetings that are none.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Computed with Python's hashlib from the definitions of the two methods.
#[test]
fn proofs() {
    let login = Login { password: b"hush-hush", is_private: false };
    let nonce = b"0123456789abcdefghij";
    let native = login.proof(NATIVE, nonce).unwrap();
    assert_eq!(native, hex("e0c7d8472e7bd56475236441515bc65ab7350841"));
    let sha2 = login.proof(CACHING_SHA2, nonce).unwrap();
    assert_eq!(sha2, hex("927bd01c05e1660c9199945982696c0b9188bddbb6916fa814f539f6df838f13"));
    let none = Login { password: b"", is_private: false };
    assert!(none.proof(NATIVE, nonce).unwrap().is_empty());
    let clear = login.proof(b"mysql_clear_password", nonce).unwrap_err();
    assert!(clear.to_string().contains("mysql_clear_password"), "{clear}");
}

fn greeting() -> Vec<u8> {
    let mut packet = vec![10];
    packet.extend_from_slice(b"5.5.5-10.11.6-MariaDB-0+deb12u1\0");
    packet.extend_from_slice(&[7, 0, 0, 0]);
    packet.extend_from_slice(b"01234567\0");
    packet.extend_from_slice(&[0xfe, 0xff, 45, 2, 0, 0xff, 0x81, 21]);
    packet.extend_from_slice(&[0; 10]);
    packet.extend_from_slice(b"89abcdefghij\0mysql_native_password\0");
    packet
}

#[test]
fn greetings() {
    let packet = greeting();
    let parsed = Greeting::parse(&packet).unwrap();
    assert_eq!(parsed.nonce, b"0123456789abcdefghij");
    assert_eq!((&*parsed.plugin, parsed.is_mariadb), (NATIVE, true));
    assert_eq!(parsed.capabilities, 0x81ff_fffe);
    for cut in 0..packet.len() {
        assert!(Greeting::parse(&packet[..cut]).is_err(), "{cut}");
    }
    let mut other = packet;
    other[0] = 9;
    assert!(Greeting::parse(&other).is_err());
}

/// No server gets a file of ours, whatever it asks for.
#[test]
fn files_are_not_offered() {
    const LOCAL_FILES: u32 = 1 << 7;
    const MULTI: u32 = 1 << 16 | 1 << 17 | 1 << 18;
    assert_eq!(WANTED & (LOCAL_FILES | MULTI), 0);
}
