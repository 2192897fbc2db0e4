//! Limits on who may connect: per address, by rate, after failed logins, when flapping.

use std::time::Duration;

use access::{ClientIdFrom, Grant};
use codec::{Connect, ProtocolVersion, ReasonCode};
use limits::Rate;
use portcullis_tests::{BOTH, Broker, Mood, Setup, User, packets};
use server::{BrokerHandle, LiveConfig};

use ProtocolVersion::{V5, V311};

/// Limits that hold for loopback too.
fn strict(change: impl FnOnce(&mut limits::Config)) -> Setup {
    Setup::with(|live| {
        live.limits.connection_rate.loopback_exempt = false;
        change(&mut live.limits);
    })
}

#[tokio::test]
async fn connections_per_address() {
    let setup = strict(|limits| limits.connection_rate.connections_per_address = 2);
    let broker = setup.start().await;
    let mut first = broker.client(V5, "1").await;
    let second = broker.client(V5, "2").await;
    broker.open(V5).await.expect_closed().await;
    first.quiet().await;
    second.leave().await;
    broker.until(|broker| broker.totals().connections == 1).await;
    broker.client(V5, "3").await.quiet().await;
    let refused = "portcullis_connections_refused_total{limit=\"connections_per_address\"}";
    assert_eq!(broker.counted(refused), 1);
}

#[tokio::test]
async fn connections_in_all() {
    let setup = Setup::with(|live| live.limits.connection_rate.connections = 2);
    let broker = setup.start().await;
    let _first = broker.client(V5, "1").await;
    // A connection without CONNECT counts too.
    let _second = broker.open(V5).await;
    broker.open(V5).await.expect_closed().await;
}

#[tokio::test]
async fn connect_rate_per_address() {
    let slow = Rate::new(1, 3).unwrap();
    let setup = strict(|limits| limits.connection_rate.connect_rate_per_address = slow);
    let broker = setup.start().await;
    for number in 0..3 {
        broker.client(V5, &number.to_string()).await.leave().await;
    }
    broker.open(V5).await.expect_closed().await;
    // By default loopback is free of it.
    let broker = Setup::with(|live| live.limits.connection_rate.connect_rate_per_address = slow);
    let broker = broker.start().await;
    for number in 0..20 {
        broker.client(V5, &number.to_string()).await.leave().await;
    }
}

/// Over the rate of all, accepting pauses for a bounded wait; a short burst gets through.
#[tokio::test]
async fn connect_rate_of_all() {
    let setup = strict(|limits| {
        limits.connection_rate.connect_rate = Rate::new(20, 1).unwrap();
        limits.connection_rate.connect_rate_per_address = Rate::new(1000, 1000).unwrap();
    });
    let broker = setup.start().await;
    for number in 0..4 {
        broker.client(V5, &number.to_string()).await.leave().await;
    }
    let setup = strict(|limits| {
        limits.connection_rate.connect_rate = Rate::new(1, 1).unwrap();
    });
    let broker = setup.start().await;
    broker.client(V5, "1").await.leave().await;
    broker.open(V5).await.expect_closed().await;
}

fn with_password() -> User {
    User { password: Some("secret".to_owned()), ..User::default() }
}

/// Failed logins back off by (address, user): the next try is not even heard. Others from the same
/// address are free.
#[tokio::test]
async fn failed_logins_back_off() {
    let setup = strict(|limits| {
        limits.login_backoff.free_failures = 1;
        limits.login_backoff.first_delay = Duration::from_secs(60);
        limits.login_backoff.delay_max = Duration::from_secs(60);
    });
    let broker = setup.start().await;
    broker.doorman.set_user("ann", with_password());
    let login = |version, password| packets::login(version, "a", ("ann", password));
    for _ in 0..2 {
        let mut client = broker.knock(login(V5, "wrong")).await;
        client.expect(packets::refusal_with_reason(ReasonCode::BadUserNameOrPassword)).await;
        client.expect_closed().await;
    }
    let mut client = broker.knock(login(V5, "secret")).await;
    client.expect(packets::refusal(ReasonCode::ConnectionRateExceeded)).await;
    let mut client = broker.knock(login(V311, "secret")).await;
    client.expect(packets::refusal(ReasonCode::ServerUnavailable)).await;
    broker.enter(packets::login(V5, "a", ("bob", "any"))).await.0.quiet().await;
}

