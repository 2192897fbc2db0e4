//! `/api/v1/clients/{client_id}/history`: what happened to a client lately.
//!
//! Knows nothing of how events come about; asks `telemetry`, which keeps them.

use serde::Serialize;
use telemetry::{Past, calendar::timestamp};
use utoipa::ToSchema;

use crate::{
    call::{Answer, Call, now_ms},
    field::{Field, Fields},
};

/// What happened to a client, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClientHistory {
    events: Vec<ClientEvent>,
}

/// Something that happened to a client. What does not apply is null.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClientEvent {
    /// When, RFC 3339; of several, the last.
    time: String,
    /// When it happened for the first of `times`.
    first_time: String,
    /// How many times in a row.
    times: u64,
    /// `connected`, `authenticated`, `connect_refused`, `disconnected`, `taken_over`,
    /// `session_ended`, `publish_denied`, `subscribe_denied`, `will_refused`,
    /// `protocol_violation` or `reading_paused`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Address and port.
    remote: Option<String>,
    /// Name of the listener.
    listener: Option<String>,
    /// Who it proved to be.
    principal: Option<String>,
    /// Name of a Reason Code, or of what takes its place.
    reason: Option<String>,
    /// Names the decision.
    decision: Option<String>,
    /// The plugin that decided.
    plugin: Option<String>,
    /// Why, for the operator.
    cause: Option<String>,
    /// Topic Name or Topic Filter.
    topic: Option<String>,
    /// Bytes read from the client while it was connected.
    bytes_received: Option<u64>,
    /// Bytes written to it.
    bytes_sent: Option<u64>,
    /// How long it was connected, milliseconds.
    connected_ms: Option<u64>,
}

/// `GET /api/v1/clients/{client_id}/history`
pub(crate) async fn show(call: Call) -> Answer {
    let client_id = call.path("client_id")?;
    let found = call.shared.state.records.history.of(&client_id, now_ms());
    let fields = call.fields();
    let events = found.into_iter().map(|past| event(past, fields)).collect();
    call.json_answer(&ClientHistory { events })
}

fn event(past: Past, fields: Fields) -> ClientEvent {
    let clear = |text: Option<Box<str>>| text.map(String::from);
    let shown = |field, text: Option<Box<str>>| {
        text.map(|text| fields.show(field, text.into_string()).into_owned())
    };
    ClientEvent {
        time: timestamp(past.at_unix_ms),
        first_time: timestamp(past.first_unix_ms),
        times: past.times,
        kind: past.kind.name(),
        remote: past.remote.map(|at| fields.show(Field::Address, at.to_string()).into_owned()),
        listener: clear(past.listener),
        principal: shown(Field::Username, past.principal),
        reason: clear(past.reason),
        decision: clear(past.decision),
        plugin: clear(past.plugin),
        cause: past.cause.map(|cause| fields.show_sentence(cause.into_string()).into_owned()),
        topic: shown(Field::Topic, past.topic),
        bytes_received: past.traffic.map(|[received, _, _]| received),
        bytes_sent: past.traffic.map(|[_, sent, _]| sent),
        connected_ms: past.traffic.map(|[_, _, connected]| connected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_read_a_field_sees_the_mask() {
        let secret = || Some(Box::<str>::from("secret"));
        let past = Past {
            at_unix_ms: 1,
            first_unix_ms: 1,
            times: 1,
            kind: telemetry::HappeningKind::PublishDenied,
            remote: Some("192.0.2.9:1".parse().unwrap()),
            listener: None,
            principal: secret(),
            reason: None,
            decision: None,
            plugin: None,
            cause: secret(),
            topic: secret(),
            traffic: None,
        };
        let clear = serde_json::to_string(&event(past.clone(), Fields::all())).unwrap();
        assert_eq!(clear.matches("secret").count(), 3);
        let masked = serde_json::to_string(&event(past, Fields::default())).unwrap();
        assert!(!masked.contains("secret") && !masked.contains("192.0.2.9"), "{masked}");
        assert_eq!(masked.matches("***").count(), 4);
    }
}
