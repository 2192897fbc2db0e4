//! All about one client: session, subscriptions, certificate, will, what it may do, and the latest decisions on it.

use std::sync::Arc;

use access::{
    AnswerInForce, ClientLimits, Condition, Effect, LinkInForce, PeerCertificate, QoSSet,
    RuleInForce,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use codec::QoS;
use serde::Serialize;
use server::WillInfo;
use utoipa::ToSchema;

use super::{Client, unknown};
use crate::{
    call::{Answer, Call, blocking},
    field::{Field, Fields},
    subscriptions::Subscription,
};

/// Rules of a client that are shown.
const RULES_MAX: usize = 1_000;
/// Decisions of a client that are named.
const DECISIONS_MAX: usize = 20;

/// All about one client.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClientDetail {
    #[serde(flatten)]
    client: Client,
    /// Its subscriptions.
    subscriptions: Vec<Subscription>,
    /// Bytes of the messages that wait.
    queued_bytes: usize,
    /// QoS 2 messages from it whose PUBREL has not come.
    awaiting_release: usize,
    /// Seconds until the session ends by itself; null = it is connected.
    expires_in_seconds: Option<u64>,
    /// Whether the session outlives the process.
    stored: bool,
    /// Attributes that the plugins gave it.
    attributes: Vec<(String, String)>,
    /// When the identity ends, and the connection with it, seconds since 1970.
    identity_ends_unix: Option<u64>,
    /// Bounds of its grant.
    grant: GrantBounds,
    /// Its certificate.
    certificate: Option<Certificate>,
    /// Its Will Message.
    will: Option<Will>,
    /// What it may do, link by link; null = it is not connected.
    permissions: Option<Vec<LinkRules>>,
    /// The latest decisions on it, the newest first, by name.
    decisions: Vec<String>,
}

/// Bounds that the grant of a client sets; null = what the configuration says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GrantBounds {
    /// Session Expiry Interval, in seconds.
    session_expiry_seconds_max: Option<u32>,
    /// PUBLISH packets a second.
    messages_per_second: Option<u32>,
    /// PUBLISH packets at once.
    messages_burst: Option<u32>,
    /// Bytes a second.
    bytes_per_second: Option<u32>,
    /// Receive Maximum that it is told.
    receive_maximum: Option<u16>,
    /// Messages in flight to it.
    in_flight_max: Option<u16>,
    /// Messages that wait for it.
    queue_messages_max: Option<u32>,
    /// Bytes that wait for it.
    queue_bytes_max: Option<u32>,
    /// Bytes of a packet from it.
    packet_bytes_max: Option<u32>,
    /// Keep Alive, in seconds.
    keep_alive_seconds_max: Option<u16>,
    /// Subscriptions.
    subscriptions_max: Option<u32>,
}

/// The certificate that a client showed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Certificate {
    /// Subject distinguished name.
    subject: String,
    /// Issuer distinguished name.
    issuer: String,
    /// Serial number in hex.
    serial: String,
    /// SHA-256 of its DER encoding in hex: what a ban takes.
    sha256: String,
    /// Names in it: DNS, URI and e-mail.
    names: Vec<String>,
    /// End of its validity, seconds since 1970.
    not_after_unix: u64,
}

/// A Will Message that waits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Will {
    /// Topic Name.
    topic: String,
    /// Payload in base64; `***` without field:will and field:payload.
    payload_base64: String,
    /// Bytes of the payload.
    payload_bytes: usize,
    /// QoS.
    qos: u8,
    /// RETAIN flag.
    retain: bool,
    /// Will Delay Interval in seconds.
    delay_seconds: u64,
    /// Message Expiry Interval in seconds.
    expiry_seconds: Option<u32>,
}

/// What one link says for a client.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkRules {
    /// Name of the plugin.
    plugin: String,
    /// `rules`, `deny_all` or `next` (no word on this client).
    answer: &'static str,
    /// Allow rules that fell away, counted from 1, because the client id or principal cannot be filled in safely.
    dropped: Vec<u32>,
    /// In order of precedence.
    rules: Vec<RuleShown>,
    /// There are more than are shown.
    more: bool,
}

/// One rule, with the variables filled in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleShown {
    /// Its place in the plugin's answer, from 1.
    rule: u32,
    /// `allow` or `deny`.
    effect: &'static str,
    /// Topic Filter.
    filter: String,
    /// Which PUBLISH it is about; null = none.
    publish: Option<Conditions>,
    /// Which SUBSCRIBE it is about; null = none.
    subscribe: Option<Conditions>,
    /// Only this share name.
    share_name: Option<String>,
    /// Whether it decided anything since it came in force.
    used: bool,
    /// It never decides: this rule before it, perhaps with others, covers all that it is about.
    covered_by: Option<u32>,
}

/// What a rule asks of an operation beside its topic.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Conditions {
    /// QoS.
    qos: Vec<u8>,
    /// RETAIN flag of a PUBLISH, shared subscription of a SUBSCRIBE: `any`, `yes` or `no`.
    flag: &'static str,
}

