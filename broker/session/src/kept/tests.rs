//! Tests of sessions that outlive the process: what the store is told, and what waits for it.

use codec::{PacketId, ProtocolVersion, QoS, ReasonCode};
use topic::TopicName;

use super::*;
use crate::{Delivered, QueueFull, outbound::tests::Bench};

/// A bench whose session is kept; the message with number N lies at place 100 * N.
fn kept() -> Bench {
    let mut bench = Bench::new(QueueFull::DropOldest);
    bench.limits.queue.messages = 9;
    bench.session = Session::new(bench.limits, true);
    bench.session.keep();
    bench
}

impl Bench {
    /// A message that is durable at once.
    fn take(&mut self, qos: u8) -> Delivered {
        let delivered = self.take_unsure(qos);
        self.session.written(self.session.last_number(), 1);
        self.session.durable(1);
        self.session.pump(self.now);
        delivered
    }

    /// A message that is yet to be written.
    fn take_unsure(&mut self, qos: u8) -> Delivered {
        let place = (self.session.last_number() + 1) * 100;
        self.deliver_at(qos, 5, None, Some(place))
    }

    /// Numbers of what the store need not keep any more.
    fn done(&mut self) -> Vec<u64> {
        self.session.take_done().iter().map(|claim| claim.number.get()).collect()
    }

    /// Hands in everything that is wanted.
    fn load(&mut self) -> usize {
        let wanted = self.session.wanted();
        for waiting in &wanted {
            let message = message(waiting.qos);
            self.session.hand_in(waiting.claim, Some(message));
        }
        self.session.pump(self.now);
        wanted.len()
    }
}

