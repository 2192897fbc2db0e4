//! `/api/v1/traces`: everything about the clients that somebody looks at, for a while.
//!
//! Knows nothing of how traces are recorded; asks `telemetry`. Each record passes the field rights
//! of whoever reads it. An answer that goes on ends as those of `events/stream.rs` do.

use std::{borrow::Cow, io, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use telemetry::{Trace, TraceError, TraceInfo, TraceSpec, TraceState, calendar};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use crate::{
    call::{Answer, Call, LAST_EVENT_ID, Shared, blocking, json, now_ms},
    events::stream::{BEAT, PATIENCE, stopped},
    field::{Field, Fields, MASK},
    guard,
    page::may_choose_by,
    problem::Problem,
    shares::Share,
    visitors::Visitor,
};

/// A new trace. At least one of `client_id`, `topic`, `address`, `principal` and `plugin`; all that
/// are given must hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TraceRequest {
    /// For people: 1 to 64 letters, digits, `-`, `_`, `.` and spaces.
    name: String,
    /// Client Identifier, or with `*` at its end the start of some.
    client_id: Option<String>,
    /// Only what is on topics that this filter matches.
    topic: Option<String>,
    /// IP address, or range of them as ADDRESS/BITS.
    address: Option<String>,
    /// The authenticated principal.
    principal: Option<String>,
    /// Only calls of this plugin, and what it decided.
    plugin: Option<String>,
    /// When it begins, seconds since 1970, at most 7 days ahead; now if not given.
    start_unix: Option<u64>,
    /// How long it records, seconds: 1 to 86400.
    duration_seconds: Option<u64>,
    /// Bytes of its records, 1024 to 1073741824; 10 MiB if not given.
    max_bytes: Option<u64>,
    /// Records a second, 1 to 10000; 1000 if not given. What comes faster is lost and counted.
    max_events_per_second: Option<u64>,
    /// Bytes of each payload that are recorded, 0 to 65536; needs `field:payload`. None if not
    /// given.
    payload_bytes: Option<usize>,
}

/// All traces.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TraceList {
    traces: Vec<TraceEntry>,
}

/// A trace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TraceEntry {
    /// Names it.
    id: u64,
    /// For people.
    name: String,
    /// `waiting`, `running`, `stopped`, `full` or `failed`.
    state: &'static str,
    /// Client Identifier, or the start of some.
    client_id: Option<String>,
    /// Topic Filter.
    topic: Option<String>,
    /// Range of addresses.
    address: Option<String>,
    /// Principal.
    principal: Option<String>,
    /// Plugin.
    plugin: Option<String>,
    /// When it begins, RFC 3339.
    start: String,
    /// When it ends at the latest.
    end: String,
    /// Bytes that its records may have.
    max_bytes: u64,
    /// Records a second that it takes.
    max_events_per_second: u64,
    /// Bytes of each payload that are recorded; null = none.
    payload_bytes: Option<usize>,
    /// Bytes recorded.
    bytes: u64,
    /// Records since it began, or since the start of the broker.
    records: u64,
    /// What came too fast.
    lost: u64,
}

/// `POST /api/v1/traces`
pub(crate) async fn add(call: Call) -> Answer {
    let fields = call.fields();
    let (shared, request) = call.json::<TraceRequest>().await?;
    if request.payload_bytes.is_some() && !fields.has(Field::Payload) {
        return Err(Problem::forbidden("payloads are recorded only for those who may read them")
            .about("payload_bytes"));
    }
    for (field, parameter, is_used) in [
        (Field::ClientId, "client_id", request.client_id.as_ref().is_some_and(|id| id != "*")),
        (Field::Topic, "topic", request.topic.is_some()),
        (Field::Address, "address", request.address.is_some()),
        (Field::Username, "principal", request.principal.is_some()),
    ] {
        may_choose_by(fields, field, (parameter, is_used))?;
    }
    let now = now_ms();
    let spec = spec(request, now)?;
    let metrics = Arc::clone(&shared.state.metrics);
    let added = blocking(move || metrics.traces.add(&metrics, spec, now)).await?;
    let info = added.map_err(|error| match error {
        TraceError::Spec(error) => {
            Problem::invalid(error.what).about(error.field).allowed(error.allowed)
        }
        TraceError::TooMany => Problem::too_many(error.to_string()),
        TraceError::TooLarge { left, .. } => Problem::invalid(error.to_string())
            .about("max_bytes")
            .allowed(format!("at most {left}")),
        TraceError::Disk(_) => Problem::internal(error.to_string()),
    })?;
    json(StatusCode::OK, &entry(info, fields))
}

