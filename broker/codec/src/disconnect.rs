//! DISCONNECT (section 3.14): the last packet of a connection, from either side in 5.0.

use crate::properties::{PropertyWalk, encode_section, push_user_property};
use crate::property::{NOT_ALLOWED, Property};
use crate::reader::Reader;
use crate::{
    Error, PacketType, ProtocolVersion, ReasonCode, UserPropertiesBuf, fixed_header, reason_code,
    writer,
};

/// DISCONNECT. 3.1.1 has an empty one, from the client only.
#[derive(Clone, Debug, PartialEq)]
pub struct Disconnect {
    /// Reason Code; `NormalDisconnection` (0x00) for 3.1.1.
    pub reason_code: ReasonCode,
    /// Session Expiry Interval in seconds (client to server only).
    pub session_expiry_interval: Option<u32>,
    /// Reason String.
    pub reason_string: Option<String>,
    /// User Properties.
    pub user_properties: UserPropertiesBuf,
    /// Server Reference (server to client only).
    pub server_reference: Option<String>,
}

impl Disconnect {
    /// A DISCONNECT without properties.
    pub fn new(reason_code: ReasonCode) -> Self {
        Self {
            reason_code,
            session_expiry_interval: None,
            reason_string: None,
            user_properties: Vec::new(),
            server_reference: None,
        }
    }

    pub(crate) fn decode(body: &[u8], version: ProtocolVersion) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let mut disconnect = Self::new(ReasonCode::NORMAL_DISCONNECTION);
        if version == ProtocolVersion::V5 && !reader.is_empty() {
            disconnect.reason_code = reason_code::decode(reader.u8()?, PacketType::Disconnect)?;
            if !reader.is_empty() {
                disconnect.decode_properties(reader.property_section()?)?;
            }
        }
        reader.finish()?;
        Ok(disconnect)
    }

    fn decode_properties(&mut self, section: &[u8]) -> Result<(), Error> {
        let mut walk = PropertyWalk::new(section);
        while let Some(property) = walk.next_property()? {
            match property {
                Property::SessionExpiryInterval(value) => {
                    self.session_expiry_interval = Some(value)
                }
                Property::ReasonString(text) => self.reason_string = Some(text.to_owned()),
                Property::ServerReference(text) => self.server_reference = Some(text.to_owned()),
                Property::User(name, value) => {
                    push_user_property(&mut self.user_properties, name, value);
                }
                _ => return Err(NOT_ALLOWED),
            }
        }
        Ok(())
    }

    pub(crate) fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        if version == ProtocolVersion::V5 {
            self.encode_body(&mut body);
        }
        writer::packet(fixed_header::first_byte(PacketType::Disconnect), &body, out);
    }

    /// Leaves out what may be left out: an empty property section, and then a Reason Code of 0.
    fn encode_body(&self, body: &mut Vec<u8>) {
        let list = [
            self.session_expiry_interval.map(Property::SessionExpiryInterval),
            self.reason_string.as_deref().map(Property::ReasonString),
            self.server_reference.as_deref().map(Property::ServerReference),
        ];
        let bare = self.user_properties.is_empty() && list.iter().all(Option::is_none);
        if bare && self.reason_code == ReasonCode::NORMAL_DISCONNECTION {
            return;
        }
        body.push(self.reason_code.value());
        if !bare {
            encode_section(&list, &self.user_properties, body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind::{Malformed, ProtocolError};
    use crate::Packet;
    use crate::ProtocolVersion::{V5, V311};
    use crate::test_support::{check_golden, check_reads, check_refused, encoded};

    #[test]
    fn golden_bytes() {
        let normal = Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION));
        check_golden(V311, &normal, &[0xE0, 0]);
        check_golden(V5, &normal, &[0xE0, 0]);
        let mut taken_over = Disconnect::new(ReasonCode::SessionTakenOver);
        check_golden(V5, &Packet::Disconnect(taken_over.clone()), &[0xE0, 1, 0x8E]);
        taken_over.reason_string = Some("elsewhere".to_owned());
        taken_over.server_reference = Some("b".to_owned());
        taken_over.user_properties = vec![("k".to_owned(), String::new())];
        let packet = Packet::Disconnect(taken_over);
        check_golden(V5, &packet, b"\xE0\x18\x8E\x16\x1F\0\x09elsewhere\x1C\0\x01b\x26\0\x01k\0\0");
        assert_eq!(encoded(V311, &packet), [0xE0, 0]);

        let mut expiry = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        expiry.session_expiry_interval = Some(60);
        check_golden(V5, &Packet::Disconnect(expiry), &[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 60]);
    }

    #[test]
    fn forms_that_say_more_than_needed_are_read() {
        let normal = Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION));
        check_reads(V5, &[0xE0, 1, 0], &normal);
        check_reads(V5, &[0xE0, 2, 0, 0], &normal);
    }

    #[test]
    fn refusals() {
        check_refused(V311, &[0xE0, 1, 0], Malformed, "section 2.1.4");
        check_refused(V5, &[0xE0, 1, 0x03], Malformed, "section 2.4");
        check_refused(V5, &[0xE0, 1, 0x18], ProtocolError, "section 2.4");
        check_refused(V5, &[0xE0, 3, 0, 0, 0], Malformed, "section 2.1.4");
        check_refused(V5, &[0xE0, 4, 0, 2, 0x01, 1], Malformed, "section 2.2.2.2");
        check_refused(V5, &[0xE1, 0], Malformed, "MQTT-2.1.3-1");
    }
}
