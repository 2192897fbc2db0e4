//! Bans: who is kept out, where, and that it outlives the process.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use codec::{Connect, ProtocolVersion, ReasonCode};
use limits::{Ban, BanOrigin, BanTarget, NewBan};
use portcullis_tests::{BOTH, Broker, Client, Setup, packets};
use server::{BanKeeper, BrokerHandle, KeptBans, Transport};
use tokio::io::AsyncWriteExt;

use ProtocolVersion::{V5, V311};

/// Keeps in memory, or not at all.
#[derive(Debug, Default)]
struct Memory {
    kept: Mutex<Vec<Ban>>,
    is_broken: bool,
}

impl BanKeeper for Memory {
    fn keep(&self, bans: &[Ban]) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("broken"));
        }
        *self.kept.lock().unwrap() = bans.to_vec();
        Ok(())
    }
}

fn client_id(name: &str) -> BanTarget {
    BanTarget::ClientId(name.to_owned())
}

fn address(range: &str) -> BanTarget {
    BanTarget::address(range.parse().unwrap()).unwrap()
}

fn ban(broker: &Broker, target: BanTarget) -> (Ban, u64) {
    let (reason, origin) = ("because".to_owned(), BanOrigin::Administrator);
    let new = NewBan { target, reason, origin, until_unix: None };
    broker.broker.ban(new).unwrap()
}

async fn expect_banned(broker: &Broker, connect: Connect) {
    let code = match connect.version {
        V5 => ReasonCode::Banned,
        V311 => ReasonCode::NotAuthorized,
    };
    let mut client = broker.knock(connect).await;
    client.expect(packets::refusal(code)).await;
    client.expect_closed().await;
}

async fn expect_ended(client: &mut Client) {
    client.expect_disconnect(ReasonCode::AdministrativeAction).await;
}

#[tokio::test]
async fn client_identifiers_and_principals() {
    let broker = Broker::start().await;
    for version in BOTH {
        let login = |client_id| packets::login(version, client_id, ("ann", "any"));
        let mut one = broker.enter(login("a")).await.0;
        let mut other = broker.enter(login("b")).await.0;
        let (of_id, gone) = ban(&broker, client_id("a"));
        assert_eq!(gone, 1);
        expect_ended(&mut one).await;
        other.quiet().await;
        expect_banned(&broker, login("a")).await;
        // Whoever uses it.
        expect_banned(&broker, packets::login(version, "a", ("bob", "any"))).await;
        let (of_principal, gone) = ban(&broker, BanTarget::Principal("ann".to_owned()));
        assert_eq!(gone, 1);
        expect_ended(&mut other).await;
        expect_banned(&broker, login("c")).await;
        let (principal, client_id) = ("bob".to_owned(), "d".to_owned());
        let (of_pair, _) = ban(&broker, BanTarget::Client { principal, client_id });
        expect_banned(&broker, packets::login(version, "d", ("bob", "any"))).await;
        broker.enter(packets::login(version, "e", ("bob", "any"))).await.0.leave().await;
        for made in [of_id, of_principal, of_pair] {
            assert_eq!(broker.broker.lift_ban(made.id).unwrap(), Some(made));
        }
        broker.enter(login("a")).await.0.leave().await;
    }
    let refused = "portcullis_connect_refused_total{reason=\"banned\"}";
    assert_eq!(broker.counted(refused), 8);
    assert_eq!(broker.counted("portcullis_bans_made_total{origin=\"administrator\"}"), 6);
}

/// At the accept, before a byte is read; who is there goes.
#[tokio::test]
async fn addresses() {
    let broker = Broker::start().await;
    let from = async |last: u8, name: &str| {
        let source = std::net::Ipv4Addr::new(127, 0, 7, last);
        let mut client = Client::open_from(source, broker.address, V5).await;
        client.name = name.to_owned();
        client
    };
    let mut inside = from(9, "inside").await;
    inside.send(codec::Packet::Connect(Box::new(Connect::new(V5, "inside")))).await;
    assert_eq!(inside.connack().await.reason_code, ReasonCode::Success);
    let mut stranger = from(9, "stranger").await;
    let mut outside = broker.client(V5, "outside").await;
    let (made, gone) = ban(&broker, address("127.0.7.0/24"));
    assert_eq!(gone, 1);
    expect_ended(&mut inside).await;
    outside.quiet().await;
    from(200, "late").await.expect_closed().await;
    assert_eq!(broker.counted("portcullis_connections_refused_total{limit=\"bans\"}"), 1);
    // Who was accepted before and had not said who it is.
    stranger.send(codec::Packet::Connect(Box::new(Connect::new(V5, "stranger")))).await;
    stranger.expect(packets::refusal(ReasonCode::Banned)).await;
    broker.broker.lift_ban(made.id).unwrap();
    let mut back = from(200, "back").await;
    back.send(codec::Packet::Connect(Box::new(Connect::new(V5, "back")))).await;
    assert_eq!(back.connack().await.reason_code, ReasonCode::Success);
}

