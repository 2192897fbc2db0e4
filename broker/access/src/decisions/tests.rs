use super::*;

fn record(id: DecisionId, client_id: &str, refused: bool) -> DecisionRecord {
    DecisionRecord {
        id,
        at_unix: 1,
        about: About::Connect,
        client_id: client_id.into(),
        principal: None,
        listener: "mqtt".into(),
        remote: [127, 0, 0, 1].into(),
        generation: 1,
        refusal: refused.then(|| "no".to_owned()),
        links: Vec::new(),
        rules: Vec::new(),
        elapsed: Duration::ZERO,
        recordings: Vec::new(),
    }
}

#[test]
fn a_name_is_read_back() {
    let id = DecisionId(0x0123_4567_89ab_cdef);
    assert_eq!(id.to_string(), "0123456789abcdef");
    assert_eq!("0123456789abcdef".parse(), Ok(id));
    assert_eq!("0123456789ABCDEF".parse(), Ok(id));
    for text in ["", "1", "0123456789abcdefa", "+123456789abcdef", "0123456789abcdeg"] {
        assert_eq!(text.parse::<DecisionId>(), Err(NoDecisionId), "{text}");
    }
}

#[test]
fn a_flood_of_refusals_leaves_what_was_permitted() {
    let decisions = Decisions::default();
    decisions.keep(3);
    let permitted = decisions.begin(Duration::ZERO).id();
    decisions.note(record(permitted, "good", false));
    let refused: Vec<_> = (0..10).map(|_| decisions.begin(Duration::ZERO).id()).collect();
    for id in &refused {
        decisions.note(record(*id, "bad", true));
    }
    let ids = |before, most, who: &str| -> Vec<_> {
        let found =
            decisions.latest(before, most, |record| who.is_empty() || *record.client_id == *who);
        found.iter().map(|record| record.id).collect()
    };
    assert_eq!(ids(None, 9, ""), [refused[9], refused[8], refused[7], permitted]);
    assert_eq!(ids(Some(refused[9]), 1, ""), [refused[8]]);
    assert_eq!(ids(None, 9, "good"), [permitted]);
    assert!(decisions.find(permitted).is_some() && decisions.find(refused[6]).is_none());
    decisions.keep(0);
    decisions.note(record(decisions.begin(Duration::ZERO).id(), "bad", true));
    assert_eq!(ids(None, 9, "bad"), [], "what was there goes when something comes");
    assert!(!decisions.are_kept());
}

/// Takes so many bytes.
#[derive(Debug)]
struct Large(usize);

impl Recording for Large {
    fn json(&self) -> String {
        "{}".to_owned()
    }

    fn bytes(&self) -> usize {
        self.0
    }
}

#[test]
fn what_was_recorded_is_bounded_by_its_bytes() {
    let decisions = Decisions::default();
    for _ in 0..10 {
        let making = decisions.begin(Duration::ZERO);
        making.record(Arc::new(Large(BYTES_MOST / 3)));
        let recordings = making.take_recordings();
        decisions.note(DecisionRecord { recordings, ..record(making.id(), "c", false) });
    }
    assert_eq!(decisions.latest(None, 99, |_| true).len(), 2);
    // What is larger than all of it takes the place of everything.
    let making = decisions.begin(Duration::ZERO);
    let recordings: Vec<Arc<dyn Recording>> = vec![Arc::new(Large(2 * BYTES_MOST))];
    decisions.note(DecisionRecord { recordings, ..record(making.id(), "c", false) });
    assert_eq!(decisions.latest(None, 99, |_| true).len(), 1);
}

#[test]
fn a_part_of_a_decision_knows_which() {
    use std::task::{Context, Poll, Waker};
    let decisions = Decisions::default();
    let (one, other) = (decisions.begin(Duration::ZERO), decisions.begin(Duration::ZERO));
    let current = || current_decision().map(|making| making.id());
    let inner = async {
        assert_eq!(current(), Some(one.id()));
        deciding(&other, async { assert_eq!(current(), Some(other.id())) }).await;
        current()
    };
    let mut outer = pin!(deciding(&one, inner));
    let polled = outer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(polled, Poll::Ready(Some(one.id())));
    assert_eq!(current(), None);
}

#[test]
fn a_second_has_room_for_so_many() {
    let decisions = Decisions::default();
    decisions.record_per_second(100);
    let recorded = |at: u64, of: usize| {
        let at = Duration::from_millis(at);
        (0..of).filter(|_| decisions.begin(at).is_recorded()).count()
    };
    assert_eq!(recorded(5_000, 100), 10, "at once after a rest");
    assert_eq!(recorded(5_000, 100), 0);
    assert_eq!(recorded(5_050, 100), 5);
    assert_eq!((0..100).map(|tick| recorded(6_000 + 10 * tick, 10)).sum::<usize>(), 10 + 99);
    assert_eq!(recorded(60_000, 100), 10);
    decisions.record_per_second(1);
    assert_eq!((recorded(90_000, 100), recorded(90_900, 100)), (1, 0), "one at least");
    decisions.record_per_second(u32::MAX);
    assert!(recorded(120_000, 100) == 100);
    decisions.keep(0);
    assert_eq!(recorded(180_000, 100), 0, "nothing is kept");
}
