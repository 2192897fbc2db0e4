use codec::{PacketType, QoS};

use super::*;

#[test]
fn text_holds_what_was_counted() {
    let metrics = Metrics::new();
    metrics.packets_received.of(PacketType::Publish).inc_by(3);
    metrics.publish_received.of(QoS::AtLeastOnce).inc();
    metrics.connections_closed.of("keep_alive_timeout").inc();
    metrics.bytes_sent.inc_by(7);
    metrics.authentication_seconds.observe(0.003);
    let text = metrics.encode_with(&[("portcullis_sessions", "Sessions", 5.0)]);
    for line in [
        "# TYPE portcullis_packets_received counter",
        "portcullis_packets_received_total{type=\"publish\"} 3",
        "portcullis_packets_received_total{type=\"connect\"} 0",
        "portcullis_publish_received_total{qos=\"1\"} 1",
        "portcullis_connections_closed_total{reason=\"keep_alive_timeout\"} 1",
        "portcullis_bytes_sent_total 7",
        "portcullis_authentication_seconds_count 1",
        "portcullis_authentication_seconds_bucket{le=\"0.0025\"} 0",
        "portcullis_authentication_seconds_bucket{le=\"0.005\"} 1",
        "# HELP portcullis_sessions Sessions.",
        "portcullis_sessions 5.0",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert_eq!(text.matches("# EOF").count(), 1);
}

#[test]
fn labels_of_a_snapshot_are_escaped() {
    let metrics = Metrics::new();
    let mut snapshot = Snapshot::default();
    let labels = [("plugin", "a\"b\nc")];
    snapshot.labelled_counter("portcullis_plugin_calls", "Calls", &labels, 2.0);
    snapshot.labelled_counter("portcullis_plugin_calls", "Calls", &[("plugin", "d")], 4.0);
    let text = metrics.encode_snapshot(&snapshot);
    assert!(text.contains("portcullis_plugin_calls_total{plugin=\"a\\\"b\\nc\"} 2.0\n"), "{text}");
    assert!(text.contains("portcullis_plugin_calls_total{plugin=\"d\"} 4.0\n"), "{text}");
    assert_eq!(text.matches("# TYPE portcullis_plugin_calls ").count(), 1);
}

#[test]
fn every_metric_is_in_the_catalogue_once() {
    let metrics = Metrics::new();
    let mut names: Vec<_> = metrics.catalogue().iter().map(|entry| &entry.name).collect();
    let described = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), described);
    for entry in metrics.catalogue() {
        assert!(entry.name.starts_with("portcullis_"), "{}", entry.name);
        assert!(!entry.help.is_empty() && !entry.help.ends_with('.'), "{}", entry.help);
    }
}
