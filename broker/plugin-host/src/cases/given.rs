//! What cases give, with defaults for everything that a case is not about.

use std::{net::SocketAddr, sync::Arc};

use access::{
    Application, ClientLimits, Connection, Identity, Password, PeerCertificate, Source, Subject,
    TlsSession, WillSummary,
};
use codec::{ProtocolVersion, QoS};
use serde::Deserialize;
use topic::{TopicFilter, TopicName};

use super::answered::from_hex;

/// The client: who it says, and who it proved to be where that is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Client {
    client_id: String,
    username: Option<String>,
    listener: String,
    remote: SocketAddr,
    protocol: Protocol,
    attributes: Vec<(String, String)>,
    tls: Option<Tls>,
    principal: String,
    authenticated_by: String,
    groups: Vec<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
enum Protocol {
    #[serde(rename = "3.1.1")]
    V311,
    #[default]
    #[serde(rename = "5.0")]
    V5,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    #[serde(default)]
    version: TlsVersion,
    server_name: Option<String>,
    certificate: Option<Certificate>,
}

#[derive(Clone, Copy, Default, Deserialize)]
enum TlsVersion {
    #[serde(rename = "1.2")]
    V12,
    #[default]
    #[serde(rename = "1.3")]
    V13,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Certificate {
    subject: String,
    issuer: String,
    serial: String,
    common_name: Option<String>,
    dns_names: Vec<String>,
    uris: Vec<String>,
    email_names: Vec<String>,
    not_after_unix: u64,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            client_id: "client".to_owned(),
            username: None,
            listener: "mqtt".to_owned(),
            remote: SocketAddr::from(([127, 0, 0, 1], 50_000)),
            protocol: Protocol::default(),
            attributes: Vec::new(),
            tls: None,
            principal: "user".to_owned(),
            authenticated_by: "test".to_owned(),
            groups: Vec::new(),
        }
    }
}

impl Client {
    /// Before it proved anything.
    pub(super) fn connection(self) -> Connection {
        Connection {
            connection_id: 1,
            client_id: self.client_id.into(),
            username: self.username,
            listener: self.listener.into(),
            remote: self.remote,
            protocol: match self.protocol {
                Protocol::V311 => ProtocolVersion::V311,
                Protocol::V5 => ProtocolVersion::V5,
            },
            tls: self.tls.map(Tls::into),
            attributes: self.attributes,
        }
    }

    /// After it did. `attributes` are those of the grant.
    pub(super) fn subject(self) -> Subject {
        let identity = Identity {
            principal: self.principal.clone().into(),
            authenticated_by: self.authenticated_by.clone().into(),
            groups: self.groups.clone(),
            attributes: self.attributes.clone(),
            permissions: Vec::new(),
            expires_at_unix: None,
            session_expiry_seconds_max: None,
            limits: ClientLimits::default(),
            user_properties: Vec::new(),
        };
        Subject::new(&self.connection(), Arc::new(identity))
    }
}

impl From<Tls> for TlsSession {
    fn from(tls: Tls) -> Self {
        let certificate = tls.certificate.map(|given| {
            Arc::new(PeerCertificate {
                sha256: [0; 32],
                subject: given.subject,
                issuer: given.issuer,
                serial: given.serial,
                common_name: given.common_name,
                dns_names: given.dns_names,
                uris: given.uris,
                email_names: given.email_names,
                not_after_unix: given.not_after_unix,
                der_chain: Vec::new(),
            })
        });
        let version = match tls.version {
            TlsVersion::V12 => "1.2",
            TlsVersion::V13 => "1.3",
        };
        Self { version, server_name: tls.server_name, certificate }
    }
}

/// What CONNECT carries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Credentials {
    password: Option<Octets>,
    clean_start: bool,
    keep_alive_seconds: u16,
    user_properties: Vec<(String, String)>,
    will: Option<Will>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Will {
    topic: String,
    #[serde(default)]
    qos: Level,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    payload_bytes: u32,
    #[serde(default)]
    delay_seconds: u32,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            password: None,
            clean_start: true,
            keep_alive_seconds: 60,
            user_properties: Vec::new(),
            will: None,
        }
    }
}

