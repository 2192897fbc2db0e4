//! A component with the hooks that see steps, operations, messages and events, in the real program.

use codec::{Auth, Connect, Packet, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::{Client, packets};

use serde_json::json;

use super::{
    folder::{Folder, guest},
    process::Program,
};

/// Lets everybody in; rules say nothing about `op/#`.
const GATE: &str = "[config]\nanyone = true\nanswer = \"rules\"\n[[config.rules]]\nallow = true\n\
                    activity = [\"publish\", \"subscribe\"]\nfilter = \"up/#\"\n\
                    [[config.rules]]\nallow = true\n\
                    activity = [\"publish\", \"subscribe\"]\nfilter = \"moved/#\"\n\
                    [[config.rules]]\nallow = true\n\
                    activity = [\"publish\", \"subscribe\"]\nfilter = \"down/#\"\n";

async fn enter(program: &Program, connect: Connect) -> Client {
    let mut client = Client::open(program.mqtt(), connect.version).await;
    client.send(Packet::Connect(Box::new(connect))).await;
    client
}

#[tokio::test]
async fn a_component_has_a_say_in_everything() {
    let folder = Folder::new();
    folder.install_with("gate", &guest("good"), GATE);
    folder.install_with("meddler", &guest("meddler"), "[config]\nasks_who = true\n");
    let program = Program::start(&folder.config()).await;
    // Steps: nobody but the component has the method.
    let auth = |data: &str| {
        let data = Some(data.as_bytes().to_vec());
        let auth = Auth::new(ReasonCode::ContinueAuthentication, "reverse");
        Packet::Auth(Auth { authentication_data: data, ..auth })
    };
    let mut stepping = enter(
        &program,
        Connect {
            authentication_method: Some("reverse".to_owned()),
            authentication_data: Some(b"abc".to_vec()),
            ..Connect::new(V5, "stepping")
        },
    )
    .await;
    stepping.expect(auth("abc")).await;
    stepping.send(auth("cba")).await;
    let connack = stepping.connack().await;
    assert_eq!(connack.reason_code, ReasonCode::Success);
    assert_eq!(connack.authentication_data.as_deref(), Some(b"welcome".as_slice()));
    // Operations.
    let mut client = enter(&program, Connect::new(V5, "client")).await;
    client.connack().await;
    client.send(packets::qos1(1, "op/allow", "x")).await;
    assert_eq!(client.puback(1).await, ReasonCode::NoMatchingSubscribers);
    for (id, topic) in [(2, "op/deny"), (3, "op/other")] {
        client.send(packets::qos1(id, topic, "x")).await;
        assert_eq!(client.puback(id).await, ReasonCode::NotAuthorized, "{topic}");
    }
    // Messages.
    stepping.subscribe("up/#", QoS::AtMostOnce).await;
    stepping.subscribe("moved/#", QoS::AtMostOnce).await;
    client.publish("up/x", "loud").await;
    stepping.take("up/x", "LOUD").await;
    client.publish("up/move", "x").await;
    stepping.take("moved/client", "x").await;
    stepping.subscribe("down/#", QoS::AtLeastOnce).await;
    client.publish("down/x", "loud").await;
    stepping.take("down/x", "stepping LOUD").await;
    client.publish("down/swallow", "never seen").await;
    client.publish("down/trap", "never seen").await;
    client.publish("down/y", "again").await;
    stepping.take("down/y", "stepping AGAIN").await;
    // Events and timer.
    client.leave().await;
    for line in [
        "connected client",
        "publish-denied client op/deny",
        "subscribed stepping up/#",
        "disconnected client",
        "session-expired client",
        "tick",
    ] {
        program.logged(line).await;
    }
}

/// A chain of its own, its roles in the configuration: who logs in may what they say, and nobody else may anything.
#[tokio::test]
async fn a_component_judges_administrators() {
    let folder = Folder::new();
    folder.install("meddler", &guest("meddler"));
    let config = std::fs::read_to_string(folder.config()).unwrap();
    let chain = "[admin]\nchain = [\"meddler\"]\nlogin_ttl = \"1h\"";
    let roles = "[admin.roles.viewer]\npermissions = [\"plugins:read\"]\n";
    folder.write("portcullis.toml", format!("{}\n{roles}", config.replace("[admin]", chain)));
    let program = Program::start(&folder.config()).await;
    let log_in = async |password: &str| {
        let body = json!({ "username": "eve", "password": password });
        program.api().with_token("").post_json("/api/v1/login", &body).await
    };
    let login = log_in("role-viewer").await.expect(200).json();
    assert_eq!((&login["user"], &login["roles"]), (&json!("eve"), &json!(["viewer"])));
    let eve = program.api().with_token(login["token"].as_str().unwrap());
    eve.get("/api/v1/plugins").await.expect(200);
    eve.get("/api/v1/clients").await.expect(403);
    eve.ask("POST", "/api/v1/plugins/meddler/disable", None).await.expect(403);
    for (password, status) in [("role-other", 403), ("wrong", 401), ("trap", 503)] {
        log_in(password).await.expect(status);
    }
    let log = program.log_text();
    for secret in ["role-viewer", login["token"].as_str().unwrap()] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
    program.logged("logged in to the admin API").await;
    // Without its plugin nobody is let in.
    program.api().ask("POST", "/api/v1/plugins/meddler/disable", None).await.expect(200);
    log_in("role-viewer").await.expect(503);
    program.stop().await;
}
