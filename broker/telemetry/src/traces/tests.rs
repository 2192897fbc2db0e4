use std::time::{Duration, Instant};

use codec::Packet;
use serde_json::Value;

use super::*;
use crate::events::{Client, Denied, PluginChanged, PublishDenied};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("portcullis-traces-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn spec(client_id: &str) -> TraceSpec {
    let now = keep::now_ms();
    TraceSpec {
        name: "test".to_owned(),
        client_id: Some(client_id.to_owned()),
        start_unix_ms: now,
        end_unix_ms: now + 60_000,
        bytes_max: 100_000,
        events_per_second: 10_000,
        ..TraceSpec::default()
    }
}

fn publish<'a>(client_id: &'a str, packet: &'a Packet<'a>) -> PacketRecord<'a> {
    let traced = Traced { client_id, ..Traced::default() };
    PacketRecord { traced, direction: Direction::Received, packet, bytes: 9, topic: None }
}

fn call<'a>(plugin: &'a str, topic: Option<&'a str>) -> PluginCallRecord<'a> {
    let (hook, verdict) = ("authorizer", "allow");
    PluginCallRecord { plugin, hook, verdict, microseconds: 7, cached: false, topic }
}

/// The records, as soon as so many are in the file.
fn records(trace: &Trace, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let (lines, _) = trace.read(0, 1 << 20).unwrap();
        let text = String::from_utf8(lines).unwrap();
        let found: Vec<_> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        if found.len() >= count {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{found:?}");
        std::thread::yield_now();
    }
}

fn note(metrics: &Metrics, client_id: &str, topic: &str) {
    let packet = Packet::Publish(codec::Publish::new(topic, b"secret payload"));
    let record = publish(client_id, &packet);
    metrics.traces.note_packet(&metrics.traces.about(&record.traced), &record);
}

fn deny(metrics: &Metrics, client: Client<'_>, topic: &str) {
    let denied = Denied {
        decision: None,
        plugin: Some("acl"),
        reason: codec::ReasonCode::NotAuthorized,
        cause: &"no rule",
    };
    PublishDenied { client, topic, denied }.emit(metrics);
}

