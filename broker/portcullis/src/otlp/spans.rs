//! A decision of the gate as spans: one for the whole, one below it for each link that was asked.
//!
//! Holds no text of clients: the decision's name leads to that, for whoever may read it in the API.

use access::{DecisionRecord, Verdict};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{InstrumentationScope, KeyValue},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};

use super::attribute;

/// Adds the spans of a decision that came out at this time, milliseconds since 1970.
pub(super) fn of_decision(record: &DecisionRecord, decided_unix_ms: u64, spans: &mut Vec<Span>) {
    let end = decided_unix_ms.saturating_mul(1_000_000);
    let start = end.saturating_sub(nanoseconds(record.elapsed));
    let trace_id: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(16).collect();
    let whole = new_span_id();
    let outcome = if record.refusal.is_none() { "permitted" } else { "refused" };
    spans.push(Span {
        trace_id: trace_id.clone(),
        span_id: whole.clone(),
        name: "CONNECT decision".to_owned(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes: vec![
            attribute("portcullis.decision", &record.id.to_string()),
            attribute("portcullis.listener", &record.listener),
            attribute("portcullis.outcome", outcome),
            attribute("portcullis.chain_generation", &record.generation.to_string()),
        ],
        ..Span::default()
    });
    // They were asked one after the other; what is between them is ours.
    let mut at = start;
    for link in record.links.iter().filter(|link| link.verdict != Verdict::Skipped) {
        let ends = at.saturating_add(nanoseconds(link.elapsed)).min(end);
        spans.push(Span {
            trace_id: trace_id.clone(),
            span_id: new_span_id(),
            parent_span_id: whole.clone(),
            name: format!("{} {}", link.plugin, link.hook),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: at,
            end_time_unix_nano: ends,
            attributes: of_link(link),
            status: matches!(link.verdict, Verdict::Failure(_))
                .then(|| Status { code: StatusCode::Error.into(), ..Status::default() }),
            ..Span::default()
        });
        at = ends;
    }
}

fn of_link(link: &access::LinkReport) -> Vec<KeyValue> {
    let verdict = match &link.verdict {
        Verdict::Allow => "allow",
        Verdict::Deny(_) => "deny",
        Verdict::Next => "next",
        Verdict::Challenge => "challenge",
        Verdict::Failure(_) => "failure",
        Verdict::Skipped => "skipped",
    };
    vec![
        attribute("portcullis.plugin", &link.plugin),
        attribute("portcullis.generation", &link.generation),
        attribute("portcullis.hook", &link.hook.to_string()),
        attribute("portcullis.verdict", verdict),
        attribute("portcullis.cached", if link.cached { "true" } else { "false" }),
    ]
}

pub(super) fn request(
    spans: Vec<Span>,
    resource: Resource,
    scope: InstrumentationScope,
) -> ExportTraceServiceRequest {
    let scoped = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    let resource_spans = vec![ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scoped],
        ..ResourceSpans::default()
    }];
    ExportTraceServiceRequest { resource_spans }
}

/// Never all zeros, which would be none.
fn new_span_id() -> Vec<u8> {
    fastrand::u64(1..).to_be_bytes().to_vec()
}

fn nanoseconds(elapsed: std::time::Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}
