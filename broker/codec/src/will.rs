//! The Will Message inside a CONNECT (sections 3.1.3.2 to 3.1.3.4): what the server publishes when
//! the client is lost. When that is, `session` decides.

use crate::properties::{
    PropertyWalk, encode_list, encode_section, encode_user_properties, push_user_property,
};
use crate::property::{NOT_ALLOWED, Property};
use crate::reader::Reader;
use crate::{Error, ProtocolVersion, QoS, UserPropertiesBuf, topic_name, writer};

/// The Will Message of a CONNECT.
#[derive(Clone, Debug, PartialEq)]
pub struct Will {
    /// Will Topic; valid, without wildcards.
    pub topic: String,
    /// Will Payload.
    pub payload: Vec<u8>,
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Will Delay Interval in seconds.
    pub delay_interval: u32,
    /// Payload Format Indicator: `Some(true)` = UTF-8.
    pub payload_format_indicator: Option<bool>,
    /// Message Expiry Interval in seconds.
    pub message_expiry_interval: Option<u32>,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Vec<u8>>,
    /// User Properties.
    pub user_properties: UserPropertiesBuf,
}

impl Will {
    /// A QoS 0 Will without properties.
    pub fn new(topic: &str, payload: &[u8]) -> Self {
        Self {
            topic: topic.to_owned(),
            payload: payload.to_owned(),
            qos: QoS::AtMostOnce,
            retain: false,
            delay_interval: 0,
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        }
    }

    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        version: ProtocolVersion,
        qos: QoS,
        retain: bool,
    ) -> Result<Self, Error> {
        let mut will = Self { qos, retain, ..Self::new("", &[]) };
        if version == ProtocolVersion::V5 {
            will.decode_properties(reader.property_section()?)?;
        }
        will.topic = topic_name::decode_not_empty(reader.binary()?)?.to_owned();
        will.payload = reader.binary()?.to_owned();
        Ok(will)
    }

    fn decode_properties(&mut self, section: &[u8]) -> Result<(), Error> {
        let mut walk = PropertyWalk::new(section);
        while let Some(property) = walk.next_property()? {
            match property {
                Property::WillDelayInterval(value) => self.delay_interval = value,
                Property::PayloadFormatIndicator(value) => {
                    self.payload_format_indicator = Some(value);
                }
                Property::MessageExpiryInterval(value) => {
                    self.message_expiry_interval = Some(value)
                }
                Property::ContentType(text) => self.content_type = Some(text.to_owned()),
                Property::ResponseTopic(text) => self.response_topic = Some(text.to_owned()),
                Property::CorrelationData(data) => self.correlation_data = Some(data.to_owned()),
                Property::User(name, value) => {
                    push_user_property(&mut self.user_properties, name, value);
                }
                _ => return Err(NOT_ALLOWED),
            }
        }
        Ok(())
    }

    /// As [`crate::Publish::encode_forwarded`].
    pub fn encode_forwarded(&self, out: &mut Vec<u8>) {
        encode_list(&self.forwarded(), out);
        encode_user_properties(&self.user_properties, out);
    }

    fn forwarded(&self) -> [Option<Property<'_>>; 4] {
        [
            self.payload_format_indicator.map(Property::PayloadFormatIndicator),
            self.response_topic.as_deref().map(Property::ResponseTopic),
            self.correlation_data.as_deref().map(Property::CorrelationData),
            self.content_type.as_deref().map(Property::ContentType),
        ]
    }

    pub(crate) fn encode(&self, version: ProtocolVersion, body: &mut Vec<u8>) {
        if version == ProtocolVersion::V5 {
            let delay = Some(self.delay_interval).filter(|&seconds| seconds != 0);
            let expiry = self.message_expiry_interval.map(Property::MessageExpiryInterval);
            let [format, response_topic, correlation_data, content_type] = self.forwarded();
            let list = [
                delay.map(Property::WillDelayInterval),
                expiry,
                format,
                response_topic,
                correlation_data,
                content_type,
            ];
            encode_section(&list, &self.user_properties, body);
        }
        writer::utf8(&self.topic, body);
        writer::binary(&self.payload, body);
    }
}
