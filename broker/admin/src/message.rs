//! `/api/v1/publish` and `/api/v1/retained`: messages that the API publishes, and those that are kept.
//!
//! Knows nothing of routing; asks the broker. A payload is text or base64, in and out.

use std::sync::Arc;

use access::{Publication, PublicationProperties};
use axum::{http::StatusCode, response::IntoResponse};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use server::{ApiMessage, ApiRefused, RetainedInfo};
use topic::{TopicFilter, TopicName};
use utoipa::{IntoParams, ToSchema};

use crate::{
    call::{Answer, Call, blocking, json},
    field::{Field, Fields, MASK},
    page::{check_limit, default_limit, may_choose_by},
    permissions::qos,
    problem::Problem,
};

/// A message to publish.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishRequest {
    /// Topic Name.
    topic: String,
    /// Payload as text; this or `payload_base64`, or none of them for an empty one.
    payload: Option<String>,
    /// Payload in base64.
    payload_base64: Option<String>,
    /// QoS.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2, default = 0)]
    qos: u8,
    /// RETAIN flag; with an empty payload it removes what is retained.
    #[serde(default)]
    #[schema(default = false)]
    retain: bool,
    /// The listener whose chain has the inbound transforms; without it those of the default chain.
    listener: Option<String>,
    /// Message Expiry Interval in seconds.
    message_expiry_seconds: Option<u32>,
    /// Payload Format Indicator: the payload is UTF-8.
    #[serde(default)]
    #[schema(default = false)]
    payload_is_utf8: bool,
    /// Content Type.
    content_type: Option<String>,
    /// Response Topic.
    response_topic: Option<String>,
    /// Correlation Data in base64.
    correlation_data_base64: Option<String>,
    /// User Properties, pairs of name and value.
    #[serde(default)]
    user_properties: Vec<(String, String)>,
}

/// What became of a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Published {
    /// Sessions, and groups of shared subscriptions, that it went to.
    receivers: u32,
    /// The topic that it went to; a transform may have changed it.
    topic: String,
    /// A transform kept it: it went nowhere.
    swallowed: bool,
    /// A transform changed it.
    transformed: bool,
}

/// Which retained messages to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetainedQuery {
    /// Only those that this Topic Filter selects; those of the broker itself only with `$SYS/...`. Other filters
    /// than `#` need field:topic.
    filter: Option<String>,
    /// Start here: the `next` of the page before.
    after: Option<String>,
    /// At most so many messages.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

/// One page of retained messages. It may be short, even empty, and still have a next one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetainedMessages {
    /// In the order of their topics, level by level; without payloads.
    messages: Vec<RetainedLine>,
    /// Give this as `after` for the next page; null = this is the last.
    next: Option<String>,
}

/// A retained message in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetainedLine {
    /// Topic Name.
    topic: String,
    /// Bytes of the payload.
    payload_bytes: usize,
    /// QoS.
    qos: u8,
    /// Client Identifier of who published it; `$plugin/NAME` and `$api/USER` for others than clients, empty = the broker.
    publisher: String,
    /// It is not handed out: its publisher might no longer publish it.
    withheld: bool,
}

/// A retained message with all there is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetainedMessage {
    #[serde(flatten)]
    line: RetainedLine,
    /// Payload in base64; `***` without field:payload.
    payload_base64: String,
    /// Payload as text, where it is UTF-8 and may be read.
    payload: Option<String>,
    /// What is left of the Message Expiry Interval, in seconds.
    message_expiry_seconds: Option<u32>,
    /// Payload Format Indicator: the payload is UTF-8.
    payload_is_utf8: bool,
    /// Content Type.
    content_type: Option<String>,
    /// Response Topic.
    response_topic: Option<String>,
    /// Correlation Data in base64; `***` without field:payload.
    correlation_data_base64: Option<String>,
    /// User Properties; values are `***` without field:payload.
    user_properties: Vec<(String, String)>,
}

/// Largest body of a publish request: a payload of 1 MiB in base64 and what is around it.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// `POST /api/v1/publish`
pub(crate) async fn publish(call: Call) -> Answer {
    let user = call.who()?.user.clone();
    let (shared, request) = call.json_up_to::<PublishRequest>(BODY_BYTES_MAX).await?;
    if let Some(listener) = &request.listener {
        let listeners = shared.state.broker.listeners();
        if !listeners.iter().any(|known| *known.name == **listener) {
            let names: Vec<_> = listeners.iter().map(|known| &*known.name).collect();
            let problem = Problem::invalid(format!("no listener is named {listener:?}"));
            return Err(problem.about("listener").allowed(names.join(", ")));
        }
    }
    let listener = request.listener.clone();
    let user = user.as_deref().unwrap_or(HOLDER_OF_TOKEN).to_owned();
    let message = ApiMessage { user, listener, publication: request.read()? };
    let published = shared.state.broker.publish(message).await.map_err(problem)?;
    json(
        StatusCode::OK,
        &Published {
            receivers: published.receivers,
            topic: published.topic,
            swallowed: published.swallowed,
            transformed: published.transformed,
        },
    )
}

