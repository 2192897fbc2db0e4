//! Exchanges along chains, step by step.

use std::collections::HashMap;

use super::*;
use crate::{
    Approaching, Authenticated, BoxFuture, Chain, Challenge, ClientIdFrom, Control,
    EnhancedAuthenticator, Gate, Grant, Hooks, OnError, Progress, testing::*,
};

/// Answers each step with what `word` makes of the state (none = the first step) and the data.
struct Asks<F> {
    methods: Vec<String>,
    word: F,
}

impl<F> Asks<F>
where
    F: Fn(Option<&[u8]>, &[u8]) -> Result<Step, PluginFailure> + Send + Sync,
{
    fn word(&self, state: Option<&[u8]>, data: Option<&Vec<u8>>) -> Result<Step, PluginFailure> {
        (self.word)(state, data.map(Vec::as_slice).unwrap_or_default())
    }
}

impl<F> EnhancedAuthenticator for Asks<F>
where
    F: Fn(Option<&[u8]>, &[u8]) -> Result<Step, PluginFailure> + Send + Sync,
{
    fn methods(&self) -> &[String] {
        &self.methods
    }

    fn begin<'a>(
        &'a self,
        _: &'a Connection,
        opening: &'a Opening,
    ) -> BoxFuture<'a, Result<Step, PluginFailure>> {
        Box::pin(async { self.word(None, opening.data.as_ref()) })
    }

    fn proceed<'a>(
        &'a self,
        _: &'a Connection,
        continuation: &'a Continuation,
    ) -> BoxFuture<'a, Result<Step, PluginFailure>> {
        Box::pin(async { self.word(Some(&continuation.state), continuation.data.as_ref()) })
    }
}

fn asks(
    name: &str,
    control: Control,
    word: impl Fn(Option<&[u8]>, &[u8]) -> Result<Step, PluginFailure> + Send + Sync + 'static,
) -> Link {
    let hook = Asks { methods: vec!["M".to_owned()], word };
    let hooks = Hooks { enhanced_authenticator: Some(Arc::new(hook)), ..Hooks::default() };
    let state = LinkState::Live(Box::new(hooks));
    Link { name: name.into(), generation: "g".into(), control, on_error: OnError::Deny, state }
}

/// Challenges with "1", then "2", then allows "alice" who answered "secret" each time.
fn honest(state: Option<&[u8]>, data: &[u8]) -> Result<Step, PluginFailure> {
    let challenge =
        |text: &[u8]| Ok(Step::Challenge(Challenge { data: text.to_vec(), state: text.to_vec() }));
    match (state, data) {
        (None, _) => challenge(b"1"),
        (Some(_), data) if data != b"secret" => {
            Ok(Step::Deny(Denial { reason_code: ReasonCode::NotAuthorized, reason: None }))
        }
        (Some(b"1"), _) => challenge(b"2"),
        (Some(_), _) => Ok(Step::Success(Box::new(named("alice")), Some(b"bye".to_vec()))),
    }
}

fn named(principal: &str) -> Grant {
    Grant { principal: Some(principal.to_owned()), ..Grant::default() }
}

fn opening(principal: Option<&str>) -> Opening {
    Opening {
        method: "M".to_owned(),
        data: None,
        principal: principal.map(str::to_owned),
        user_properties: Vec::new(),
    }
}

struct Client {
    connection: Connection,
    credentials: Credentials,
}

impl Client {
    fn new() -> Self {
        Self { connection: connection(), credentials: credentials() }
    }

    fn approaching(&self) -> Approaching<'_> {
        Approaching {
            connection: &self.connection,
            credentials: &self.credentials,
            client_id_from: ClientIdFrom::Connect,
            now_unix: NOW,
        }
    }

    fn begin(&self, gate: &Gate) -> (Progress, Vec<LinkReport>) {
        block_on(gate.begin(self.approaching(), opening(None)))
    }

    fn answer(&self, gate: &Gate, progress: Progress, data: &[u8]) -> (Progress, Vec<LinkReport>) {
        let Progress::Challenge(_, exchange) = progress else { panic!("{progress:?}") };
        let data = Some(data.to_vec());
        block_on(gate.proceed(self.approaching(), exchange, data, Vec::new()))
    }
}

fn gate(links: impl IntoIterator<Item = Link>) -> Gate {
    let gate = Gate::new(no_time);
    put(&gate, links);
    gate
}

fn put(gate: &Gate, links: impl IntoIterator<Item = Link>) {
    gate.swap(Chain { links: links.into_iter().collect() }, HashMap::new());
}

fn challenged(progress: &Progress) -> &[u8] {
    match progress {
        Progress::Challenge(data, _) => data,
        Progress::Decided(decided) => panic!("{decided:?}"),
    }
}

fn decided(progress: Progress) -> Result<(Authenticated, Option<Vec<u8>>), Refusal> {
    match progress {
        Progress::Decided(decided) => decided,
        Progress::Challenge(data, _) => panic!("challenged with {data:?}"),
    }
}

