//! The bundled plugin `payload-crypto` and the key rings of the broker, with devices that know nothing but what is
//! documented: sealed in and clear out by right, everything else refused, keys that change under traffic.

mod device;
mod plant;

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use codec::{QoS, ReasonCode, Will};
use portcullis_tests::{Client, Message};
use serde_json::json;

use self::{
    device::{BROKER, Bound, COUNTER, Key, NONE, PUBLISH, TIMESTAMP, WILL},
    plant::{
        SUBSCRIBERS, client, command, counted, derive, example, folder, has, is_in_a_file, publish,
        qos0, retain, with_will,
    },
};
use super::{
    folder::Folder,
    process::{Program, portcullis, root, run},
};

const RAW: &str = "plant/press-7/raw";
const REFUSED: ReasonCode = ReasonCode::PayloadFormatInvalid;

/// What press-7 binds to its measurements.
const OF_RAW: Bound<'_> = Bound { kind: PUBLISH, stamp: COUNTER, topic: RAW, name: "press-7" };

#[tokio::test]
async fn sealed_in_and_clear_out_for_who_may_see_it() {
    let folder = folder(&example());
    let program = Program::start(&folder.config()).await;
    let key = derive(&folder, "devices", "press-7").await;
    let mut press = client(&program, "press-7").await;
    let mut eve = client(&program, "eve").await;
    let mut viewer = client(&program, "viewer").await;
    eve.subscribe("plant/#", QoS::AtMostOnce).await;
    viewer.subscribe("plant/#", QoS::AtMostOnce).await;
    let sealed = key.seal(OF_RAW, 1, b"21.5 degrees");
    assert_eq!(publish(&mut press, RAW, &sealed).await, ReasonCode::Success);
    has(&mut eve, &[(RAW, "21.5 degrees")]).await;
    let [message] = viewer.drain().await.try_into().expect("one message");
    assert!(!message.payload.windows(4).any(|window| window == b"21.5"), "{message:?}");
    let bound = Bound { kind: BROKER, stamp: NONE, topic: RAW, name: "viewer" };
    let opened = SUBSCRIBERS.of("viewer").open(bound, &message.payload).expect("with its own key");
    assert_eq!(opened.1, b"21.5 degrees");
    assert_eq!(SUBSCRIBERS.of("press-7").open(bound, &message.payload), None);
    assert_eq!(derive(&folder, "subscribers", "viewer").await, SUBSCRIBERS.of("viewer"));
    // From end to end: nobody but the device and who has its key sees what is in it.
    let recipe = Bound { stamp: NONE, topic: "plant/press-7/recipe", ..OF_RAW };
    let sealed = key.seal(recipe, 0, b"a secret recipe");
    assert_eq!(retain(&mut press, recipe.topic, &sealed).await, ReasonCode::Success);
    for subscriber in [&mut eve, &mut viewer] {
        let [message] = subscriber.drain().await.try_into().expect("one message");
        assert_eq!(message.payload, sealed);
    }
    // Clear text is refused, wherever sealed is wanted, and the store has none of it.
    assert_eq!(publish(&mut press, recipe.topic, b"a secret recipe").await, REFUSED);
    assert_eq!(
        retain(&mut press, RAW, &key.seal(OF_RAW, 2, b"kept in clear")).await,
        ReasonCode::Success
    );
    program.stop().await;
    assert!(is_in_a_file(&folder.path("data"), "kept in clear"), "the rule says open");
    assert!(!is_in_a_file(&folder.path("data"), "a secret recipe"), "the rule says sealed");
}