fn problem(refused: ApiRefused) -> Problem {
    match refused {
        ApiRefused::Invalid(why) => Problem::invalid(why),
        ApiRefused::Rejected { code, cause } => {
            Problem::refused(format!("{}: {cause}", code.name()))
        }
        ApiRefused::Busy => Problem::busy(ApiRefused::Busy.to_string()),
    }
}

impl PublishRequest {
    fn read(self) -> Result<Publication, Problem> {
        let topic = TopicName::new(&self.topic)?;
        let payload = match (self.payload, self.payload_base64) {
            (Some(_), Some(_)) => {
                let problem = Problem::invalid("there are two payloads");
                return Err(problem.about("payload").allowed("payload or payload_base64"));
            }
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => decode("payload_base64", &text)?,
            (None, None) => Vec::new(),
        };
        let correlation = self.correlation_data_base64.as_deref();
        let correlation = correlation.map(|text| decode("correlation_data_base64", text));
        Ok(Publication {
            plugin: String::new(),
            topic,
            payload,
            qos: qos(self.qos)?,
            retain: self.retain,
            properties: PublicationProperties {
                payload_is_utf8: self.payload_is_utf8,
                message_expiry_seconds: self.message_expiry_seconds,
                content_type: self.content_type,
                response_topic: self.response_topic,
                correlation_data: correlation.transpose()?,
                user_properties: self.user_properties,
            },
        })
    }
}

fn decode(parameter: &str, text: &str) -> Result<Vec<u8>, Problem> {
    BASE64_STANDARD
        .decode(text)
        .map_err(|_| Problem::invalid(format!("{parameter} is no base64")).about(parameter))
}

/// `GET /api/v1/retained`
pub(crate) async fn list_retained(call: Call) -> Answer {
    let query: RetainedQuery = call.query()?;
    let (shared, fields) = (Arc::clone(&call.shared), call.fields());
    let chosen = query.filter.as_deref().is_some_and(|filter| filter != "#");
    may_choose_by(fields, Field::Topic, ("filter", chosen))?;
    let filter = TopicFilter::new(query.filter.as_deref().unwrap_or("#"));
    let filter = filter.map_err(|error| Problem::from(error).about("filter"))?;
    let limit = check_limit(query.limit)?;
    let after = query.after.as_deref().map(|after| shared.cursors.open::<String>(LIST, after));
    let after = after.transpose()?.map(|topic| TopicName::new(&topic)).transpose()?;
    let page =
        blocking(move || shared.state.broker.retained(&filter, after.as_ref(), limit)).await?;
    let next = page.next.map(|next| call.shared.cursors.seal(LIST, &next.as_str()));
    let messages = page.messages.iter().map(|info| RetainedLine::of(info, fields)).collect();
    call.json_answer(&RetainedMessages { messages, next: next.transpose()? })
}

/// `GET /api/v1/retained/{topic}`
pub(crate) async fn show_retained(call: Call) -> Answer {
    let topic = call.path("topic")?;
    let info = call.shared.state.broker.retained_message(&topic);
    let info = info.ok_or_else(|| nothing(&topic))?;
    call.json_answer(&RetainedMessage::of(&info, call.fields()))
}

/// `DELETE /api/v1/retained/{topic}`
pub(crate) async fn remove_retained(call: Call) -> Answer {
    let topic = call.path("topic")?;
    if topic::is_of_broker(&topic) {
        return Err(Problem::invalid("what the broker says of itself stays").about("topic"));
    }
    if call.shared.state.broker.remove_retained(&topic).await {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(nothing(&topic))
}

fn nothing(topic: &str) -> Problem {
    Problem::not_found(format!("nothing is retained for {topic:?}"))
}

impl RetainedLine {
    fn of(info: &RetainedInfo, fields: Fields) -> Self {
        Self {
            topic: fields.show(Field::Topic, info.topic.as_str()).into_owned(),
            payload_bytes: info.payload_bytes,
            qos: info.qos.value(),
            publisher: fields.show(Field::ClientId, &*info.publisher).into_owned(),
            withheld: info.is_withheld,
        }
    }
}

impl RetainedMessage {
    fn of(info: &RetainedInfo, fields: Fields) -> Self {
        let show = |field, text: String| fields.show(field, text).into_owned();
        let payload = info.payload.as_deref().unwrap_or_default();
        let (properties, readable) = (&info.properties, fields.has(Field::Payload));
        let correlation = properties.correlation_data.as_deref();
        let pairs = properties.user_properties.iter();
        Self {
            line: RetainedLine::of(info, fields),
            payload_base64: show(Field::Payload, BASE64_STANDARD.encode(payload)),
            payload: std::str::from_utf8(payload).ok().filter(|_| readable).map(str::to_owned),
            message_expiry_seconds: properties.message_expiry_seconds,
            payload_is_utf8: properties.payload_is_utf8,
            content_type: properties.content_type.clone(),
            response_topic: properties.response_topic.clone().map(|t| show(Field::Topic, t)),
            correlation_data_base64: correlation
                .map(|data| show(Field::Payload, BASE64_STANDARD.encode(data))),
            user_properties: pairs
                .map(|(name, value)| {
                    (name.clone(), if readable { value.clone() } else { MASK.to_owned() })
                })
                .collect(),
        }
    }
}

const LIST: &str = "retained";
/// Who publishes with the token of the first start.
const HOLDER_OF_TOKEN: &str = "admin.token";
