//! Who is given whose answer, for how long, and that no failure is kept.

use std::{
    cell::Cell,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{Answers, Asked, ENTRIES_MAX, Stopwatch, WEIGHT_MAX};
use crate::{
    Answer, Authorizer, BoxFuture, HoldsFor, Identity, PeerCertificate, PermissionSet,
    PluginFailure, PluginFailureKind, Subject,
    testing::{Authorizes, block_on, fails, rule, subject},
};

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::from_secs(1_000)) };
}

fn clock() -> Duration {
    NOW.get()
}

fn pass(seconds: u64) {
    NOW.set(NOW.get() + Duration::from_secs(seconds));
}

/// An authorizer that counts how often it is asked.
struct Counted {
    hook: Arc<dyn Authorizer>,
    calls: Arc<AtomicU32>,
    answers: Answers,
}

impl Counted {
    fn new(
        word: impl Fn(&Subject) -> Result<Answer, PluginFailure> + Send + Sync + 'static,
    ) -> Self {
        let calls = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&calls);
        let hook = Arc::new(Authorizes(move |subject: &Subject| {
            counter.fetch_add(1, Relaxed);
            word(subject)
        }));
        Self { hook, calls, answers: Answers::new() }
    }

    /// Asks for a client that can use the answer.
    fn ask(&self, subject: &Subject) -> (Asked, bool) {
        let (asked, cached) =
            block_on(self.answers.ask(&self.hook, subject, &Stopwatch::start(clock)));
        if let (Ok(answered), false) = (&asked, cached) {
            self.answers.keep(subject, answered);
        }
        (asked, cached)
    }

    /// Asks for a client and tells how many calls that took.
    fn calls_for(&self, subject: &Subject) -> u32 {
        let before = self.calls.load(Relaxed);
        let (asked, cached) = self.ask(subject);
        asked.expect("answers");
        let calls = self.calls.load(Relaxed) - before;
        assert_eq!(cached, calls == 0);
        calls
    }
}

fn set(holds_for: HoldsFor, ttl_seconds: Option<u32>) -> Answer {
    let rules = vec![rule(crate::Effect::Allow, "a/#")];
    Answer::Permissions(PermissionSet { rules, ttl_seconds, holds_for })
}

fn always(answer: Answer) -> Counted {
    Counted::new(move |_| Ok(answer.clone()))
}

fn with_identity(subject: &Subject, change: impl FnOnce(&mut Identity)) -> Subject {
    let mut identity = (*subject.identity).clone();
    change(&mut identity);
    Subject { identity: Arc::new(identity), ..subject.clone() }
}

/// Clients that differ from [`subject`]`("c", "p")` in one thing each: first what an answer for a
/// principal may look at, then the rest.
fn others() -> (Vec<Subject>, Vec<Subject>) {
    let one = subject("c", "p");
    let identities = vec![
        subject("c", "q"),
        with_identity(&one, |identity| identity.authenticated_by = "other".into()),
        with_identity(&one, |identity| identity.groups.push("group".to_owned())),
        with_identity(&one, |identity| {
            identity.attributes.push(("name".to_owned(), "value".to_owned()));
        }),
    ];
    let devices = vec![
        subject("d", "p"),
        Subject { remote: [192, 0, 2, 1].into(), ..one.clone() },
        Subject { protocol: codec::ProtocolVersion::V311, ..one.clone() },
        Subject { certificate: Some(Arc::new(certificate(1))), ..one.clone() },
        Subject { certificate: Some(Arc::new(certificate(2))), ..one },
    ];
    (identities, devices)
}

fn certificate(byte: u8) -> PeerCertificate {
    PeerCertificate {
        sha256: [byte; 32],
        subject: String::new(),
        issuer: String::new(),
        serial: String::new(),
        common_name: None,
        dns_names: Vec::new(),
        uris: Vec::new(),
        email_names: Vec::new(),
        not_after_unix: 0,
        der_chain: vec![vec![byte; 1_000]],
    }
}

fn elsewhere() -> Subject {
    Subject { listener: "tls".into(), ..subject("c", "p") }
}

#[test]
fn who_looks_the_same_is_not_asked_about_again() {
    for answer in [set(HoldsFor::Client, None), Answer::DenyAll, Answer::Next] {
        let counted = always(answer);
        assert_eq!(counted.calls_for(&subject("c", "p")), 1);
        assert_eq!(counted.calls_for(&subject("c", "p")), 0);
        let (identities, devices) = others();
        for other in identities.iter().chain(&devices).chain([&elsewhere()]) {
            assert_eq!(counted.calls_for(other), 1, "{other:?}");
        }
    }
}

