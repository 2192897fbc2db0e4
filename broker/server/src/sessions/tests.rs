//! What a session does while its client is away.

use std::time::Duration;

use codec::QoS;
use session::Frames;
use store::{FileStore, FoundClaims, FoundSession, KeptIdentity, KeptSession, Options};
use topic::TopicName;

use super::*;
use crate::{
    ClientQuery, LiveConfig,
    broker::unix_now,
    remember::{self, Moment},
    resources::{VISITS_MAX, list},
};

/// A session that an earlier process left.
fn found(key: SessionKey) -> FoundSession {
    let identity = KeptIdentity {
        principal: "p".to_owned(),
        authenticated_by: String::new(),
        groups: Vec::new(),
        attributes: Vec::new(),
        expires_at_unix: None,
        permissions: Vec::new(),
        queue_messages_max: None,
        queue_bytes_max: None,
    };
    let kept = KeptSession {
        client_id: "c".to_owned(),
        identity,
        listener: "mqtt".to_owned(),
        remote: "127.0.0.1:1".to_owned(),
        protocol: 5,
        expiry_seconds: 60,
        disconnected_at_unix: Some(unix_now()),
        sent_below: Some(1),
        will: None,
    };
    let owed = FoundClaims::default();
    let (subscriptions, unreleased) = (Vec::new(), Vec::new());
    FoundSession { key, kept, subscriptions, owed, unreleased, last_number: 0 }
}

/// The list of QoS 2 messages that may not be sent yet is as long as the disk is behind, not as long as the client is away.
#[test]
fn what_is_durable_is_not_waited_for_while_nobody_looks() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FileStore::open(Options::new(folder.path())).unwrap();
    let key = store.new_session();
    let live = LiveConfig::default();
    let state = remember::state(found(key), &live, &Moment::now()).unwrap();
    let (handle, _) = Sessions::default().restore(key, &Arc::from("c"), state);
    let (topic, now) = (TopicName::new("t").unwrap(), Instant::now());
    let options = DeliveryOptions {
        maximum_qos: QoS::ExactlyOnce,
        retain: false,
        subscription_identifiers: &[],
        shared: false,
        place: None,
    };
    for _ in 0..3 {
        let (mut frames, mut wakes) = (Frames::default(), Vec::new());
        let (parts, how) = ((&[][..], &b"x"[..]), (QoS::ExactlyOnce, false));
        let mut fanout = Fanout::new(&topic, parts, how, (None, now), &mut frames);
        let mut keeping = Keeping::new(Some(&store), None);
        handle.deliver(&mut fanout, &options, now, (&mut wakes, &mut keeping));
        let ticket = keeping.finish().unwrap().tell(&mut wakes);
        assert_eq!(handle.state.lock().session.awaited_ticket(), Some(ticket.0));
        while store.durable() < ticket {
            std::thread::yield_now();
        }
    }
}

/// A million where the whole is to be proved.
fn sessions_of_proof() -> usize {
    if std::env::var_os("PORTCULLIS_PROOF").is_some() { 1_000_000 } else { 100_000 }
}

/// A page costs the same however many sessions there are: the issue asks for 100 ms with 100,000.
#[test]
fn a_page_of_many_sessions_is_quick_and_the_pages_are_all_of_them() {
    let (sessions, live, now) = (Sessions::default(), LiveConfig::default(), Moment::now());
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FileStore::open(Options::new(folder.path())).unwrap();
    let count = sessions_of_proof();
    for number in 0..count {
        let key = store.new_session();
        let state = remember::state(found(key), &live, &now).unwrap();
        let client_id = Arc::from(format!("device-{number:07}"));
        sessions.restore(key, &client_id, state);
    }
    let mut query = ClientQuery { limit: 1_000, ..ClientQuery::default() };
    let (mut seen, mut slowest) = (0, Duration::ZERO);
    loop {
        let begun = Instant::now();
        let page = list(&sessions, &query);
        slowest = slowest.max(begun.elapsed());
        let ids: Vec<_> = page.clients.iter().map(|client| client.client_id.to_string()).collect();
        assert!(ids.is_sorted() && query.after.as_ref().is_none_or(|after| ids[0] > *after));
        seen += ids.len();
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, count);
    assert!(slowest < Duration::from_millis(100), "{slowest:?} for a page of {count} sessions");
    // One that nobody fits looks at no more than it may.
    let query =
        ClientQuery { limit: 1_000, listener: Some("none".to_owned()), ..ClientQuery::default() };
    let begun = Instant::now();
    let page = list(&sessions, &query);
    let took = begun.elapsed();
    assert_eq!((page.clients.len(), page.next.is_some()), (0, count > VISITS_MAX));
    println!("{count} sessions: slowest page {slowest:?}, one that looks at all it may {took:?}");
    let query =
        ClientQuery { prefix: "device-00000".to_owned(), limit: 1_000, ..ClientQuery::default() };
    let page = list(&sessions, &query);
    assert_eq!((page.clients.len(), page.next), (100, None));
}

#[test]
fn a_session_that_ended_is_in_no_list() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = FileStore::open(Options::new(folder.path())).unwrap();
    let (sessions, live) = (Sessions::default(), LiveConfig::default());
    let restore = |client_id: &str| {
        let key = store.new_session();
        let state = remember::state(found(key), &live, &Moment::now()).unwrap();
        sessions.restore(key, &Arc::from(client_id), state)
    };
    let (gone, _) = restore("a");
    restore("b");
    let ids = || -> Vec<_> {
        let query = ClientQuery { limit: 10, ..ClientQuery::default() };
        list(&sessions, &query).clients.iter().map(|c| c.client_id.to_string()).collect()
    };
    assert_eq!(ids(), ["a", "b"]);
    sessions.remove(&gone);
    assert_eq!(ids(), ["b"]);
    // Another with its name is not taken out with it.
    restore("a");
    sessions.remove(&gone);
    assert_eq!(ids(), ["a", "b"]);
}