fn everything() -> Link {
    permits("acl", Ok(rules([rule(crate::Effect::Allow, "#")])))
}

fn kind(progress: Progress) -> RefusalKind {
    decided(progress).expect_err("accepted").kind
}

#[test]
fn an_exchange_to_its_end() {
    let gate = gate([asks("scram", Control::Sufficient, honest), everything()]);
    let client = Client::new();
    let (first, _) = client.begin(&gate);
    assert_eq!(challenged(&first), b"1");
    let (second, _) = client.answer(&gate, first, b"secret");
    assert_eq!(challenged(&second), b"2");
    let (last, walk) = client.answer(&gate, second, b"secret");
    let (authenticated, data) = decided(last).unwrap();
    assert_eq!(&*authenticated.identity().principal, "alice");
    assert_eq!(&*authenticated.identity().authenticated_by, "scram");
    assert_eq!(data.as_deref(), Some(b"bye".as_slice()));
    let hooks: Vec<_> = walk.iter().map(|report| (&*report.plugin, report.hook)).collect();
    assert_eq!(hooks, [("scram", Hook::EnhancedAuthenticator), ("acl", Hook::Authorizer)]);
}

#[test]
fn a_wrong_answer_ends_it() {
    let gate = gate([asks("scram", Control::Sufficient, honest), everything()]);
    let client = Client::new();
    let (first, _) = client.begin(&gate);
    let (last, _) = client.answer(&gate, first, b"guess");
    assert_eq!(kind(last), RefusalKind::Denied(ReasonCode::NotAuthorized));
}

#[test]
fn who_passes_leaves_it_to_the_next_with_the_method() {
    let passes = asks("passes", Control::Sufficient, |_, _| Ok(Step::Next));
    let gate = gate([passes, asks("scram", Control::Sufficient, honest), everything()]);
    let client = Client::new();
    let (mut progress, _) = client.begin(&gate);
    for _ in 0..2 {
        progress = client.answer(&gate, progress, b"secret").0;
    }
    assert_eq!(&*decided(progress).unwrap().0.identity().authenticated_by, "scram");
}

#[test]
fn passing_in_the_middle_is_a_refusal() {
    let link = asks("a", Control::Sufficient, |state, _| match state {
        None => honest(None, b""),
        Some(_) => Ok(Step::Next),
    });
    let gate = gate([link, asks("b", Control::Sufficient, honest), everything()]);
    let client = Client::new();
    let (first, _) = client.begin(&gate);
    let (last, _) = client.answer(&gate, first, b"secret");
    assert_eq!(kind(last), RefusalKind::Denied(ReasonCode::NotAuthorized));
}

/// A method is no way around a link that must allow.
#[test]
fn links_that_must_allow_are_asked_all_the_same() {
    let client = Client::new();
    let no = || Ok(Outcome::Next);
    let yes = || Ok(Outcome::Allow(Grant::default()));
    for control in [Control::Required, Control::Requisite] {
        for (word, accepted) in [(no(), false), (yes(), true)] {
            for first in [true, false] {
                let scram = asks("scram", Control::Sufficient, honest);
                let must = says("cert", control, word.clone());
                let mut links = if first { vec![must, scram] } else { vec![scram, must] };
                links.push(everything());
                let gate = gate(links);
                let (mut progress, _) = client.begin(&gate);
                for _ in 0..2 {
                    if matches!(progress, Progress::Challenge(..)) {
                        progress = client.answer(&gate, progress, b"secret").0;
                    }
                }
                assert_eq!(decided(progress).is_ok(), accepted, "{control:?} {first}");
            }
        }
        // One that only knows other ways cannot allow.
        let other = Hooks {
            enhanced_authenticator: Some(Arc::new(Asks {
                methods: vec!["other".to_owned()],
                word: honest,
            })),
            ..Hooks::default()
        };
        let state = LinkState::Live(Box::new(other));
        let link = Link { control, state, ..asks("other", control, honest) };
        let gate = gate([link, asks("scram", Control::Sufficient, honest), everything()]);
        let (mut progress, _) = client.begin(&gate);
        for _ in 0..2 {
            if matches!(progress, Progress::Challenge(..)) {
                progress = client.answer(&gate, progress, b"secret").0;
            }
        }
        assert_eq!(kind(progress), RefusalKind::PluginFailure);
    }
}

/// Sees what it is told, in both steps.
struct Repeats;

impl EnhancedAuthenticator for Repeats {
    fn methods(&self) -> &[String] {
        static METHODS: std::sync::LazyLock<Vec<String>> =
            std::sync::LazyLock::new(|| vec!["M".to_owned()]);
        &METHODS
    }

    fn begin<'a>(
        &'a self,
        connection: &'a Connection,
        _: &'a Opening,
    ) -> BoxFuture<'a, Result<Step, PluginFailure>> {
        let data = format!("{:?}", connection.attributes).into_bytes();
        Box::pin(async { Ok(Step::Challenge(Challenge { data, state: Vec::new() })) })
    }

    fn proceed<'a>(
        &'a self,
        connection: &'a Connection,
        _: &'a Continuation,
    ) -> BoxFuture<'a, Result<Step, PluginFailure>> {
        let told = format!("{:?}", connection.attributes);
        let grant = Grant { groups: vec![told], ..named("alice") };
        Box::pin(async { Ok(Step::Success(Box::new(grant), None)) })
    }
}