fn spec(request: TraceRequest, now: u64) -> Result<TraceSpec, Problem> {
    let address = request.address.map(|text| {
        let whole = text.parse::<std::net::IpAddr>().map(|address| format!("{address}/"));
        let bits = |address: &str| if address.contains(':') { "128" } else { "32" };
        let range =
            whole.map_or_else(|_| text.clone(), |address| format!("{address}{}", bits(&address)));
        range.parse().map_err(|_| {
            Problem::invalid(format!("{text:?} is no range of addresses"))
                .about("address")
                .allowed("an IP address, or ADDRESS/BITS")
        })
    });
    let start = request.start_unix.map_or(now, |seconds| seconds.saturating_mul(1_000));
    let lasts = request.duration_seconds.unwrap_or(DURATION_SECONDS).saturating_mul(1_000);
    Ok(TraceSpec {
        name: request.name,
        client_id: request.client_id,
        topic: request.topic,
        address: address.transpose()?,
        principal: request.principal,
        plugin: request.plugin,
        start_unix_ms: start,
        end_unix_ms: start.max(now).saturating_add(lasts),
        bytes_max: request.max_bytes.unwrap_or(BYTES_MAX),
        events_per_second: request.max_events_per_second.unwrap_or(EVENTS_PER_SECOND),
        payload_bytes: request.payload_bytes,
    })
}

/// `GET /api/v1/traces`
pub(crate) async fn list(call: Call) -> Answer {
    let fields = call.fields();
    let traces = call.shared.state.metrics.traces.list();
    let traces = traces.into_iter().map(|info| entry(info, fields)).collect();
    call.json_answer(&TraceList { traces })
}

/// `GET /api/v1/traces/{id}`
pub(crate) async fn show(call: Call) -> Answer {
    let trace = find(&call)?;
    call.json_answer(&entry(trace.info(), call.fields()))
}

/// `PUT /api/v1/traces/{id}/stop`
pub(crate) async fn stop(call: Call) -> Answer {
    let id = find(&call)?.id;
    let metrics = &call.shared.state.metrics;
    let stopped = metrics.traces.stop(metrics, id, now_ms()).ok_or_else(|| unknown(id))?;
    json(StatusCode::OK, &entry(stopped, call.fields()))
}

/// `DELETE /api/v1/traces/{id}`
pub(crate) async fn remove(call: Call) -> Answer {
    let id = find(&call)?.id;
    let metrics = Arc::clone(&call.shared.state.metrics);
    match blocking(move || metrics.traces.remove(&metrics, id, now_ms())).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(unknown(id)),
    }
}

/// `GET /api/v1/traces/{id}/download`
pub(crate) async fn download(call: Call) -> Answer {
    let trace = find(&call)?;
    let disposition = format!("attachment; filename=\"trace-{}.jsonl\"", trace.id);
    if let Some(visitor) = call.parts.extensions.get::<Visitor>() {
        visitor.is_given_long_answer();
    }
    let mut answer = Reader::answer(&call, trace, Form::Lines, 0)?;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(answer)
}

/// `GET /api/v1/traces/{id}/live`
pub(crate) async fn live(call: Call) -> Answer {
    let trace = find(&call)?;
    let last = call.parts.headers.get(LAST_EVENT_ID.name);
    let offset =
        last.map_or(Some(0), |last| last.to_str().ok()?.parse().ok()).ok_or_else(|| {
            let problem = Problem::invalid("this is the id of no event of a trace");
            problem.about(LAST_EVENT_ID.name).allowed("the id of the last event that arrived")
        })?;
    let mut answer = Reader::answer(&call, trace, Form::Events, offset)?;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// What there is, then the end.
    Lines,
    /// As server-sent events, until the trace has ended.
    Events,
}

/// Somebody who is sent records, piece by piece, as fast as they are taken.
struct Reader {
    trace: Arc<Trace>,
    fields: Fields,
    form: Form,
    headers: HeaderMap,
    shared: Arc<Shared>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    _share: Option<Share>,
}

/// Nothing more is sent: the reader is gone or takes nothing, its login is over, or the API ends.
struct Over;

