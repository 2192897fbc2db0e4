//! UNSUBACK (section 3.11): the answer to each filter of an UNSUBSCRIBE.

use crate::properties::{Remarks, encode_section};
use crate::property::Property;
use crate::reader::Reader;
use crate::{
    Error, PacketId, PacketType, ProtocolVersion, ReasonCode, UserPropertiesBuf, fixed_header,
    reason_code, writer,
};

/// UNSUBACK: one reason code per filter (5.0); 3.1.1 carries none.
#[derive(Clone, Debug, PartialEq)]
pub struct UnsubAck {
    /// Packet Identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Reason String (5.0).
    pub reason_string: Option<String>,
    /// User Properties (5.0).
    pub user_properties: UserPropertiesBuf,
    /// One per filter; empty from 3.1.1.
    pub reason_codes: Vec<ReasonCode>,
}

impl UnsubAck {
    /// An UNSUBACK without properties.
    pub fn new(packet_id: PacketId, reason_codes: Vec<ReasonCode>) -> Self {
        Self { packet_id, reason_string: None, user_properties: Vec::new(), reason_codes }
    }

    pub(crate) fn decode(body: &[u8], version: ProtocolVersion) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        if version == ProtocolVersion::V311 {
            reader.finish()?;
            return Ok(Self::new(packet_id, Vec::new()));
        }
        let remarks = Remarks::decode(&mut reader)?;
        if reader.is_empty() {
            return Err(NO_REASON_CODE);
        }
        let mut reason_codes = Vec::new();
        for &value in reader.rest() {
            reason_codes.push(reason_code::decode(value, PacketType::UnsubAck)?);
        }
        Ok(Self {
            packet_id,
            reason_string: remarks.reason_string,
            user_properties: remarks.user_properties,
            reason_codes,
        })
    }

    pub(crate) fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        writer::u16(self.packet_id.get(), &mut body);
        if version == ProtocolVersion::V5 {
            let reason_string = self.reason_string.as_deref().map(Property::ReasonString);
            encode_section(&[reason_string], &self.user_properties, &mut body);
            body.extend(self.reason_codes.iter().map(|code| code.value()));
        }
        writer::packet(fixed_header::first_byte(PacketType::UnsubAck), &body, out);
    }
}

const NO_REASON_CODE: Error =
    Error::malformed("UNSUBACK carries no Reason Code, at least one is needed", "MQTT-3.11.3-1");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind::{Malformed, ProtocolError};
    use crate::Packet;
    use crate::ProtocolVersion::{V5, V311};
    use crate::test_support::{check_golden, check_refused, encoded, id};

    #[test]
    fn golden_bytes() {
        let bare = Packet::UnsubAck(UnsubAck::new(id(0x0102), Vec::new()));
        check_golden(V311, &bare, &[0xB0, 2, 1, 2]);

        let codes = vec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
        let mut unsuback = UnsubAck::new(id(9), codes);
        let packet = Packet::UnsubAck(unsuback.clone());
        check_golden(V5, &packet, &[0xB0, 5, 0, 9, 0, 0, 0x11]);
        assert_eq!(encoded(V311, &packet), [0xB0, 2, 0, 9]);
        unsuback.reason_string = Some("gone".to_owned());
        let bytes = b"\xB0\x0C\0\x09\x07\x1F\0\x04gone\0\x11";
        check_golden(V5, &Packet::UnsubAck(unsuback), bytes);
    }

    #[test]
    fn refusals() {
        check_refused(V311, &[0xB0, 3, 0, 1, 0], Malformed, "section 2.1.4");
        check_refused(V5, &[0xB0, 3, 0, 1, 0], Malformed, "MQTT-3.11.3-1");
        check_refused(V5, &[0xB0, 4, 0, 1, 0, 0x01], ProtocolError, "section 2.4");
        check_refused(V311, &[0xB0, 2, 0, 0], ProtocolError, "MQTT-2.2.1-3");
    }
}