/// What the plugin does not see makes no difference: who logs in again has another expiry.
#[test]
fn what_the_plugin_does_not_see_does_not_count() {
    let counted = always(set(HoldsFor::Client, None));
    let one = subject("c", "p");
    assert_eq!(counted.calls_for(&one), 1);
    let later = with_identity(&one, |identity| identity.expires_at_unix = Some(7));
    assert_eq!(counted.calls_for(&later), 0);
}

#[test]
fn an_answer_for_a_principal_is_given_to_its_other_clients_only() {
    let counted = always(set(HoldsFor::Principal, None));
    assert_eq!(counted.calls_for(&subject("c", "p")), 1);
    let (identities, devices) = others();
    for other in &devices {
        assert_eq!(counted.calls_for(other), 0, "{other:?}");
    }
    for other in identities.iter().chain([&elsewhere()]) {
        assert_eq!(counted.calls_for(other), 1, "{other:?}");
    }
}

#[test]
fn an_answer_for_everyone_stays_on_its_listener() {
    let counted = always(set(HoldsFor::Everyone, None));
    assert_eq!(counted.calls_for(&subject("c", "p")), 1);
    let (identities, devices) = others();
    for other in identities.iter().chain(&devices) {
        assert_eq!(counted.calls_for(other), 0, "{other:?}");
    }
    assert_eq!(counted.calls_for(&elsewhere()), 1);
}

/// A plugin that denies one client and has one set for the rest: the denied one keeps its word.
#[test]
fn what_was_said_for_one_client_goes_before_what_holds_for_all() {
    let counted = Counted::new(|subject| {
        let banned = &*subject.client_id == "banned";
        Ok(if banned { Answer::DenyAll } else { set(HoldsFor::Everyone, None) })
    });
    let banned = subject("banned", "p");
    assert_eq!(counted.calls_for(&banned), 1);
    assert_eq!(counted.calls_for(&subject("c", "p")), 1);
    assert_eq!(counted.ask(&banned).0.expect("answers").answer, Answer::DenyAll);
}

/// A plugin that says another thing for each client: each gets its own.
#[test]
fn answers_of_all_kinds_stand_beside_each_other() {
    let counted = Counted::new(|subject| {
        let holds_for = match &*subject.identity.principal {
            "alone" => HoldsFor::Client,
            _ => HoldsFor::Principal,
        };
        let filter = format!("{}/#", subject.identity.principal);
        let rules = vec![rule(crate::Effect::Allow, &filter)];
        Ok(Answer::Permissions(PermissionSet { rules, ttl_seconds: None, holds_for }))
    });
    for _ in 0..2 {
        for (client, principal) in [("1", "alone"), ("2", "alone"), ("3", "both"), ("4", "both")] {
            let (asked, _) = counted.ask(&subject(client, principal));
            let Answer::Permissions(set) = &asked.expect("answers").answer else {
                panic!("rules");
            };
            assert_eq!(set.rules[0].filter, format!("{principal}/#"));
        }
    }
    assert_eq!(counted.calls.load(Relaxed), 3);
}

#[test]
fn an_answer_is_given_on_in_the_first_half_of_its_time() {
    let counted = always(set(HoldsFor::Everyone, Some(100)));
    let one = subject("c", "p");
    assert_eq!(counted.calls_for(&one), 1);
    pass(49);
    let (asked, cached) = counted.ask(&one);
    assert!(cached);
    assert_eq!(asked.unwrap().remains(clock()), Duration::from_secs(51));
    pass(1);
    assert_eq!(counted.calls_for(&one), 1);
    pass(49);
    assert_eq!(counted.calls_for(&one), 0, "the new one took its place");
}

#[test]
fn a_failure_is_not_kept() {
    let broken = Arc::new(AtomicU32::new(1));
    let left = Arc::clone(&broken);
    let counted = Counted::new(move |_| {
        if left.swap(0, Relaxed) == 1 {
            return Err(fails(PluginFailureKind::Trap));
        }
        Ok(set(HoldsFor::Client, None))
    });
    assert!(counted.ask(&subject("c", "p")).0.is_err());
    assert_eq!(counted.calls_for(&subject("c", "p")), 1);
}

#[test]
fn an_answer_that_nobody_could_use_is_not_kept() {
    let counted = always(set(HoldsFor::Everyone, None));
    let one = subject("c", "p");
    for _ in 0..2 {
        let (asked, cached) =
            block_on(counted.answers.ask(&counted.hook, &one, &Stopwatch::start(clock)));
        assert!(asked.is_ok() && !cached);
    }
}

