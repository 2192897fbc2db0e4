//! The gate: refuses without chains, never mixes generations, tells its observers.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use codec::QoS;

use super::{Authenticated, Gate};
use crate::testing::*;
use crate::{
    Answer, Chain, ClientIdFrom, Connection, Control, Credentials, Effect, HoldsFor, Hook,
    LinkReport, Outcome, PermissionSet, PublishRequest, Refusal, RefusalKind, Subject, Whose,
};

fn gate() -> Arc<Gate> {
    Arc::new(Gate::new(no_time))
}

/// A chain that calls the client by `name` and lets it use topics of that name only.
fn named_chain(name: &str) -> Chain {
    chain([
        says("who", Control::Sufficient, allow(name)),
        permits("what", Ok(rules([rule(Effect::Allow, &format!("{name}/#"))]))),
    ])
}

fn may_publish(client: &Authenticated, topic: &str) -> bool {
    let request = PublishRequest { topic, qos: QoS::AtMostOnce, retain: false };
    client.permissions().permit_publish(request).is_ok()
}

fn ask(gate: &Gate) -> (Result<Authenticated, Refusal>, Vec<LinkReport>) {
    block_on(gate.admit(&connection(), &credentials(), ClientIdFrom::Connect, NOW))
}

fn admit(gate: &Gate) -> Authenticated {
    ask(gate).0.expect("refused")
}

#[test]
fn refuses_everybody_before_the_first_swap() {
    let gate = gate();
    assert_eq!(gate.generation(), 0);
    let (result, walk) = ask(&gate);
    assert_eq!(result.expect_err("accepted").kind, RefusalKind::NotAllowed);
    assert!(walk.is_empty());
}

#[test]
fn without_authorizers_a_client_may_do_nothing() {
    let gate = gate();
    gate.swap(chain([says("who", Control::Sufficient, allow("a"))]), HashMap::new());
    assert!(!may_publish(&admit(&gate), "a"));
}

#[test]
fn admits_with_identity_permissions_and_the_walk_of_both() {
    let gate = gate();
    assert_eq!(gate.swap(named_chain("a"), HashMap::new()), 1);
    let (result, walk) = ask(&gate);
    let client = result.expect("refused");
    assert_eq!((&*client.identity().principal, client.generation()), ("a", 1));
    assert_eq!(&*client.subject().client_id, "device-1");
    assert!(may_publish(&client, "a/x") && !may_publish(&client, "b/x"));
    let walk: Vec<(&str, Hook)> =
        walk.iter().map(|report| (&*report.plugin, report.hook)).collect();
    assert_eq!(walk, [("who", Hook::Authenticator), ("what", Hook::Authorizer)]);
}

#[test]
fn each_listener_has_its_chain() {
    let gate = gate();
    let special = HashMap::from([(Arc::from("mqtt"), named_chain("special"))]);
    gate.swap(named_chain("default"), special);
    assert_eq!(&*admit(&gate).identity().principal, "special");
    let other = Connection { listener: "tls".into(), ..connection() };
    let decision = block_on(gate.authenticate(&other, &credentials(), NOW));
    assert_eq!(&*decision.result.expect("refused").principal, "default");
    assert_eq!((gate.chain("mqtt").links.len(), gate.chain("tls").links.len()), (2, 2));
    // A listener that the swap no longer names falls back to the default.
    gate.swap(Chain::default(), HashMap::new());
    assert!(gate.chain("mqtt").links.is_empty());
}

#[test]
fn a_swap_in_the_middle_of_a_decision_does_not_reach_it() {
    let gate = gate();
    let inner = gate.clone();
    let swapping = Authenticates(move |_: &Connection, _: &Credentials| {
        inner.swap(named_chain("new"), HashMap::new());
        allow("old")
    });
    let old_rules = permits("what", Ok(rules([rule(Effect::Allow, "old/#")])));
    gate.swap(chain([link("swapping", Some(Arc::new(swapping)), None), old_rules]), HashMap::new());
    let client = admit(&gate);
    assert_eq!((&*client.identity().principal, client.generation()), ("old", 1));
    assert!(may_publish(&client, "old/x") && !may_publish(&client, "new/x"));
    assert_eq!(gate.generation(), 2);
    assert_eq!(&*admit(&gate).identity().principal, "new");
}

