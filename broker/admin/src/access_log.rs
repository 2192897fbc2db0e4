//! `/api/v1/access_log`: searches the access log, a bounded piece at a time.
//!
//! Knows nothing of its files; asks `telemetry`, which writes and reads them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use telemetry::{
    AccessQuery, Entry,
    calendar::{day_from, day_of},
};
use utoipa::{IntoParams, ToSchema};

use crate::{
    call::{Answer, Call, blocking, now_ms},
    field::{Field, Fields},
    page::may_choose_by,
    problem::Problem,
};

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// Day in UTC, YYYY-MM-DD; today if not given.
    day: Option<String>,
    /// Only lines about this Client Identifier.
    client_id: Option<String>,
    /// Only lines of this type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Only lines of this principal.
    principal: Option<String>,
    /// Only lines of this IP address.
    address: Option<String>,
    /// Go on here: the `next` of the page before.
    before: Option<u64>,
    /// How many lines at most, 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// Lines of one day, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessLines {
    lines: Vec<AccessLine>,
    /// Give this as `before` to go on; null = everything that there is was looked at. A page may be
    /// empty and have a `next`: one call reads 8 MiB.
    next: Option<u64>,
}

/// A line of the access log. What does not apply is left out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessLine {
    /// RFC 3339 in UTC, with milliseconds.
    time: String,
    /// `connected`, `authenticated`, `connect_refused`, `connection_refused`, `disconnected`,
    /// `taken_over`, `publish_denied`, `subscribe_denied`, `will_refused`, `protocol_violation`;
    /// `repeated`: `count` events of type `of`; `lost`: `count` lines that could not be written.
    #[serde(rename = "type")]
    kind: String,
    /// Client Identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Who it proved to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    /// User Name as claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// Name of the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
    /// Address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<String>,
    /// `3.1.1` or `5.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    /// Name of a Reason Code, or of what takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Names the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    /// The plugin that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<String>,
    /// Why, for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// Topic Name or Topic Filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    /// The client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<AccessCertificate>,
    /// Whether a session went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_present: Option<bool>,
    /// Whether the client ended the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_client: Option<bool>,
    /// Bytes read from the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_received: Option<u64>,
    /// Bytes written to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_sent: Option<u64>,
    /// How long it was connected, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_ms: Option<u64>,
    /// How many events the line stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// Type of the events that a `repeated` line stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
}

/// A certificate; shown to those who may read user names.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccessCertificate {
    /// Subject distinguished name (RFC 4514).
    subject: String,
    /// Serial number, lower-case hexadecimal.
    serial: String,
    /// SHA-256 of the DER encoding.
    sha256: String,
}

/// `GET /api/v1/access_log`
pub(crate) async fn search(call: Call) -> Answer {
    let query: SearchQuery = call.query()?;
    let fields = call.fields();
    for (field, parameter, is_used) in [
        (Field::ClientId, "client_id", query.client_id.is_some()),
        (Field::Username, "principal", query.principal.is_some()),
        (Field::Address, "address", query.address.is_some()),
    ] {
        may_choose_by(fields, field, (parameter, is_used))?;
    }
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::invalid(format!("a page has no {limit} lines"))
            .about("limit")
            .allowed(format!("1 to {PAGE_MAX}")));
    }
    let day = match &query.day {
        None => day_of(now_ms()),
        Some(day) => day_from(day).ok_or_else(|| {
            Problem::invalid(format!("{day:?} is no day")).about("day").allowed("YYYY-MM-DD")
        })?,
    };
    let Some(log) = call.shared.state.records.access_log.clone() else {
        return Err(Problem::not_found("the access log is switched off: [access_log] enabled"));
    };
    let found = blocking(move || {
        log.search(AccessQuery {
            day,
            client_id: query.client_id.as_deref(),
            kind: query.kind.as_deref(),
            principal: query.principal.as_deref(),
            address: query.address.as_deref(),
            before: query.before,
            limit,
        })
    });
    let page = found
        .await?
        .map_err(|error| Problem::internal(format!("the access log could not be read: {error}")))?;
    let lines = page.entries.into_iter().map(|entry| line(entry, fields)).collect();
    call.json_answer(&AccessLines { lines, next: page.next })
}

pub(crate) fn line(entry: Entry<'static>, fields: Fields) -> AccessLine {
    let shown = |field, text: Option<Cow<'static, str>>| {
        text.map(|text| fields.show(field, text).into_owned())
    };
    let clear = |text: Option<Cow<'static, str>>| text.map(Into::into);
    let certificate = entry.certificate.map(|certificate| AccessCertificate {
        subject: fields.show(Field::Username, certificate.subject).into_owned(),
        serial: fields.show(Field::Username, certificate.serial).into_owned(),
        sha256: fields.show(Field::Username, certificate.sha256).into_owned(),
    });
    AccessLine {
        time: entry.time.into(),
        kind: entry.kind.into(),
        client_id: shown(Field::ClientId, entry.client_id),
        principal: shown(Field::Username, entry.principal),
        username: shown(Field::Username, entry.username),
        listener: clear(entry.listener),
        remote: shown(Field::Address, entry.remote),
        protocol: clear(entry.protocol),
        reason: clear(entry.reason),
        decision: clear(entry.decision),
        plugin: clear(entry.plugin),
        cause: entry.cause.map(|cause| fields.show_sentence(cause).into_owned()),
        topic: shown(Field::Topic, entry.topic),
        certificate,
        session_present: entry.session_present,
        by_client: entry.by_client,
        bytes_received: entry.bytes_received,
        bytes_sent: entry.bytes_sent,
        connected_ms: entry.connected_ms,
        count: entry.count,
        of: clear(entry.of),
    }
}

const PAGE: usize = 100;
const PAGE_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use telemetry::EntryCertificate;

    use super::*;

    #[test]
    fn who_may_not_read_a_field_sees_the_mask() {
        let secret = || Some("secret".into());
        let entry = Entry {
            time: "2026-11-30T00:00:00.000Z".into(),
            kind: "publish_denied".into(),
            client_id: secret(),
            principal: secret(),
            username: secret(),
            remote: secret(),
            cause: secret(),
            topic: secret(),
            certificate: Some(EntryCertificate {
                subject: "secret".into(),
                serial: "secret".into(),
                sha256: "secret".into(),
            }),
            listener: Some("mqtt".into()),
            ..Entry::default()
        };
        let clear = serde_json::to_string(&line(entry.clone(), Fields::all())).unwrap();
        assert_eq!(clear.matches("secret").count(), 9);
        let masked = serde_json::to_string(&line(entry.clone(), Fields::default())).unwrap();
        assert_eq!((masked.matches("secret").count(), masked.matches("***").count()), (0, 9));
        assert!(masked.contains("mqtt"));
        let topic =
            serde_json::to_value(line(entry, Fields::default().with(Field::Topic))).unwrap();
        assert_eq!((&topic["topic"], &topic["cause"]), (&"secret".into(), &"***".into()));
    }
}
