//! What a session does while its client is away.

use codec::QoS;
use session::Frames;
use store::{FileStore, FoundClaims, FoundSession, KeptIdentity, KeptSession, Options};
use topic::TopicName;

use super::*;
use crate::{
    LiveConfig,
    broker::unix_now,
    remember::{self, Moment},
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
