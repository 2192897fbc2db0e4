//! UNSUBSCRIBE (section 3.10): which filters a client gives up.

use topic::SubscriptionFilter;

use crate::properties::{PropertyWalk, encode_section, push_user_property};
use crate::property::{NOT_ALLOWED, Property};
use crate::reader::Reader;
use crate::subscribe::{decode_filter, encode_filter};
use crate::{
    Error, PacketId, PacketType, ProtocolVersion, UserPropertiesBuf, fixed_header, writer,
};

/// UNSUBSCRIBE: one or more filters.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsubscribe {
    /// Packet Identifier.
    pub packet_id: PacketId,
    /// User Properties (5.0).
    pub user_properties: UserPropertiesBuf,
    /// At least one; `Err` holds the text of an invalid filter.
    pub filters: Vec<Result<SubscriptionFilter, String>>,
}

impl Unsubscribe {
    /// An UNSUBSCRIBE without properties.
    pub fn new(packet_id: PacketId, filters: Vec<Result<SubscriptionFilter, String>>) -> Self {
        Self { packet_id, user_properties: Vec::new(), filters }
    }

    pub(crate) fn decode(body: &[u8], version: ProtocolVersion) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let mut unsubscribe = Self::new(reader.packet_id()?, Vec::new());
        if version == ProtocolVersion::V5 {
            let mut walk = PropertyWalk::new(reader.property_section()?);
            while let Some(property) = walk.next_property()? {
                let Property::User(name, value) = property else {
                    return Err(NOT_ALLOWED);
                };
                push_user_property(&mut unsubscribe.user_properties, name, value);
            }
        }
        if reader.is_empty() {
            return Err(NO_FILTER);
        }
        while !reader.is_empty() {
            unsubscribe.filters.push(decode_filter(&mut reader)?);
        }
        Ok(unsubscribe)
    }

    pub(crate) fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        writer::u16(self.packet_id.get(), &mut body);
        if version == ProtocolVersion::V5 {
            encode_section(&[], &self.user_properties, &mut body);
        }
        for filter in &self.filters {
            encode_filter(filter, &mut body);
        }
        writer::packet(fixed_header::first_byte(PacketType::Unsubscribe), &body, out);
    }
}

const NO_FILTER: Error = Error::protocol("UNSUBSCRIBE carries no Topic Filter", "MQTT-3.10.3-2");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind::{Malformed, ProtocolError};
    use crate::Packet;
    use crate::ProtocolVersion::{V5, V311};
    use crate::test_support::{check_golden, check_refused, filter, id};

    #[test]
    fn golden_bytes() {
        let filters = vec![filter("a/+"), filter("$share/g/#"), Err("a#".to_owned())];
        let mut unsubscribe = Unsubscribe::new(id(2), filters);
        let packet = Packet::Unsubscribe(unsubscribe.clone());
        check_golden(V311, &packet, b"\xA2\x17\0\x02\0\x03a/+\0\x0A$share/g/#\0\x02a#");
        check_golden(V5, &packet, b"\xA2\x18\0\x02\0\0\x03a/+\0\x0A$share/g/#\0\x02a#");
        unsubscribe.filters.truncate(1);
        unsubscribe.user_properties =
            vec![("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())];
        check_golden(
            V5,
            &Packet::Unsubscribe(unsubscribe),
            b"\xA2\x16\0\x02\x0E\x26\0\x01k\0\x011\x26\0\x01k\0\x012\0\x03a/+",
        );
    }

    #[test]
    fn refusals() {
        check_refused(V311, b"\xA2\x02\0\x01", ProtocolError, "MQTT-3.10.3-2");
        check_refused(V5, b"\xA2\x03\0\x01\0", ProtocolError, "MQTT-3.10.3-2");
        check_refused(V311, b"\xA2\x05\0\0\0\x01a", ProtocolError, "MQTT-2.2.1-3");
        check_refused(V311, b"\xA0\x05\0\x01\0\x01a", Malformed, "MQTT-2.1.3-1");
        check_refused(V311, b"\xA2\x05\0\x01\0\x01\xFF", Malformed, "MQTT-1.5.4-1");
        check_refused(V311, b"\xA2\x05\0\x01\0\x01\0", Malformed, "MQTT-1.5.4-2");
        check_refused(V311, b"\xA2\x05\0\x01\0\x02a", Malformed, "section 2.1.4");
        let expiry = b"\xA2\x0B\0\x01\x05\x11\0\0\0\0\0\x01a";
        check_refused(V5, expiry, Malformed, "section 2.2.2.2");
    }
}
