//! Tests of the flows to the client, packet by packet. What comes of them over broken connections
//! is in `tests/pair`.

use std::time::{Duration, Instant};

use codec::{Decoded, Packet, PacketId, ProtocolVersion, QoS, ReasonCode, decode};
use topic::TopicName;

use crate::{
    Attachment, Delivered, DeliveryOptions, DropReason, Fanout, Frames, QueueFull, QueueLimits,
    Session, SessionLimits,
};

use DropReason::{NotConnected, QueueFull as Full, SlowConsumer, TooLarge};
use ProtocolVersion::{V5, V311};

pub(crate) struct Bench {
    pub(crate) session: Session,
    pub(crate) limits: SessionLimits,
    pub(crate) now: Instant,
    /// Messages come by a shared subscription.
    pub(crate) shared: bool,
    frames: Frames,
}

impl Bench {
    /// A persistent session without connection: window 2, queue of 3 messages and 1,000 bytes.
    pub(crate) fn new(when_full: QueueFull) -> Self {
        let limits = SessionLimits {
            queue: QueueLimits { messages: 3, bytes: 1_000, when_full },
            window_max: 2,
            receive_maximum: 2,
            topic_alias_maximum: 0,
        };
        let session = Session::new(limits, true);
        Self { session, limits, now: Instant::now(), shared: false, frames: Frames::default() }
    }

    pub(crate) fn attach(&mut self, version: ProtocolVersion, packet_max: Option<u32>) -> String {
        let attachment = Attachment {
            version,
            receive_maximum: 9,
            maximum_packet_size: packet_max,
            topic_alias_maximum: 0,
        };
        self.session.attach(&attachment, self.limits);
        self.session.pump(self.now);
        self.written()
    }

    pub(crate) fn deliver(&mut self, qos: u8, bytes: usize, expiry: Option<u32>) -> Delivered {
        self.deliver_at(qos, bytes, expiry, None)
    }

    /// As [`Self::deliver`], with the place where the store has it.
    pub(crate) fn deliver_at(
        &mut self,
        qos: u8,
        bytes: usize,
        expiry: Option<u32>,
        place: Option<u64>,
    ) -> Delivered {
        let (topic, payload) = (TopicName::new("t").unwrap(), vec![b'x'; bytes]);
        let flags = (QoS::from_value(qos).unwrap(), false);
        let parts: (&[u8], &[u8]) = (&[], &payload);
        let mut fanout = Fanout::new(&topic, parts, flags, (expiry, self.now), &mut self.frames);
        let options = DeliveryOptions {
            maximum_qos: QoS::ExactlyOnce,
            retain: false,
            subscription_identifiers: &[],
            shared: self.shared,
            place,
        };
        self.session.deliver(&mut fanout, &options, self.now)
    }

