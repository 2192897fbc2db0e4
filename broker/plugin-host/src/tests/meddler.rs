//! The hooks that see steps, operations, messages and events, answered by a real component.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use access::{
    AdminAuthenticator, Application, Continuation, EnhancedAuthenticator, Event, Inbound,
    InboundTransform, Login, Opening, Operation, OperationAuthorizer, OperationWord, Outbound,
    OutboundTransform, Outcome, PluginFailureKind, Publisher, Scope, Source, Step, Subject, Who,
};
use codec::{ProtocolVersion, QoS, ReasonCode};
use telemetry::{Metrics, TraceSpec, Traces};

use super::calls::{build_in, connection};
use crate::{
    background::Background,
    generation::{Generation, Rejected},
    hooks::{Hook, events::OnEvents, timer::OnTimer},
    manifest::Manifest,
    runtime::{Outside, Runtime},
};

async fn try_build(manifest: &str) -> Result<Arc<Generation>, Rejected> {
    build_with(&Arc::new(Runtime::new(None, Outside::default()).unwrap()), manifest).await
}

async fn build_with(runtime: &Arc<Runtime>, manifest: &str) -> Result<Arc<Generation>, Rejected> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/guests/prebuilt/meddler.wasm");
    let manifest = Manifest::parse(Path::new("meddler.toml"), manifest).unwrap();
    build_in(runtime, std::fs::read(path).unwrap(), manifest).await
}

pub(super) async fn build(manifest: &str) -> Arc<Generation> {
    try_build(manifest).await.unwrap()
}

pub(super) fn subject() -> Subject {
    let identity = access::Identity {
        principal: "alice".into(),
        authenticated_by: "test".into(),
        groups: Vec::new(),
        attributes: Vec::new(),
        permissions: Vec::new(),
        expires_at_unix: None,
        session_expiry_seconds_max: None,
        limits: access::ClientLimits::default(),
        user_properties: Vec::new(),
    };
    Subject::new(&connection(), Arc::new(identity))
}

fn opening(data: &str) -> Opening {
    Opening {
        method: "reverse".to_owned(),
        data: Some(data.as_bytes().to_vec()),
        principal: None,
        user_properties: Vec::new(),
    }
}

fn continuation(data: &str, state: &[u8]) -> Continuation {
    Continuation {
        method: "reverse".to_owned(),
        data: Some(data.as_bytes().to_vec()),
        state: state.to_vec(),
        principal: None,
        user_properties: Vec::new(),
    }
}

pub(super) fn message(topic: &str) -> Application {
    Application {
        topic: topic.to_owned(),
        payload: b"payload".to_vec(),
        qos: QoS::AtLeastOnce,
        retain: false,
        payload_is_utf8: true,
        message_expiry_seconds: None,
        content_type: None,
        response_topic: None,
        correlation_data: None,
        user_properties: vec![("k".to_owned(), "v".to_owned())],
    }
}

#[tokio::test]
async fn an_exchange_in_two_steps() {
    let hook = Hook(build("").await);
    assert_eq!(hook.methods(), ["reverse"]);
    let connection = connection();
    let Step::Challenge(challenge) = hook.begin(&connection, &opening("abc")).await.unwrap() else {
        panic!("no challenge");
    };
    assert_eq!((&*challenge.data, &*challenge.state), (b"abc".as_slice(), b"abc".as_slice()));
    let good = continuation("cba", &challenge.state);
    let Step::Success(grant, data) = hook.proceed(&connection, &good).await.unwrap() else {
        panic!("no success");
    };
    assert_eq!(grant.principal.as_deref(), Some("abc"));
    assert_eq!(data.as_deref(), Some(b"welcome".as_slice()));
    let bad = continuation("abc", &challenge.state);
    assert!(matches!(hook.proceed(&connection, &bad).await.unwrap(), Step::Deny(denial)
        if denial.reason_code == ReasonCode::BadUserNameOrPassword));
    assert_eq!(hook.begin(&connection, &opening("")).await.unwrap(), Step::Next);
}

/// What one generation left goes on with the next, which shares nothing with it.
#[tokio::test]
async fn an_exchange_goes_on_in_the_next_generation() {
    let (old, new) = (Hook(build("").await), Hook(build("").await));
    let connection = connection();
    let Step::Challenge(challenge) = old.begin(&connection, &opening("abc")).await.unwrap() else {
        panic!("no challenge");
    };
    drop(old);
    let answer = continuation("cba", &challenge.state);
    assert!(matches!(new.proceed(&connection, &answer).await.unwrap(), Step::Success(..)));
}