/// Guesses that come while others are being decided are not heard either: a try counts from its start.
#[tokio::test]
async fn guesses_at_once_back_off_too() {
    let setup = strict(|limits| {
        limits.login_backoff.free_failures = 1;
        limits.connection_rate.connect_rate_per_address = limits.connection_rate.connect_rate;
    });
    let broker = setup.start().await;
    broker.doorman.set_user("ann", with_password());
    broker.doorman.authenticator(Mood::Hangs);
    let login = |number| packets::login(V5, &format!("c-{number}"), ("ann", "wrong"));
    let mut heard = Vec::new();
    for number in 0..34 {
        heard.push(broker.knock(login(number)).await);
    }
    let refused = "portcullis_connect_refused_total{reason=\"connection_rate_exceeded\"}";
    for number in 34..44 {
        broker.knock(login(number)).await.vanish();
    }
    // Ten of the 44, whichever came first: a fleet of 32 may come back together.
    broker.until(|_| broker.counted(refused) == 10).await;
    // Somebody else is heard meanwhile.
    let mut waiting = broker.knock(packets::login(V5, "b", ("bob", "any"))).await;
    broker.doorman.authenticator(Mood::Answers);
    assert_eq!(waiting.connack().await.reason_code, ReasonCode::Success);
    for client in &mut heard {
        let code = client.connack().await.reason_code;
        let codes = [ReasonCode::BadUserNameOrPassword, ReasonCode::ConnectionRateExceeded];
        assert!(codes.contains(&code), "{code:?}");
    }
}

/// Without a User Name it is the client that waits, not everybody at its address.
#[tokio::test]
async fn a_client_without_user_name_holds_up_no_other() {
    let setup = strict(|limits| limits.login_backoff.free_failures = 0);
    let broker = setup.start().await;
    broker.doorman.set_user("bad", with_password());
    let mut bad = broker.knock(Connect::new(V5, "bad")).await;
    bad.expect(packets::refusal_with_reason(ReasonCode::BadUserNameOrPassword)).await;
    let mut bad = broker.knock(Connect::new(V5, "bad")).await;
    bad.expect(packets::refusal(ReasonCode::ConnectionRateExceeded)).await;
    broker.client(V5, "good").await.quiet().await;
}

/// Sessions are counted in all and by principal; a session that goes on is no new one.
#[tokio::test]
async fn sessions() {
    for one in [
        |limits: &mut limits::Config| limits.sizes.sessions_per_principal = 1,
        |limits: &mut limits::Config| limits.sizes.sessions = 1,
    ] {
        let broker = Setup::with(|live| one(&mut live.limits)).start().await;
        let login = |version, client_id| packets::login(version, client_id, ("ann", "any"));
        let mut first = broker.enter(login(V5, "a")).await.0;
        let mut second = broker.knock(login(V5, "b")).await;
        second.expect(packets::refusal(ReasonCode::QuotaExceeded)).await;
        let mut second = broker.knock(login(V311, "b")).await;
        second.expect(packets::refusal(ReasonCode::ServerUnavailable)).await;
        // Taken over, with Clean Start: one session ends, one begins.
        let again = broker.enter(login(V5, "a")).await.0;
        first.expect_disconnect(ReasonCode::SessionTakenOver).await;
        let mut second = broker.knock(login(V5, "b")).await;
        second.expect(packets::refusal(ReasonCode::QuotaExceeded)).await;
        again.leave().await;
        broker.until(|broker| broker.totals().sessions == 0).await;
        broker.enter(login(V5, "b")).await.0.quiet().await;
    }
}

