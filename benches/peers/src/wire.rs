//! Control packets as the generator writes and reads them, MQTT 3.1.1 and 5.0. Not the codec of the
//! broker: a mistake there must not be hidden by the same mistake here.

/// First bytes of fixed headers.
mod kind {
    pub(super) const CONNECT: u8 = 0x10;
    pub(super) const CONNACK: u8 = 0x20;
    pub(super) const PUBLISH: u8 = 0x30;
    pub(super) const SUBSCRIBE: u8 = 0x82;
    pub(super) const SUBACK: u8 = 0x90;
}

/// First bytes of the four acknowledgements.
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x62;
pub(crate) const PUBCOMP: u8 = 0x70;

/// DISCONNECT without anything, in both versions.
pub(crate) const DISCONNECT: [u8; 2] = [0xe0, 0];

/// What a broker sends, as far as the generator looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    ConnAck {
        session_present: bool,
        reason_code: u8,
    },
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Acknowledgement {
        kind: u8,
        packet_id: u16,
        reason_code: u8,
    },
    SubAck {
        granted: bool,
    },
    /// The first byte of any other.
    Other(u8),
}

/// A PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a [u8],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) packet_id: u16,
    pub(crate) payload: &'a [u8],
}

/// CONNECT of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect<'a> {
    pub(crate) v5: bool,
    pub(crate) client_id: &'a str,
    pub(crate) login: Option<(&'a str, &'a str)>,
    pub(crate) clean_start: bool,
}

/// Seconds for which a session that is not clean outlives its connection, in 5.0.
const SESSION_EXPIRY_INTERVAL: u32 = 3_600;
const KEEP_ALIVE_SECONDS: u16 = 600;

impl Connect<'_> {
    /// Appends it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut body = b"\0\x04MQTT".to_vec();
        body.push(if self.v5 { 5 } else { 4 });
        let login = if self.login.is_some() { 0xc0 } else { 0 };
        body.push(login | u8::from(self.clean_start) << 1);
        body.extend_from_slice(&KEEP_ALIVE_SECONDS.to_be_bytes());
        if self.v5 && self.clean_start {
            body.push(0);
        } else if self.v5 {
            body.extend_from_slice(&[5, 0x11]);
            body.extend_from_slice(&SESSION_EXPIRY_INTERVAL.to_be_bytes());
        }
        text(&mut body, self.client_id.as_bytes());
        if let Some((user, password)) = self.login {
            text(&mut body, user.as_bytes());
            text(&mut body, password.as_bytes());
        }
        packet(out, kind::CONNECT, &body);
    }
}

/// Appends a SUBSCRIBE.
pub(crate) fn subscribe(out: &mut Vec<u8>, v5: bool, packet_id: u16, filters: &[String], qos: u8) {
    let mut body = packet_id.to_be_bytes().to_vec();
    if v5 {
        body.push(0);
    }
    for filter in filters {
        text(&mut body, filter.as_bytes());
        body.push(qos);
    }
    packet(out, kind::SUBSCRIBE, &body);
}

/// Appends the head of a PUBLISH whose payload of `payload` bytes the caller appends.
pub(crate) fn publish(out: &mut Vec<u8>, v5: bool, head: Publish<'_>, payload: usize) {
    out.push(kind::PUBLISH | head.qos << 1 | u8::from(head.retain));
    let identified = if head.qos > 0 { 2 } else { 0 };
    remaining_length(out, 2 + head.topic.len() + identified + usize::from(v5) + payload);
    text(out, head.topic);
    if head.qos > 0 {
        out.extend_from_slice(&head.packet_id.to_be_bytes());
    }
    if v5 {
        out.push(0);
    }
}

/// Appends an acknowledgement.
pub(crate) fn acknowledge(out: &mut Vec<u8>, kind: u8, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[kind, 2, high, low]);
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

fn packet(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    remaining_length(out, body.len());
    out.extend_from_slice(body);
}

fn remaining_length(out: &mut Vec<u8>, mut length: usize) {
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// The first packet of `bytes` and its length; `None` if it is not whole yet.
pub(crate) fn decode(bytes: &[u8], v5: bool) -> Result<Option<(Packet<'_>, usize)>, &'static str> {
    let Some((body_at, length)) = variable_byte_integer(bytes, 1)? else { return Ok(None) };
    let end = body_at + length;
    let (Some(&first), Some(body)) = (bytes.first(), bytes.get(body_at..end)) else {
        return Ok(None);
    };
    let packet = match first & 0xf0 {
        kind::PUBLISH => publish_of(first, body, v5),
        kind::CONNACK => connack_of(body),
        PUBACK | PUBREC | 0x60 | PUBCOMP => acknowledgement_of(first, body),
        kind::SUBACK => suback_of(body, v5),
        _ => Some(Packet::Other(first)),
    };
    packet.map(|packet| Some((packet, end))).ok_or("a packet is shorter than it must be")
}

/// The number that begins at `at`, and where it ends.
fn variable_byte_integer(bytes: &[u8], at: usize) -> Result<Option<(usize, usize)>, &'static str> {
    let mut number = 0;
    for place in 0..4 {
        let Some(byte) = bytes.get(at + place) else { return Ok(None) };
        number |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((at + place + 1, number)));
        }
    }
    Err("a length has more than four bytes")
}

