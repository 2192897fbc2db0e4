use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::*;
use crate::{Metrics, throttle::LINES_PER_SECOND};

/// Collects each line as `LEVEL field=value ...`.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

fn lines_of(emit: impl FnOnce(&Metrics)) -> (Vec<String>, String) {
    let lines = Lines::default();
    let metrics = Metrics::new();
    tracing::subscriber::with_default(lines.clone(), || emit(&metrics));
    let lines = lines.0.lock().unwrap().clone();
    (lines, metrics.encode())
}

const DENIED: Denied<'_> = Denied {
    decision: None,
    plugin: Some("acl"),
    reason: codec::ReasonCode::NotAuthorized,
    cause: &"no rule",
};

fn client(id: &str) -> Client<'_> {
    Client { id, ..Client::default() }
}

/// Negative test N34 in a whole event.
#[test]
fn an_event_is_one_line_whatever_the_client_calls_itself() {
    let (lines, text) = lines_of(|metrics| {
        Connected {
            client_id: "a\r\n\u{1b}[31mWARN forged",
            principal: "user",
            username: None,
            certificate: None,
            listener: "mqtt",
            remote: "127.0.0.1:5".parse().unwrap(),
            protocol: "5.0",
            plugin: "gate",
            decision: None,
            session_present: false,
        }
        .emit(metrics);
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.starts_with("DEBUG message=client connected"), "{line}");
    assert!(line.contains(" client_id=\"a\\u{d}\\u{a}\\u{1b}[31mWARN forged\" principal=user "));
    assert!(!line.contains(['\r', '\n', '\u{1b}']), "{line:?}");
    assert!(text.contains("portcullis_connections_opened_total{listener=\"mqtt\"} 1\n"), "{text}");
}

#[test]
fn denials_are_all_counted_and_sparsely_logged() {
    let (lines, text) = lines_of(|metrics| {
        for _ in 0..500 {
            PublishDenied { client: client("a"), topic: "b c", denied: DENIED }.emit(metrics);
            MessageDropped { reason: "queue_full", count: 2 }.emit(metrics);
        }
    });
    assert!(text.contains("portcullis_publish_denied_total 500\n"), "{text}");
    assert!(text.contains("portcullis_messages_dropped_total{reason=\"queue_full\"} 1000\n"));
    let denied = lines.iter().filter(|line| line.contains("publish denied")).count() as u64;
    // The loop may cross into a next second, or on a stalled machine into one more.
    assert!((LINES_PER_SECOND..=3 * LINES_PER_SECOND).contains(&denied), "{denied}");
    // Where an operator who asks why a device was refused sees it: not at debug.
    let expect = "plugin=\"acl\" reason=\"not_authorized\" cause=no rule";
    assert!(lines.iter().any(|line| {
        line.starts_with("WARN ") && line.contains("topic=\"b c\"") && line.contains(expect)
    }));
    let (lines, _) = lines_of(|metrics| {
        SubscribeDenied { client: client("a"), filter: "b/#", denied: DENIED }.emit(metrics);
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.starts_with("WARN ") && line.contains(expect), "{line}");
}

#[test]
fn ends_are_counted_by_reason() {
    let (lines, text) = lines_of(|metrics| {
        let remote = "[::1]:5".parse().unwrap();
        Disconnected {
            client: client("a"),
            reason: "network",
            by_client: true,
            bytes_received: 1,
            bytes_sent: 2,
            connected: std::time::Duration::from_millis(1_500),
        }
        .emit(metrics);
        ProtocolViolation { client_id: None, remote, error: &"bad\nbytes" }.emit(metrics);
    });
    assert!(text.contains("portcullis_connections_closed_total{reason=\"network\"} 1\n"), "{text}");
    assert!(text.contains("portcullis_protocol_violations_total 1\n"), "{text}");
    assert_eq!(lines.len(), 2);
    assert!(lines[1].starts_with("WARN "), "{}", lines[1]);
    assert!(lines[1].ends_with("cause=bad\\u{a}bytes"), "{}", lines[1]);
    assert!(lines[1].contains(" client_id=- "), "{}", lines[1]);
}

/// The line of a refusal has what an operator looks for, whatever the client and the plugin put in.
#[test]
fn a_refused_connect_says_who_and_why_in_one_line() {
    let (lines, text) = lines_of(|metrics| {
        ConnectRefused {
            client_id: Some("device-1"),
            username: Some("ann\nadmin"),
            listener: "mqtt",
            remote: "127.0.0.1:5".parse().unwrap(),
            reason: codec::ReasonCode::NotAuthorized,
            protocol: Some("5.0"),
            certificate: None,
            decision: Some(&"0123456789abcdef"),
            plugin: Some("acl"),
            cause: &"denied by acl (generation g1): no\nentry",
        }
        .emit(metrics);
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.starts_with("WARN "), "{line}");
    assert!(line.contains(" client_id=device-1 username=\"ann\\u{a}admin\" "), "{line}");
    assert!(line.ends_with("cause=denied by acl (generation g1): no\\u{a}entry"), "{line}");
    assert!(text.contains("portcullis_connect_refused_total{reason=\"not_authorized\"} 1\n"));
}

#[test]
fn refused_connections_and_wills_are_counted_by_cause_and_sparsely_logged() {
    let (lines, text) = lines_of(|metrics| {
        let remote = "127.0.0.1:5".parse().unwrap();
        for _ in 0..100 {
            let (listener, limit) = ("mqtt", "connect_rate");
            ConnectionRefused { listener, remote, limit, cause: &"too many" }.emit(metrics);
            let (client, reason) = (client("a b"), "identity_ended");
            WillRefused { client, reason, plugin: None, cause: &"ended" }.emit(metrics);
        }
    });
    assert!(text.contains("portcullis_connections_refused_total{limit=\"connect_rate\"} 100\n"));
    assert!(text.contains("portcullis_wills_refused_total{reason=\"identity_ended\"} 100\n"));
    assert!(lines.len() as u64 <= 6 * LINES_PER_SECOND, "{}", lines.len());
    assert!(lines.iter().any(|line| line.starts_with("WARN ") && line.contains("\"a b\"")));
}
