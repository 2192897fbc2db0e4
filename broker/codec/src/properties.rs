//! MQTT 5.0 property sections (section 2.2.2): walking through them, writing them, User Properties.
//!
//! The single properties are in `property`; which packet may carry which is in that packet's file.

use std::fmt;

use crate::property::{NOT_ALLOWED, Property, SUBSCRIPTION_IDENTIFIER, USER_PROPERTY};
use crate::reader::Reader;
use crate::{Error, variable_byte_integer};

/// User Properties of a packet, validated and still encoded; iterates as `(name, value)`.
#[derive(Clone, Copy, Default)]
pub struct UserProperties<'a> {
    /// The whole property section they stand in (other properties are skipped by the iterator).
    pub(crate) section: &'a [u8],
    /// How many there are.
    pub(crate) count: usize,
}

impl<'a> UserProperties<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Name and value pairs in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut reader = Reader::new(if self.is_empty() { &[] } else { self.section });
        std::iter::from_fn(move || {
            loop {
                // An error is the end of the section, or cannot come: the section was validated
                // when the packet was decoded.
                let identifier = reader.u8().ok()?;
                if let Property::User(name, value) =
                    Property::decode(identifier, &mut reader).ok()?
                {
                    return Some((name, value));
                }
            }
        })
        .take(self.count)
    }

    /// Appends pairs in encoded form, as they stand behind the other properties of a message that is
    /// passed on. Each text has at most 65,535 bytes.
    pub fn encode_pairs(pairs: &[(String, String)], out: &mut Vec<u8>) {
        for (name, value) in pairs {
            Property::User(name, value).encode(out);
        }
    }

    /// A copy that owns its text.
    pub fn to_buf(&self) -> UserPropertiesBuf {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// Equal when the same pairs come in the same order, whatever stands between them.
impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// User Properties that own their text.
pub type UserPropertiesBuf = Vec<(String, String)>;

/// Walks through a property section, refusing what no packet may have: unknown identifiers, values
/// out of range, and a property twice.
pub(crate) struct PropertyWalk<'a> {
    reader: Reader<'a>,
    /// One bit per identifier seen; the highest identifier is 0x2A.
    seen: u64,
}

impl<'a> PropertyWalk<'a> {
    #[inline]
    pub(crate) fn new(section: &'a [u8]) -> Self {
        Self { reader: Reader::new(section), seen: 0 }
    }

    /// The next property; `None` at the end of the section.
    #[inline]
    pub(crate) fn next_property(&mut self) -> Result<Option<Property<'a>>, Error> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let identifier = self.reader.u8()?;
        let property = Property::decode(identifier, &mut self.reader)?;
        if identifier == USER_PROPERTY {
            return Ok(Some(property));
        }
        // Known identifiers are below 64, so that the shift cannot overflow.
        let bit = 1_u64.checked_shl(u32::from(identifier)).unwrap_or_default();
        if self.seen & bit != 0 {
            return Err(DUPLICATE);
        }
        self.seen |= bit;
        Ok(Some(property))
    }

    /// Lets further Subscription Identifiers come: PUBLISH may carry several.
    #[inline]
    pub(crate) fn allow_subscription_identifier_again(&mut self) {
        self.seen &= !(1 << SUBSCRIPTION_IDENTIFIER);
    }
}

/// What all answers of a 5.0 server may say beside their Reason Code.
#[derive(Default)]
pub(crate) struct Remarks {
    pub(crate) reason_string: Option<String>,
    pub(crate) user_properties: UserPropertiesBuf,
}

impl Remarks {
    /// Reads the property section of a packet that may carry these two and no other.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut remarks = Self::default();
        let mut walk = PropertyWalk::new(reader.property_section()?);
        while let Some(property) = walk.next_property()? {
            match property {
                Property::ReasonString(text) => remarks.reason_string = Some(text.to_owned()),
                Property::User(name, value) => {
                    push_user_property(&mut remarks.user_properties, name, value);
                }
                _ => return Err(NOT_ALLOWED),
            }
        }
        Ok(remarks)
    }
}

pub(crate) fn push_user_property(list: &mut UserPropertiesBuf, name: &str, value: &str) {
    list.push((name.to_owned(), value.to_owned()));
}

/// Appends the properties that are there, without a length in front.
pub(crate) fn encode_list(list: &[Option<Property<'_>>], out: &mut Vec<u8>) {
    for property in list.iter().flatten() {
        property.encode(out);
    }
}

/// Appends User Properties, without a length in front.
pub(crate) fn encode_user_properties(user_properties: &[(String, String)], out: &mut Vec<u8>) {
    for (name, value) in user_properties {
        Property::User(name, value).encode(out);
    }
}

/// Appends a whole property section: its length, the properties, then the User Properties.
pub(crate) fn encode_section(
    list: &[Option<Property<'_>>],
    user_properties: &[(String, String)],
    out: &mut Vec<u8>,
) {
    let mut section = Vec::new();
    encode_list(list, &mut section);
    encode_user_properties(user_properties, &mut section);
    variable_byte_integer::encode(section.len(), out);
    out.extend_from_slice(&section);
}

const DUPLICATE: Error =
    Error::protocol("a property that may stand once stands twice", "section 2.2.2.2");

#[cfg(test)]
mod tests;