/// Everything that can be done to a sealed message on its way, and to whom it can be sent.
#[tokio::test]
async fn what_was_changed_on_its_way_is_refused() {
    let folder = folder(&example());
    let program = Program::start(&folder.config()).await;
    let key = derive(&folder, "devices", "press-7").await;
    let others = derive(&folder, "devices", "press-8").await;
    let mut press = client(&program, "press-7").await;
    let mut mallory = client(&program, "press-8").await;
    let mut eve = client(&program, "eve").await;
    eve.subscribe("plant/#", QoS::AtMostOnce).await;
    let first = key.seal(OF_RAW, 10, b"first");
    assert_eq!(publish(&mut press, RAW, &first).await, ReasonCode::Success);
    has(&mut eve, &[(RAW, "first")]).await;
    let good = key.seal(OF_RAW, 11, b"second");
    let mut bad = vec![
        ("replayed", first.clone()),
        ("older than all", key.seal(OF_RAW, 10, b"another")),
        ("in clear", b"second".to_vec()),
        ("empty", Vec::new()),
        ("longer", [&good[..], b"x"].concat()),
        ("of another topic", key.seal(Bound { topic: "plant/press-8/raw", ..OF_RAW }, 12, b"x")),
        ("of another device", others.seal(Bound { name: "press-8", ..OF_RAW }, 12, b"x")),
        ("with another device's key", others.seal(OF_RAW, 12, b"x")),
        ("without the stamp", key.seal(Bound { stamp: NONE, ..OF_RAW }, 0, b"123456789")),
        ("with another stamp", key.seal(Bound { stamp: TIMESTAMP, ..OF_RAW }, 12, b"x")),
        ("of a will", key.seal(Bound { kind: WILL, ..OF_RAW }, 12, b"x")),
        ("of the broker", key.seal(Bound { kind: BROKER, ..OF_RAW }, 12, b"x")),
        ("with a number that is no key", Key { id: 9, ..key }.seal(OF_RAW, 12, b"x")),
    ];
    for at in (0..good.len()).step_by(3) {
        let mut changed = good.clone();
        changed[at] ^= 0x40;
        bad.push(("changed", changed));
        bad.push(("cut", good[..at].to_vec()));
    }
    for (what, payload) in &bad {
        assert_eq!(publish(&mut press, RAW, payload).await, REFUSED, "{what}");
        press.send(qos0(RAW, payload)).await;
    }
    // What another device recorded stays what it was: authentic for press-7's topic, and seen.
    assert_eq!(publish(&mut mallory, RAW, &first).await, REFUSED);
    assert_eq!(publish(&mut mallory, "plant/press-8/raw", &good).await, REFUSED);
    eve.quiet().await;
    assert_eq!(publish(&mut press, RAW, &good).await, ReasonCode::Success);
    has(&mut eve, &[(RAW, "second")]).await;
    // Twice each, and once by another client.
    assert_eq!(counted(&program, "replayed").await, 5);
    assert!(counted(&program, "not_authentic").await > 50);
    program.stop().await;
    // What was seen is known after a restart too.
    let program = Program::start(&folder.config()).await;
    let mut press = client(&program, "press-7").await;
    for replayed in [&first, &good] {
        assert_eq!(publish(&mut press, RAW, replayed).await, REFUSED);
    }
    assert_eq!(publish(&mut press, RAW, &key.seal(OF_RAW, 12, b"x")).await, ReasonCode::Success);
}