    /// What the session wrote: `P1d` is PUBLISH 1 with DUP, `R1` PUBREL, `R1?` PUBREL 0x92.
    pub(crate) fn written(&mut self) -> String {
        let version = self.session.version().expect("connected");
        let (mut bytes, mut words) = (Vec::new(), Vec::new());
        self.session.take_output(&mut bytes, self.now);
        let mut rest = &bytes[..];
        while let Ok(Decoded::Packet(packet, length)) = decode(rest, version, usize::MAX) {
            rest = &rest[length..];
            words.push(match packet {
                Packet::Publish(publish) => {
                    let id = publish.packet_id.map_or(0, PacketId::get);
                    format!("P{id}{}", if publish.dup { "d" } else { "" })
                }
                Packet::PubRel(ack) => {
                    let unknown = ack.reason_code == ReasonCode::PacketIdentifierNotFound;
                    format!("R{}{}", ack.packet_id.get(), if unknown { "?" } else { "" })
                }
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(rest, [0_u8; 0]);
        words.join(" ")
    }
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

#[test]
fn window_then_queue_then_policy() {
    for (policy, last, acknowledged) in [
        (QueueFull::DropOldest, Delivered::QueuedDropping(1), "P3 P4 P5"),
        (QueueFull::DropNewest, Delivered::Dropped(Full), "P3 P4 P5"),
        (QueueFull::Disconnect, Delivered::Disconnect, "P3 P4 P5"),
    ] {
        let mut bench = Bench::new(policy);
        assert_eq!(bench.attach(V5, None), "");
        for expect in [Delivered::Sent; 2].into_iter().chain([Delivered::Queued; 3]) {
            assert_eq!(bench.deliver(1, 5, None), expect);
        }
        assert_eq!(bench.deliver(1, 5, None), last);
        assert_eq!((bench.session.in_flight(), bench.session.queued()), (2, 3));
        assert_eq!((bench.session.dropped(), bench.written().as_str()), (1, "P1 P2"));
        let mut sent = Vec::new();
        for value in 1..=5 {
            assert!(bench.session.handle_puback(id(value), bench.now));
            assert!(!bench.session.handle_puback(id(value), bench.now), "twice");
            sent.push(bench.written());
        }
        assert_eq!(sent.join(" ").trim(), acknowledged);
        assert_eq!((bench.session.in_flight(), bench.session.queued()), (0, 0));
    }
}

#[test]
fn a_client_that_is_away() {
    let mut bench = Bench::new(QueueFull::Disconnect);
    assert_eq!(bench.deliver(0, 5, None), Delivered::Dropped(NotConnected));
    for expect in [Delivered::Queued; 3].into_iter().chain([Delivered::Dropped(Full)]) {
        assert_eq!(bench.deliver(2, 5, None), expect, "nobody to disconnect");
    }
    assert_eq!(bench.attach(V311, None), "P1 P2");
    let mut passing = Bench::new(QueueFull::DropOldest);
    passing.session.set_persistent(false);
    assert_eq!(passing.deliver(1, 5, None), Delivered::Dropped(NotConnected));
}

/// Covers 5.0 [MQTT-4.3.3-4] [MQTT-4.3.3-5], 3.1.1 [MQTT-4.3.3-1].
#[test]
fn exactly_once_step_by_step() {
    for version in [V311, V5] {
        let mut bench = Bench::new(QueueFull::DropOldest);
        bench.attach(version, None);
        for _ in 0..3 {
            bench.deliver(2, 5, None);
        }
        assert_eq!(bench.written(), "P1 P2");
        let now = bench.now;
        let success = ReasonCode::Success;
        assert!(
            !bench.session.handle_puback(id(1), now) && !bench.session.handle_pubcomp(id(1), now)
        );
        for _ in 0..2 {
            assert_eq!(bench.session.handle_pubrec(id(1), success, now), Some((success, None)));
        }
        assert_eq!(bench.written(), "", "PUBREC frees no place in the window");
        assert!(bench.session.handle_pubcomp(id(1), now));
        assert_eq!(bench.written(), "P3", "PUBCOMP does");
        let unknown = bench.session.handle_pubrec(id(9), success, now);
        assert_eq!(unknown, Some((ReasonCode::PacketIdentifierNotFound, None)));
        bench.deliver(2, 5, None);
        assert_eq!(bench.session.handle_pubrec(id(2), ReasonCode::QuotaExceeded, now), None);
        assert_eq!(bench.written(), "P4", "so does a failing PUBREC, without PUBREL");
        assert_eq!(bench.session.handle_pubrec(id(2), ReasonCode::QuotaExceeded, now), None);
        assert_eq!(bench.written(), "");
    }
}

/// Covers 5.0 [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1], 3.1.1 [MQTT-4.3.3-1] [MQTT-4.4.0-1]
/// [MQTT-4.6.0-1].
#[test]
fn in_flight_messages_go_out_again_in_order_and_releases_at_once() {
    let mut bench = Bench::new(QueueFull::DropOldest);
    bench.limits.window_max = 4;
    bench.attach(V5, None);
    for qos in [2, 1, 2, 2] {
        bench.deliver(qos, 5, None);
    }
    assert_eq!(bench.written(), "P1 P2 P3 P4");
    bench.session.handle_pubrec(id(4), ReasonCode::Success, bench.now);
    bench.session.detach();
    bench.deliver(1, 5, None);
    bench.limits.window_max = 2;
    assert_eq!(bench.attach(V5, None), "R4 P1d", "PUBREL counts as not acknowledged");
    assert!(bench.session.handle_pubcomp(id(4), bench.now));
    assert_eq!(bench.written(), "P2d");
    assert!(bench.session.handle_puback(id(2), bench.now));
    assert_eq!(bench.written(), "P3d", "the queue waits until all are sent again");
    assert_eq!(bench.session.handle_pubrec(id(1), ReasonCode::QuotaExceeded, bench.now), None);
    assert_eq!(bench.written(), "P5");
}

/// Covers 5.0 [MQTT-3.3.2-5] [MQTT-4.3.3-7].
#[test]
fn expiry() {
    let mut bench = Bench::new(QueueFull::DropNewest);
    for expiry in [Some(5), None, Some(60)] {
        assert_eq!(bench.deliver(1, 5, expiry), Delivered::Queued);
    }
    assert_eq!(bench.deliver(1, 5, None), Delivered::Dropped(Full));
    bench.now += Duration::from_secs(5);
    assert_eq!(bench.deliver(1, 5, None), Delivered::Queued, "an expired one gave its place");
    assert_eq!(bench.session.dropped(), 2);
    bench.now += Duration::from_secs(60);
    assert_eq!(bench.attach(V5, None), "P1 P2");
    assert_eq!((bench.session.dropped(), bench.session.queued()), (3, 0));
    bench.session.detach();
    assert_eq!(bench.attach(V5, None), "P1d P2d", "begun deliveries are finished");
}

/// Covers 5.0 [MQTT-3.1.2-24] [MQTT-3.1.2-25].
#[test]
fn maximum_packet_size() {
    let mut bench = Bench::new(QueueFull::DropOldest);
    bench.attach(V5, Some(20));
    // Fixed header 2, topic 3, property length 1; packet identifier 2 above QoS 0.
    for (qos, fits) in [(0, 14), (1, 12), (2, 12)] {
        assert_eq!(bench.deliver(qos, fits + 1, None), Delivered::Dropped(TooLarge));
        assert_eq!(bench.deliver(qos, fits, None), Delivered::Sent);
    }
    bench.written();
    assert_eq!(bench.session.in_flight(), 2);
    bench.session.detach();
    assert_eq!(bench.attach(V5, Some(19)), "R4", "[MQTT-3.1.2-24] also when sent again");
    assert_eq!((bench.session.in_flight(), bench.session.dropped()), (1, 5));
    assert!(bench.session.handle_pubcomp(id(4), bench.now));
    assert_eq!(bench.session.in_flight(), 0);
}

#[test]
fn too_much_output_holds_back_and_taking_it_goes_on() {
    let mut bench = Bench::new(QueueFull::DropOldest);
    bench.attach(V5, None);
    assert_eq!(bench.deliver(0, 1_200, None), Delivered::Sent);
    assert_eq!(bench.deliver(0, 5, None), Delivered::Dropped(SlowConsumer));
    assert_eq!(bench.deliver(1, 5, None), Delivered::Queued);
    assert!(!bench.session.is_caught_up());
    assert_eq!(bench.written(), "P0");
    assert_eq!(bench.written(), "P1", "nothing in flight would have brought it");
    assert!(bench.session.is_caught_up());
}

#[test]
fn names_of_reasons_differ() {
    let names = [Full, SlowConsumer, TooLarge, NotConnected].map(DropReason::name);
    let different: std::collections::BTreeSet<_> = names.into_iter().collect();
    assert_eq!(different.len(), names.len());
}