#[test]
fn a_panic_of_the_host_is_a_failure_for_everybody_who_waits() {
    let hook: Arc<dyn Authorizer> = Arc::new(Authorizes(|_: &Subject| panic!("a test's panic")));
    let answers = Answers::new();
    for _ in 0..2 {
        let (asked, _) = block_on(answers.ask(&hook, &subject("c", "p"), &Stopwatch::start(clock)));
        assert_eq!(asked.expect_err("answered").kind, PluginFailureKind::Internal);
    }
}

/// An authorizer that answers at the second poll.
struct Slow(Arc<AtomicU32>);

impl Authorizer for Slow {
    fn permissions<'a>(&'a self, _: &'a Subject) -> BoxFuture<'a, Result<Answer, PluginFailure>> {
        self.0.fetch_add(1, Relaxed);
        let mut polls = 0;
        Box::pin(std::future::poll_fn(move |_| {
            polls += 1;
            if polls == 1 { Poll::Pending } else { Poll::Ready(Ok(Answer::Next)) }
        }))
    }
}

#[test]
fn a_question_in_progress_is_not_asked_twice() {
    let calls = Arc::new(AtomicU32::new(0));
    let hook: Arc<dyn Authorizer> = Arc::new(Slow(Arc::clone(&calls)));
    let answers = Answers::new();
    let (same, other) = (subject("c", "p"), subject("d", "p"));
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut gone = pin!(answers.ask(&hook, &same, &Stopwatch::start(clock)));
        assert!(gone.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(calls.load(Relaxed), 1);
    assert!(answers.lock().asking.is_empty(), "a question that nobody waits for is kept");
    // Who asked has gone away: the question is asked anew.
    let mut first = pin!(answers.ask(&hook, &same, &Stopwatch::start(clock)));
    assert!(first.as_mut().poll(&mut cx).is_pending());
    assert_eq!(calls.load(Relaxed), 2);
    let mut second = pin!(answers.ask(&hook, &same, &Stopwatch::start(clock)));
    let mut third = pin!(answers.ask(&hook, &other, &Stopwatch::start(clock)));
    assert!(third.as_mut().poll(&mut cx).is_pending());
    assert_eq!(calls.load(Relaxed), 3, "another client is another question");
    assert!(second.as_mut().poll(&mut cx).is_ready());
    assert!(first.as_mut().poll(&mut cx).is_ready());
    assert!(third.as_mut().poll(&mut cx).is_ready());
    assert_eq!(calls.load(Relaxed), 3);
    assert!(answers.lock().asking.is_empty());
}

#[test]
fn what_is_kept_is_bounded_and_what_is_used_stays() {
    let counted = always(set(HoldsFor::Client, None));
    let used = subject("used", "p");
    counted.calls_for(&used);
    for number in 0..2 * ENTRIES_MAX {
        counted.calls_for(&subject(&number.to_string(), "p"));
        if number % (ENTRIES_MAX / 4) == 0 {
            assert_eq!(counted.calls_for(&used), 0, "{number}");
        }
    }
    let kept = counted.answers.lock();
    assert!(kept.young.len() + kept.old.len() <= ENTRIES_MAX);
    let weight: usize = kept.young.values().map(super::Entry::weight).sum();
    assert_eq!(kept.young_weight, weight);
}

/// What a client brings counts, not only its rules.
#[test]
fn what_is_kept_is_bounded_with_long_grants() {
    let counted = always(set(HoldsFor::Client, None));
    for number in 0..10_000 {
        let one = with_identity(&subject(&number.to_string(), "p"), |identity| {
            identity.groups = vec!["g".repeat(8_000)];
            identity.user_properties = vec![("k".to_owned(), "v".repeat(8_000))];
        });
        counted.calls_for(&one);
    }
    let kept = counted.answers.lock();
    assert!((kept.young.len() + kept.old.len()) * 16_000 < WEIGHT_MAX + 100_000);
}

/// Long rules push out others sooner.
#[test]
fn what_is_kept_is_bounded_in_bytes() {
    let rules: Vec<_> = (0..1_000).map(|_| rule(crate::Effect::Allow, &"a/".repeat(500))).collect();
    let set = PermissionSet { rules, ttl_seconds: None, holds_for: HoldsFor::Client };
    let counted = always(Answer::Permissions(set));
    for number in 0..100 {
        counted.calls_for(&subject(&number.to_string(), "p"));
    }
    let kept = counted.answers.lock();
    assert!(kept.young.len() + kept.old.len() < 30);
}