#[test]
fn swaps_from_two_threads_never_mix() {
    let gate = gate();
    gate.swap(named_chain("a"), HashMap::new());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            for turn in 0..2_000 {
                gate.swap(named_chain(if turn % 2 == 0 { "b" } else { "a" }), HashMap::new());
            }
            stop.store(true, Ordering::Release);
        });
        while !stop.load(Ordering::Acquire) {
            let client = admit(&gate);
            // Odd generations are those of "a".
            let name = if client.generation() % 2 == 1 { "a" } else { "b" };
            assert_eq!(&*client.identity().principal, name);
            assert!(may_publish(&client, &format!("{name}/x")));
        }
        swapper.join().expect("swapper");
    });
    assert_eq!(gate.generation(), 2_001);
}

#[test]
fn observers_are_told_after_the_swap() {
    let gate = gate();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..2 {
        let (seen, gate_seen) = (seen.clone(), Arc::downgrade(&gate));
        gate.on_swap(Box::new(move |generation| {
            let current = gate_seen.upgrade().expect("gate").generation();
            seen.lock().expect("lock").push((generation, current));
        }));
    }
    gate.swap(named_chain("a"), HashMap::new());
    gate.swap(named_chain("b"), HashMap::new());
    assert_eq!(*seen.lock().expect("lock"), [(1, 1), (1, 1), (2, 2), (2, 2)]);
}

#[test]
fn refreshing_keeps_the_identity_and_takes_the_current_rules() {
    let gate = gate();
    gate.swap(named_chain("a"), HashMap::new());
    let client = admit(&gate);
    gate.swap(named_chain("b"), HashMap::new());
    let (refreshed, walk) = block_on(gate.refresh(&client, 1_000));
    let refreshed = refreshed.expect("refused");
    assert_eq!((&*refreshed.identity().principal, refreshed.generation()), ("a", 2));
    assert!(may_publish(&refreshed, "b/x") && !may_publish(&refreshed, "a/x"));
    assert!(walk.iter().all(|report| report.hook == Hook::Authorizer));
    gate.swap(chain([missing("gone", Control::Optional)]), HashMap::new());
    let (refused, _) = block_on(gate.refresh(&refreshed, 1_000));
    assert_eq!(refused.expect_err("refreshed").kind, RefusalKind::PluginFailure);
}

#[test]
fn the_client_id_can_be_the_principal() {
    let gate = gate();
    let own = permits("what", Ok(rules([rule(Effect::Allow, "${clientid}/#")])));
    let who = says("who", Control::Sufficient, allow("alice"));
    gate.swap(chain([who, own]), HashMap::new());
    for (from, client_id) in
        [(ClientIdFrom::Connect, "device-1"), (ClientIdFrom::Principal, "alice")]
    {
        let admitted = block_on(gate.admit(&connection(), &credentials(), from, NOW));
        let client = admitted.0.expect("refused");
        assert_eq!(&*client.subject().client_id, client_id);
        for topic in ["device-1/x", "alice/x"] {
            assert_eq!(may_publish(&client, topic), topic.starts_with(client_id), "{topic}");
        }
    }
}

#[test]
fn a_client_can_lose_all_permissions() {
    let gate = gate();
    gate.swap(named_chain("a"), HashMap::new());
    let client = admit(&gate);
    assert!(may_publish(&client, "a/x"));
    let without = client.without_permissions();
    assert!(!may_publish(&without, "a/x"));
    assert_eq!(&*without.identity().principal, "a");
}

#[test]
fn authorizers_are_not_asked_for_refused_clients() {
    let gate = gate();
    let never = Authorizes(|_: &Subject| -> Result<Answer, _> { panic!("asked") });
    let chain = chain([
        says("who", Control::Sufficient, Ok(Outcome::Next)),
        link("what", None, Some(Arc::new(never))),
    ]);
    gate.swap(chain, HashMap::new());
    assert!(ask(&gate).0.is_err());
}

