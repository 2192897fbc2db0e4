//! Tests of the in-flight window.

use std::sync::Arc;

use codec::{PacketId, QoS};
use topic::TopicName;

use super::{Awaiting, Inflight, Owed, Released};
use crate::Message;

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

fn owed(qos: QoS) -> Owed {
    let message = Message::new(TopicName::new("a").unwrap(), b"", b"", qos);
    Owed {
        message: Arc::new(message),
        transformed: None,
        claim: None,
        qos,
        retain: false,
        shared: false,
        subscription_identifiers: [].into(),
    }
}

/// Identifiers 1, 2, ... with these levels.
fn inflight(levels: &[u8]) -> Inflight {
    let mut inflight = Inflight::default();
    for level in levels {
        let packet_id = inflight.next_packet_id(None).unwrap();
        inflight.push(packet_id, owed(QoS::from_value(*level).unwrap()), false);
    }
    inflight
}

/// Each entry: identifier, what it awaits, `!` when not sent.
fn show(inflight: &Inflight) -> String {
    let unsent = inflight.entries.iter().filter(|entry| !entry.sent).count();
    assert_eq!(inflight.unsent as usize, unsent);
    assert_eq!(inflight.sent(), inflight.len() - unsent);
    assert_eq!(inflight.all_sent(), unsent == 0);
    let entries = inflight.entries.iter().map(|entry| {
        let awaiting = match entry.awaiting {
            Awaiting::Acknowledged(_) => "a",
            Awaiting::Received(_) => "r",
            Awaiting::Completed(_) => "c",
        };
        format!("{}{awaiting}{}", entry.packet_id.get(), if entry.sent { "" } else { "!" })
    });
    entries.collect::<Vec<_>>().join(" ")
}

#[test]
fn each_acknowledgement_ends_only_what_awaits_it() {
    let mut window = inflight(&[1, 2, 2, 1]);
    assert_eq!(show(&window), "1a 2r 3r 4a");
    let acknowledged = |awaiting: &Awaiting| matches!(awaiting, Awaiting::Acknowledged(_));
    assert!(window.complete(id(2), acknowledged).is_none());
    assert!(window.complete(id(9), |_| true).is_none());
    assert_eq!((window.released(id(1)), window.released(id(9))), (None, None));
    assert_eq!(window.released(id(3)), Some(Released::Now(None)));
    assert_eq!(window.released(id(3)), Some(Released::Before(None)), "a repeated PUBREC is fine");
    assert!(window.complete(id(4), acknowledged).is_some());
    assert!(window.complete(id(4), acknowledged).is_none());
    assert_eq!(show(&window), "1a 2r 3c");
    let completed = |awaiting: &Awaiting| matches!(awaiting, Awaiting::Completed(_));
    assert!(window.complete(id(3), completed).is_some());
    assert_eq!(show(&window), "1a 2r");
}

#[test]
fn everything_is_sent_again_releases_first() {
    let mut window = inflight(&[1, 2, 2, 1]);
    window.released(id(3));
    window.mark_unsent();
    assert_eq!(show(&window), "1a! 2r! 3c! 4a!");
    let mut released = Vec::new();
    window.send_releases(|_| false, |packet_id| released.push(packet_id.get()));
    window.send_releases(|_| false, |packet_id| released.push(packet_id.get()));
    assert_eq!(released, [3]);
    let mut resent = Vec::new();
    let mut from = 0;
    while let Some((at, packet_id, _)) = window.next_unsent(from) {
        resent.push(packet_id.get());
        window.mark_sent(at);
        from = at;
    }
    assert_eq!(resent, [1, 2, 4]);
    assert_eq!(show(&window), "1a 2r 3c 4a");
}

#[test]
fn acknowledgements_of_what_is_not_sent_again_yet() {
    let mut window = inflight(&[1, 2, 2]);
    window.mark_unsent();
    assert!(window.complete(id(1), |_| true).is_some() && window.released(id(3)).is_some());
    assert_eq!(show(&window), "2r! 3c");
    window.send_releases(|_| false, |packet_id| panic!("{packet_id:?} was released already"));
}

#[test]
fn what_cannot_be_sent_again_keeps_its_exactly_once_identifier() {
    let mut window = inflight(&[1, 2, 2]);
    window.mark_unsent();
    assert!(window.give_up(0).is_some(), "QoS 1 needs no PUBREL");
    assert!(window.give_up(0).is_none(), "QoS 2 does");
    assert_eq!(show(&window), "2c! 3r!");
    window.send_releases(|_| false, |packet_id| assert_eq!(packet_id.get(), 2));
    assert_eq!(show(&window), "2c 3r!");
}

#[test]
fn revoked_messages_go_unless_sent() {
    let mut window = inflight(&[1, 2, 2, 1]);
    window.released(id(3));
    assert_eq!(window.retain_messages(|_| false, |_, _| ()), 0, "all are sent");
    window.mark_unsent();
    window.send_releases(|_| false, |_| ());
    let (at, ..) = window.next_unsent(0).unwrap();
    window.mark_sent(at);
    assert_eq!(window.retain_messages(|_| true, |_, _| ()), 0);
    assert_eq!(window.retain_messages(|_| false, |_, _| ()), 2);
    assert_eq!(show(&window), "1a 2c! 3c");
    let mut released = Vec::new();
    window.send_releases(|_| false, |packet_id| released.push(packet_id.get()));
    assert_eq!((released, show(&window).as_str()), (vec![2], "1a 2c 3c"));
}

#[test]
fn an_empty_window_keeps_little() {
    let mut window = inflight(&[1; 32]);
    for value in 1..=32 {
        assert!(window.complete(id(value), |_| true).is_some());
    }
    assert!(window.entries.capacity() <= super::ENTRIES_KEPT);
}

#[test]
fn sizes() {
    let sizes = (size_of::<Owed>(), size_of::<super::Entry>());
    assert!(sizes.0 <= 56 && sizes.1 <= 72, "{sizes:?}");
}
