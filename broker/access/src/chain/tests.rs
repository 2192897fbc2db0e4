//! Tables for the walk, the merging of grants and the asking of authorizers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use codec::ReasonCode;

use super::{
    answers::Answers,
    authenticate::authenticate,
    authorize::{self, Permitted},
    stopwatch::Stopwatch,
};
use crate::testing::*;
use crate::{
    Answer, Chain, ClientLimits, Connection, Control, Credentials, Decision, Effect, Grant, Hook,
    Link, LinkReport, LinkState, OnError, Outcome, PluginFailureKind, Refusal, RefusalKind,
    Subject, Verdict,
};

fn decide(links: impl IntoIterator<Item = Link>) -> Decision {
    let time = (&mut Stopwatch::start(no_time), NOW);
    block_on(authenticate(&chain(links), &connection(), &credentials(), time))
}

/// Asks a chain that nobody asked before.
fn authorize(chain: &Chain) -> (Result<Permitted, Refusal>, Vec<LinkReport>) {
    let kept: Vec<Answers> = chain.links.iter().map(|_| Answers::new()).collect();
    block_on(authorize::authorize(chain, &kept, &subject("c", "p"), &mut Stopwatch::start(no_time)))
}

fn grants(name: &str, control: Control, grant: Grant) -> Link {
    says(name, control, Ok(Outcome::Allow(grant)))
}

