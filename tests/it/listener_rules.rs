//! Who may come in by a listener: its lists of addresses, and how many at a time.

use codec::{Connect, Packet, ProtocolVersion::V5, ReasonCode};
use portcullis_tests::{Broker, Client, Setup, packets};
use server::{BrokerHandle, ListenerRules, LiveConfig, Transport};
use tokio::{io::AsyncWriteExt, net::TcpStream};

fn rules(live: &mut LiveConfig, name: &str, allow: Option<&[&str]>, deny: &[&str]) {
    let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let rules = ListenerRules { allow: allow.map(ranges), deny: ranges(deny), connections: None };
    live.listeners.insert(name.to_owned(), rules);
}

/// What CONNACK says; `None` = the connection was closed without a word.
async fn first_code(client: &mut Client) -> Option<ReasonCode> {
    let code = client.next(|packet| match packet {
        Packet::ConnAck(connack) => connack.reason_code,
        other => panic!("{other:?}"),
    });
    tokio::time::timeout(portcullis_tests::WAIT, code).await.expect("an answer or the end")
}

/// Whether an address is let in.
async fn enters(broker: &Broker, last: u8) -> bool {
    let source = std::net::Ipv4Addr::new(127, 0, 8, last);
    let mut client = Client::open_from(source, broker.address, V5).await;
    let connect = Packet::Connect(Box::new(Connect::new(V5, "c")));
    client.try_send_bytes(&packets::encoded(V5, &connect)).await;
    match first_code(&mut client).await {
        Some(ReasonCode::Success) => true,
        None => false,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn lists_of_addresses() {
    let (allow, deny) = (["127.0.8.0/28", "127.0.0.1/32"], ["127.0.8.7/32"]);
    let setup = Setup::with(|live| rules(live, "mqtt", Some(&allow), &deny));
    let mut live = setup.live.clone();
    let broker = setup.start().await;
    for (last, expect) in [(1, true), (15, true), (16, false), (7, false), (200, false)] {
        assert_eq!(enters(&broker, last).await, expect, "{last}");
    }
    let refused = "portcullis_connections_refused_total{limit=\"listeners.deny\"}";
    assert_eq!(broker.counted(refused), 3);
    // Of another listener they say nothing, and they can change while it runs.
    rules(&mut live, "mqtt", None, &["127.0.8.1/32"]);
    rules(&mut live, "other", Some(&["192.0.2.0/24"]), &[]);
    broker.broker.reconfigure(live);
    for (last, expect) in [(1, false), (7, true), (200, true)] {
        assert_eq!(enters(&broker, last).await, expect, "{last}");
    }
}

/// The client is judged, not the load balancer.
#[tokio::test]
async fn behind_a_load_balancer() {
    let bind = "127.0.0.1:0".parse().unwrap();
    let mut setup = Setup::default().listening("lb", Transport::Tcp { bind }).behind("127.0.0.0/8");
    rules(&mut setup.live, "lb", Some(&["203.0.113.0/24"]), &["203.0.113.5/32"]);
    let broker = setup.start().await;
    for (source, expect) in [("203.0.113.4", true), ("203.0.113.5", false), ("198.51.100.1", false)]
    {
        let mut stream = TcpStream::connect(broker.listener("lb")).await.unwrap();
        let header = format!("PROXY TCP4 {source} 192.0.2.1 5000 1883\r\n");
        stream.write_all(header.as_bytes()).await.unwrap();
        let mut client = Client::over(stream, V5);
        let connect = Packet::Connect(Box::new(Connect::new(V5, "c")));
        client.try_send_bytes(&packets::encoded(V5, &connect)).await;
        let code = first_code(&mut client).await;
        assert_eq!(code, expect.then_some(ReasonCode::Success), "{source}");
    }
}

#[tokio::test]
async fn connections_of_one_listener() {
    let bind = "127.0.0.1:0".parse().unwrap();
    let mut setup = Setup::default().listening("small", Transport::Tcp { bind });
    let rules = ListenerRules { connections: Some(2), ..ListenerRules::default() };
    setup.live.listeners.insert("small".to_owned(), rules);
    let broker = setup.start().await;
    let open = async || Client::open(broker.listener("small"), V5).await;
    let (first, _second) = (open().await, open().await);
    open().await.expect_closed().await;
    let refused = "portcullis_connections_refused_total{limit=\"listeners.connections\"}";
    assert_eq!(broker.counted(refused), 1);
    // Others have room.
    broker.client(V5, "a").await.leave().await;
    first.vanish();
    broker.until(|broker| broker.totals().connections == 1).await;
    let mut third = open().await;
    third.send(Packet::Connect(Box::new(Connect::new(V5, "b")))).await;
    assert_eq!(third.connack().await.reason_code, ReasonCode::Success);
}