#[test]
fn an_exchange_is_told_what_the_links_before_it_granted() {
    let hooks = Hooks { enhanced_authenticator: Some(Arc::new(Repeats)), ..Hooks::default() };
    let repeats =
        Link { state: LinkState::Live(Box::new(hooks)), ..asks("r", Control::Sufficient, honest) };
    let first = says("first", Control::Required, Ok(Outcome::Allow(named("alice"))));
    let gate = gate([first, repeats, everything()]);
    let client = Client::new();
    let (progress, _) = client.begin(&gate);
    let told = r#"[("granted-principal", "alice")]"#;
    assert_eq!(challenged(&progress), told.as_bytes());
    let (progress, _) = client.answer(&gate, progress, b"x");
    let (authenticated, _) = decided(progress).unwrap();
    assert_eq!(authenticated.identity().groups, [told]);
}

#[test]
fn passwords_are_not_asked_for_beside_a_method() {
    let password = says("password", Control::Sufficient, Ok(Outcome::Allow(named("mallory"))));
    let gate = gate([password, everything()]);
    let (progress, walk) = Client::new().begin(&gate);
    assert_eq!(kind(progress), RefusalKind::NoMethod);
    assert!(walk.is_empty(), "{walk:?}");
}

#[test]
fn a_link_that_is_missing_refuses() {
    let gate =
        gate([missing("gone", Control::Optional), asks("scram", Control::Sufficient, honest)]);
    let (progress, _) = Client::new().begin(&gate);
    assert_eq!(challenged(&progress), b"1", "an optional link never decides");
    put(&gate, [missing("gone", Control::Sufficient), asks("s", Control::Sufficient, honest)]);
    assert_eq!(kind(Client::new().begin(&gate).0), RefusalKind::PluginFailure);
}

#[test]
fn a_swap_in_between_goes_on_with_the_new_generation() {
    let gate = gate([asks("scram", Control::Sufficient, honest), everything()]);
    let client = Client::new();
    let (first, _) = client.begin(&gate);
    // The new one has another link in front, which refuses, and knows the state all the same.
    put(&gate, [asks("scram", Control::Sufficient, honest), everything()]);
    let (second, _) = client.answer(&gate, first, b"secret");
    assert_eq!(challenged(&second), b"2");
    let no = says("lock", Control::Requisite, Ok(Outcome::Next));
    put(&gate, [no, asks("scram", Control::Sufficient, honest), everything()]);
    let (last, _) = client.answer(&gate, second, b"secret");
    assert_eq!(kind(last), RefusalKind::NotAllowed);
}

#[test]
fn a_swap_that_takes_the_plugin_away_ends_it() {
    let gate = gate([asks("scram", Control::Sufficient, honest), everything()]);
    let client = Client::new();
    let (first, _) = client.begin(&gate);
    put(&gate, [asks("other", Control::Sufficient, honest), everything()]);
    let (last, _) = client.answer(&gate, first, b"secret");
    assert_eq!(kind(last), RefusalKind::NotAllowed, "the state is not another plugin's business");
}

#[test]
fn an_exchange_has_an_end() {
    let link = asks("endless", Control::Sufficient, |_, _| honest(None, b""));
    let gate = gate([link, everything()]);
    let client = Client::new();
    let (mut progress, _) = client.begin(&gate);
    for _ in 0..STEPS_MAX {
        assert_eq!(challenged(&progress), b"1");
        progress = client.answer(&gate, progress, b"").0;
    }
    assert_eq!(kind(progress), RefusalKind::NotAllowed);
}

#[test]
fn who_authenticates_again_stays_who_it_is() {
    let client = Client::new();
    for (before, accepted) in [("alice", true), ("bob", false)] {
        let gate = gate([asks("scram", Control::Sufficient, honest), everything()]);
        let begun = block_on(gate.begin(client.approaching(), opening(Some(before)))).0;
        let (second, _) = client.answer(&gate, begun, b"secret");
        let (last, _) = client.answer(&gate, second, b"secret");
        assert_eq!(decided(last).is_ok(), accepted, "{before}");
    }
}

#[test]
fn a_failure_in_a_step_is_a_refusal() {
    let link = asks("broken", Control::Sufficient, |state, _| match state {
        None => honest(None, b""),
        Some(_) => Err(fails(PluginFailureKind::Trap)),
    });
    let client = Client::new();
    for on_error in [OnError::Deny, OnError::Next] {
        let gate = gate([Link { on_error, ..link.clone() }, everything()]);
        let (first, _) = client.begin(&gate);
        let (last, _) = client.answer(&gate, first, b"");
        assert!(decided(last).is_err());
    }
}