#[tokio::test]
async fn operations_are_judged() {
    let hook = Hook(build("").await);
    let subject = subject();
    let publish = |topic: &str| Operation::Publish {
        topic: topic.to_owned(),
        qos: QoS::AtMostOnce,
        retain: false,
        payload_bytes_max: 64,
    };
    let ruling = hook.authorize(&subject, &publish("op/allow")).await.unwrap();
    assert_eq!((ruling.word, ruling.ttl), (OperationWord::Allow, Duration::from_secs(7)));
    let ruling = hook.authorize(&subject, &publish("op/x")).await.unwrap();
    assert_eq!((ruling.word, ruling.ttl), (OperationWord::Next, Duration::from_secs(60)));
    let subscribe = Operation::Subscribe {
        filter: "op/deny".to_owned(),
        qos: QoS::AtMostOnce,
        share_name: None,
    };
    let ruling = hook.authorize(&subject, &subscribe).await.unwrap();
    assert!(matches!(ruling.word, OperationWord::Deny(denial)
        if denial.reason.as_deref() == Some("not alice")));
    let failed = hook.authorize(&subject, &publish("op/fail")).await.unwrap_err();
    assert_eq!(failed.kind, PluginFailureKind::Unavailable);
}

async fn transform(hook: &Hook, topic: &str) -> Result<Inbound, access::PluginFailure> {
    let subject = subject();
    let publisher = Publisher::Client(&subject);
    InboundTransform::transform(hook, Source::Publish, publisher, &message(topic)).await
}

#[tokio::test]
async fn messages_are_worked_on() {
    let hook = Hook(build("").await);
    let mut changed = message("up/x");
    let Inbound::Patched(patch) = transform(&hook, "up/x").await.unwrap() else { panic!() };
    changed.apply(*patch);
    assert_eq!(changed, Application { payload: b"PAYLOAD".to_vec(), ..message("up/x") });
    let Inbound::Patched(patch) = transform(&hook, "up/move").await.unwrap() else { panic!() };
    assert_eq!(patch.topic.as_deref(), Some("moved/c"));
    assert_eq!(transform(&hook, "up/swallow").await.unwrap(), Inbound::Swallow);
    assert!(matches!(transform(&hook, "up/reject").await.unwrap(), Inbound::Reject(_)));
}

/// Whatever goes wrong is what the operator said, and refused when nothing was said.
#[tokio::test]
async fn a_failed_transform_does_what_the_manifest_says() {
    let cases = [
        ("", None),
        ("[transform]\non_error = \"reject\"", None),
        ("[transform]\non_error = \"drop\"", Some(Inbound::Swallow)),
        ("[transform]\non_error = \"pass\"", Some(Inbound::Unchanged)),
    ];
    for (manifest, expected) in cases {
        let hook = Hook(build(manifest).await);
        for topic in ["up/fail", "up/trap", "up/spin"] {
            let begun = Instant::now();
            assert_eq!(transform(&hook, topic).await.ok(), expected, "{manifest} {topic}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{topic}: it has 50 ms");
        }
        let good = transform(&hook, "up/x").await;
        assert!(matches!(good, Ok(Inbound::Patched(_))), "another instance answers: {good:?}");
    }
}

async fn transform_outbound(hook: &Hook, topic: &str) -> Result<Outbound, access::PluginFailure> {
    let subject = subject();
    let subscriber = (hook.scope() == Scope::Subscriber).then_some(&subject);
    OutboundTransform::transform(hook, subscriber, &message(topic)).await
}

#[tokio::test]
async fn what_goes_out_is_worked_on() {
    for (manifest, scope, payload) in [
        ("", Scope::Message, "PAYLOAD"),
        ("[config]\nasks_who = true", Scope::Subscriber, "c PAYLOAD"),
    ] {
        let hook = Hook(build(manifest).await);
        assert_eq!(hook.scope(), scope);
        let patched = transform_outbound(&hook, "down/x").await.unwrap();
        let Outbound::Patched(patch) = patched else { panic!("{patched:?}") };
        assert_eq!(patch.payload.as_deref(), Some(payload.as_bytes()));
        assert_eq!(transform_outbound(&hook, "down/swallow").await, Ok(Outbound::Swallow));
    }
    for (manifest, expected) in [
        ("", None),
        ("[transform]\non_error = \"drop\"", Some(Outbound::Swallow)),
        ("[transform]\non_error = \"pass\"", Some(Outbound::Unchanged)),
    ] {
        let hook = Hook(build(manifest).await);
        for topic in ["down/fail", "down/trap", "down/spin"] {
            let outcome = transform_outbound(&hook, topic).await;
            assert_eq!(outcome.ok(), expected, "{manifest} {topic}");
        }
    }
}

#[tokio::test]
async fn logins_to_the_admin_api_are_judged() {
    let hook = Hook(build("").await);
    let ask = async |password: &str| {
        let password = access::Password::new(password.as_bytes().to_vec());
        let login = Login { username: "eve".to_owned(), password, remote: [127, 0, 0, 1].into() };
        hook.authenticate_admin(&login).await
    };
    let Ok(Outcome::Allow(grant)) = ask("role-x").await else { panic!("no allow") };
    assert_eq!((grant.principal.as_deref(), grant.groups), (Some("eve"), vec!["x".to_owned()]));
    assert!(matches!(ask("other").await, Ok(Outcome::Deny(denial))
        if denial.reason.as_deref() == Some("not eve")));
    assert_eq!(ask("trap").await.unwrap_err().kind, PluginFailureKind::Trap);
}

