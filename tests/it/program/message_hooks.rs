//! A component with the hooks that see steps, operations, messages and events, in the real program.

use codec::{Auth, Connect, Packet, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::{Client, packets};

use super::{
    folder::{Folder, guest},
    process::Program,
};

/// Lets everybody in; rules say nothing about `op/#`.
const GATE: &str = "[config]\nanyone = true\nanswer = \"rules\"\n[[config.rules]]\nallow = true\n\
                    activity = [\"publish\", \"subscribe\"]\nfilter = \"up/#\"\n\
                    [[config.rules]]\nallow = true\n\
                    activity = [\"publish\", \"subscribe\"]\nfilter = \"moved/#\"\n";

async fn enter(program: &Program, connect: Connect) -> Client {
    let mut client = Client::open(program.mqtt(), connect.version).await;
    client.send(Packet::Connect(Box::new(connect))).await;
    client
}

#[tokio::test]
async fn a_component_has_a_say_in_everything() {
    let folder = Folder::new();
    folder.install_with("gate", &guest("good"), GATE);
    folder.install("meddler", &guest("meddler"));
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
