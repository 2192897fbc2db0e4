//! What costs others their routes, and what does not.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use access::{
    Authenticator, BoxFuture, Chain, ClientIdFrom, Connection, Credentials, Gate, Grant, Link,
    LinkState, Outcome, PluginFailure,
};
use codec::{Connect, ProtocolVersion, SubscriptionOptions};

use super::*;
use crate::{
    LiveConfig,
    sessions::{Facts, Open, Sessions},
};

struct LetsIn;

impl Authenticator for LetsIn {
    fn authenticate<'a>(
        &'a self,
        _: &'a Connection,
        _: &'a Credentials,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>> {
        let grant = Grant { principal: Some("p".to_owned()), ..Grant::default() };
        Box::pin(async { Ok(Outcome::Allow(grant)) })
    }
}

fn authenticated(client_id: &str, remote: SocketAddr) -> Arc<access::Authenticated> {
    let gate = Gate::new(|| Duration::ZERO);
    let link = Link {
        name: "door".into(),
        generation: "1".into(),
        control: access::Control::default(),
        on_error: access::OnError::default(),
        state: LinkState::Live(Box::new(access::Hooks {
            authenticator: Some(Arc::new(LetsIn)),
            ..access::Hooks::default()
        })),
    };
    gate.swap(Chain { links: vec![link] }, HashMap::new());
    let connection = Connection {
        connection_id: 1,
        client_id: client_id.into(),
        username: None,
        listener: "mqtt".into(),
        remote,
        protocol: ProtocolVersion::V5,
        tls: None,
        attributes: Vec::new(),
    };
    let credentials = Credentials {
        password: None,
        clean_start: true,
        keep_alive_seconds: 60,
        user_properties: Vec::new(),
        will: None,
    };
    let admitted = gate.admit(&connection, &credentials, ClientIdFrom::Connect, 0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Arc::new(runtime.block_on(admitted).0.unwrap())
}

fn session(sessions: &Sessions, client_id: &str) -> Arc<SessionHandle> {
    let remote = SocketAddr::from(([127, 0, 0, 1], 5));
    let (authenticated, live) = (authenticated(client_id, remote), LiveConfig::default());
    let facts = Facts {
        authenticated: Arc::clone(&authenticated),
        username: None,
        listener: "mqtt".into(),
        remote,
        protocol: ProtocolVersion::V5,
        keep_alive_seconds: 60,
        clean_start: true,
        session_expiry_interval: 0,
        session_expiry_requested: 0,
        since_unix: 0,
    };
    let open = Open {
        connection_id: 1,
        connect: &Connect::new(ProtocolVersion::V5, client_id),
        authenticated: &authenticated,
        limits: live.session_limits(&access::ClientLimits::default()),
        sizes: &live.limits.sizes,
        store: None,
        will: None,
        facts,
    };
    sessions.open(open).unwrap().handle
}

fn subscription(filter: &str, qos: QoS, identifier: Option<u32>) -> Subscription {
    let filter = SubscriptionFilter::parse(filter).unwrap();
    Subscription { filter, options: SubscriptionOptions::new(qos), identifier, since_unix: None }
}

#[test]
fn only_a_change_costs_others_their_routes() {
    let (sessions, router) = (Sessions::default(), Router::default());
    let handles = ["a", "b"].map(|client_id| session(&sessions, client_id));
    let [a, b] = &handles;
    let guard = Arc::new(Permissions::default());
    let subscribe = |handle, subscription: Subscription, guard: Option<&Arc<Permissions>>| {
        let (before, handle) = (router.generation(), Arc::clone(handle));
        let (subscription, guard) = (Arc::new(subscription), guard.cloned());
        router.subscribe(Subscriber { handle, subscription, guard });
        router.generation() - before
    };
    for filter in ["t/#", "$share/g/t/#"] {
        let plain = || subscription(filter, QoS::AtMostOnce, None);
        assert_eq!(subscribe(a, plain(), None), 1);
        for _ in 0..3 {
            assert_eq!(subscribe(a, plain(), None), 0);
        }
        assert_eq!(subscribe(b, plain(), None), 1);
        assert_eq!(subscribe(a, subscription(filter, QoS::AtLeastOnce, None), None), 1);
        assert_eq!(subscribe(a, subscription(filter, QoS::AtLeastOnce, Some(1)), None), 1);
        assert_eq!(subscribe(a, plain(), Some(&guard)), 1);
        assert_eq!(subscribe(a, plain(), Some(&guard)), 0);
        assert_eq!(subscribe(a, plain(), None), 1);
    }
    assert_eq!(router.len(), 4);
    let before = router.generation();
    router.unsubscribe(a.id, &SubscriptionFilter::parse("other").unwrap());
    router.unsubscribe(a.id, &SubscriptionFilter::parse("$share/h/t/#").unwrap());
    assert_eq!(router.generation(), before);
    router.unsubscribe(a.id, &SubscriptionFilter::parse("$share/g/t/#").unwrap());
    assert_eq!((router.generation(), router.len()), (before + 1, 3));
}