impl Reader {
    /// The answer that records from `offset` on become.
    fn answer(call: &Call, trace: Arc<Trace>, form: Form, offset: u64) -> Answer {
        let (pieces, taken) = mpsc::channel(PIECES);
        let reader = Self {
            trace,
            fields: call.fields(),
            form,
            headers: call.parts.headers.clone(),
            shared: Arc::clone(&call.shared),
            pieces,
            _share: if form == Form::Events { Some(call.stream_share()?) } else { None },
        };
        tokio::spawn(async move {
            let mut stopping = reader.shared.stopping.clone();
            let ended = tokio::select! {
                sent = reader.send(offset) => sent,
                () = stopped(&mut stopping) => Ok(Err(Over)),
            };
            if let Err(error) = &ended {
                tracing::error!(event = "trace_failed", %error, trace = reader.trace.id,
                    "the records of a trace cannot be read");
            }
            if form == Form::Lines && !matches!(ended, Ok(Ok(()))) {
                // The body ends with an error: nobody takes half the records for all of them.
                let error = io::Error::other("not all records were sent");
                drop(timeout(PATIENCE, reader.pieces.send(Err(error))).await);
            }
        });
        Ok(Response::new(Body::from_stream(ReceiverStream::new(taken))))
    }

    /// The outer error is one of the disk.
    async fn send(&self, mut offset: u64) -> io::Result<Result<(), Over>> {
        if self.form == Form::Events && self.write(b"retry: 2000\n\n".to_vec()).await.is_err() {
            return Ok(Err(Over));
        }
        let mut since_beat = Duration::ZERO;
        loop {
            if !guard::is_still_known(&self.shared, &self.headers) {
                return Ok(Err(Over));
            }
            // Looked at before what there is: what came last is not missed.
            let is_over =
                !matches!(self.trace.info().state, TraceState::Waiting | TraceState::Running);
            let reading = Arc::clone(&self.trace);
            let read = tokio::task::spawn_blocking(move || reading.read(offset, PIECE_BYTES)).await;
            let (lines, next) = read.map_err(io::Error::other)??;
            let sent = if !lines.is_empty() {
                let piece = masked(&lines, offset, self.fields, self.form);
                (offset, since_beat) = (next, Duration::ZERO);
                self.write(piece).await
            } else if self.form == Form::Lines {
                return Ok(Ok(()));
            } else if is_over {
                return Ok(self.write(b"event: end\ndata: {}\n\n".to_vec()).await);
            } else {
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = self.pieces.closed() => return Ok(Err(Over)),
                }
                since_beat += LOOK_EVERY;
                match since_beat >= BEAT {
                    true => {
                        since_beat = Duration::ZERO;
                        self.write(b":\n\n".to_vec()).await
                    }
                    false => Ok(()),
                }
            };
            if sent.is_err() {
                return Ok(Err(Over));
            }
        }
    }

    async fn write(&self, piece: Vec<u8>) -> Result<(), Over> {
        match timeout(PATIENCE, self.pieces.send(Ok(piece.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over),
        }
    }
}

/// `lines` stand at `offset` of the records; the id of an event is where the next one stands.
fn masked(lines: &[u8], offset: u64, fields: Fields, form: Form) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len());
    let mut next = offset;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        next += line.len() as u64;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let shown = if fields == Fields::all() {
            Cow::Borrowed(line)
        } else {
            let Ok(mut record) = serde_json::from_slice::<Value>(line) else { continue };
            mask(&mut record, fields);
            Cow::Owned(record.to_string().into_bytes())
        };
        if shown.is_empty() {
            continue;
        }
        if form == Form::Events {
            out.extend_from_slice(format!("id: {next}\ndata: ").as_bytes());
        }
        out.extend_from_slice(&shown);
        out.extend_from_slice(if form == Form::Events { b"\n\n" } else { b"\n" });
    }
    out
}

/// Masks what this reader may not see. What is not known is masked: a new field of a record is
/// shown to those who may see everything until it is named here.
fn mask(record: &mut Value, fields: Fields) {
    let Some(record) = record.as_object_mut() else { return };
    for (name, value) in record.iter_mut() {
        if name == "will_topic" && !fields.has(Field::Topic) && !value.is_null() {
            // What is in a Will Message needs both rights, here as in the detail of a client.
            *value = MASK.into();
            continue;
        }
        let field = match name.as_str() {
            "client_id" => Some(Field::ClientId),
            "principal" | "username" | "certificate" => Some(Field::Username),
            "remote" => Some(Field::Address),
            "topic" | "filters" | "response_topic" => Some(Field::Topic),
            "will_topic" => Some(Field::Will),
            "payload_hex" => Some(Field::Payload),
            name if CLEAR.contains(&name) => continue,
            _ => None,
        };
        let may = match field {
            Some(field) => fields.has(field),
            None => fields == Fields::all(),
        };
        if !may && !value.is_null() {
            *value = MASK.into();
        }
    }
}

