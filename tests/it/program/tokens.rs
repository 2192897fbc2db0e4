//! The plugin `jwt` with a real issuer behind it: who gets in and what for, and what happens while
//! the issuer is away. The configuration is the documentation's.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use codec::{Auth, Connect, Packet, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::Client;
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    eventually::eventually,
    folder::{ALICE, Folder, bundled},
    knock::{enter, knock, login},
    process::Program,
    proof,
    round_trips::{RoundTrips, p99},
    servers::{OidcProvider, documented},
};

const METHOD: &str = "OAUTH2-JWT";

/// As many as the issue says, or a sample.
fn of_issue<T>(proven: T, sample: T) -> T {
    if proof() { proven } else { sample }
}

/// The page's broker, `password-file` behind it, and a topic for everybody.
fn folder(issuer: &OidcProvider) -> Folder {
    let folder = Folder::bundled();
    folder.write("acl.toml", "[[rules]]\nallow = \"all\"\ntopic = \"round-trips\"\n");
    let [sources, manifest] = &documented("secure/jwt.md")[..] else {
        panic!("the page has two configurations")
    };
    let here = |text: &str| text.replace("https://idp.example", &issuer.url());
    let secret = "file:/etc/portcullis/secrets/introspection";
    folder.configure_more(&here(sources).replace(secret, "broker-secret"));
    // Here some fail, and come back, more often than anybody should.
    folder.configure_more(
        "[limits.login_backoff]\nfirst_delay = \"1ms\"\ndelay_max = \"1ms\"\n\
         [limits.flapping]\nconnects = 100\nwindow = \"1s\"\n",
    );
    folder.install_with("jwt", &bundled("jwt"), &here(manifest));
    folder
}

fn device(name: &str, token: &str) -> Connect {
    login(name, ("any name", token))
}

async fn code(program: &Program, name: &str, token: &str) -> ReasonCode {
    knock(program.mqtt(), device(name, token)).await.0
}

