//! Messages into sessions, out to their connections, and acknowledged.

use std::{hint::black_box, time::Instant};

use codec::{Decoded, Packet, ProtocolVersion, QoS, decode};
use session::{
    Attachment, Delivered, DeliveryOptions, Fanout, Frames, QueueFull, QueueLimits, Session,
    SessionLimits,
};
use topic::TopicName;

use super::{Ready, TIMES};

const LIMITS: SessionLimits = SessionLimits {
    queue: QueueLimits { messages: 1_000, bytes: 1 << 20, when_full: QueueFull::DropOldest },
    window_max: 32,
    receive_maximum: 32,
    topic_alias_maximum: 0,
};
const OPTIONS: DeliveryOptions<'_> = DeliveryOptions {
    maximum_qos: QoS::AtLeastOnce,
    retain: false,
    subscription_identifiers: &[],
    shared: false,
    place: None,
};
const PAYLOAD: [u8; 64] = [b'x'; 64];
const TOPIC: &str = "plant/7/line/3/state";

fn connected() -> Session {
    let attachment = Attachment {
        version: ProtocolVersion::V311,
        receive_maximum: 20,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
    };
    let mut session = Session::new(LIMITS, false);
    session.attach(&attachment, LIMITS);
    session
}

/// Delivers one message; whether it was sent.
fn deliver(
    session: &mut Session,
    topic: &TopicName,
    qos: QoS,
    frames: &mut Frames,
    now: Instant,
) -> bool {
    let parts: (&[u8], &[u8]) = (&[], &PAYLOAD);
    let mut fanout = Fanout::new(topic, parts, (qos, false), (None, now), frames);
    session.deliver(&mut fanout, &OPTIONS, now) == Delivered::Sent
}

pub(super) fn fan_out() -> Ready {
    let mut sessions: Vec<_> = (0..TIMES).map(|_| connected()).collect();
    let topic = TopicName::new(TOPIC);
    let (now, mut frames) = (Instant::now(), Frames::default());
    let mut out = Vec::with_capacity(1_024);
    Box::new(move || {
        let Ok(topic) = &topic else { return 0 };
        let parts: (&[u8], &[u8]) = (&[], &PAYLOAD);
        let flags = (QoS::AtMostOnce, false);
        let mut fanout = Fanout::new(topic, parts, flags, (None, now), &mut frames);
        let mut sent = 0;
        for session in &mut sessions {
            let delivered = session.deliver(&mut fanout, &OPTIONS, now);
            sent += usize::from(delivered == Delivered::Sent);
        }
        for session in &mut sessions {
            session.take_output(&mut out, now);
            black_box(&out);
            out.clear();
        }
        sent
    })
}

pub(super) fn acknowledged() -> Ready {
    let mut session = connected();
    let topic = TopicName::new(TOPIC);
    let (now, mut frames) = (Instant::now(), Frames::default());
    let mut out = Vec::with_capacity(64 * 1_024);
    Box::new(move || {
        let Ok(topic) = &topic else { return 0 };
        let mut done = 0;
        while done < TIMES {
            // As many as come in one read of a busy publisher.
            for _ in 0..10 {
                deliver(&mut session, topic, QoS::AtLeastOnce, &mut frames, now);
            }
            session.take_output(&mut out, now);
            let mut rest = &out[..];
            while let Ok(Decoded::Packet(Packet::Publish(publish), length)) =
                decode(rest, ProtocolVersion::V311, 1 << 20)
            {
                let known = publish.packet_id.is_some_and(|id| session.handle_puback(id, now));
                done += usize::from(known);
                rest = rest.get(length..).unwrap_or_default();
            }
            out.clear();
        }
        done
    })
}