/// What a record has that is of no client.
const CLEAR: [&str; 33] = [
    "time",
    "type",
    "direction",
    "packet",
    "bytes",
    "packet_id",
    "qos",
    "retain",
    "dup",
    "reason",
    "reasons",
    "topic_alias",
    "message_expiry_interval",
    "payload_bytes",
    "session_present",
    "session_expiry_interval",
    "server_keep_alive",
    "keep_alive",
    "clean_start",
    "listener",
    "protocol",
    "decision",
    "plugin",
    "hook",
    "verdict",
    "microseconds",
    "cached",
    "by_client",
    "bytes_received",
    "bytes_sent",
    "connected_ms",
    "count",
    "authentication_method",
];

fn entry(info: TraceInfo, fields: Fields) -> TraceEntry {
    let spec = info.spec;
    let shown =
        |field, text: Option<String>| text.map(|text| fields.show(field, text).into_owned());
    TraceEntry {
        id: info.id,
        name: spec.name,
        state: info.state.name(),
        client_id: shown(Field::ClientId, spec.client_id),
        topic: shown(Field::Topic, spec.topic),
        address: shown(Field::Address, spec.address.map(|range| range.to_string())),
        principal: shown(Field::Username, spec.principal),
        plugin: spec.plugin,
        start: calendar::timestamp(spec.start_unix_ms),
        end: calendar::timestamp(spec.end_unix_ms),
        max_bytes: spec.bytes_max,
        max_events_per_second: spec.events_per_second,
        payload_bytes: spec.payload_bytes,
        bytes: info.bytes,
        records: info.records,
        lost: info.lost,
    }
}

fn find(call: &Call) -> Result<Arc<Trace>, Problem> {
    let text = call.path("id")?;
    let id = text.parse().map_err(|_| {
        Problem::invalid(format!("{text:?} names no trace")).about("id").allowed("a number")
    })?;
    call.shared.state.metrics.traces.find(id).ok_or_else(|| unknown(id))
}

fn unknown(id: u64) -> Problem {
    Problem::not_found(format!("there is no trace {id}"))
}

pub(crate) const NDJSON: &str = "application/x-ndjson";
pub(crate) const EVENT_STREAM: &str = "text/event-stream";
const DURATION_SECONDS: u64 = 600;
const BYTES_MAX: u64 = 10 << 20;
const EVENTS_PER_SECOND: u64 = 1_000;
/// Pieces on their way to a reader; it is waited for.
const PIECES: usize = 2;
const PIECE_BYTES: usize = 64 << 10;
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_read_a_field_sees_the_mask() {
        let line = br#"{"time":"t","type":"packet","client_id":"SECRET","topic":"SECRET","qos":1,
            "payload_hex":"SECRET","username":"SECRET","remote":"SECRET","cause":"SECRET",
            "will_topic":"SECRET","filters":[{"topic":"SECRET"}],"some_new_field":"SECRET"}"#;
        let line: Vec<u8> = line.iter().copied().filter(|byte| *byte != b'\n').collect();
        let text = |fields, form| String::from_utf8(masked(&line, 7, fields, form)).unwrap();
        assert_eq!(text(Fields::all(), Form::Lines).matches("SECRET").count(), 9);
        let none = text(Fields::default(), Form::Events);
        assert!(!none.contains("SECRET") && none.contains("\"qos\":1"), "{none}");
        let id = format!("id: {}\ndata: {{", 7 + line.len());
        assert!(none.starts_with(&id) && none.ends_with("}\n\n"), "{none}");
        let topic = text(Fields::default().with(Field::Topic), Form::Lines);
        assert_eq!(topic.matches("SECRET").count(), 2, "{topic}");
        let will = text(Fields::default().with(Field::Will), Form::Lines);
        assert!(!will.contains("SECRET"), "{will}");
        let both = Fields::default().with(Field::Will).with(Field::Topic);
        assert_eq!(text(both, Form::Lines).matches("SECRET").count(), 3);
    }
}