#[tokio::test]
async fn the_manifest_says_which_topics() {
    let hook = Hook(build("").await);
    let topics = |topics: &[topic::TopicFilter]| -> Vec<String> {
        topics.iter().map(|filter| filter.as_str().to_owned()).collect()
    };
    assert_eq!(topics(InboundTransform::topics(&hook)), ["up/#"]);
    assert_eq!(topics(OperationAuthorizer::topics(&hook)), ["op/#"]);
    assert_eq!(topics(OutboundTransform::topics(&hook)), ["down/#"]);
    let manifest =
        "[transform]\ninbound = [\"a/+\"]\noutbound = [\"b/+\"]\n[operations]\ntopics = []";
    let hook = Hook(build(manifest).await);
    assert_eq!(topics(InboundTransform::topics(&hook)), ["a/+"]);
    assert_eq!(topics(OutboundTransform::topics(&hook)), ["b/+"]);
    assert!(OperationAuthorizer::topics(&hook).is_empty());
    let refused = [
        ("[transform]\ninbound = [\"a/#/b\"]", "transform.inbound: \"a/#/b\""),
        ("[transform]\non_error = \"ignore\"", "transform.on_error = \"ignore\": must be one of"),
        ("[transform]\ncpu = \"1 ms\"", "transform.cpu = \"1 ms\": must be from"),
    ];
    for (manifest, sentence) in refused {
        let error = Manifest::parse(Path::new("m.toml"), manifest).unwrap_err();
        assert!(error.to_string().contains(sentence), "{error}");
    }
}

/// Nobody waits for these calls; whoever traces the plugin sees them.
#[tokio::test]
async fn what_is_called_in_the_background_is_traced() {
    let (folder, metrics) = (tempfile::tempdir().unwrap(), Metrics::new());
    Traces::open(&metrics, folder.path().to_owned()).unwrap();
    let outside = Outside { plugin_metrics: metrics.plugins.clone(), ..Outside::default() };
    let runtime = Arc::new(Runtime::new(None, outside).unwrap());
    let generation = build_with(&runtime, "").await.unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    let spec = TraceSpec {
        name: "background".to_owned(),
        plugin: Some(generation.name.to_string()),
        start_unix_ms: now,
        end_unix_ms: now + 60_000,
        bytes_max: 1 << 20,
        events_per_second: 100,
        ..TraceSpec::default()
    };
    let id = metrics.traces.add(&metrics, spec, now).unwrap().id;
    let trace = metrics.traces.find(id).unwrap();
    let mut background = Background::new();
    background.set(&[generation]);
    background.sink().tell(Event::Overload(1));
    let text = || String::from_utf8(trace.read(0, 1 << 20).unwrap().0).unwrap();
    let seen = async {
        while !["timer", "events"].iter().all(|hook| text().contains(&format!("\"{hook}\""))) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(10), seen).await;
    seen.unwrap_or_else(|_| panic!("they are not there: {}", text()));
    let done = |line: &str| line.contains("\"plugin_call\"") && line.contains("\"done\"");
    assert!(text().lines().all(done), "{}", text());
}

#[tokio::test]
async fn events_and_timer() {
    let generation = build("[config]\nfail = true").await;
    assert_eq!(generation.claims.timer, Some(Duration::from_secs(1)));
    let who = |client_id: &str| Who {
        connection_id: 1,
        client_id: client_id.into(),
        principal: "p".into(),
        listener: "mqtt".into(),
        remote: [127, 0, 0, 1].into(),
        protocol: ProtocolVersion::V5,
    };
    let batch = vec![
        (1, Event::Connected(who("a"))),
        (2, Event::Disconnected(who("b"), ReasonCode::Success, true)),
        (3, Event::AuthFailed(who("c"), ReasonCode::NotAuthorized, "denied".to_owned())),
        (4, Event::Subscribed(who("d"), "t/#".to_owned(), QoS::AtLeastOnce)),
        (5, Event::Unsubscribed(who("e"), "t".to_owned())),
        (6, Event::PublishDenied(who("f"), "u".to_owned())),
        (7, Event::SessionExpired("g".into())),
        (8, Event::Overload(3)),
    ];
    let failure = generation.ask(OnEvents::new(batch, 9)).await.unwrap_err();
    assert_eq!(
        failure.message,
        "connected a, disconnected b, auth-failed c, subscribed d t/#, unsubscribed e t, \
         publish-denied f u, session-expired g, overload 3 after 9"
    );
    assert_eq!(generation.ask(OnTimer).await.unwrap_err().message, "tick");
}
