//! SUBACK (section 3.9): the answer to each filter of a SUBSCRIBE.

use crate::properties::{Remarks, encode_section};
use crate::property::Property;
use crate::reader::Reader;
use crate::{
    Error, PacketId, PacketType, ProtocolVersion, ReasonCode, UserPropertiesBuf, fixed_header,
    reason_code, writer,
};

/// SUBACK: one reason code per filter, in order. 3.1.1 gets 0x80 for every failure.
#[derive(Clone, Debug, PartialEq)]
pub struct SubAck {
    /// Packet Identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Reason String (5.0).
    pub reason_string: Option<String>,
    /// User Properties (5.0).
    pub user_properties: UserPropertiesBuf,
    /// One per filter.
    pub reason_codes: Vec<ReasonCode>,
}

impl SubAck {
    /// A SUBACK without properties.
    pub fn new(packet_id: PacketId, reason_codes: Vec<ReasonCode>) -> Self {
        Self { packet_id, reason_string: None, user_properties: Vec::new(), reason_codes }
    }

    pub(crate) fn decode(body: &[u8], version: ProtocolVersion) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let remarks = match version {
            ProtocolVersion::V311 => Remarks::default(),
            ProtocolVersion::V5 => Remarks::decode(&mut reader)?,
        };
        if reader.is_empty() {
            return Err(NO_REASON_CODE);
        }
        let mut reason_codes = Vec::new();
        for &value in reader.rest() {
            if version == ProtocolVersion::V311 && !matches!(value, 0..=2 | 0x80) {
                return Err(RETURN_CODE);
            }
            reason_codes.push(reason_code::decode(value, PacketType::SubAck)?);
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
        }
        body.extend(self.reason_codes.iter().map(|&code| match version {
            ProtocolVersion::V311 if code.is_failure() => ReasonCode::UnspecifiedError.value(),
            _ => code.value(),
        }));
        writer::packet(fixed_header::first_byte(PacketType::SubAck), &body, out);
    }
}

const NO_REASON_CODE: Error =
    Error::malformed("SUBACK carries no Reason Code, at least one is needed", "MQTT-3.9.3-1");
const RETURN_CODE: Error =
    Error::malformed("SUBACK return code is none of 0, 1, 2, 0x80", "MQTT-3.9.3-2");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind::{Malformed, ProtocolError};
    use crate::Packet;
    use crate::ProtocolVersion::{V5, V311};
    use crate::test_support::{check_golden, check_refused, encoded, id};

    #[test]
    fn golden_bytes() {
        use ReasonCode::{GrantedQoS1, GrantedQoS2, NotAuthorized, Success, UnspecifiedError};
        let codes = vec![Success, GrantedQoS1, GrantedQoS2, UnspecifiedError];
        let packet = Packet::SubAck(SubAck::new(id(10), codes));
        check_golden(V311, &packet, &[0x90, 6, 0, 10, 0, 1, 2, 0x80]);
        check_golden(V5, &packet, &[0x90, 7, 0, 10, 0, 0, 1, 2, 0x80]);

        let mut suback = SubAck::new(id(1), vec![NotAuthorized]);
        assert_eq!(encoded(V311, &Packet::SubAck(suback.clone())), [0x90, 3, 0, 1, 0x80]);
        suback.reason_string = Some("no".to_owned());
        suback.user_properties = vec![("k".to_owned(), "v".to_owned())];
        let bytes = b"\x90\x10\0\x01\x0C\x1F\0\x02no\x26\0\x01k\0\x01v\x87";
        check_golden(V5, &Packet::SubAck(suback), bytes);
    }

    /// Covers 5.0 [MQTT-3.9.3-2], 3.1.1 [MQTT-3.9.3-2].
    #[test]
    fn refusals() {
        check_refused(V311, &[0x90, 2, 0, 1], Malformed, "MQTT-3.9.3-1");
        check_refused(V5, &[0x90, 3, 0, 1, 0], Malformed, "MQTT-3.9.3-1");
        check_refused(V311, &[0x90, 3, 0, 1, 0x87], Malformed, "MQTT-3.9.3-2");
        check_refused(V5, &[0x90, 4, 0, 1, 0, 3], Malformed, "section 2.4");
        check_refused(V5, &[0x90, 4, 0, 1, 0, 0x82], ProtocolError, "section 2.4");
        check_refused(V5, &[0x90, 4, 0, 0, 0, 0], ProtocolError, "MQTT-2.2.1-3");
    }
}
