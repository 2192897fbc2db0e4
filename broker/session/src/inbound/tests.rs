//! Tests of QoS 2 from the client. Scripts: `p5` PUBLISH 5, `r5` PUBREL 5, `f5` refused, `c` new
//! connection; answers: `N`ew, `D`uplicate, `E`rror, `S`uccess, `0x92` as `U`nknown.

use codec::{PacketId, ProtocolVersion, ReasonCode};

use super::Inbound;
use crate::{Attachment, Error, QueueFull, QueueLimits, Session, SessionLimits};

/// Receive Maximum is 2.
#[track_caller]
fn check(version: ProtocolVersion, script: &str, expect: &str) {
    let queue = QueueLimits { messages: 1, bytes: 1, when_full: QueueFull::DropOldest };
    let limits = SessionLimits { queue, window_max: 1, receive_maximum: 2, topic_alias_maximum: 0 };
    let attachment = Attachment {
        version,
        receive_maximum: 1,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
    };
    let mut session = Session::new(limits, true);
    session.attach(&attachment, limits);
    let mut answers = String::new();
    for word in script.split(' ') {
        let id = word.get(1..).and_then(|id| id.parse().ok()).and_then(PacketId::new);
        match (&word[..1], id) {
            ("p", Some(id)) => answers.push(match session.handle_publish_exactly_once(id) {
                Ok(Inbound::New) => 'N',
                Ok(Inbound::Duplicate) => 'D',
                Err(Error::ReceiveMaximumExceeded) => 'E',
                Err(error) => panic!("{error}"),
            }),
            ("r", Some(id)) => answers.push(match session.handle_pubrel(id).0 {
                ReasonCode::Success => 'S',
                ReasonCode::PacketIdentifierNotFound => 'U',
                code => panic!("{code:?}"),
            }),
            ("f", Some(id)) => session.forget_publish(id),
            _ => {
                session.detach();
                session.attach(&attachment, limits);
            }
        }
    }
    assert_eq!(answers, expect, "{script}");
}

/// Covers 5.0 [MQTT-3.3.4-7] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12].
#[test]
fn exactly_once_within_receive_maximum() {
    for (script, expect) in [
        ("p1 p1 r1 r1 p1", "NDSUN"),
        ("p9 p3 r9 r3", "NNSS"),
        // Freed by PUBREL and by a failing PUBREC, not by anything else.
        ("p1 p2 p3", "NNE"),
        ("p1 p2 r1 p3", "NNSN"),
        ("p1 p2 f1 p3", "NNN"),
        ("p1 p2 p2 p1 p3", "NNDDE"),
        // It is about this connection only; what came earlier stays known.
        ("p1 p2 c p1 p2 p3", "NNDDE"),
        ("p1 p2 c p3 p4 p5", "NNNNE"),
        ("p1 c p1 r1 p1", "NDSN"),
        // PUBREL for a PUBLISH of an earlier connection gives one more, at most Receive Maximum.
        ("p1 c r1 p2 p3 p4 p5", "NSNNNE"),
        ("c r7 r8 r9 p1 p2 p3 p4 p5", "UUUNNNNE"),
        ("c r7 c p1 p2 p3", "UNNE"),
    ] {
        check(ProtocolVersion::V5, script, expect);
    }
    check(ProtocolVersion::V311, "p1 p2 p3 p2 r2 p2", "NNNDSN");
}

#[test]
fn an_empty_set_keeps_little() {
    let queue = QueueLimits { messages: 1, bytes: 1, when_full: QueueFull::DropOldest };
    let limits = SessionLimits { queue, window_max: 1, receive_maximum: 2, topic_alias_maximum: 0 };
    let mut session = Session::new(limits, true);
    let ids = || (1..=1_024).filter_map(PacketId::new);
    for id in ids() {
        assert_eq!(session.handle_publish_exactly_once(id), Ok(Inbound::New));
    }
    let one_more = session.handle_publish_exactly_once(PacketId::new(1_025).unwrap());
    assert_eq!(one_more, Err(Error::ReceiveMaximumExceeded));
    assert_eq!(session.awaiting_release(), 1_024);
    for id in ids() {
        session.handle_pubrel(id);
    }
    assert!(session.unreleased.sorted.capacity() <= super::IDENTIFIERS_KEPT);
}