#[test]
fn a_trace_records_its_client_and_nobody_else() {
    let (folder, metrics) = (Folder::new("client"), Metrics::new());
    Traces::open(&metrics, folder.0.clone()).unwrap();
    assert_eq!(metrics.traces.generation(), 0);
    let info = metrics.traces.add(&metrics, spec("device-*"), keep::now_ms()).unwrap();
    assert!(metrics.traces.generation() > 0);
    note(&metrics, "other", "t");
    note(&metrics, "device-1", "a/b");
    let client = Client { id: "device-1", ..Client::default() };
    deny(&metrics, client, "a/b");
    let traced = Traced { client_id: "device-1", ..Traced::default() };
    metrics.traces.note_call(&traced, &call("acl", None));
    let trace = metrics.traces.find(info.id).unwrap();
    let found = records(&trace, 3);
    let kinds: Vec<_> = found.iter().map(|record| record["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["packet", "publish_denied", "plugin_call"]);
    assert_eq!((&found[0]["packet"], &found[0]["topic"]), (&"publish".into(), &"a/b".into()));
    assert_eq!(found[0]["payload_bytes"], 14);
    assert_eq!(found[2]["microseconds"], 7);
    assert!(!found.iter().any(|record| record.to_string().contains("secret")));
    // An ended trace records nothing, and nobody is asked any more.
    metrics.traces.stop(&metrics, info.id, keep::now_ms()).unwrap();
    assert!(!metrics.observers.wants(HappeningKind::PublishDenied));
    assert!(metrics.traces.about(&traced).is_empty());
    assert!(metrics.traces.remove(&metrics, info.id, keep::now_ms()));
    assert!(!metrics.traces.remove(&metrics, info.id, keep::now_ms()));
}

#[test]
fn bytes_and_rate_have_an_end() {
    let (folder, metrics) = (Folder::new("bounds"), Metrics::new());
    Traces::open(&metrics, folder.0.clone()).unwrap();
    let slow = TraceSpec { events_per_second: 5, ..spec("a") };
    let slow = metrics.traces.add(&metrics, slow, keep::now_ms()).unwrap().id;
    let small = TraceSpec { bytes_max: 1_024, ..spec("a") };
    let small = metrics.traces.add(&metrics, small, keep::now_ms()).unwrap().id;
    for _ in 0..100 {
        note(&metrics, "a", "t");
    }
    let info = |id: u64| metrics.traces.find(id).unwrap().info();
    let slow = info(slow);
    // The loop may cross into a next second.
    assert!(slow.records <= 10 && slow.records + slow.lost == 100, "{slow:?}");
    let small = info(small);
    assert_eq!(small.state, TraceState::Full);
    assert!(small.bytes <= 1_024 && small.records > 0, "{small:?}");
}

#[test]
fn traces_outlive_the_process_and_are_no_more_than_so_many() {
    let (folder, metrics) = (Folder::new("kept"), Metrics::new());
    Traces::open(&metrics, folder.0.clone()).unwrap();
    for _ in 0..TRACES_MAX {
        metrics.traces.add(&metrics, spec("a"), keep::now_ms()).unwrap();
    }
    let more = metrics.traces.add(&metrics, spec("a"), keep::now_ms());
    assert!(matches!(more, Err(TraceError::TooMany)));
    note(&metrics, "a", "t");
    records(&metrics.traces.find(1).unwrap(), 1);
    let next = Metrics::new();
    Traces::open(&next, folder.0.clone()).unwrap();
    let list = next.traces.list();
    assert_eq!(list.len(), TRACES_MAX);
    assert_eq!((list[0].state, list[0].bytes > 0), (TraceState::Stopped, true));
    assert_eq!(records(&next.traces.find(1).unwrap(), 1).len(), 1);
    // The name of one is never that of another.
    next.traces.remove(&next, 16, keep::now_ms());
    assert_eq!(next.traces.add(&next, spec("a"), keep::now_ms()).unwrap().id, 17);
}

#[test]
fn what_makes_no_sense_is_refused_with_what_is_allowed() {
    let now = 1_000_000_000_000;
    let good = TraceSpec { start_unix_ms: now, end_unix_ms: now + 5_000, ..spec("a") };
    assert_eq!(good.check(now), Ok(()));
    for (field, bad) in [
        ("name", TraceSpec { name: "a\nb".to_owned(), ..good.clone() }),
        ("client_id", TraceSpec { client_id: None, ..good.clone() }),
        ("client_id", TraceSpec { client_id: Some(String::new()), ..good.clone() }),
        ("topic", TraceSpec { topic: Some("a/#/b".to_owned()), ..good.clone() }),
        ("end", TraceSpec { end_unix_ms: now, ..good.clone() }),
        ("end", TraceSpec { end_unix_ms: now + 86_400_001, ..good.clone() }),
        ("start", TraceSpec { start_unix_ms: now * 2, ..good.clone() }),
        ("max_bytes", TraceSpec { bytes_max: 1, ..good.clone() }),
        ("max_events_per_second", TraceSpec { events_per_second: 0, ..good.clone() }),
        ("payload_bytes", TraceSpec { payload_bytes: Some(1 << 20), ..good }),
    ] {
        assert_eq!(bad.check(now).unwrap_err().field, field);
    }
}

#[test]
fn all_conditions_must_hold() {
    let spec = TraceSpec {
        principal: Some("ann".to_owned()),
        address: Some("10.0.0.0/8".parse().unwrap()),
        topic: Some("a/+".to_owned()),
        ..spec("d*")
    };
    let traced = Traced {
        client_id: "d1",
        principal: Some("ann"),
        address: Some("::ffff:10.1.2.3".parse().unwrap()),
    };
    assert!(spec.is_about(&traced));
    assert!(!spec.is_about(&Traced { client_id: "e1", ..traced }));
    assert!(!spec.is_about(&Traced { principal: None, ..traced }));
    assert!(!spec.is_about(&Traced { address: Some([11, 0, 0, 1].into()), ..traced }));
    assert!(spec.wants_topic(Some("a/b")) && spec.wants_topic(Some("a/+")));
    assert!(!spec.wants_topic(Some("a/b/c")) && !spec.wants_topic(None));
}

#[test]
fn a_trace_of_a_principal_has_its_login_and_nobody_elses() {
    let (folder, metrics) = (Folder::new("login"), Metrics::new());
    Traces::open(&metrics, folder.0.clone()).unwrap();
    let traces = &metrics.traces;
    let claimed = Traced { client_id: "a", ..Traced::default() };
    assert!(traces.login(&claimed).is_none());
    let of_ann = TraceSpec { client_id: None, principal: Some("ann".to_owned()), ..spec("") };
    let id = traces.add(&metrics, of_ann, keep::now_ms()).unwrap().id;
    let ping = Packet::PingReq;
    for (principal, client_id) in [("bob", "b"), ("ann", "a")] {
        let claimed = Traced { client_id, ..Traced::default() };
        let mut login = traces.login(&claimed).unwrap();
        login.packet(traces, &publish(client_id, &ping));
        login.call(traces, &claimed, &call("password-file", None));
        login.proved(traces, &Traced { principal: Some(principal), ..claimed });
        // What comes after it is known who it is.
        login.packet(traces, &publish(client_id, &ping));
    }
    // One that is refused proves nothing.
    traces.login(&claimed).unwrap().packet(traces, &publish("a", &ping));
    let trace = traces.find(id).unwrap();
    let found = records(&trace, 3);
    let kinds: Vec<_> = found.iter().map(|record| record["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["packet", "plugin_call", "packet"]);
    assert!(found.iter().all(|record| record["client_id"] == "a"), "{found:?}");
    assert_eq!(trace.info().records, 3);
}

#[test]
fn a_trace_of_a_plugin_has_its_denials_and_no_other() {
    let (folder, metrics) = (Folder::new("plugin"), Metrics::new());
    Traces::open(&metrics, folder.0.clone()).unwrap();
    let spec =
        |plugin: &str| TraceSpec { client_id: None, plugin: Some(plugin.to_owned()), ..spec("") };
    let spec_of_client = TraceSpec { client_id: Some("*".to_owned()), ..spec("acl") };
    let [acl, other] = ["acl", "other"]
        .map(|plugin| metrics.traces.add(&metrics, spec(plugin), keep::now_ms()).unwrap().id);
    deny(&metrics, Client { id: "a", ..Client::default() }, "t");
    metrics.traces.note_call(&Traced::default(), &call("acl", Some("t")));
    // What it is asked about no client, and what becomes of it.
    metrics.plugins.note_call(&PluginCallRecord { hook: "timer", ..call("acl", None) });
    let (state, generation, error) = ("disabled", None, None);
    PluginChanged { plugin: "acl", state, generation, error }.emit(&metrics);
    let of_client = metrics.traces.add(&metrics, spec_of_client, keep::now_ms()).unwrap().id;
    metrics.plugins.note_call(&call("acl", None));
    let found = records(&metrics.traces.find(acl).unwrap(), 5);
    let kinds: Vec<_> = found.iter().map(|record| record["type"].as_str().unwrap()).collect();
    let calls = ["publish_denied", "plugin_call", "plugin_call", "plugin_changed", "plugin_call"];
    assert_eq!(kinds, calls);
    assert_eq!((&found[2]["hook"], &found[2]["client_id"]), (&"timer".into(), &"".into()));
    assert_eq!(metrics.traces.find(of_client).unwrap().info().records, 0, "they are about nobody");
    assert_eq!(
        (&found[0]["plugin"], &found[0]["reason"]),
        (&"acl".into(), &"not_authorized".into())
    );
    assert_eq!(metrics.traces.find(other).unwrap().info().records, 0);
}

#[test]
fn under_a_topic_is_what_names_one() {
    let spec = TraceSpec { topic: Some("a/+".to_owned()), ..spec("a") };
    let unsubscribe = |filter: &str| {
        let filter = topic::SubscriptionFilter::parse(filter).map_err(|_| filter.to_owned());
        let packet_id = codec::PacketId::new(1).unwrap();
        Packet::Unsubscribe(codec::Unsubscribe::new(packet_id, vec![filter]))
    };
    let wanted = |packet: &Packet<'_>| publish("a", packet).is_wanted(&spec);
    assert!(wanted(&unsubscribe("a/b")) && wanted(&unsubscribe("a/+")));
    assert!(!wanted(&unsubscribe("b/a")) && !wanted(&Packet::PingReq));
}

#[test]
fn all_traces_together_have_an_end() {
    let (folder, metrics) = (Folder::new("room"), Metrics::new());
    Traces::open(&metrics, folder.0.clone()).unwrap();
    let large = TraceSpec { bytes_max: 1 << 30, ..spec("a") };
    let add = || metrics.traces.add(&metrics, large.clone(), keep::now_ms());
    let ids: Vec<_> = (0..4).map(|_| add().unwrap().id).collect();
    let error = add().unwrap_err();
    assert!(matches!(error, TraceError::TooLarge { left: 0, .. }), "{error}");
    // What an ended one does not use is free again.
    metrics.traces.stop(&metrics, ids[0], keep::now_ms()).unwrap();
    add().unwrap();
}