#[test]
fn equal_permissions_are_shared() {
    let gate = gate();
    gate.swap(named_chain("a"), HashMap::new());
    let (first, second) = (admit(&gate), admit(&gate));
    assert!(Arc::ptr_eq(first.permissions(), second.permissions()));
}

#[test]
fn deciding_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let (gate, connection, credentials) = (gate(), connection(), credentials());
    is_send(&gate.admit(&connection, &credentials, ClientIdFrom::Connect, NOW));
    is_send(&gate.authenticate(&connection, &credentials, NOW));
    is_send(&gate.permissions(&subject("c", "p")));
}

/// Rules with the client's own name are not shared between clients; asked again, they are still the
/// same set, so that nothing is judged again for nothing.
#[test]
fn refreshing_without_change_keeps_the_set() {
    let set = |filter: &str, ttl_seconds| {
        let rules = vec![rule(Effect::Allow, filter)];
        Ok(Answer::Permissions(PermissionSet {
            rules,
            ttl_seconds: Some(ttl_seconds),
            holds_for: HoldsFor::Client,
        }))
    };
    let gate = gate();
    let swap = |answer| {
        let links = [says("who", Control::Sufficient, allow("a")), permits("what", answer)];
        gate.swap(chain(links), HashMap::new());
    };
    swap(set("${clientid}/#", 10));
    let client = admit(&gate);
    let refresh = |client| block_on(gate.refresh(client, 1_000)).0.expect("refused");
    assert!(Arc::ptr_eq(refresh(&client).permissions(), client.permissions()));
    swap(set("${clientid}/#", 20));
    let longer = refresh(&client);
    assert_eq!(longer.permissions().ttl(), Duration::from_secs(20));
    assert!(longer.permissions().has_same_rules(client.permissions()));
    swap(set("${username}/#", 20));
    let other = refresh(&longer);
    assert!(!other.permissions().has_same_rules(longer.permissions()));
    assert!(may_publish(&other, "a/x") && !may_publish(&other, "device-1/x"));
}

/// An answer for everyone with the client's name in it is still compiled for each client.
#[test]
fn an_answer_for_everyone_gives_nobody_the_topics_of_another() {
    let calls = Arc::new(Mutex::new(0));
    let gate = gate();
    let counted = Arc::clone(&calls);
    let hook = Authorizes(move |_: &Subject| {
        *counted.lock().expect("poisoned") += 1;
        let rules = vec![rule(Effect::Allow, "${clientid}/#"), rule(Effect::Allow, "all/#")];
        let holds_for = HoldsFor::Everyone;
        Ok(Answer::Permissions(PermissionSet { rules, ttl_seconds: None, holds_for }))
    });
    let what = link("what", None, Some(Arc::new(hook)));
    gate.swap(chain([says("who", Control::Sufficient, allow("a")), what]), HashMap::new());
    for name in ["one", "two", "three"] {
        let connection = Connection { client_id: name.into(), ..connection() };
        let credentials = credentials();
        let admitted = gate.admit(&connection, &credentials, ClientIdFrom::Connect, NOW);
        let client = block_on(admitted).0.expect("refused");
        assert!(may_publish(&client, "all/x") && may_publish(&client, &format!("{name}/x")));
        for other in ["one", "two", "three"].iter().filter(|other| **other != name) {
            assert!(!may_publish(&client, &format!("{other}/x")), "{name} as {other}");
        }
    }
    assert_eq!(*calls.lock().expect("poisoned"), 1);
}

