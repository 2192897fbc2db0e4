//! Tests of attaching, detaching, output and revocation.

use std::time::{Duration, Instant};

use codec::{Connect, PacketId, ProtocolVersion, ReasonCode};

use super::{Attachment, Session};
use crate::{Delivered, QueueFull, outbound::tests::Bench};

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 344, "{}", size_of::<Session>());
}

#[test]
fn attachment_is_what_connect_says() {
    let mut connect = Connect::new(ProtocolVersion::V5, "c");
    connect.receive_maximum = 3;
    connect.maximum_packet_size = Some(4);
    connect.topic_alias_maximum = 5;
    let expect = Attachment {
        version: ProtocolVersion::V5,
        receive_maximum: 3,
        maximum_packet_size: Some(4),
        topic_alias_maximum: 5,
    };
    assert_eq!(Attachment::from(&connect), expect);
}

#[test]
fn output_goes_with_the_connection_what_is_owed_stays() {
    let mut bench = Bench::new(QueueFull::DropOldest);
    assert!(!bench.session.is_attached() && bench.session.is_persistent());
    bench.attach(ProtocolVersion::V5, None);
    assert_eq!(bench.deliver(0, 5, None), Delivered::Sent);
    assert_eq!(bench.deliver(1, 5, None), Delivered::Sent);
    assert!(bench.session.is_attached() && bench.session.has_output());
    bench.session.detach();
    assert!(!bench.session.is_attached() && !bench.session.has_output());
    assert_eq!((bench.session.in_flight(), bench.session.queued()), (0, 1));
    assert_eq!(bench.attach(ProtocolVersion::V5, None), "P2", "never written: no repetition");
    bench.session.detach();
    assert_eq!(bench.attach(ProtocolVersion::V5, None), "P2d");
}

#[test]
fn what_was_never_written_expires_while_the_client_is_away() {
    let mut bench = Bench::new(QueueFull::DropOldest);
    bench.attach(ProtocolVersion::V5, None);
    bench.deliver(1, 5, Some(60));
    assert_eq!(bench.written(), "P1");
    bench.deliver(1, 5, Some(60));
    bench.session.detach();
    bench.now += Duration::from_secs(61);
    assert_eq!(
        bench.attach(ProtocolVersion::V5, None),
        "P1d",
        "[MQTT-4.4.0-1]; the second is gone"
    );
    assert_eq!((bench.session.queued(), bench.session.dropped()), (0, 1));
}

#[test]
fn output_taken_back_keeps_order_and_is_written_anew() {
    let mut bench = Bench::new(QueueFull::DropOldest);
    bench.limits.window_max = 4;
    bench.attach(ProtocolVersion::V5, None);
    bench.deliver(2, 5, None);
    assert_eq!(bench.written(), "P1");
    for qos in [1, 0, 2] {
        bench.deliver(qos, 5, None);
    }
    assert!(!bench.session.has_waiting());
    bench.session.take_back_output();
    assert_eq!((bench.session.in_flight(), bench.session.queued()), (1, 2));
    assert!(bench.session.has_waiting() && !bench.session.has_output());
    bench.session.pump(bench.now);
    assert_eq!(bench.written(), "P4 P5", "QoS 0 is lost, the first is with the client");
    // A repetition in the output is to be repeated, and so is a PUBREL.
    bench.session.handle_pubrec(PacketId::new(1).unwrap(), ReasonCode::Success, bench.now);
    bench.session.detach();
    let attachment = attachment();
    bench.session.attach(&attachment, bench.limits);
    bench.session.pump(bench.now);
    bench.session.take_back_output();
    bench.session.pump(bench.now);
    assert_eq!(bench.written(), "R1 P4d P5d");
}

fn attachment() -> Attachment {
    Attachment {
        version: ProtocolVersion::V5,
        receive_maximum: 9,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
    }
}

#[test]
fn output_is_swapped_into_an_empty_buffer_and_appended_to_another() {
    let mut bench = Bench::new(QueueFull::DropOldest);
    bench.attach(ProtocolVersion::V311, None);
    let mut buffer = b"before".to_vec();
    bench.deliver(0, 1, None);
    bench.session.take_output(&mut buffer, Instant::now());
    assert_eq!(buffer, b"before\x30\x04\x00\x01tx");
    let mut empty = Vec::new();
    bench.deliver(0, 1, None);
    bench.session.take_output(&mut empty, Instant::now());
    assert_eq!(empty, b"\x30\x04\x00\x01tx");
    assert!(!bench.session.has_output());
}

#[test]
fn revoked_messages_are_not_sent() {
    let mut bench = Bench::new(QueueFull::DropOldest);
    bench.attach(ProtocolVersion::V5, None);
    for qos in [1, 2, 1] {
        bench.deliver(qos, 5, None);
    }
    bench.written();
    assert_eq!(bench.session.retain_messages(|_| false), 1, "two are on their way");
    bench.session.detach();
    bench.session.attach(&attachment(), bench.limits);
    assert_eq!(bench.session.retain_messages(|_| false), 2);
    bench.session.pump(bench.now);
    assert_eq!(bench.written(), "R2", "the identifier is let go on both sides");
    assert_eq!((bench.session.in_flight(), bench.session.dropped()), (1, 3));
}
