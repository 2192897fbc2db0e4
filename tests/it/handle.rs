//! What the rest of the program sees of a broker: `BrokerHandle`.

use codec::{Connect, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{Broker, packets};
use server::{BrokerHandle, ClientQuery, Resources, Totals};

use ProtocolVersion::{V5, V311};

#[tokio::test]
async fn clients_page_by_page() {
    let broker = Broker::start().await;
    let mut connected = Vec::new();
    for number in 0..25 {
        connected.push(broker.client(BOTH[number % 2], &format!("c-{number:02}")).await);
    }
    connected.push(broker.client(V5, "other").await);
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = broker.broker.clients(&ask("c-", after, 10));
        assert!(page.clients.len() <= 10);
        seen.extend(page.clients.into_iter().map(|client| client.client_id.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let all: Vec<_> = (0..25).map(|number| format!("c-{number:02}")).collect();
    assert_eq!(seen, all);
    let count = |query: &ClientQuery| broker.broker.clients(query).clients.len();
    assert!(broker.broker.clients(&ask("c-", None, 25)).next.is_none());
    assert_eq!(count(&ask("", None, 1_000)), 26);
    assert_eq!(count(&ask("none", None, 10)), 0);
    let all = ask("", None, 1_000);
    assert_eq!(count(&ClientQuery { connected: Some(false), ..all.clone() }), 0);
    assert_eq!(count(&ClientQuery { listener: Some("mqtt".to_owned()), ..all.clone() }), 26);
    let loopback = "127.0.0.0/8".parse().ok();
    assert_eq!(count(&ClientQuery { address: loopback, ..all.clone() }), 26);
    let elsewhere = "10.0.0.0/8".parse().ok();
    assert_eq!(count(&ClientQuery { address: elsewhere, ..all }), 0);
}

fn ask(prefix: &str, after: Option<String>, limit: usize) -> ClientQuery {
    ClientQuery { prefix: prefix.to_owned(), after, limit, ..ClientQuery::default() }
}

use portcullis_tests::BOTH;

#[tokio::test]
async fn facts_of_a_client() {
    let broker = Broker::start().await;
    let connect = Connect {
        username: Some("ann".to_owned()),
        keep_alive: 33,
        ..packets::persistent(V5, "device")
    };
    let mut client = broker.enter(connect).await.0;
    client.subscribe("t/#", QoS::AtLeastOnce).await;
    client.subscribe("$share/g/u", QoS::ExactlyOnce).await;
    let info = broker.broker.client("device").unwrap();
    assert_eq!((&*info.client_id, &*info.principal), ("device", "ann"));
    assert_eq!(info.username.as_deref(), Some("ann"));
    assert_eq!((&*info.authenticated_by, &*info.listener), ("doorman", "mqtt"));
    assert_eq!((info.protocol, info.keep_alive_seconds), ("5.0", 33));
    assert_eq!((info.connected, info.clean_start), (true, false));
    assert_eq!(info.session_expiry_interval, 3600);
    assert!(info.remote.unwrap().ip().is_loopback());
    assert_eq!(info.generation, broker.gate.generation());
    assert_eq!(info.subscriptions, 2);
    let detail = broker.broker.client_detail("device").unwrap();
    let subscriptions = detail.subscriptions.iter();
    let mut subscriptions: Vec<_> =
        subscriptions.map(|s| (s.filter.as_str(), s.options.maximum_qos as u8)).collect();
    subscriptions.sort_unstable();
    assert_eq!(subscriptions, [("$share/g/u", 2), ("t/#", 1)]);
    assert!(broker.broker.permissions("device").is_some());
    client.vanish();
    broker.until(|broker| !broker.client("device").unwrap().connected).await;
    assert!(broker.broker.permissions("device").is_none());
    assert!(broker.broker.client("nobody").is_none());
}

#[tokio::test]
async fn disconnecting_a_client() {
    let broker = Broker::start().await;
    let mut new = broker.client(V5, "new").await;
    let mut old = broker.client(V311, "old").await;
    assert!(broker.broker.disconnect("new", ReasonCode::AdministrativeAction));
    assert!(broker.broker.disconnect("old", ReasonCode::AdministrativeAction));
    new.expect_disconnect(ReasonCode::AdministrativeAction).await;
    old.expect_closed().await;
    assert!(!broker.broker.disconnect("nobody", ReasonCode::AdministrativeAction));
    let mut away = broker.enter(packets::persistent(V5, "away")).await.0;
    away.quiet().await;
    away.leave().await;
    assert!(!broker.broker.disconnect("away", ReasonCode::AdministrativeAction));
}

#[tokio::test]
async fn totals_and_listeners() {
    let broker = Broker::start().await;
    let empty = Totals { overload_level: 0, ..broker.broker.totals() };
    assert_eq!(empty, Totals::default());
    let mut client = broker.enter(packets::persistent(V5, "a")).await.0;
    client.subscribe("t/#", QoS::AtLeastOnce).await;
    client.subscribe("$share/g/t", QoS::AtLeastOnce).await;
    client.send(packets::retained(packets::qos0("r", "12345"))).await;
    client.quiet().await;
    let stranger = broker.open(V5).await;
    broker.until(|broker| broker.totals().connections == 2).await;
    let totals = Totals {
        connections: 2,
        sessions: 1,
        subscriptions: 2,
        retained_messages: 1,
        retained_bytes: 6,
        overload_level: 0,
    };
    // How busy the machine is, is not this test's business.
    let of_now = || Totals { overload_level: 0, ..broker.broker.totals() };
    assert_eq!(of_now(), totals);
    let listeners = broker.broker.listeners();
    assert_eq!(listeners.len(), 1);
    assert_eq!((&*listeners[0].name, listeners[0].connections), ("mqtt", 2));
    assert_eq!(listeners[0].address.socket(), Some(broker.address));
    drop(stranger);
    client.vanish();
    broker.until(|broker| broker.totals().connections == 0).await;
    assert_eq!(of_now(), Totals { connections: 0, ..totals });
    assert_eq!(broker.broker.listeners()[0].connections, 0);
}

/// A listener that cannot be bound is an error that names it.
#[tokio::test]
async fn occupied_address() {
    let broker = Broker::start().await;
    let listener = server::ListenerConfig::tcp("second", broker.address);
    let config = server::Config {
        listeners: vec![listener],
        live: server::LiveConfig::default(),
        bans: None,
    };
    let gate = std::sync::Arc::clone(&broker.gate);
    let error = server::Broker::start(config, gate, telemetry::Metrics::new(), None).await;
    let sentence = error.err().expect("not bound twice").to_string();
    assert!(sentence.contains("second"), "{sentence}");
    assert!(sentence.contains(&broker.address.to_string()), "{sentence}");
}