/// Where the properties that begin at `at` end; 3.1.1 has none.
fn behind_properties(body: &[u8], at: usize, v5: bool) -> Option<usize> {
    if !v5 {
        return Some(at);
    }
    let (begin, length) = variable_byte_integer(body, at).ok()??;
    Some(begin + length)
}

fn connack_of(body: &[u8]) -> Option<Packet<'_>> {
    let (flags, reason_code) = (*body.first()?, *body.get(1)?);
    Some(Packet::ConnAck { session_present: flags & 1 != 0, reason_code })
}

fn acknowledgement_of(kind: u8, body: &[u8]) -> Option<Packet<'_>> {
    let packet_id = u16::from_be_bytes([*body.first()?, *body.get(1)?]);
    let reason_code = body.get(2).copied().unwrap_or_default();
    Some(Packet::Acknowledgement { kind, packet_id, reason_code })
}

fn publish_of(first: u8, body: &[u8], v5: bool) -> Option<Packet<'_>> {
    let length = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
    let topic = body.get(2..2 + length)?;
    let mut at = 2 + length;
    let qos = first >> 1 & 3;
    let mut packet_id = 0;
    if qos > 0 {
        packet_id = u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]);
        at += 2;
    }
    let payload = body.get(behind_properties(body, at, v5)?..)?;
    let (retain, dup) = (first & 1 != 0, first & 8 != 0);
    Some(Packet::Publish(Publish { topic, qos, retain, dup, packet_id, payload }))
}

fn suback_of(body: &[u8], v5: bool) -> Option<Packet<'_>> {
    let codes = body.get(behind_properties(body, 2, v5)?..)?;
    Some(Packet::SubAck { granted: !codes.is_empty() && codes.iter().all(|code| *code < 0x80) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_read_as_it_was_written() {
        for v5 in [false, true] {
            for qos in 0..=2 {
                let sent = Publish {
                    topic: b"a/b",
                    qos,
                    retain: qos == 1,
                    dup: false,
                    packet_id: if qos > 0 { 513 } else { 0 },
                    payload: &[7; 200],
                };
                let mut bytes = Vec::new();
                publish(&mut bytes, v5, sent, sent.payload.len());
                bytes.extend_from_slice(sent.payload);
                let length = bytes.len();
                assert_eq!(decode(&bytes, v5), Ok(Some((Packet::Publish(sent), length))));
                for end in 0..length {
                    assert_eq!(decode(&bytes[..end], v5), Ok(None), "{end}");
                }
            }
        }
    }

    #[test]
    fn answers_of_a_broker_are_read() {
        let v5_connack = [0x20, 6, 1, 0, 3, 0x21, 0, 20];
        let accepted = Packet::ConnAck { session_present: true, reason_code: 0 };
        assert_eq!(decode(&v5_connack, true), Ok(Some((accepted, 8))));
        let refused = Packet::SubAck { granted: false };
        assert_eq!(decode(&[0x90, 4, 0, 1, 0, 0x80], false), Ok(Some((refused, 6))));
        let granted = Packet::SubAck { granted: true };
        assert_eq!(decode(&[0x90, 5, 0, 1, 0, 2, 0], true), Ok(Some((granted, 7))));
        let mut bytes = Vec::new();
        acknowledge(&mut bytes, PUBREL, 258);
        let answer = Packet::Acknowledgement { kind: PUBREL, packet_id: 258, reason_code: 0 };
        assert_eq!(decode(&bytes, false), Ok(Some((answer, 4))));
        assert_eq!(decode(&[0xd0, 0], false), Ok(Some((Packet::Other(0xd0), 2))));
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(decode(&[0x30, 0xff, 0xff, 0xff, 0xff], false).is_err());
        assert!(decode(&[0x30, 2, 0, 9], false).is_err());
        assert!(decode(&[0x20, 1, 0], false).is_err());
        assert_eq!(decode(&[], false), Ok(None));
    }

    #[test]
    fn connect_and_subscribe_have_the_bytes_of_the_specification() {
        let mut bytes = Vec::new();
        let connect =
            Connect { v5: false, client_id: "c", login: Some(("u", "pw")), clean_start: true };
        connect.encode(&mut bytes);
        assert_eq!(bytes, b"\x10\x14\0\x04MQTT\x04\xc2\x02\x58\0\x01c\0\x01u\0\x02pw");
        bytes.clear();
        subscribe(&mut bytes, true, 5, &["a/+".to_owned()], 1);
        assert_eq!(bytes, b"\x82\x09\0\x05\0\0\x03a/+\x01");
    }
}