/// Behind a load balancer it is the client that is banned, not who speaks for it.
#[tokio::test]
async fn addresses_behind_a_load_balancer() {
    let bind = "127.0.0.1:0".parse().unwrap();
    let setup = Setup::default().listening("lb", Transport::Tcp { bind }).behind("127.0.0.0/8");
    let broker = setup.start().await;
    ban(&broker, address("203.0.113.0/24"));
    let knock = async |source: &str| {
        let mut stream = tokio::net::TcpStream::connect(broker.listener("lb")).await.unwrap();
        let header = format!("PROXY TCP4 {source} 192.0.2.1 5000 1883\r\n");
        stream.write_all(header.as_bytes()).await.unwrap();
        let mut client = Client::over(stream, V5);
        client
            .try_send_bytes(&packets::encoded(
                V5,
                &codec::Packet::Connect(Box::new(Connect::new(V5, "c"))),
            ))
            .await;
        client
    };
    knock("203.0.113.5").await.expect_closed().await;
    assert_eq!(broker.counted("portcullis_connections_refused_total{limit=\"bans\"}"), 1);
    let mut good = knock("198.51.100.5").await;
    assert_eq!(good.connack().await.reason_code, ReasonCode::Success);
}

#[tokio::test]
async fn they_end_by_themselves() {
    let broker = Broker::start().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let new = NewBan {
        target: client_id("a"),
        reason: String::new(),
        origin: BanOrigin::Administrator,
        until_unix: Some(now + 2),
    };
    broker.broker.ban(new).unwrap();
    expect_banned(&broker, Connect::new(V5, "a")).await;
    broker.until(|broker| broker.bans(0, 10).bans.is_empty()).await;
    broker.client(V5, "a").await.quiet().await;
}

/// Those for flapping stand in the same list, and lifting one lets the client in again.
#[tokio::test]
async fn flapping_is_in_the_list() {
    let keeper = Arc::new(Memory::default());
    let mut setup = Setup::with(|live| {
        live.limits.connection_rate.loopback_exempt = false;
        live.limits.flapping.connects = 3;
    });
    setup.bans = Some(KeptBans { bans: Vec::new(), keeper: keeper.clone() });
    let broker = setup.start().await;
    for _ in 0..2 {
        broker.client(V5, "flaps").await.leave().await;
    }
    for _ in 0..3 {
        expect_banned(&broker, Connect::new(V5, "flaps")).await;
    }
    let bans = broker.broker.bans(0, 10).bans;
    assert_eq!(bans.len(), 1);
    let pair = BanTarget::Client { principal: "flaps".to_owned(), client_id: "flaps".to_owned() };
    assert_eq!((&bans[0].target, bans[0].origin), (&pair, BanOrigin::Flapping));
    let ends = bans[0].until_unix.unwrap() - bans[0].since_unix;
    assert!((299..=302).contains(&ends), "{ends}");
    assert_eq!(broker.counted("portcullis_bans_made_total{origin=\"flapping\"}"), 1);
    // It is written down without anybody waiting for that.
    broker.until(|_| *keeper.kept.lock().unwrap() == bans).await;
    broker.broker.lift_ban(bans[0].id).unwrap();
    assert_eq!(*keeper.kept.lock().unwrap(), []);
    broker.client(V5, "flaps").await.leave().await;
}

#[tokio::test]
async fn they_outlive_the_process() {
    let keeper = Arc::new(Memory::default());
    let start = async |keeper: &Arc<Memory>| {
        let bans = keeper.kept.lock().unwrap().clone();
        let keeper = Arc::clone(keeper) as Arc<dyn BanKeeper>;
        Setup { bans: Some(KeptBans { bans, keeper }), ..Setup::default() }.start().await
    };
    let broker = start(&keeper).await;
    let (first, _) = ban(&broker, client_id("a"));
    let (second, _) = ban(&broker, address("127.0.9.0/24"));
    broker.broker.lift_ban(second.id).unwrap();
    broker.crash();
    let broker = start(&keeper).await;
    expect_banned(&broker, Connect::new(V5, "a")).await;
    assert_eq!(broker.broker.bans(0, 10).bans, [first]);
    assert_eq!(broker.broker.find_ban(second.id), None);
}

/// A ban that cannot be written down holds all the same, and who made it is told.
#[tokio::test]
async fn a_broken_keeper_is_no_way_in() {
    let keeper = Arc::new(Memory { is_broken: true, ..Memory::default() });
    let bans = Some(KeptBans { bans: Vec::new(), keeper });
    let broker = Setup { bans, ..Setup::default() }.start().await;
    let mut client = broker.client(V5, "a").await;
    let new = NewBan {
        target: client_id("a"),
        reason: String::new(),
        origin: BanOrigin::Administrator,
        until_unix: None,
    };
    let error = broker.broker.ban(new).unwrap_err().to_string();
    assert!(error.contains("broken"), "{error}");
    expect_ended(&mut client).await;
    expect_banned(&broker, Connect::new(V5, "a")).await;
}

/// However the ban and the CONNECT meet, in the end the client is out.
#[tokio::test]
async fn a_ban_in_the_middle_of_a_connect_is_not_missed() {
    let broker = Broker::start().await;
    for round in 0..50 {
        let name = format!("c-{round}");
        let connecting = broker.knock(Connect::new(V5, &name));
        let banning = async {
            for _ in 0..round % 10 {
                tokio::task::yield_now().await;
            }
            ban(&broker, client_id(&name));
        };
        let (mut client, ()) = tokio::join!(connecting, banning);
        let said = tokio::time::timeout(Duration::from_secs(10), client.last_words()).await;
        let said = said.unwrap_or_else(|_| panic!("{name} is still in"));
        let codes = [ReasonCode::Banned, ReasonCode::AdministrativeAction];
        assert!(said.is_some_and(|code| codes.contains(&code)), "{said:?}");
    }
}