/// A token whose header is this one, and whose signature is not its own.
fn with_header(token: &str, header: &serde_json::Value) -> String {
    let (_, rest) = token.split_once('.').expect("three parts");
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

fn signed_by(token: &str, kid: &str) -> String {
    with_header(token, &json!({"alg": "RS256", "typ": "at+jwt", "kid": kid}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_let_in_and_permit() {
    let issuer = OidcProvider::start().await;
    let folder = folder(&issuer);
    let program = Program::start(&folder.config()).await;
    let token = issuer.token("pump-7", "urn:mqtt").await;
    let mut pump = enter(program.mqtt(), device("pump-7", &token)).await;
    pump.subscribe("telemetry/pump-9/a", QoS::AtMostOnce).await;
    pump.subscribe("orders/pump-7/#", QoS::AtMostOnce).await;
    for (topic, expected) in [
        ("telemetry/pump-7/a", ReasonCode::NoMatchingSubscribers),
        ("telemetry/pump-8/a", ReasonCode::NotAuthorized),
        ("telemetry/pump-7/raw", ReasonCode::NotAuthorized),
        ("orders/pump-7/a", ReasonCode::NotAuthorized),
    ] {
        assert_eq!(pump.publish(topic, "x").await, expected, "{topic}");
    }
    let shown = program.api().get("/api/v1/clients/pump-7").await.expect(200).json();
    assert_eq!(shown["principal"], "pump-7");
    assert_eq!(shown["groups"], json!(["machine"]));
    pump.leave().await;

    let other = issuer.token("pump-7", "urn:other").await;
    let mut changed = token.clone();
    let place = changed.len() - 8;
    let letter = if changed[place..].starts_with('A') { "B" } else { "A" };
    changed.replace_range(place..=place, letter);
    let mut none = with_header(&token, &json!({"alg": "none"}));
    none.truncate(none.rfind('.').expect("a dot") + 1);
    let hmac = with_header(&token, &json!({"alg": "HS256", "kid": "one"}));
    for (what, name, token) in [
        ("another device", "pump-8", &token),
        ("another audience", "pump-7", &other),
        ("a changed token", "pump-7", &changed),
        ("no algorithm", "pump-7", &none),
        ("another algorithm", "pump-7", &hmac),
    ] {
        let code = code(&program, name, token).await;
        assert_eq!(code, ReasonCode::BadUserNameOrPassword, "{what}");
    }
    assert_eq!(issuer.fetches(), 1);

    let opaque = issuer.token("pump-8", "urn:mqtt:opaque").await;
    let mut pump = enter(program.mqtt(), device("pump-8", &opaque)).await;
    let told = pump.publish("telemetry/pump-8/b", "x").await;
    assert_eq!(told, ReasonCode::NoMatchingSubscribers);
    pump.leave().await;
    assert_eq!(code(&program, "pump-7", &opaque).await, ReasonCode::BadUserNameOrPassword);
    issuer.revoke("pump-8", &opaque).await;
    assert_eq!(code(&program, "pump-8", &opaque).await, ReasonCode::BadUserNameOrPassword);
    // What is no token is for the next plugin.
    enter(program.mqtt(), login("alice", ALICE)).await.leave().await;
    let log = program.log_text();
    for secret in [&*token, &opaque, "broker-secret", "YnJva2VyOmJyb2tlci1zZWNyZXQ="] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

fn auth(token: &str) -> Packet<'static> {
    let data = Some(token.as_bytes().to_vec());
    let auth = Auth::new(ReasonCode::ReAuthenticate, METHOD);
    Packet::Auth(Auth { authentication_data: data, ..auth })
}

/// What the broker says last, however long that takes.
async fn end(mut client: Client) -> Option<ReasonCode> {
    let mut last = None;
    let ended = async {
        while let Some(code) = client
            .next(|packet| match packet {
                Packet::Disconnect(disconnect) => Some(disconnect.reason_code),
                _ => None,
            })
            .await
        {
            last = code.or(last);
        }
    };
    tokio::time::timeout(super::eventually::WAIT, ended).await.expect("it ends");
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_with_its_token_or_proves_itself_again() {
    let issuer = OidcProvider::start().await;
    let folder = folder(&issuer);
    let program = Program::start(&folder.config()).await;
    // The keys are there before time counts.
    let long = issuer.token("pump-7", "urn:mqtt").await;
    enter(program.mqtt(), device("pump-7", &long)).await.leave().await;
    let short = issuer.token("pump-8", "urn:mqtt:short").await;
    let stays = issuer.token("pump-7", "urn:mqtt:short").await;
    let by_auth = |name: &str, token: &str| Connect {
        authentication_method: Some(METHOD.to_owned()),
        authentication_data: Some(token.as_bytes().to_vec()),
        ..Connect::new(V5, name)
    };
    let mut stays = enter(program.mqtt(), by_auth("pump-7", &stays)).await;
    let ends = enter(program.mqtt(), device("pump-8", &short)).await;
    stays.send(auth(&long)).await;
    let answer = stays.next(|packet| match packet {
        Packet::Auth(auth) => auth.reason_code,
        other => panic!("{other:?} came"),
    });
    assert_eq!(answer.await, Some(ReasonCode::Success));
    assert_eq!(end(ends).await, Some(ReasonCode::NotAuthorized));
    let code = code(&program, "pump-8", &short).await;
    assert_eq!(code, ReasonCode::BadUserNameOrPassword, "it has expired");
    stays.quiet().await;
    // Nobody becomes somebody else.
    let other = issuer.token("pump-8", "urn:mqtt").await;
    stays.send(auth(&other)).await;
    assert_eq!(end(stays).await, Some(ReasonCode::NotAuthorized));
}

/// Tries until somebody is let in; how long that took.
async fn until_let_in(program: &Program, name: &str, token: &str) -> Duration {
    let began = Instant::now();
    eventually("a good token is good again", async || match code(program, name, token).await {
        ReasonCode::Success => Ok(()),
        code => Err(format!("{code:?}")),
    })
    .await;
    began.elapsed()
}

#[track_caller]
fn quick(what: &str, took: Duration) {
    println!("{what}: {took:?}");
    // Others share the machine with the sample.
    assert!(took <= of_issue(Duration::from_secs(2), Duration::from_secs(20)), "{what}: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_away_lets_nobody_in_and_keeps_nobody_out() {
    let mut issuer = OidcProvider::start().await;
    let folder = folder(&issuer);
    let known = issuer.token("pump-7", "urn:mqtt").await;
    issuer.stop();
    // There never were keys.
    let program = Program::start(&folder.config()).await;
    assert_eq!(code(&program, "pump-7", &known).await, ReasonCode::ServerUnavailable);
    issuer.start_again("one", Duration::ZERO).await;
    quick("the first keys", until_let_in(&program, "pump-7", &known).await);
    let good = RoundTrips::start(program.mqtt(), login("alice", ALICE)).await;

    // Killed, and back.
    let opaque = issuer.token("pump-8", "urn:mqtt:opaque").await;
    assert_eq!(code(&program, "pump-8", &opaque).await, ReasonCode::Success);
    issuer.stop();
    assert_eq!(code(&program, "pump-7", &known).await, ReasonCode::Success);
    assert_eq!(code(&program, "pump-8", &opaque).await, ReasonCode::ServerUnavailable);
    assert_ne!(code(&program, "pump-7", &signed_by(&known, "x")).await, ReasonCode::Success);
    issuer.start_again("one", Duration::ZERO).await;
    let opaque = issuer.token("pump-8", "urn:mqtt:opaque").await;
    quick("back after it was killed", until_let_in(&program, "pump-8", &opaque).await);

    // Stalled, with more questions than may be on their way.
    issuer.freeze(true).await;
    let until = Instant::now() + Duration::from_secs(of_issue(10, 3));
    while Instant::now() < until {
        let mut knocks = JoinSet::new();
        for number in 0..40 {
            let connect = login("pump-8", (&format!("user-{number}"), &opaque));
            let address = program.mqtt();
            knocks.spawn(async move { knock(address, connect).await.0 });
        }
        assert_eq!(code(&program, "pump-7", &known).await, ReasonCode::Success);
        for code in knocks.join_all().await {
            let away = [ReasonCode::ServerUnavailable, ReasonCode::ServerBusy].contains(&code);
            assert!(away, "{code:?}");
        }
    }
    issuer.freeze(false).await;
    quick("back after it stood still", until_let_in(&program, "pump-8", &opaque).await);

    // Slow, and with another key.
    issuer.stop();
    issuer.start_again("two", Duration::from_millis(400)).await;
    let opaque = issuer.token("pump-8", "urn:mqtt:opaque").await;
    quick("a slow one", until_let_in(&program, "pump-8", &opaque).await);
    let new = issuer.token("pump-7", "urn:mqtt").await;
    let took = until_let_in(&program, "pump-7", &new).await;
    println!("a new key: {took:?}");
    assert_eq!(code(&program, "pump-7", &known).await, ReasonCode::BadUserNameOrPassword);
    let trips = good.finish().await;
    let slowest = p99(&trips);
    println!("{} round trips, p99 {slowest:?}", trips.len());
    assert!(slowest <= Duration::from_millis(of_issue(250, 2_500)), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_is_no_flood_of_fetches() {
    let issuer = OidcProvider::start().await;
    let folder = folder(&issuer);
    let program = Program::start(&folder.config()).await;
    let began = Instant::now();
    let token = issuer.token("pump-7", "urn:mqtt").await;
    assert_eq!(code(&program, "pump-7", &token).await, ReasonCode::Success);
    let count = of_issue(10_000, 300);
    for start in (0..count).step_by(50) {
        let mut knocks = JoinSet::new();
        for number in start..start + 50 {
            let forged = signed_by(&token, &format!("none-{number}"));
            let connect = login("pump-7", (&format!("user-{number}"), &forged));
            let address = program.mqtt();
            knocks.spawn(async move { knock(address, connect).await.0 });
        }
        for code in knocks.join_all().await {
            assert_ne!(code, ReasonCode::Success);
        }
    }
    assert_eq!(code(&program, "pump-7", &token).await, ReasonCode::Success);
    let (fetches, took) = (issuer.fetches(), began.elapsed());
    println!("{count} unknown keys in {took:?}: {fetches} fetches");
    assert!(fetches as u64 <= 1 + took.as_secs() / 10, "{fetches} in {took:?}");
}
