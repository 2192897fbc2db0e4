//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7): four packets of one shape.

use crate::properties::{Remarks, encode_section};
use crate::property::Property;
use crate::reader::Reader;
use crate::{
    Error, PacketId, PacketType, ProtocolVersion, ReasonCode, UserPropertiesBuf, fixed_header,
    reason_code, writer,
};

/// An acknowledgement of one packet identifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Acknowledgement {
    /// Packet Identifier of the PUBLISH.
    pub packet_id: PacketId,
    /// Reason Code; Success for 3.1.1.
    pub reason_code: ReasonCode,
    /// Reason String (5.0).
    pub reason_string: Option<String>,
    /// User Properties (5.0).
    pub user_properties: UserPropertiesBuf,
}

impl Acknowledgement {
    /// An acknowledgement without properties.
    pub fn new(packet_id: PacketId, reason_code: ReasonCode) -> Self {
        Self { packet_id, reason_code, reason_string: None, user_properties: Vec::new() }
    }

    #[inline]
    pub(crate) fn decode(
        packet_type: PacketType,
        body: &[u8],
        version: ProtocolVersion,
    ) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let mut packet = Self::new(reader.packet_id()?, ReasonCode::Success);
        // 5.0 may leave out a Success, and then an empty property section.
        if version == ProtocolVersion::V5 && !reader.is_empty() {
            packet.reason_code = reason_code::decode(reader.u8()?, packet_type)?;
            if !reader.is_empty() {
                let remarks = Remarks::decode(&mut reader)?;
                packet.reason_string = remarks.reason_string;
                packet.user_properties = remarks.user_properties;
            }
        }
        reader.finish()?;
        Ok(packet)
    }

    pub(crate) fn encode(
        &self,
        packet_type: PacketType,
        version: ProtocolVersion,
        out: &mut Vec<u8>,
    ) {
        let bare = self.reason_string.is_none() && self.user_properties.is_empty();
        if bare || version == ProtocolVersion::V311 {
            encode_acknowledgement(packet_type, self.packet_id, self.reason_code, version, out);
            return;
        }
        let mut body = Vec::new();
        writer::u16(self.packet_id.get(), &mut body);
        body.push(self.reason_code.value());
        let reason_string = self.reason_string.as_deref().map(Property::ReasonString);
        encode_section(&[reason_string], &self.user_properties, &mut body);
        writer::packet(fixed_header::first_byte(packet_type), &body, out);
    }
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP without properties: the form of the hot path
/// (4 bytes for 3.1.1 or success, 5 with a reason code). Other packet types have no such form;
/// nothing is appended for them.
#[inline]
pub fn encode_acknowledgement(
    packet_type: PacketType,
    packet_id: PacketId,
    reason_code: ReasonCode,
    version: ProtocolVersion,
    out: &mut Vec<u8>,
) {
    use PacketType::{PubAck, PubComp, PubRec, PubRel};
    if !matches!(packet_type, PubAck | PubRec | PubRel | PubComp) {
        return;
    }
    let first = fixed_header::first_byte(packet_type);
    let [high, low] = packet_id.get().to_be_bytes();
    if version == ProtocolVersion::V311 || reason_code == ReasonCode::Success {
        out.extend_from_slice(&[first, 2, high, low]);
    } else {
        out.extend_from_slice(&[first, 3, high, low, reason_code.value()]);
    }
}

#[cfg(test)]
mod tests;
