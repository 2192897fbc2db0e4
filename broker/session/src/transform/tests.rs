//! Tests of messages that wait for transforms, without any plugin: the test says what became of them.

use codec::{Decoded, Packet, PacketId, ProtocolVersion::V5, decode};

use super::*;
use crate::{QueueFull, outbound::tests::Bench};

fn claims(filter: &str) -> Option<OutboundClaims> {
    let filters: Arc<[_]> = Arc::new([TopicFilter::new(filter).unwrap()]);
    OutboundClaims::new(&filters)
}

fn bench() -> Bench {
    let mut bench = Bench::new(QueueFull::DropOldest);
    bench.attach(V5, None);
    bench.session.set_outbound_claims(claims("t"));
    bench
}

/// Payload bytes of what the session wrote.
fn written(bench: &mut Bench) -> Vec<usize> {
    let (mut bytes, mut payloads) = (Vec::new(), Vec::new());
    bench.session.pump(bench.now);
    bench.session.take_output(&mut bytes, bench.now);
    let mut rest = &bytes[..];
    while let Ok(Decoded::Packet(Packet::Publish(publish), length)) = decode(rest, V5, usize::MAX) {
        rest = &rest[length..];
        payloads.push(publish.payload.len());
    }
    payloads
}

/// Says of everything that waits what becomes of it: of its payload's length, another one.
fn work(bench: &mut Bench, become_of: impl Fn(usize) -> Option<usize>) -> usize {
    let claimed = bench.session.untransformed();
    let outcome = |message: Arc<Message>| {
        let bytes = become_of(message.payload().len());
        let outgoing = bytes.map(|bytes| Arc::new(message.with_parts(&[], &vec![b'y'; bytes])));
        (message, outgoing)
    };
    let count = claimed.len();
    bench.session.transformed(claimed.into_iter().map(outcome));
    count
}

#[test]
fn what_is_claimed_waits_and_keeps_its_order() {
    for qos in [0, 1, 2] {
        let mut bench = bench();
        assert_eq!(bench.deliver(qos, 1, None), Delivered::Queued);
        assert_eq!(bench.deliver(qos, 2, None), Delivered::Queued);
        assert_eq!(written(&mut bench), [0_usize; 0], "QoS {qos}");
        assert_eq!(work(&mut bench, |bytes| Some(bytes + 10)), 2);
        assert_eq!(work(&mut bench, Some), 0, "nothing is worked on twice");
        assert_eq!(written(&mut bench), [11, 12], "QoS {qos}");
        assert_eq!(bench.session.in_flight(), if qos == 0 { 0 } else { 2 });
        assert_eq!(bench.session.queued_bytes(), 0);
    }
}

#[test]
fn what_is_swallowed_is_over_and_only_that() {
    let mut bench = bench();
    for bytes in [1, 2, 3] {
        bench.deliver(1, bytes, None);
    }
    assert_eq!(work(&mut bench, |bytes| (bytes != 2).then_some(bytes)), 3);
    assert_eq!((bench.session.queued(), written(&mut bench)), (2, vec![1, 3]));
}

#[test]
fn an_outcome_of_what_left_the_queue_is_skipped() {
    let mut bench = bench();
    for bytes in [1, 2, 3] {
        bench.deliver(1, bytes, None);
    }
    let claimed = bench.session.untransformed();
    // The first gives way.
    assert_eq!(bench.deliver(1, 4, None), Delivered::QueuedDropping(1));
    bench.session.transformed(claimed.into_iter().map(|message| {
        let outgoing = Arc::new(message.with_parts(&[], &vec![b'y'; message.payload().len() + 10]));
        (message, Some(outgoing))
    }));
    assert_eq!(written(&mut bench), [12, 13], "the last one waits for its turn");
    assert_eq!(work(&mut bench, Some), 1);
    bench.session.handle_puback(PacketId::new(1).unwrap(), bench.now);
    assert_eq!(written(&mut bench), [4]);
}

#[test]
fn other_topics_do_not_wait() {
    let mut bench = bench();
    bench.session.set_outbound_claims(claims("u/#"));
    assert_eq!(bench.deliver(0, 1, None), Delivered::Sent);
    assert_eq!(bench.deliver(1, 2, None), Delivered::Sent);
    assert_eq!(written(&mut bench), [1, 2]);
}

#[test]
fn at_most_once_makes_no_room_for_itself_and_goes_with_its_connection() {
    let mut bench = bench();
    bench.deliver(1, 1, None);
    bench.deliver(0, 2, None);
    bench.deliver(1, 3, None);
    let dropped = Delivered::Dropped(DropReason::SlowConsumer);
    assert_eq!(bench.deliver(0, 4, None), dropped);
    bench.session.detach();
    assert_eq!(bench.session.queued(), 2);
    bench.attach(V5, None);
    assert_eq!(work(&mut bench, Some), 2);
    assert_eq!(written(&mut bench), [1, 3]);
}

#[test]
fn what_is_sent_again_is_what_was_sent_first() {
    let mut bench = bench();
    bench.deliver(1, 1, None);
    work(&mut bench, |_| Some(7));
    assert_eq!(written(&mut bench), [7]);
    bench.attach(V5, None);
    assert_eq!(work(&mut bench, |_| Some(8)), 0);
    bench.session.pump(bench.now);
    assert_eq!(bench.session.in_flight(), 1);
}

#[test]
fn others_inherit_what_was_published() {
    let mut bench = bench();
    bench.shared = true;
    bench.deliver(1, 1, None);
    work(&mut bench, |_| Some(7));
    assert_eq!(written(&mut bench), [7]);
    let undelivered = bench.session.shared_undelivered();
    let payloads = undelivered.iter().map(|(_, message)| message.as_ref().unwrap().payload().len());
    assert_eq!(payloads.collect::<Vec<_>>(), [1]);
}

#[test]
fn with_the_claims_goes_the_waiting() {
    let mut bench = bench();
    bench.deliver(1, 1, None);
    bench.deliver(0, 2, None);
    bench.session.set_outbound_claims(None);
    assert_eq!(written(&mut bench), [1, 2]);
}