thread_local! {
    static CLOCK: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

/// The least that is left of the answers, not what they had when they were new.
#[test]
fn permissions_are_usable_for_what_is_left_of_their_answers() {
    let gate = Arc::new(Gate::new(|| CLOCK.get()));
    let answers = |ttl_seconds| {
        let rules = vec![rule(Effect::Allow, "a/#")];
        let (ttl_seconds, holds_for) = (Some(ttl_seconds), HoldsFor::Everyone);
        Ok(Answer::Permissions(PermissionSet { rules, ttl_seconds, holds_for }))
    };
    let who = says("who", Control::Sufficient, allow("a"));
    gate.swap(chain([who, permits("x", answers(100)), permits("y", answers(60))]), HashMap::new());
    assert_eq!(admit(&gate).usable_for(), Duration::from_secs(60));
    CLOCK.set(Duration::from_secs(20));
    assert_eq!(admit(&gate).usable_for(), Duration::from_secs(40));
    // The second is asked again, the first not yet.
    CLOCK.set(Duration::from_secs(45));
    assert_eq!(admit(&gate).usable_for(), Duration::from_secs(55));
}

/// An answer that does not compile is a failure, and as such asked for again.
#[test]
fn an_answer_that_does_not_compile_is_asked_for_again() {
    let gate = gate();
    let broken = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&broken);
    let hook = Authorizes(move |_: &Subject| {
        let filter = if state.load(Ordering::Relaxed) { "a/#/b" } else { "a/#" };
        let rules = vec![rule(Effect::Allow, filter)];
        let holds_for = HoldsFor::Everyone;
        Ok(Answer::Permissions(PermissionSet { rules, ttl_seconds: None, holds_for }))
    });
    let what = link("what", None, Some(Arc::new(hook)));
    gate.swap(chain([says("who", Control::Sufficient, allow("a")), what]), HashMap::new());
    assert_eq!(ask(&gate).0.expect_err("accepted").kind, RefusalKind::PluginFailure);
    broken.store(false, Ordering::Relaxed);
    assert!(may_publish(&admit(&gate), "a"));
}

/// Answers of everybody who is meant are asked for anew, those of others are not.
#[test]
fn what_is_taken_back_is_asked_for_again() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asked_for = Arc::clone(&asked);
    let gate = gate();
    let authorizer = Authorizes(move |subject: &Subject| {
        asked_for.lock().unwrap().push(subject.client_id.to_string());
        Ok(rules([rule(Effect::Allow, "#")]))
    });
    let who = Authenticates(|connection: &Connection, _: &Credentials| {
        allow(connection.username.as_deref().unwrap_or_default())
    });
    let who = link("who", Some(Arc::new(who)), None);
    gate.swap(chain([who, link("what", None, Some(Arc::new(authorizer)))]), HashMap::new());
    let admit = |client_id: &str, principal: &str| {
        let username = Some(principal.to_owned());
        let connection = Connection { client_id: client_id.into(), username, ..connection() };
        block_on(gate.admit(&connection, &credentials(), ClientIdFrom::Connect, NOW)).0.unwrap()
    };
    let asked = || std::mem::take(&mut *asked.lock().unwrap());
    let everybody = || {
        let clients = [("a-1", "a"), ("a-2", "a"), ("b-1", "b")];
        clients.map(|(client_id, principal)| admit(client_id, principal))
    };
    let before = everybody();
    assert_eq!(asked(), ["a-1", "a-2", "b-1"]);
    everybody();
    assert!(asked().is_empty());
    let took_back = || before.each_ref().map(|it| gate.took_back(it.subject(), it.taken_back()));
    assert_eq!(took_back(), [false, false, false]);
    gate.take_back(Whose::Client("a-1"), Some("a"));
    assert_eq!(took_back(), [true, false, false]);
    everybody();
    assert_eq!(asked(), ["a-1"]);
    gate.take_back(Whose::Principal("a"), None);
    assert_eq!(took_back(), [true, true, false]);
    everybody();
    let again = asked();
    assert!(again.contains(&"a-2".to_owned()) && !again.contains(&"b-1".to_owned()), "{again:?}");
    gate.take_back(Whose::Everybody, None);
    assert_eq!(took_back(), [true, true, true]);
    everybody();
    assert_eq!(asked(), ["a-1", "a-2", "b-1"]);
}
