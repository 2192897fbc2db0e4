//! AUTH (section 3.15): enhanced authentication, 5.0 only.

use crate::properties::{PropertyWalk, encode_section, push_user_property};
use crate::property::{NOT_ALLOWED, Property};
use crate::reader::Reader;
use crate::{
    Error, PacketType, ProtocolVersion, ReasonCode, UserPropertiesBuf, fixed_header, reason_code,
    writer,
};

/// AUTH: one step of enhanced authentication.
#[derive(Clone, PartialEq)]
pub struct Auth {
    /// Success, `ContinueAuthentication` or `ReAuthenticate`.
    pub reason_code: ReasonCode,
    /// Authentication Method; absent only in an AUTH with a Remaining Length of 0.
    pub authentication_method: Option<String>,
    /// Authentication Data.
    pub authentication_data: Option<Vec<u8>>,
    /// Reason String.
    pub reason_string: Option<String>,
    /// User Properties.
    pub user_properties: UserPropertiesBuf,
}

/// Authentication data never reaches a log.
impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("reason_code", &self.reason_code).finish_non_exhaustive()
    }
}

impl Auth {
    /// One step with this method, without data.
    pub fn new(reason_code: ReasonCode, authentication_method: &str) -> Self {
        Self { authentication_method: Some(authentication_method.to_owned()), ..bare(reason_code) }
    }

    pub(crate) fn decode(body: &[u8], version: ProtocolVersion) -> Result<Self, Error> {
        if version == ProtocolVersion::V311 {
            return Err(NOT_IN_3_1_1);
        }
        let mut reader = Reader::new(body);
        if reader.is_empty() {
            return Ok(bare(ReasonCode::Success));
        }
        let mut auth = bare(reason_code::decode(reader.u8()?, PacketType::Auth)?);
        if !reader.is_empty() {
            auth.decode_properties(reader.property_section()?)?;
        }
        reader.finish()?;
        if auth.authentication_method.is_none() { Err(NO_METHOD) } else { Ok(auth) }
    }

    fn decode_properties(&mut self, section: &[u8]) -> Result<(), Error> {
        let mut walk = PropertyWalk::new(section);
        while let Some(property) = walk.next_property()? {
            match property {
                Property::AuthenticationMethod(text) => {
                    self.authentication_method = Some(text.to_owned());
                }
                Property::AuthenticationData(data) => {
                    self.authentication_data = Some(data.to_owned());
                }
                Property::ReasonString(text) => self.reason_string = Some(text.to_owned()),
                Property::User(name, value) => {
                    push_user_property(&mut self.user_properties, name, value);
                }
                _ => return Err(NOT_ALLOWED),
            }
        }
        Ok(())
    }

    pub(crate) fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        if version == ProtocolVersion::V311 {
            return;
        }
        let mut body = Vec::new();
        let list = [
            self.authentication_method.as_deref().map(Property::AuthenticationMethod),
            self.authentication_data.as_deref().map(Property::AuthenticationData),
            self.reason_string.as_deref().map(Property::ReasonString),
        ];
        let empty = self.reason_code == ReasonCode::Success
            && self.user_properties.is_empty()
            && list.iter().all(Option::is_none);
        if !empty {
            body.push(self.reason_code.value());
            encode_section(&list, &self.user_properties, &mut body);
        }
        writer::packet(fixed_header::first_byte(PacketType::Auth), &body, out);
    }
}

fn bare(reason_code: ReasonCode) -> Auth {
    Auth {
        reason_code,
        authentication_method: None,
        authentication_data: None,
        reason_string: None,
        user_properties: Vec::new(),
    }
}

const NOT_IN_3_1_1: Error =
    Error::malformed("packet type 15 is reserved in 3.1.1", "section 2.2.1");
const NO_METHOD: Error =
    Error::protocol("AUTH carries no Authentication Method", "section 3.15.2.2.2");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind::{Malformed, ProtocolError};
    use crate::Packet;
    use crate::ProtocolVersion::{V5, V311};
    use crate::test_support::{check_golden, check_refused, encoded};

    #[test]
    fn golden_bytes() {
        check_golden(V5, &Packet::Auth(bare(ReasonCode::Success)), &[0xF0, 0]);
        let mut auth = Auth::new(ReasonCode::ContinueAuthentication, "GS2");
        check_golden(V5, &Packet::Auth(auth.clone()), b"\xF0\x08\x18\x06\x15\0\x03GS2");
        auth.authentication_data = Some(vec![0, 0xFF]);
        auth.reason_string = Some("x".to_owned());
        auth.user_properties = vec![("a".to_owned(), "b".to_owned())];
        let packet = Packet::Auth(auth);
        check_golden(
            V5,
            &packet,
            b"\xF0\x18\x18\x16\x15\0\x03GS2\x16\0\x02\0\xFF\x1F\0\x01x\x26\0\x01a\0\x01b",
        );
        assert_eq!(encoded(V311, &packet), []);
    }

    #[test]
    fn refusals() {
        check_refused(V311, &[0xF0, 0], Malformed, "section 2.2.1");
        check_refused(V5, &[0xF0, 1, 0x18], ProtocolError, "section 3.15.2.2.2");
        check_refused(V5, &[0xF0, 2, 0x18, 0], ProtocolError, "section 3.15.2.2.2");
        check_refused(V5, b"\xF0\x06\x87\x04\x15\0\x01m", ProtocolError, "section 2.4");
        check_refused(V5, b"\xF0\x07\x18\x04\x15\0\x01mX", Malformed, "section 2.1.4");
        check_refused(V5, b"\xF0\x09\x18\x07\x11\0\0\0\0\x15\0", Malformed, "section 2.2.2.2");
        let twice = b"\xF0\x0A\x18\x08\x15\0\x01m\x15\0\x01m";
        check_refused(V5, twice, ProtocolError, "section 2.2.2.2");
    }

    #[test]
    fn data_is_not_shown() {
        let mut auth = Auth::new(ReasonCode::ReAuthenticate, "m");
        auth.authentication_data = Some(b"hunter2".to_vec());
        assert_eq!(format!("{auth:?}"), "Auth { reason_code: ReAuthenticate, .. }");
    }
}
