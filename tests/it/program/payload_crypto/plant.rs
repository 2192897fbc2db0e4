//! A broker with the plugin, two devices and people who watch them.

use codec::{Connect, Packet, ProtocolVersion::V5, Publish, QoS, ReasonCode, Will};
use portcullis_tests::{Client, packets};

use super::device::Key;
use crate::program::{
    folder::{Folder, bundled, guest},
    knock::{enter, login},
    process::{Program, portcullis, run},
};

/// Everybody's password.
const PASSWORD: &str = "open sesame";

/// Devices and a viewer: anybody but an operator.
const PEOPLE: &str = "[config]\nusers = { press-7 = \"open sesame\", press-8 = \"open sesame\", \
                      viewer = \"open sesame\" }\nanswer = \"rules\"\n[[config.rules]]\n\
                      allow = true\nactivity = [\"publish\", \"subscribe\"]\nfilter = \"#\"\n";

/// One operator.
const OPERATORS: &str = "order = 50\n[config]\nusers = { eve = \"open sesame\" }\n\
                         groups = [\"operators\"]\n";

/// Keys of the ring that the configuration has.
pub(super) const SUBSCRIBERS: Key = Key::new(4, *b"abcdefghijklmnopqrstuvwxyz012345");

/// The rings, and the secret of pseudonyms.
const SOURCES: &str = "[keys.devices]\nmanaged = true\n[keys.subscribers]\n\
                       [[keys.subscribers.key]]\nid = 4\n\
                       value = \"YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU=\"\n\
                       [secrets.topics]\nvalue = \"which topic is which\"\n";

/// A folder with this manifest of the plugin.
pub(super) fn folder(manifest: &str) -> Folder {
    let folder = Folder::new();
    folder.configure_more(SOURCES);
    folder.install_with("operators", &guest("good"), OPERATORS);
    folder.install_with("people", &guest("good"), PEOPLE);
    folder.install_with("payload-crypto", &bundled("payload-crypto"), manifest);
    folder
}

/// The manifest that is shipped as an example.
pub(super) fn example() -> String {
    let file = crate::program::process::root().join("plugins/payload-crypto/payload-crypto.toml");
    std::fs::read_to_string(file).expect("the example")
}

/// A client that was let in.
pub(super) async fn client(program: &Program, name: &str) -> Client {
    enter(program.mqtt(), login(name, (name, PASSWORD))).await
}

/// As [`client`], with a Will Message.
pub(super) async fn with_will(program: &Program, name: &str, will: Will) -> Client {
    let connect: Connect = packets::with_will(login(name, (name, PASSWORD)), will);
    assert_eq!(connect.version, V5);
    enter(program.mqtt(), connect).await
}

/// The code of the answer to a PUBLISH with QoS 1; whether anybody gets it is no matter.
pub(super) async fn publish(client: &mut Client, topic: &str, payload: &[u8]) -> ReasonCode {
    acknowledged(client, Publish::new(topic, payload)).await
}

/// As [`publish`], retained.
pub(super) async fn retain(client: &mut Client, topic: &str, payload: &[u8]) -> ReasonCode {
    acknowledged(client, Publish { retain: true, ..Publish::new(topic, payload) }).await
}

async fn acknowledged(client: &mut Client, publish: Publish<'_>) -> ReasonCode {
    client.send(packets::publish(7, QoS::AtLeastOnce, publish)).await;
    match client.puback(7).await {
        ReasonCode::NoMatchingSubscribers => ReasonCode::Success,
        code => code,
    }
}

/// Nothing but this has come.
pub(super) async fn has(client: &mut Client, expected: &[(&str, &str)]) {
    let came = client.drain().await;
    let came: Vec<_> = came.iter().map(portcullis_tests::Message::text).collect();
    assert_eq!(came, expected, "{}", client.name);
}

/// A command that succeeds, and what it prints.
pub(super) async fn command(arguments: &[&str]) -> String {
    run(portcullis(arguments), b"").await.expect_code(0).stdout
}

/// The key of a device, as its maker gets it.
pub(super) async fn derive(folder: &Folder, ring: &str, device: &str) -> Key {
    let config = folder.config().display().to_string();
    Key::parse(&command(&["keys", "derive", "--config", &config, ring, device]).await)
}

/// Sent and forgotten.
pub(super) fn qos0<'a>(topic: &'a str, payload: &'a [u8]) -> Packet<'a> {
    Packet::Publish(Publish::new(topic, payload))
}

/// Whether a text is in any file below a folder.
pub(super) fn is_in_a_file(folder: &std::path::Path, text: &str) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_in_a_file(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

/// A counter of the plugin at `/metrics`.
pub(super) async fn counted(program: &Program, name: &str) -> u64 {
    let metrics = program.api().get("/metrics").await.expect(200).body;
    let begin = format!(
        "portcullis_plugin_custom_counter_total{{plugin=\"payload-crypto\",name=\"{name}\"}} "
    );
    let value = metrics.lines().find_map(|line| line.strip_prefix(begin.as_str()));
    value.map_or(0, |value| value.parse().expect("a number"))
}
