//! What a refused CONNECT is told: the codes of DESIGN section 6, in both versions.

use access::PluginFailureKind;
use codec::{ConnAck, Connect, Packet, ProtocolVersion, ReasonCode};
use portcullis_tests::{BOTH, Broker, Mood, User, packets};

use ProtocolVersion::{V5, V311};

/// Nobody gets in, and is told this.
async fn check(broker: &Broker, code: ReasonCode, return_code: u8) {
    for version in BOTH {
        let mut client = broker.knock(Connect::new(version, "a")).await;
        let connack = client.connack().await;
        assert!(!connack.session_present);
        match version {
            V5 => assert_eq!(connack.reason_code, code),
            V311 => {
                let mut bytes = Vec::new();
                Packet::ConnAck(Box::new(connack)).encode(V311, &mut bytes);
                assert_eq!(bytes, [0x20, 2, 0, return_code], "{code:?}");
            }
        }
        client.expect_closed().await;
    }
    assert_eq!(broker.counted("portcullis_connections_opened_total"), 0);
}

/// Covers 5.0 [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1], 3.1.1
/// [MQTT-3.2.2-4] [MQTT-3.2.2-5].
#[tokio::test]
async fn denial_by_a_plugin() {
    let broker = Broker::start().await;
    broker.doorman.authenticator(Mood::Denies(ReasonCode::NotAuthorized));
    check(&broker, ReasonCode::NotAuthorized, 5).await;
    broker.doorman.authenticator(Mood::Denies(ReasonCode::BadUserNameOrPassword));
    check(&broker, ReasonCode::BadUserNameOrPassword, 4).await;
    broker.doorman.authenticator(Mood::Denies(ReasonCode::Banned));
    check(&broker, ReasonCode::Banned, 5).await;
    broker.doorman.authenticator(Mood::Denies(ReasonCode::QuotaExceeded));
    check(&broker, ReasonCode::QuotaExceeded, 3).await;
}

/// Covers 5.0 [MQTT-3.1.4-2] [MQTT-3.2.2-8].
#[tokio::test]
async fn failure_of_a_plugin() {
    use PluginFailureKind as K;
    for kind in [K::Trap, K::Deadline, K::Missing, K::Unavailable, K::CpuBudget, K::Memory] {
        let broker = Broker::start().await;
        broker.doorman.authenticator(Mood::Fails(kind));
        check(&broker, ReasonCode::ServerUnavailable, 3).await;
        broker.doorman.authenticator(Mood::Answers);
        broker.doorman.authorizer(Mood::Fails(kind));
        check(&broker, ReasonCode::ServerUnavailable, 3).await;
    }
    let broker = Broker::start().await;
    broker.doorman.authenticator(Mood::Fails(K::Busy));
    check(&broker, ReasonCode::ServerBusy, 3).await;
}

#[tokio::test]
async fn empty_chain_refuses_everybody() {
    let broker = Broker::start().await;
    broker.gate.swap(access::Chain::default(), std::collections::HashMap::new());
    check(&broker, ReasonCode::NotAuthorized, 5).await;
}

#[tokio::test]
async fn password_decides() {
    let broker = Broker::start().await;
    let ann = User { password: Some("secret".to_owned()), ..User::default() };
    broker.doorman.set_user("ann", ann);
    for version in BOTH {
        let right = packets::login(version, "a", ("ann", "secret"));
        broker.enter(right).await.0.quiet().await;
        let none = Connect { username: Some("ann".to_owned()), ..Connect::new(version, "a") };
        for wrong in [
            packets::login(version, "a", ("ann", "secreT")),
            packets::login(version, "a", ("ann", "")),
            none,
        ] {
            let mut client = broker.knock(wrong).await;
            let connack = client.connack().await;
            assert_eq!(connack.reason_code, ReasonCode::BadUserNameOrPassword);
            client.expect_closed().await;
        }
    }
}

/// The reason of a plugin is passed on unless the client wants no problem information
/// [MQTT-3.1.2-29 allows CONNACK, but who asks not to be told is not told].
/// Covers 5.0 [MQTT-3.1.2-29].
#[tokio::test]
async fn reason_string_is_for_who_wants_it() {
    let broker = Broker::start().await;
    broker.doorman.authenticator(Mood::Denies(ReasonCode::NotAuthorized));
    for (wanted, told) in [(true, Some("not today")), (false, None)] {
        let connect = Connect { request_problem_information: wanted, ..Connect::new(V5, "a") };
        let connack = broker.knock(connect).await.connack().await;
        let reason_string = told.map(str::to_owned);
        let expected = ConnAck::new(ReasonCode::NotAuthorized);
        assert_eq!(connack, ConnAck { reason_string, ..expected });
    }
}

/// The two parts of a decision are timed apart; who is not let in is not asked for permissions.
#[tokio::test]
async fn both_parts_of_a_decision_are_timed() {
    let broker = Broker::start().await;
    let times = |part| broker.counted(&format!("portcullis_{part}_seconds_count"));
    let client = broker.client(V5, "a").await;
    assert_eq!((times("authentication"), times("permissions")), (1, 1));
    broker.swap();
    broker.refreshed("a").await;
    assert_eq!((times("authentication"), times("permissions")), (1, 2));
    client.leave().await;
    broker.doorman.authenticator(Mood::Denies(ReasonCode::NotAuthorized));
    broker.knock(Connect::new(V5, "a")).await.connack().await;
    assert_eq!((times("authentication"), times("permissions")), (2, 2));
}

/// A plugin that takes its time holds up its client alone, and a client that gives up is no harm.
#[tokio::test]
async fn waiting_for_a_plugin_holds_nobody_else() {
    let broker = Broker::start().await;
    let mut before = broker.client(V5, "before").await;
    broker.doorman.authenticator(Mood::Hangs);
    let mut waiting = broker.knock(Connect::new(V5, "waiting")).await;
    broker.knock(Connect::new(V5, "gives-up")).await.vanish();
    before.quiet().await;
    broker.doorman.authenticator(Mood::Answers);
    assert_eq!(waiting.connack().await.reason_code, ReasonCode::Success);
    waiting.quiet().await;
}