/// Names that last as long as a session are short, also those that plugins give.
#[tokio::test]
async fn names() {
    let broker = Setup::with(|live| live.limits.sizes.username_bytes = 4).start().await;
    broker.enter(packets::login(V5, "a", ("anna", "any"))).await.0.leave().await;
    let mut long = broker.knock(packets::login(V5, "a", ("annas", "any"))).await;
    long.expect(packets::refusal(ReasonCode::QuotaExceeded)).await;
    let named = |principal: &str| {
        let grant = Grant { principal: Some(principal.to_owned()), ..Grant::default() };
        User { grant, ..User::default() }
    };
    broker.doorman.set_user("bob", named("robert"));
    let mut long = broker.knock(packets::login(V5, "a", ("bob", "any"))).await;
    long.expect(packets::refusal(ReasonCode::QuotaExceeded)).await;
    // A principal that is to be the client identifier is held to its limit.
    let setup = Setup::with(|live| {
        live.client_id_from = ClientIdFrom::Principal;
        live.limits.sizes.client_id_bytes = 23;
    });
    let broker = setup.start().await;
    for (bytes, accepted) in [(23, true), (24, false)] {
        broker.doorman.set_user("bob", named(&"x".repeat(bytes)));
        let mut client = broker.knock(packets::login(V5, "a", ("bob", "any"))).await;
        let code = client.connack().await.reason_code;
        let refused = ReasonCode::ClientIdentifierNotValid;
        assert_eq!(code, if accepted { ReasonCode::Success } else { refused });
    }
}

/// A plugin that is down fails nobody's login: its users are not locked out for longer than it is.
#[tokio::test]
async fn plugin_failures_are_no_failed_logins() {
    let setup = strict(|limits| limits.login_backoff.free_failures = 0);
    let broker = setup.start().await;
    broker.doorman.authenticator(Mood::Fails(access::PluginFailureKind::Unavailable));
    for _ in 0..5 {
        let mut client = broker.knock(Connect::new(V5, "a")).await;
        client.expect(packets::refusal(ReasonCode::ServerUnavailable)).await;
    }
    broker.doorman.authenticator(Mood::Answers);
    broker.client(V5, "a").await.quiet().await;
}

/// One (principal, client id) that connects again and again is banned, nobody else.
#[tokio::test]
async fn flapping() {
    let setup = strict(|limits| limits.flapping.connects = 3);
    let broker = setup.start().await;
    for version in BOTH {
        let name = format!("flaps-{version:?}");
        for _ in 0..2 {
            broker.client(version, &name).await.leave().await;
        }
        for _ in 0..2 {
            let mut client = broker.knock(Connect::new(version, &name)).await;
            let code = match version {
                V5 => ReasonCode::Banned,
                V311 => ReasonCode::NotAuthorized,
            };
            client.expect(packets::refusal(code)).await;
            client.expect_closed().await;
        }
        let other = Connect { username: Some("other".to_owned()), ..Connect::new(version, &name) };
        broker.enter(other).await.0.leave().await;
    }
}

/// New limits hold for everything after, for old connections too where they are asked again.
#[tokio::test]
async fn reconfigured_while_running() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    let mut live = LiveConfig::default();
    live.limits.sizes.client_id_bytes = 23;
    live.limits.sizes.subscriptions_per_client = 1;
    broker.broker.reconfigure(live);
    let mut long = broker.knock(Connect::new(V5, &"i".repeat(24))).await;
    long.expect(packets::refusal(ReasonCode::ClientIdentifierNotValid)).await;
    let q = codec::QoS::AtMostOnce;
    client.send(packets::subscribe(1, &[("a", q), ("b", q)])).await;
    client.expect(packets::suback(1, &[ReasonCode::Success, ReasonCode::QuotaExceeded])).await;
}