/// Keys change while a device sends: nothing is lost, nobody is disconnected, no plugin is loaded again.
#[tokio::test]
async fn keys_rotate_under_traffic() {
    const MESSAGES: u64 = 120;
    let folder = folder(&example());
    let program = Program::start(&folder.config()).await;
    let before = program.plugin("payload-crypto", |_| true).await;
    let mut press = client(&program, "press-7").await;
    let mut eve = client(&program, "eve").await;
    eve.subscribe("plant/#", QoS::AtMostOnce).await;
    let first = derive(&folder, "devices", "press-7").await;
    let api = program.api();
    let sending = async {
        let mut key = first;
        for number in 1..=MESSAGES {
            if number.is_multiple_of(30) {
                key = derive(&folder, "devices", "press-7").await;
            }
            let sealed = key.seal(OF_RAW, number, number.to_string().as_bytes());
            assert_eq!(publish(&mut press, RAW, &sealed).await, ReasonCode::Success, "{number}");
        }
    };
    let rotating = async {
        for _ in 0..6 {
            api.post("/api/v1/keys/devices/rotate").await.expect(200);
        }
    };
    tokio::join!(sending, rotating);
    let last = derive(&folder, "devices", "press-7").await;
    assert_eq!((first.id, last.id), (1, 7));
    let came = eve.drain().await;
    let came: Vec<_> = came.iter().map(|message| message.text().1.to_owned()).collect();
    let expected: Vec<_> = (1..=MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(came, expected);
    let after = program.plugin("payload-crypto", |_| true).await;
    assert_eq!(before["generations"], after["generations"]);
    // What is retired opens no more, here and after a restart.
    let ring = api.delete("/api/v1/keys/devices/1").await.expect(200).json();
    assert_eq!(ring["keys"].as_array().expect("keys").last().expect("one")["state"], "retired");
    let old = first.seal(OF_RAW, MESSAGES + 1, b"old");
    let new = last.seal(OF_RAW, MESSAGES + 1, b"new");
    assert_eq!(publish(&mut press, RAW, &old).await, REFUSED);
    assert_eq!(publish(&mut press, RAW, &new).await, ReasonCode::Success);
    has(&mut eve, &[(RAW, "new")]).await;
    program.stop().await;
    let program = Program::start(&folder.config()).await;
    assert_eq!(derive(&folder, "devices", "press-7").await, last);
    let mut press = client(&program, "press-7").await;
    assert_eq!(publish(&mut press, RAW, &old).await, REFUSED);
    let new = last.seal(OF_RAW, MESSAGES + 2, b"new");
    assert_eq!(publish(&mut press, RAW, &new).await, ReasonCode::Success);
}

/// Rules that the example does not have.
const MORE: &str = r#"
[grants]
keys = ["devices", "subscribers"]
secrets = ["topics"]
state = "1 MiB"
[transform]
deadline = "5s"
[config.pseudonyms]
secret = "topics"
prefix = "p"
topics = ["plant/${client}/raw"]
[[config.rules]]
topic = "plant/+/raw"
action = "open-inbound"
key = "devices"
client = "client-id"
stamp = "timestamp"
window_seconds = 60
reject = 0x87
[[config.rules]]
topic = "vault/#"
action = "seal-inbound"
key = "subscribers"
[[config.rules]]
topic = "vault/#"
action = "open-outbound"
key = "subscribers"
clear_for_groups = ["operators"]
[[config.rules]]
topic = "strongbox"
action = "seal-inbound"
key = "subscribers"
[[config.rules]]
topic = "strongbox"
action = "open-outbound"
key = "subscribers"
clear_for_groups = ["operators"]
others = "nothing"
"#;

#[tokio::test]
async fn topics_that_say_nothing_and_wills() {
    let folder = folder(MORE);
    let program = Program::start(&folder.config()).await;
    let key = derive(&folder, "devices", "press-7").await;
    let config = folder.config().display().to_string();
    let opaque = async |topic: &str| {
        let arguments = ["keys", "pseudonym", "--config", &config, "topics", topic];
        command(&arguments).await.trim().to_owned()
    };
    let (mine, others) = (opaque(RAW).await, opaque("plant/press-8/raw").await);
    assert!(mine.len() == 34 && mine.starts_with("p/") && mine != others, "{mine}");
    let of_raw = Bound { stamp: TIMESTAMP, ..OF_RAW };
    let will = key.seal(Bound { kind: WILL, ..of_raw }, 1, b"gone");
    let will = Will::new(&mine, &will);
    let mut press = with_will(&program, "press-7", will).await;
    let mut eve = client(&program, "eve").await;
    eve.subscribe("#", QoS::AtMostOnce).await;
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = || u64::try_from(now().expect("after 1970").as_millis()).expect("before long");
    let at = now();
    let sealed = key.seal(of_raw, at, b"opaque");
    assert_eq!(publish(&mut press, &mine, &sealed).await, ReasonCode::Success);
    has(&mut eve, &[(RAW, "opaque")]).await;
    // Seen, whichever topic it comes by; stale; of somebody else; unknown.
    let not_authorized = ReasonCode::NotAuthorized;
    assert_eq!(publish(&mut press, RAW, &sealed).await, not_authorized);
    for (number, what) in [(at - 61_000, "old"), (at + 180_000, "from the future")] {
        let sealed = key.seal(of_raw, number, b"x");
        assert_eq!(publish(&mut press, &mine, &sealed).await, not_authorized, "{what}");
    }
    assert_eq!(counted(&program, "stale").await, 2);
    for unknown in [others.as_str(), "p/", "p/00", "p/00000000000000000000000000000000"] {
        let code = publish(&mut press, unknown, &key.seal(of_raw, now(), b"x")).await;
        assert_eq!(code, ReasonCode::TopicNameInvalid, "{unknown}");
    }
    eve.quiet().await;
    press.vanish();
    eve.take(RAW, "gone").await;
}

/// Published in clear and kept sealed: who has no right gets what is in the store, or nothing.
#[tokio::test]
async fn what_is_sealed_at_rest() {
    let folder = folder(MORE);
    let program = Program::start(&folder.config()).await;
    let mut press = client(&program, "press-7").await;
    let mut eve = client(&program, "eve").await;
    let mut viewer = client(&program, "viewer").await;
    for subscriber in [&mut eve, &mut viewer] {
        subscriber.subscribe("vault/live", QoS::AtMostOnce).await;
    }
    assert_eq!(publish(&mut press, "vault/live", b"live and secret").await, ReasonCode::Success);
    has(&mut eve, &[("vault/live", "live and secret")]).await;
    for topic in ["vault/kept", "strongbox"] {
        assert_eq!(retain(&mut press, topic, b"kept and secret").await, ReasonCode::Success);
    }
    let mut sealed = viewer.drain().await;
    sealed.extend(kept(&mut viewer, "vault/kept").await);
    sealed.extend(kept(&mut viewer, "strongbox").await);
    let topics: Vec<_> = sealed.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(topics, ["vault/live", "vault/kept"]);
    for message in &sealed {
        assert!(!message.payload.windows(6).any(|it| it == b"secret"), "{message:?}");
        let bound = Bound { kind: BROKER, stamp: NONE, topic: &message.topic, name: "" };
        let (_, opened) = SUBSCRIBERS.open(bound, &message.payload).expect("sealed for the ring");
        assert!(opened.ends_with(b"and secret"));
    }
    for topic in ["vault/kept", "strongbox"] {
        let [message] = kept(&mut eve, topic).await.try_into().expect("one message");
        assert_eq!(message.text(), (topic, "kept and secret"));
    }
    // A retained message can be taken away.
    assert_eq!(retain(&mut press, "strongbox", b"").await, ReasonCode::Success);
    program.stop().await;
    assert!(!is_in_a_file(&folder.path("data"), "kept and secret"));
    let program = Program::start(&folder.config()).await;
    let mut eve = client(&program, "eve").await;
    let [message] = kept(&mut eve, "vault/kept").await.try_into().expect("one message");
    assert_eq!(message.text(), ("vault/kept", "kept and secret"));
    assert_eq!(kept(&mut eve, "strongbox").await, []);
}

/// What a subscription brings at once.
async fn kept(client: &mut Client, topic: &str) -> Vec<Message> {
    client.subscribe(topic, QoS::AtMostOnce).await;
    client.drain().await
}

/// What the operator does with rings, and that nothing of a key comes out but by `derive`.
#[tokio::test]
async fn keys_from_the_command_line() {
    let folder = folder(&example());
    let program = Program::start(&folder.config()).await;
    let url = format!("http://{}", program.api().address);
    let token = folder.path("data/admin.token").display().to_string();
    let keys = async |arguments: &[&str]| {
        let at = ["--url", &url, "--token-file", &token];
        run(portcullis(&[&["keys"][..], arguments, &at].concat()), b"").await
    };
    folder.write("given", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n");
    let given = folder.path("given").display().to_string();
    let added = keys(&["add", "devices", "--id", "5", "--value-file", &given]).await.expect_code(0);
    assert!(added.stdout.contains("\n  1 seals made="), "{added:?}");
    keys(&["rotate", "devices", "--id", "5"]).await.expect_code(0);
    let ring = Key::new(5, *b"0123456789abcdef0123456789abcdef");
    assert_eq!(derive(&folder, "devices", "press-7").await, ring.of("press-7"));
    keys(&["retire", "devices", "1"]).await.expect_code(0);
    let listed = keys(&["list"]).await.expect_code(0).stdout;
    for line in ["devices aes-256-gcm managed\n  5 seals", "  1 retired", "configured\n  4 seals\n"]
    {
        assert!(listed.contains(line), "{line}: {listed}");
    }
    for (arguments, words) in [
        (&["retire", "devices", "5"][..], "rotate the ring first"),
        (&["retire", "devices", "1"], "no key 1 that opens"),
        (&["rotate", "subscribers"], "the configuration has the keys"),
        (&["rotate", "others"], "no key ring"),
        (&["add", "devices", "--value-file", &given], "has this key already"),
    ] {
        let ended = keys(arguments).await.expect_code(1);
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    let told = format!("{}{listed}", program.log_text());
    assert!(told.contains("admin action") && !told.contains("MDEyMzQ1"), "{told}");
    let file = folder.path("data/keys/devices.keys");
    let mode = fs::metadata(&file).expect("the keys").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    program.stop().await;
    // Damage is no start, and a check says so.
    let mut damaged = fs::read(&file).expect("the keys");
    damaged[40] ^= 1;
    fs::write(&file, damaged).expect("damaged");
    for command in ["run", "check"] {
        let config = folder.config().display().to_string();
        let ended = run(portcullis(&[command, "--config", &config]), b"").await.expect_code(1);
        assert!(ended.stderr.contains("devices.keys: the keys cannot be used"), "{ended:?}");
    }
}

/// A plugin that cannot do what its rules want lets nobody in, rather than everything through.
#[tokio::test]
async fn without_its_keys_nothing_passes() {
    let folder = folder(&example().replace("key = \"devices\"", "key = \"missing\""));
    let program = Program::start_unready(&folder.config()).await;
    let plugin = program.plugin("payload-crypto", |plugin| plugin["state"] == "failed").await;
    let error = plugin["error"].as_str().unwrap_or_default();
    assert!(error.contains("[keys.missing]"), "{plugin}");
    let login = super::knock::login("press-7", ("press-7", "open sesame"));
    let (code, _) = super::knock::knock(program.mqtt(), login).await;
    assert_ne!(code, ReasonCode::Success);
}

/// The cases beside the plugin hold, with the manifest beside it.
#[tokio::test]
async fn its_cases_hold() {
    let folder = folder(&example());
    let cases = root().join("plugins/payload-crypto/payload-crypto.cases.toml");
    let mut test = portcullis(&["plugin", "test"]);
    test.arg(folder.path("plugins/payload-crypto.wasm")).arg("--cases").arg(cases);
    let ended = run(test, b"").await.expect_code(0);
    assert!(ended.stdout.contains("0 of 14 cases failed"), "{ended:?}");
}

/// The example of the documentation, in both directions, in another language and with another library.
#[tokio::test]
async fn a_device_in_python() {
    let manifest = format!("{}{TO_DEVICES}", example());
    let folder = folder(&manifest);
    let program = Program::start(&folder.config()).await;
    let config = folder.config().display().to_string();
    let key = command(&["keys", "derive", "--config", &config, "devices", "press-7"]).await;
    let device = async |action: &str, topic: &str, stamp: &str, input: &[u8]| {
        // What is sealed is no text: it goes through a file.
        let output = folder.path("output");
        let mut python = Command::new("sh");
        python.args(["-c", "exec \"$@\" > \"$0\""]).arg(&output).arg("python3");
        python.arg(root().join("examples/devices/sealed.py"));
        python.args([action, key.trim(), topic, "press-7", stamp]);
        run(python, input).await.expect_code(0);
        fs::read(&output).expect("what it wrote")
    };
    let mut press = client(&program, "press-7").await;
    let mut eve = client(&program, "eve").await;
    eve.subscribe("plant/#", QoS::AtMostOnce).await;
    press.subscribe("to/press-7", QoS::AtMostOnce).await;
    let sealed = device("seal", RAW, "counter", b"21.5").await;
    assert_eq!(publish(&mut press, RAW, &sealed).await, ReasonCode::Success);
    has(&mut eve, &[(RAW, "21.5")]).await;
    assert_eq!(publish(&mut eve, "to/press-7", b"slower").await, ReasonCode::Success);
    let [message] = press.drain().await.try_into().expect("one message");
    assert_eq!(device("open", "to/press-7", "timestamp", &message.payload).await, b"slower");
    let page = fs::read_to_string(root().join("docs/secure/payload-crypto.md")).expect("the page");
    assert!(page.contains(example().split_once("\n\n").expect("a head").1.trim()), "the example");
}

/// Orders go to devices in clear and reach them sealed.
const TO_DEVICES: &str = r#"
[[config.rules]]
topic = "to/+"
action = "seal-outbound"
key = "devices"
client = "topic-level"
level = 2
stamp = "timestamp"
"#;

#[tokio::test]
async fn rings_are_for_who_has_a_token() {
    let folder = Folder::new();
    folder.configure_more("[keys.devices]\nmanaged = true\n");
    let program = Program::start(&folder.config()).await;
    let strangers = program.api().with_token("");
    for (method, path) in [
        ("GET", "/api/v1/keys"),
        ("POST", "/api/v1/keys/devices/rotate"),
        ("DELETE", "/api/v1/keys/devices/1"),
    ] {
        strangers.ask(method, path, None).await.expect(401);
    }
    let ring = program.api().post_json("/api/v1/keys/devices", &json!({})).await.expect(200).json();
    assert_eq!(ring["keys"].as_array().expect("keys").len(), 2);
}
