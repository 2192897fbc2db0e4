//! Signals with clients connected: a reload that nobody notices, an end that everybody is told.

use codec::{ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::packets;
use rustix::process::Signal;
use tokio::net::TcpStream;

use super::{
    folder::{ALICE, BOB, Folder},
    knock::{enter, knock, login},
    process::Program,
};

#[tokio::test]
async fn sigterm_tells_every_client() {
    let folder = Folder::bundled();
    let broker = Program::start(&folder.config()).await;
    let address = broker.mqtt();
    let mut new = enter(address, login("new", ALICE)).await;
    let mut old = enter(address, packets::login(ProtocolVersion::V311, "old", BOB)).await;
    new.subscribe("free/#", QoS::AtMostOnce).await;
    old.publish("free/last", "words").await;
    let ((), (), status) = tokio::join!(
        async {
            // Delivered before the signal, so it comes before the end.
            new.take("free/last", "words").await;
            new.expect_disconnect(ReasonCode::ServerShuttingDown).await;
        },
        old.expect_closed(),
        broker.stop(),
    );
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(TcpStream::connect(address).await.is_err(), "the port is still open");
}

#[tokio::test]
async fn sighup_changes_settings_under_connected_clients() {
    let folder = Folder::bundled();
    let broker = Program::start(&folder.config()).await;
    let address = broker.mqtt();
    let mut new = enter(address, login("new", ALICE)).await;
    let mut old = enter(address, packets::login(ProtocolVersion::V311, "old", BOB)).await;
    assert_eq!(old.publish("elsewhere", "no").await, ReasonCode::Success, "acknowledged");

    // A faulty file changes nothing.
    let good = std::fs::read_to_string(folder.config()).expect("the configuration");
    folder.write("portcullis.toml", format!("publish_denied = \"sometimes\"\n{good}"));
    broker.signal(Signal::HUP);
    broker.logged("the configuration is faulty: the old one stays").await;
    assert_eq!(old.publish("elsewhere", "no").await, ReasonCode::Success, "still acknowledged");
    enter(address, login("newer", ALICE)).await.leave().await;

    folder.write("portcullis.toml", format!("publish_denied = \"disconnect\"\n{good}"));
    broker.signal(Signal::HUP);
    broker.logged("\"reloaded\"").await;
    old.send(packets::qos1(1, "elsewhere", "no")).await;
    old.expect_closed().await;
    // 5.0 has a code for it, with either setting.
    assert_eq!(new.publish("elsewhere", "no").await, ReasonCode::NotAuthorized);
    new.quiet().await;

    // An empty chain lets nobody in; who is in stays.
    let closed = good.replace("[plugins]\n", "[plugins]\nchain = []\n");
    assert_ne!(closed, good);
    folder.write("portcullis.toml", closed);
    broker.signal(Signal::HUP);
    broker.plugin("acl-file", |_| true).await;
    super::eventually::until("nobody gets in", async || {
        let (code, _) = knock(address, login("late", ALICE)).await;
        code == ReasonCode::NotAuthorized
    })
    .await;
    new.quiet().await;
}