fn message(qos: QoS) -> Arc<Message> {
    Arc::new(Message::new(TopicName::new("t").unwrap(), b"", b"xxxxx", qos))
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

#[test]
fn a_message_that_the_store_does_not_have_is_not_taken() {
    let mut bench = kept();
    let dropped = Delivered::Dropped(crate::DropReason::NotStored);
    assert_eq!(bench.deliver(1, 5, None), dropped);
    assert_eq!(bench.session.last_number(), 0);
    bench.attach(ProtocolVersion::V5, None);
    assert_eq!(bench.deliver(0, 5, None), Delivered::Sent, "QoS 0 needs no store");
}

#[test]
fn identifiers_follow_the_numbers_and_completions_are_told() {
    let mut bench = kept();
    bench.attach(ProtocolVersion::V5, None);
    assert_eq!((bench.take(1), bench.take(1)), (Delivered::Sent, Delivered::Sent));
    assert_eq!(bench.written(), "P2 P3");
    bench.session.handle_puback(id(3), bench.now);
    assert_eq!(bench.done(), [2]);
    bench.session.handle_puback(id(2), bench.now);
    assert_eq!((bench.done(), bench.session.sent_below()), (vec![1], 3));
}

#[test]
fn exactly_once_waits_until_the_store_has_it() {
    let mut bench = kept();
    bench.attach(ProtocolVersion::V5, None);
    for qos in [2, 1, 2] {
        assert_eq!(bench.take_unsure(qos), Delivered::Queued);
    }
    bench.limits.window_max = 9;
    bench.session.pump(bench.now);
    assert_eq!(bench.written(), "", "and nothing overtakes it");
    // Whoever wrote the later one was faster.
    bench.session.written(3, 7);
    bench.session.durable(7);
    assert_eq!(bench.session.awaited_ticket(), None, "it is not known what to wait for");
    bench.session.pump(bench.now);
    assert_eq!(bench.written(), "");
    bench.session.written(1, 8);
    bench.session.durable(7);
    assert_eq!(bench.session.awaited_ticket(), Some(8));
    bench.session.pump(bench.now);
    assert_eq!(bench.written(), "");
    bench.session.durable(8);
    assert_eq!(bench.session.awaited_ticket(), None);
    bench.session.pump(bench.now);
    assert_eq!(bench.written(), "P2 P3");
    let answer = bench.session.handle_pubrec(id(2), ReasonCode::Success, bench.now);
    let (code, claim) = answer.unwrap();
    assert_eq!((code, claim.unwrap().number.get()), (ReasonCode::Success, 1));
    let again = bench.session.handle_pubrec(id(2), ReasonCode::Success, bench.now);
    assert_eq!(again, Some((ReasonCode::Success, None)));
    assert!(bench.done().is_empty());
    bench.session.handle_pubcomp(id(2), bench.now);
    assert_eq!(bench.done(), [1]);
}

#[test]
fn a_long_queue_is_not_in_memory_and_comes_in_order() {
    let mut bench = kept();
    bench.limits.queue.messages = 10_000;
    bench.limits.queue.bytes = 1 << 30;
    bench.limits.window_max = 4;
    bench.attach(ProtocolVersion::V5, None);
    bench.session.detach();
    for _ in 0..1_000 {
        assert_eq!(bench.take(1), Delivered::Queued);
    }
    assert_eq!(bench.session.queue.owed().count(), 0);
    assert!(bench.session.wanted().is_empty(), "nobody is there");
    assert_eq!(bench.attach(ProtocolVersion::V5, None), "");
    let mut next = 2;
    while bench.session.queued() + bench.session.in_flight() > 0 {
        bench.load();
        assert!(bench.session.queue.owed().count() <= 128 + 32);
        for packet in bench.written().split_whitespace() {
            assert_eq!(packet, format!("P{next}"));
            bench.session.handle_puback(id(next), bench.now);
            next += 1;
        }
    }
    assert_eq!((next, bench.done().len()), (1_002, 1_000));
}

#[test]
fn what_waits_is_left_to_the_store_when_the_client_goes() {
    let mut bench = kept();
    bench.limits.window_max = 1;
    bench.attach(ProtocolVersion::V5, None);
    for _ in 0..3 {
        bench.take(1);
    }
    assert_eq!(bench.written(), "P2");
    bench.session.detach();
    assert_eq!(bench.session.queue.owed().count(), 0);
    assert_eq!(bench.session.sent_below(), 2);
    assert_eq!(bench.attach(ProtocolVersion::V5, None), "P2d");
    assert_eq!(bench.load(), 2);
    bench.session.handle_puback(id(2), bench.now);
    bench.session.handle_puback(id(3), bench.now);
    assert_eq!(bench.written(), "P3 P4");
}

#[test]
fn the_oldest_give_way_wherever_they_are() {
    let mut bench = kept();
    bench.limits.queue.messages = 2;
    bench.limits.window_max = 1;
    bench.attach(ProtocolVersion::V5, None);
    bench.session.detach();
    for _ in 0..4 {
        bench.take(1);
    }
    assert_eq!((bench.done(), bench.session.queued()), (vec![1, 2], 2));
    bench.attach(ProtocolVersion::V5, None);
    let wanted = bench.session.wanted();
    bench.take(1);
    assert_eq!(bench.done(), [3]);
    // What was wanted before that is not taken in.
    for waiting in wanted {
        bench.session.hand_in(waiting.claim, Some(message(QoS::AtLeastOnce)));
    }
    bench.session.pump(bench.now);
    assert_eq!(bench.written(), "P5");
}

/// A session as the next process finds it.
fn found(last_number: u64, sent_below: u64, numbers: &[(u64, u8)]) -> Bench {
    let mut bench = Bench::new(QueueFull::DropOldest);
    bench.limits.window_max = 9;
    bench.session = Session::recovered(bench.limits, Found { last_number, sent_below });
    for (number, qos) in numbers {
        let claim = Claim { number: NonZeroU64::new(*number).unwrap(), place: number * 100 };
        let qos = QoS::from_value(*qos).unwrap();
        bench.session.recover_waiting(&Waiting {
            claim,
            qos,
            bytes: 6,
            ..Waiting::released(claim)
        });
    }
    bench
}

#[test]
fn after_a_restart_what_may_have_been_sent_is_a_repetition() {
    let mut bench = found(9, 8, &[(6, 1), (7, 2), (9, 1)]);
    let claim = Claim { number: NonZeroU64::new(5).unwrap(), place: 500 };
    bench.session.recover_received(claim);
    bench.session.recover_unreleased(id(77));
    assert_eq!(bench.attach(ProtocolVersion::V5, None), "R6");
    bench.load();
    assert_eq!(bench.written(), "P7d P8d P10");
    assert_eq!(bench.take(1), Delivered::Sent);
    assert_eq!(bench.written(), "P11");
    let repetition = bench.session.handle_publish_exactly_once(id(77));
    assert_eq!(repetition, Ok(crate::Inbound::Duplicate));
    assert_eq!(bench.session.handle_pubrel(id(77)), (ReasonCode::Success, true));
    assert!(!bench.session.handle_pubrel(id(77)).1);
    bench.session.handle_pubcomp(id(6), bench.now);
    assert_eq!(bench.done(), [5]);
}

#[test]
fn an_identifier_that_the_client_may_hold_is_let_go_on_both_sides() {
    let mut bench = found(9, 9, &[(6, 2), (7, 1), (9, 2)]);
    bench.attach(ProtocolVersion::V5, None);
    for waiting in bench.session.wanted() {
        assert!(bench.session.hand_in(waiting.claim, None), "all are refused");
    }
    bench.session.pump(bench.now);
    assert_eq!(bench.written(), "", "after a crash it would come again");
    let mut told = Vec::new();
    bench.session.note_given_up(|number| {
        told.push(number);
        8
    });
    assert_eq!((told, bench.session.awaited_ticket()), (vec![6], Some(8)));
    for (ticket, written) in [(7, ""), (8, "R7"), (9, "")] {
        bench.session.durable(ticket);
        bench.session.pump(bench.now);
        assert_eq!(bench.written(), written);
    }
    assert_eq!((bench.done(), bench.session.dropped()), (vec![7, 9], 3));
    bench.session.handle_pubcomp(id(7), bench.now);
    assert_eq!(bench.done(), [6]);
}

/// One that was sent, and is too large for the client on its next connection.
#[test]
fn what_became_too_large_is_released_once_the_store_knows() {
    let mut bench = kept();
    bench.attach(ProtocolVersion::V5, None);
    bench.take(2);
    bench.take(1);
    assert_eq!(bench.written(), "P2 P3");
    assert_eq!(bench.attach(ProtocolVersion::V5, Some(5)), "");
    bench.session.note_given_up(|_| 9);
    // PUBREC for the first sending: that PUBREL waits too.
    let answer = bench.session.handle_pubrec(id(2), ReasonCode::Success, bench.now).unwrap();
    assert_eq!(answer.1.map(|claim| claim.number.get()), Some(1));
    assert_eq!(bench.attach(ProtocolVersion::V5, Some(5)), "");
    bench.session.durable(9);
    bench.session.pump(bench.now);
    assert_eq!(bench.written(), "R2");
}

#[test]
fn claims_move_wherever_they_are() {
    let mut bench = kept();
    bench.limits.window_max = 2;
    bench.attach(ProtocolVersion::V5, None);
    for qos in [2, 1, 1, 1] {
        bench.take(qos);
    }
    bench.session.pump(bench.now);
    bench.session.handle_pubrec(id(2), ReasonCode::Success, bench.now);
    bench.session.queue.leave_to_store();
    bench.take(1);
    let mut moved = Vec::new();
    let to = |place| (place != 300).then_some(place + 1);
    bench.session.move_claims(to, |claim| {
        moved.push((claim.from, claim.waiting.claim.place, claim.received));
    });
    assert_eq!(moved, [(100, 101, true), (200, 201, false), (400, 401, false), (500, 501, false)]);
    let places: Vec<_> = bench.session.places().collect();
    assert_eq!(places, [101, 201, 300, 401, 501]);
}

#[test]
fn what_another_member_may_have() {
    let mut bench = kept();
    bench.limits.window_max = 2;
    bench.attach(ProtocolVersion::V5, None);
    bench.shared = true;
    for qos in [1, 2, 2, 1] {
        bench.take(qos);
    }
    bench.shared = false;
    bench.take(1);
    bench.session.pump(bench.now);
    let show = |session: &Session| -> Vec<_> {
        let undelivered = session.shared_undelivered();
        undelivered.iter().map(|(claim, m)| (claim.unwrap().place, m.is_some())).collect()
    };
    assert_eq!(show(&bench.session), [(100, true), (300, true), (400, true)], "not what began");
    bench.session.queue.leave_to_store();
    assert_eq!(show(&bench.session), [(100, true), (300, false), (400, false)]);
}