impl From<Credentials> for access::Credentials {
    fn from(given: Credentials) -> Self {
        Self {
            password: given.password.map(|password| Password::new(password.into())),
            clean_start: given.clean_start,
            keep_alive_seconds: given.keep_alive_seconds,
            user_properties: given.user_properties,
            will: given.will.map(|will| WillSummary {
                topic: will.topic,
                qos: will.qos.into(),
                retain: will.retain,
                payload_bytes: will.payload_bytes,
                delay_seconds: will.delay_seconds,
            }),
        }
    }
}

/// One operation: either of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    publish: Option<String>,
    subscribe: Option<String>,
    #[serde(default)]
    qos: Level,
    retain: Option<bool>,
    payload_bytes: Option<usize>,
    share_name: Option<String>,
}

impl Operation {
    /// As a plugin is asked about it.
    pub(super) fn operation(self) -> Result<access::Operation, String> {
        let qos = self.qos.into();
        let (retain, payload_bytes, share_name) =
            (self.retain, self.payload_bytes, self.share_name);
        match (self.publish, self.subscribe) {
            (Some(topic), None) if share_name.is_none() => {
                TopicName::check(&topic)
                    .map_err(|error| format!("publish = {topic:?}: {error}"))?;
                let payload_bytes_max =
                    access::Operation::size_class(payload_bytes.unwrap_or_default());
                let retain = retain.unwrap_or_default();
                Ok(access::Operation::Publish { topic, qos, retain, payload_bytes_max })
            }
            (None, Some(filter)) if retain.is_none() && payload_bytes.is_none() => {
                TopicFilter::check(&filter)
                    .map_err(|error| format!("subscribe = {filter:?}: {error}"))?;
                Ok(access::Operation::Subscribe { filter, qos, share_name })
            }
            _ => Err("operation: is { publish, qos, retain, payload_bytes } \
                      or { subscribe, qos, share_name }"
                .to_owned()),
        }
    }
}

/// Where a message comes from.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Origin {
    #[default]
    Publish,
    Will,
    Api,
}

impl From<Origin> for Source {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Publish => Self::Publish,
            Origin::Will => Self::Will,
            Origin::Api => Self::Api,
        }
    }
}

/// A message on its way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    topic: String,
    #[serde(default)]
    payload: Octets,
    #[serde(default)]
    qos: Level,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    payload_is_utf8: bool,
    message_expiry_seconds: Option<u32>,
    content_type: Option<String>,
    response_topic: Option<String>,
    correlation_data: Option<Octets>,
    #[serde(default)]
    user_properties: Vec<(String, String)>,
}

impl Message {
    /// As a plugin sees it.
    pub(super) fn application(self) -> Result<Application, String> {
        let topic = self.topic;
        TopicName::check(&topic).map_err(|error| format!("message.topic = {topic:?}: {error}"))?;
        Ok(Application {
            topic,
            payload: self.payload.into(),
            qos: self.qos.into(),
            retain: self.retain,
            payload_is_utf8: self.payload_is_utf8,
            message_expiry_seconds: self.message_expiry_seconds,
            content_type: self.content_type,
            response_topic: self.response_topic,
            correlation_data: self.correlation_data.map(Octets::into),
            user_properties: self.user_properties,
        })
    }
}

/// Bytes: a text, or `{ hex = "00ff" }`.
#[derive(Default, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(super) struct Octets(Vec<u8>);

impl TryFrom<toml::Value> for Octets {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let hex = match &value {
            toml::Value::String(text) => return Ok(Self(text.clone().into_bytes())),
            toml::Value::Table(table) if table.len() == 1 => table.get("hex"),
            _ => None,
        };
        let bytes = hex.and_then(toml::Value::as_str).and_then(from_hex);
        bytes.map(Self).ok_or_else(|| format!("{value}: must be a text or {{ hex = \"00ff\" }}"))
    }
}

impl From<Octets> for Vec<u8> {
    fn from(octets: Octets) -> Self {
        octets.0
    }
}

/// A QoS.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u8")]
pub(super) struct Level(QoS);

impl Default for Level {
    fn default() -> Self {
        Self(QoS::AtMostOnce)
    }
}

impl TryFrom<u8> for Level {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        QoS::from_value(value).map(Self).ok_or_else(|| format!("qos = {value}: must be 0, 1 or 2"))
    }
}

impl From<Level> for QoS {
    fn from(level: Level) -> Self {
        level.0
    }
}