/// `GET /api/v1/clients/{client_id}`
pub(crate) async fn show(call: Call) -> Answer {
    let client_id = call.path("client_id")?;
    let (shared, fields) = (Arc::clone(&call.shared), call.fields());
    let asked = client_id.clone();
    let shown = blocking(move || {
        let detail = shared.state.broker.client_detail(&asked)?;
        let decisions = shared.state.gate.decisions();
        let decisions = decisions.latest(None, DECISIONS_MAX, |d| *d.client_id == *asked);
        let decisions = decisions.iter().map(|decision| decision.id.to_string()).collect();
        Some(ClientDetail::of(detail, decisions, fields))
    });
    let shown = shown.await?.ok_or_else(|| unknown(&client_id))?;
    call.json_answer(&shown)
}

impl ClientDetail {
    fn of(detail: server::ClientDetail, decisions: Vec<String>, fields: Fields) -> Self {
        let permissions = detail.permissions.map(|permissions| {
            permissions.in_force().into_iter().map(|link| LinkRules::of(link, fields)).collect()
        });
        let show = |text: String| fields.show(Field::Username, text).into_owned();
        let attributes = detail.attributes.into_iter();
        Self {
            subscriptions: detail
                .subscriptions
                .into_iter()
                .map(|subscription| Subscription::of(subscription, fields))
                .collect(),
            queued_bytes: detail.queued_bytes,
            awaiting_release: detail.awaiting_release,
            expires_in_seconds: detail.expires_in_seconds,
            stored: detail.is_stored,
            attributes: attributes.map(|(name, value)| (name, show(value))).collect(),
            identity_ends_unix: detail.identity_ends_unix,
            grant: GrantBounds::of(detail.limits, detail.session_expiry_seconds_max),
            certificate: detail.certificate.map(|c| Certificate::of(&c, fields)),
            will: detail.will.map(|will| Will::of(&will, fields)),
            permissions,
            decisions,
            client: Client::of(detail.info, fields),
        }
    }
}

impl GrantBounds {
    fn of(limits: ClientLimits, session_expiry_seconds_max: Option<u32>) -> Self {
        Self {
            session_expiry_seconds_max,
            messages_per_second: limits.messages_per_second,
            messages_burst: limits.messages_burst,
            bytes_per_second: limits.bytes_per_second,
            receive_maximum: limits.receive_maximum,
            in_flight_max: limits.in_flight_max,
            queue_messages_max: limits.queue_messages_max,
            queue_bytes_max: limits.queue_bytes_max,
            packet_bytes_max: limits.packet_bytes_max,
            keep_alive_seconds_max: limits.keep_alive_seconds_max,
            subscriptions_max: limits.subscriptions_max,
        }
    }
}

impl Certificate {
    fn of(certificate: &PeerCertificate, fields: Fields) -> Self {
        let show = |text: &str| fields.show(Field::Username, text).into_owned();
        let names = [&certificate.dns_names, &certificate.uris, &certificate.email_names];
        Self {
            subject: show(&certificate.subject),
            issuer: certificate.issuer.clone(),
            serial: show(&certificate.serial),
            sha256: show(
                &certificate.sha256.iter().map(|b| format!("{b:02x}")).collect::<String>(),
            ),
            names: names.into_iter().flatten().map(|name| show(name)).collect(),
            not_after_unix: certificate.not_after_unix,
        }
    }
}

impl Will {
    /// What is in it needs the right to wills beside that to topics or payloads.
    fn of(will: &WillInfo, fields: Fields) -> Self {
        let show = |field, text: String| {
            let shown = fields.show(field, text).into_owned();
            fields.show(Field::Will, shown).into_owned()
        };
        Self {
            topic: show(Field::Topic, will.topic.clone()),
            payload_base64: show(Field::Payload, BASE64_STANDARD.encode(&will.payload)),
            payload_bytes: will.payload.len(),
            qos: will.qos.value(),
            retain: will.retain,
            delay_seconds: will.delay_seconds,
            expiry_seconds: will.expiry_seconds,
        }
    }
}

impl LinkRules {
    fn of(link: LinkInForce, fields: Fields) -> Self {
        let more = link.rules.len() > RULES_MAX;
        let rules = link.rules.into_iter().take(RULES_MAX);
        Self {
            plugin: link.plugin.to_string(),
            answer: match link.answer {
                AnswerInForce::Rules => "rules",
                AnswerInForce::DenyAll => "deny_all",
                AnswerInForce::Next => "next",
            },
            dropped: link.dropped,
            rules: rules.map(|rule| RuleShown::of(rule, fields)).collect(),
            more,
        }
    }
}

impl RuleShown {
    pub(crate) fn of(rule: RuleInForce, fields: Fields) -> Self {
        Self {
            rule: rule.number,
            effect: effect_name(rule.effect),
            filter: fields.show(Field::Topic, rule.filter).into_owned(),
            publish: rule.publish.map(Conditions::of),
            subscribe: rule.subscribe.map(Conditions::of),
            share_name: rule
                .share_name
                .map(|name| fields.show(Field::Topic, name.to_string()).into_owned()),
            used: rule.used,
            covered_by: rule.covered_by,
        }
    }
}

pub(crate) fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

impl Conditions {
    fn of((qos, flag): (QoSSet, Condition)) -> Self {
        let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
        let levels = levels.into_iter().filter(|level| qos.contains(*level));
        Self {
            qos: levels.map(QoS::value).collect(),
            flag: match flag {
                Condition::Any => "any",
                Condition::Yes => "yes",
                Condition::No => "no",
            },
        }
    }
}