fn named(principal: &str) -> Grant {
    Grant { principal: Some(principal.to_owned()), ..Grant::default() }
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[track_caller]
fn check_refused(links: impl IntoIterator<Item = Link>, kind: RefusalKind, plugin: Option<&str>) {
    let refusal = decide(links).result.expect_err("accepted");
    assert_eq!((refusal.kind, refusal.plugin.as_deref()), (kind, plugin), "{}", refusal.detail);
    assert!(refusal.reason_code().is_failure());
}

#[test]
fn an_empty_chain_refuses() {
    check_refused([], RefusalKind::NotAllowed, None);
}

#[test]
fn deny_all_as_last_and_optional_link_changes_no_accepted_chain() {
    let deny_all = || says("deny-all", Control::Optional, deny(ReasonCode::NotAuthorized));
    for control in [Control::Sufficient, Control::Required, Control::Requisite] {
        assert!(decide([says("a", control, allow("alice")), deny_all()]).result.is_ok());
    }
    check_refused([deny_all()], RefusalKind::NotAllowed, None);
    check_refused(
        [says("a", Control::Optional, allow("alice")), deny_all()],
        RefusalKind::NotAllowed,
        None,
    );
}

/// A link that grants, as its group, what the attributes of the connection were.
fn repeats(name: &str, control: Control) -> Link {
    let hook = Authenticates(|connection: &Connection, _: &Credentials| {
        let pairs = connection.attributes.iter().map(|(name, value)| format!("{name}={value}"));
        Ok(Outcome::Allow(Grant {
            groups: vec![pairs.collect::<Vec<_>>().join(" ")],
            ..named("p")
        }))
    });
    Link { control, ..link(name, Some(Arc::new(hook)), None) }
}

#[test]
fn a_link_is_told_what_those_before_it_granted() {
    let groups = |links: Vec<Link>| decide(links).result.unwrap().groups.clone();
    let in_groups = |names: &[&str]| Grant {
        groups: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Grant::default()
    };
    let (sufficient, required) = (Control::Sufficient, Control::Required);
    assert_eq!(groups(vec![repeats("only", sufficient)]), [""]);
    let denied = says("no", Control::Optional, deny(ReasonCode::NotAuthorized));
    assert_eq!(groups(vec![denied, repeats("r", required)]), [""]);
    let links = vec![
        grants("first", required, in_groups(&["b", "a"])),
        grants("second", required, Grant { groups: vec!["b".to_owned()], ..named("p") }),
        repeats("third", required),
    ];
    let told = "granted-principal=p granted-group=a granted-group=b";
    assert_eq!(groups(links), ["a", "b", told]);
}

#[test]
fn a_plugin_that_only_authorizes_has_no_place_in_the_walk() {
    for control in [Control::Sufficient, Control::Optional] {
        let authorizer = Link { control, ..permits("acl", Ok(Answer::Next)) };
        let decision = decide([authorizer, says("a", Control::Sufficient, allow("alice"))]);
        assert!(decision.result.is_ok());
        let walk: Vec<&str> = decision.walk.iter().map(|report| &*report.plugin).collect();
        assert_eq!(walk, ["a"]);
    }
}

#[test]
fn who_must_allow_but_cannot_refuses() {
    let good = || says("a", Control::Sufficient, allow("alice"));
    for control in [Control::Required, Control::Requisite] {
        for on_error in [OnError::Deny, OnError::Next] {
            let kind = match on_error {
                OnError::Deny => RefusalKind::PluginFailure,
                OnError::Next => RefusalKind::NotAllowed,
            };
            let acl = || Link { control, on_error, ..permits("acl", Ok(Answer::Next)) };
            check_refused([acl(), good()], kind, Some("acl"));
            check_refused([good(), acl()], kind, Some("acl"));
        }
    }
}

/// A refusal that came of an outage says nothing about who asked.
#[test]
fn a_verdict_is_told_from_an_outage() {
    let by_verdict = |links: Vec<Link>| decide(links).result.expect_err("in").is_by_verdict();
    let failed = |control, on_error| Link {
        on_error,
        ..says("ldap", control, Err(fails(PluginFailureKind::Unavailable)))
    };
    let next = || says("b", Control::Sufficient, Ok(Outcome::Next));
    let says = |code| says("b", Control::Sufficient, deny(code));
    let wrong = || says(ReasonCode::BadUserNameOrPassword);
    assert!(by_verdict(vec![]));
    assert!(by_verdict(vec![next()]));
    assert!(by_verdict(vec![wrong()]));
    assert!(!by_verdict(vec![failed(Control::Sufficient, OnError::Deny)]));
    assert!(!by_verdict(vec![failed(Control::Sufficient, OnError::Next)]));
    assert!(!by_verdict(vec![failed(Control::Sufficient, OnError::Next), next()]));
    assert!(!by_verdict(vec![failed(Control::Required, OnError::Next), next()]));
    // Somebody else did judge.
    assert!(by_verdict(vec![failed(Control::Sufficient, OnError::Next), wrong()]));
    // It would not have decided.
    assert!(by_verdict(vec![failed(Control::Optional, OnError::Deny), next()]));
    assert!(!by_verdict(vec![says(ReasonCode::ServerUnavailable)]));
    assert!(!by_verdict(vec![says(ReasonCode::ServerBusy)]));
}

#[test]
fn a_refusal_tells_the_operator_who_and_why() {
    let denied = decide([says("acl", Control::Sufficient, deny(ReasonCode::Banned))]);
    let denied = denied.result.expect_err("in").to_string();
    assert_eq!(denied, "denied by acl (generation g1): the sufficient link denied: no");
    let failed = says("jwt", Control::Sufficient, Err(fails(PluginFailureKind::Trap)));
    let failed = decide([failed]).result.expect_err("in").to_string();
    assert_eq!(failed, "plugin_failure by jwt (generation g1): trap: it broke");
    let nobody = decide([]).result.expect_err("in").to_string();
    assert_eq!(nobody, "not_allowed: no link of the chain allowed the client");
    let unusable = permits("acl", Ok(rules([rule(Effect::Allow, "a/#/b")])));
    let unusable = authorize(&chain([unusable])).0;
    let unusable = unusable.expect_err("permitted").to_string();
    let start = "plugin_failure by acl (generation g1): rule 1, filter \"a/#/b\": ";
    assert!(unusable.starts_with(start), "{unusable}");
}

#[test]
fn a_plugin_without_hooks_or_without_generation_fails_closed() {
    let failure = RefusalKind::PluginFailure;
    let good = || says("b", Control::Sufficient, allow("alice"));
    check_refused([link("empty", None, None), good()], failure, Some("empty"));
    check_refused([missing("gone", Control::Sufficient), good()], failure, Some("gone"));
    check_refused([good(), missing("gone", Control::Required)], failure, Some("gone"));
    // Behind an allow, a sufficient link would not have been asked either.
    assert!(decide([good(), missing("gone", Control::Sufficient)]).result.is_ok());
    let passed = Link { on_error: OnError::Next, ..missing("gone", Control::Sufficient) };
    let decision = decide([passed, good()]);
    assert!(decision.result.is_ok());
    match &decision.walk[0].verdict {
        Verdict::Failure(failure) => assert_eq!(
            (failure.kind, failure.message.as_str()),
            (PluginFailureKind::Missing, "its file was removed")
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_objection_is_the_reason() {
    let decision = decide([
        says("required", Control::Required, deny(ReasonCode::BadUserNameOrPassword)),
        says("sufficient", Control::Sufficient, allow("alice")),
        says("skipped", Control::Optional, allow("alice")),
        says("requisite", Control::Requisite, Err(fails(PluginFailureKind::Busy))),
        says("never", Control::Required, allow("alice")),
    ]);
    let refusal = decision.result.expect_err("accepted");
    assert_eq!(refusal.plugin.as_deref(), Some("required"));
    assert_eq!(refusal.reason_code(), ReasonCode::BadUserNameOrPassword);
    assert_eq!(refusal.reason.as_deref(), Some("no"));
    let skipped: Vec<bool> =
        decision.walk.iter().map(|report| report.verdict == Verdict::Skipped).collect();
    assert_eq!(skipped, [false, false, true, false, true]);
}

#[test]
fn reason_codes_that_connack_does_not_know_become_not_authorized() {
    for (said, told) in [
        (ReasonCode::BadUserNameOrPassword, ReasonCode::BadUserNameOrPassword),
        (ReasonCode::Banned, ReasonCode::Banned),
        (ReasonCode::QuotaExceeded, ReasonCode::QuotaExceeded),
        (ReasonCode::Success, ReasonCode::NotAuthorized),
        (ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized),
        (ReasonCode::ContinueAuthentication, ReasonCode::NotAuthorized),
        (ReasonCode::PacketIdentifierInUse, ReasonCode::NotAuthorized),
        (ReasonCode::SessionTakenOver, ReasonCode::NotAuthorized),
    ] {
        let refusal = decide([says("a", Control::Sufficient, deny(said))]).result.expect_err("in");
        assert_eq!(refusal.reason_code(), told, "{said:?}");
    }
}

#[test]
fn failures_are_told_apart_from_denials() {
    for (kind, told) in [
        (PluginFailureKind::Busy, ReasonCode::ServerBusy),
        (PluginFailureKind::Trap, ReasonCode::ServerUnavailable),
        (PluginFailureKind::Deadline, ReasonCode::ServerUnavailable),
        (PluginFailureKind::Unavailable, ReasonCode::ServerUnavailable),
    ] {
        let refusal =
            decide([says("a", Control::Sufficient, Err(fails(kind)))]).result.expect_err("in");
        assert_eq!(refusal.reason_code(), told);
        assert_eq!(refusal.detail, format!("{kind}: it broke"));
    }
}

#[test]
fn a_reason_that_cannot_be_sent_is_dropped() {
    for reason in ["a\0b".to_owned(), "x".repeat(65_536)] {
        let denial = crate::Denial { reason_code: ReasonCode::NotAuthorized, reason: Some(reason) };
        let refusal = decide([says("a", Control::Sufficient, Ok(Outcome::Deny(denial)))]);
        assert_eq!(refusal.result.expect_err("accepted").reason, None);
    }
}

#[test]
fn grants_unite() {
    let identity = decide([
        grants(
            "cert",
            Control::Optional,
            Grant {
                principal: None,
                groups: vec!["b".to_owned(), "a".to_owned()],
                attributes: pairs(&[("site", "1"), ("site", "2")]),
                permissions: vec![rule(Effect::Allow, "a/#")],
                expires_at_unix: Some(NOW + 20),
                session_expiry_seconds_max: Some(60),
                limits: limits(Some(5), None),
                user_properties: pairs(&[("k", "1")]),
            },
        ),
        says("skipped-over", Control::Sufficient, Ok(Outcome::Next)),
        grants(
            "users",
            Control::Required,
            Grant {
                principal: Some("alice".to_owned()),
                groups: vec!["a".to_owned(), "c".to_owned()],
                attributes: pairs(&[("site", "3"), ("role", "x")]),
                permissions: vec![rule(Effect::Deny, "a/b"), rule(Effect::Allow, "#")],
                expires_at_unix: Some(NOW + 10),
                session_expiry_seconds_max: Some(90),
                limits: limits(Some(7), Some(100)),
                user_properties: pairs(&[("k", "2")]),
            },
        ),
        grants("again", Control::Sufficient, named("alice")),
    ])
    .result
    .expect("accepted");
    assert_eq!(&*identity.principal, "alice");
    assert_eq!(&*identity.authenticated_by, "users");
    assert_eq!(identity.groups, ["a", "b", "c"]);
    assert_eq!(identity.attributes, pairs(&[("site", "1"), ("site", "2"), ("role", "x")]));
    assert_eq!(identity.expires_at_unix, Some(NOW + 10));
    assert_eq!(identity.session_expiry_seconds_max, Some(60));
    assert_eq!(identity.user_properties, pairs(&[("k", "1"), ("k", "2")]));
    assert_eq!(identity.limits, limits(Some(5), Some(100)));
    let rules: Vec<_> = identity.permissions.iter().map(|of| (&*of.link, of.rules.len())).collect();
    assert_eq!(rules, [("cert", 1), ("users", 2)]);
}

fn limits(messages_per_second: Option<u32>, queue_bytes_max: Option<u32>) -> ClientLimits {
    ClientLimits { messages_per_second, queue_bytes_max, ..ClientLimits::default() }
}

#[test]
fn the_principal_is_named_once() {
    let nobody = || grants("a", Control::Sufficient, Grant::default());
    check_refused([nobody()], RefusalKind::NoPrincipal, None);
    let optional = grants("cert", Control::Optional, named("alice"));
    let identity = decide([optional, nobody()]).result.expect("accepted");
    assert_eq!((&*identity.principal, &*identity.authenticated_by), ("alice", "cert"));
    let links = [
        grants("a", Control::Required, named("alice")),
        grants("b", Control::Optional, named("bob")),
    ];
    check_refused(links, RefusalKind::PrincipalConflict, Some("b"));
}

#[test]
fn grants_of_skipped_links_do_not_count() {
    let identity = decide([
        grants("a", Control::Sufficient, named("alice")),
        grants("b", Control::Sufficient, named("bob")),
    ])
    .result
    .expect("accepted");
    assert_eq!(&*identity.principal, "alice");
}

#[test]
fn a_grant_that_cannot_be_used_is_a_failure_of_its_link() {
    let property =
        |value: &str| Grant { user_properties: pairs(&[("k", value)]), ..named("alice") };
    for grant in [
        named(""),
        named("a\0b"),
        named("a\nb"),
        named("a\u{7f}"),
        named("a\u{85}"),
        named(&"x".repeat(65_536)),
        property("\0"),
        property(&"x".repeat(65_536)),
    ] {
        let links = [grants("a", Control::Sufficient, grant.clone())];
        check_refused(links, RefusalKind::PluginFailure, Some("a"));
        // As any failure it may be turned into next, and then it names nobody.
        let passed = Link { on_error: OnError::Next, ..grants("a", Control::Sufficient, grant) };
        let identity = decide([passed, says("b", Control::Sufficient, allow("bob"))]).result;
        assert_eq!(&*identity.expect("accepted").principal, "bob");
    }
    assert!(decide([grants("a", Control::Sufficient, named(&"x".repeat(65_535)))]).result.is_ok());
}

#[test]
fn a_grant_must_end_in_the_future() {
    for (end, accepted) in [(0, false), (NOW - 1, false), (NOW, false), (NOW + 1, true)] {
        let grant = Grant { expires_at_unix: Some(end), ..named("alice") };
        let decision = decide([grants("a", Control::Sufficient, grant)]);
        match decision.result {
            Ok(identity) => assert_eq!((identity.expires_at_unix, accepted), (Some(end), true)),
            Err(refusal) => assert_eq!((refusal.kind, accepted), (RefusalKind::Expired, false)),
        }
    }
}

#[test]
fn each_link_is_asked_once_and_timed() {
    static TICKS: AtomicU64 = AtomicU64::new(0);
    let clock = || Duration::from_micros(TICKS.fetch_add(5, Ordering::Relaxed));
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let hook = Authenticates(move |_: &Connection, _: &Credentials| {
        counter.fetch_add(1, Ordering::Relaxed);
        allow("alice")
    });
    let chain = chain([link("a", Some(Arc::new(hook)), None)]);
    let decision = block_on(authenticate(
        &chain,
        &connection(),
        &credentials(),
        (&mut Stopwatch::start(clock), NOW),
    ));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(decision.walk[0].elapsed, Duration::from_micros(5));
    assert_eq!((&*decision.walk[0].generation, decision.walk[0].hook), ("g1", Hook::Authenticator));
}

#[track_caller]
fn check_unauthorized(chain: &Chain, kind: RefusalKind, walk: &[(&str, bool)]) {
    let (result, reports) = authorize(chain);
    assert_eq!(result.expect_err("permitted").kind, kind);
    let reports: Vec<(&str, bool)> = reports
        .iter()
        .map(|report| (&*report.plugin, report.verdict == Verdict::Skipped))
        .collect();
    assert_eq!(reports, walk);
}

#[test]
fn an_authorizer_that_fails_refuses_whatever_its_flags_say() {
    for control in [Control::Sufficient, Control::Required, Control::Requisite, Control::Optional] {
        let broken = permits("broken", Err(fails(PluginFailureKind::Trap)));
        let flagged = Link { control, on_error: OnError::Next, ..broken };
        let good = permits("good", Ok(rules([rule(Effect::Allow, "#")])));
        let walk = [("good", false), ("broken", false), ("good", true)];
        let links = chain([good.clone(), flagged, good.clone()]);
        check_unauthorized(&links, RefusalKind::PluginFailure, &walk);
        let gone = Link { on_error: OnError::Next, ..missing("gone", control) };
        let walk = [("gone", false), ("good", true)];
        check_unauthorized(&chain([gone, good]), RefusalKind::PluginFailure, &walk);
    }
    let busy = chain([permits("busy", Err(fails(PluginFailureKind::Busy)))]);
    check_unauthorized(&busy, RefusalKind::Busy, &[("busy", false)]);
    let hollow = Link { control: Control::Optional, ..link("hollow", None, None) };
    assert!(matches!(hollow.state, LinkState::Live(_)));
    check_unauthorized(&chain([hollow]), RefusalKind::PluginFailure, &[("hollow", false)]);
}

#[test]
fn every_authorizer_is_asked_with_the_subject() {
    let hook = Authorizes(|subject: &Subject| {
        assert_eq!(&*subject.identity.principal, "p");
        Ok(rules([rule(Effect::Allow, "a/#")]))
    });
    let chain = chain([
        link("first", None, Some(Arc::new(hook))),
        says("authenticates", Control::Sufficient, allow("x")),
        permits("second", Ok(Answer::DenyAll)),
        permits("third", Ok(Answer::Next)),
    ]);
    let (result, reports) = authorize(&chain);
    assert!(result.is_ok());
    let reports: Vec<(&str, &Verdict)> =
        reports.iter().map(|report| (&*report.plugin, &report.verdict)).collect();
    assert_eq!(reports[0], ("first", &Verdict::Allow));
    assert!(matches!(reports[1], ("second", Verdict::Deny(_))));
    assert_eq!(reports[2], ("third", &Verdict::Next));
    assert_eq!(reports.len(), 3);
}
