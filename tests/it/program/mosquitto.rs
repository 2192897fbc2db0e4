//! The tools of Debian's mosquitto-clients: what an operator tries first, and what the quickstart
//! tells to try.

use std::{net::SocketAddr, process::Command};

use rustix::process::Signal;

use super::{
    eventually::{eventually, until},
    folder::{ALICE, BOB, Folder},
    process::{Ended, Program, Running, run, start},
};

/// `-V` of the tools.
const VERSIONS: [&str; 2] = ["311", "5"];

/// One broker and one protocol version.
#[derive(Clone, Copy)]
struct Tools<'a> {
    broker: &'a Program,
    version: &'a str,
}

impl Tools<'_> {
    /// A tool with the address of the broker, without user.
    fn tool(self, name: &str, arguments: &[&str]) -> Command {
        let SocketAddr::V4(address) = self.broker.mqtt() else { panic!("an IPv4 address") };
        let mut command = Command::new(name);
        command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
        command.args(["-V", self.version]).args(arguments);
        command
    }

    /// The same as [`ALICE`].
    fn of_alice(self, name: &str, arguments: &[&str]) -> Command {
        let mut command = self.tool(name, arguments);
        command.args(["-u", ALICE.0, "-P", ALICE.1]);
        command
    }

    async fn publish(self, arguments: &[&str]) -> Ended {
        run(self.of_alice("mosquitto_pub", arguments), b"").await.expect_code(0)
    }

    /// Publishes the end of what [`Running::ended`] of a subscriber with `-C` waits for.
    async fn publish_marker(self, topic: &str) {
        self.publish(&["-t", topic, "-m", "end", "-q", "1"]).await;
    }

    async fn subscribe(self, arguments: &[&str]) -> Ended {
        run(self.of_alice("mosquitto_sub", arguments), b"").await
    }

    /// Starts `mosquitto_sub` and waits until its one subscription is there.
    async fn listen(self, client_id: &str, arguments: &[&str]) -> Running {
        let mut command = self.of_alice("mosquitto_sub", arguments);
        command.args(["-i", client_id]);
        let listener = start(command, b"");
        let path = format!("/api/v1/clients/{client_id}");
        eventually(&format!("{client_id} has subscribed"), async || {
            let answer = self.broker.api().get(&path).await;
            let subscribed = answer.status == 200
                && answer.json()["subscriptions"].as_array().is_some_and(|all| !all.is_empty());
            if subscribed { Ok(()) } else { Err(format!("{answer:?} {}", listener.complained())) }
        })
        .await;
        listener
    }

    /// Waits until the broker knows nothing of a client any more.
    async fn gone(self, client_id: &str) {
        let path = format!("/api/v1/clients/{client_id}");
        until("the session is gone", async || self.broker.api().get(&path).await.status == 404)
            .await;
    }
}

/// Lines of what a subscriber wrote.
async fn lines(listener: Running) -> Vec<String> {
    let ended = listener.ended().await.expect_code(0);
    ended.stdout.lines().map(str::to_owned).collect()
}

async fn broker() -> (Folder, Program) {
    let folder = Folder::bundled();
    let broker = Program::start(&folder.config()).await;
    (folder, broker)
}

#[tokio::test]
async fn every_qos_arrives_as_it_was_sent() {
    let (_folder, broker) = broker().await;
    for version in VERSIONS {
        let tools = Tools { broker: &broker, version };
        let arguments = ["-t", "free/#", "-q", "2", "-C", "3", "-F", "%t %q %r %p"];
        let listener = tools.listen("listener", &arguments).await;
        for qos in ["0", "1", "2"] {
            tools.publish(&["-t", "free/a/b", "-m", "hello", "-q", qos]).await;
        }
        let expected = ["free/a/b 0 0 hello", "free/a/b 1 0 hello", "free/a/b 2 0 hello"];
        assert_eq!(lines(listener).await, expected, "{version}");
    }
}

#[tokio::test]
async fn many_lines_arrive_in_order() {
    let (_folder, broker) = broker().await;
    let sent: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    for version in VERSIONS {
        let tools = Tools { broker: &broker, version };
        let listener = tools.listen("listener", &["-t", "free/#", "-q", "2", "-C", "500"]).await;
        let publisher = tools.of_alice("mosquitto_pub", &["-t", "free/l", "-q", "2", "-l"]);
        run(publisher, sent.join("\n").as_bytes()).await.expect_code(0);
        assert_eq!(lines(listener).await, sent, "{version}");
    }
}

#[tokio::test]
async fn a_retained_message_stays_until_it_is_cleared() {
    let (_folder, broker) = broker().await;
    for version in VERSIONS {
        let tools = Tools { broker: &broker, version };
        let show = ["-t", "free/kept/+", "-q", "1", "-F", "%t %q %r %p"];
        for (name, payload) in [("a", "old"), ("a", "new"), ("b", "other")] {
            let topic = format!("free/kept/{name}");
            tools.publish(&["-t", &topic, "-m", payload, "-r", "-q", "1"]).await;
        }
        let ended = tools.subscribe(&[&show[..], &["-C", "2"]].concat()).await.expect_code(0);
        let mut came: Vec<_> = ended.stdout.lines().collect();
        came.sort_unstable();
        assert_eq!(came, ["free/kept/a 1 1 new", "free/kept/b 1 1 other"], "{version}");

        tools.publish(&["-t", "free/kept/a", "-n", "-r", "-q", "1"]).await;
        let listener = tools.listen("listener", &[&show[..], &["-C", "2"]].concat()).await;
        tools.publish_marker("free/kept/a").await;
        let expected = ["free/kept/b 1 1 other", "free/kept/a 1 0 end"];
        assert_eq!(lines(listener).await, expected, "{version}");
        tools.publish(&["-t", "free/kept/b", "-n", "-r", "-q", "1"]).await;
    }
}

/// `kill -9`: no goodbye at all. SIGTERM: the tool says goodbye, in 5.0 with the wish for its will.
#[tokio::test]
async fn a_will_tells_of_a_death_and_not_of_a_goodbye() {
    let (_folder, broker) = broker().await;
    for (version, signal, told) in [
        ("311", Signal::KILL, true),
        ("5", Signal::KILL, true),
        ("311", Signal::TERM, false),
        ("5", Signal::TERM, true),
    ] {
        let tools = Tools { broker: &broker, version };
        let witness = ["-t", "free/will/#", "-q", "2", "-C", "1", "-F", "%t %q %r %p"];
        let witness = tools.listen("witness", &witness).await;
        let will = ["--will-topic", "free/will/x", "--will-payload", "gone", "--will-qos", "2"];
        let mortal = [&["-t", "free/other"][..], &will, &["--will-retain"]].concat();
        let mortal = tools.listen("mortal", &mortal).await;
        mortal.signal(signal);
        if !told {
            tools.gone("mortal").await;
            tools.publish_marker("free/will/end").await;
            assert_eq!(lines(witness).await, ["free/will/end 1 0 end"], "{version} {signal:?}");
            continue;
        }
        assert_eq!(lines(witness).await, ["free/will/x 2 0 gone"], "{version} {signal:?}");
        let kept = ["-t", "free/will/x", "-C", "1", "-F", "%r %p"];
        assert_eq!(tools.subscribe(&kept).await.expect_code(0).stdout, "1 gone\n");
        tools.publish(&["-t", "free/will/x", "-n", "-r", "-q", "1"]).await;
    }
}

#[tokio::test]
async fn a_session_keeps_what_came_meanwhile() {
    let (_folder, broker) = broker().await;
    for version in VERSIONS {
        let tools = Tools { broker: &broker, version };
        let client_id = format!("sleeper-{version}");
        let mut session = vec!["-i", &client_id, "-c", "-t", "free/#", "-q", "2"];
        if version == "5" {
            session.extend(["-x", "3600"]);
        }
        tools.subscribe(&[&session[..], &["-E"]].concat()).await.expect_code(0);
        for qos in ["1", "2"] {
            tools.publish(&["-t", "free/x", "-m", "meanwhile", "-q", qos]).await;
        }
        session.extend(["-C", "2", "-F", "%q %p"]);
        let ended = tools.subscribe(&session).await.expect_code(0);
        let mut came: Vec<_> = ended.stdout.lines().collect();
        // The tool shows QoS 2 only after PUBREL.
        came.sort_unstable();
        assert_eq!(came, ["1 meanwhile", "2 meanwhile"], "{version}");
    }
}

#[tokio::test]
async fn properties_of_5_0_arrive_unchanged() {
    let (_folder, broker) = broker().await;
    let tools = Tools { broker: &broker, version: "5" };
    let format = "%t|%C|%R|%D|%P|%F|%p";
    let listener = tools.listen("listener", &["-t", "free/#", "-C", "1", "-F", format]).await;
    let mut publish = vec!["-t", "free/x", "-m", "hello"];
    for property in [
        &["user-property", "key", "value"][..],
        &["content-type", "text/plain"],
        &["response-topic", "free/answer"],
        &["correlation-data", "abc"],
        &["payload-format-indicator", "1"],
    ] {
        publish.extend(["-D", "publish"]);
        publish.extend(property);
    }
    tools.publish(&publish).await;
    let expected = ["free/x|text/plain|free/answer|abc|key:value|1|hello"];
    assert_eq!(lines(listener).await, expected);
}

/// The tools end with the code of CONNACK.
#[tokio::test]
async fn logins_are_refused_with_the_right_codes() {
    let folder = Folder::bundled();
    // Whoever fails often has to wait; here some fail on purpose.
    folder.configure_more("[limits.login_backoff]\nfree_failures = 100\n");
    let broker = Program::start(&folder.config()).await;
    let words = [
        ("311", 4, "Connection Refused: bad user name or password", 5, "not authorised"),
        ("5", 0x86, "Bad User Name or Password", 0x87, "Not authorized"),
    ];
    for (version, bad_credentials, its_words, not_authorized, other_words) in words {
        let tools = Tools { broker: &broker, version };
        for (user, code, words) in [
            (&["-u", ALICE.0, "-P", "wrong"][..], bad_credentials, its_words),
            (&["-u", BOB.0, "-P", ALICE.1], bad_credentials, its_words),
            (&["-u", BOB.0], bad_credentials, its_words),
            (&["-u", "stranger", "-P", ALICE.1], bad_credentials, its_words),
            (&["-u", "ALICE", "-P", ALICE.1], bad_credentials, its_words),
            (&[], not_authorized, other_words),
        ] {
            for (name, more) in [
                ("mosquitto_pub", &["-t", "free/x", "-m", "no", "-q", "1"][..]),
                ("mosquitto_sub", &["-t", "free/x", "-E"]),
            ] {
                let ended = run(tools.tool(name, &[user, more].concat()), b"").await;
                assert_eq!(ended.code(), code, "{version} {user:?}: {ended:?}");
                assert!(ended.stderr.contains(words), "{version} {user:?}: {ended:?}");
            }
        }
    }
    let page = broker.api().get("/api/v1/clients").await.expect(200).json();
    assert_eq!(page["clients"], serde_json::json!([]), "somebody got in");
}

#[tokio::test]
async fn forbidden_topics_are_refused_with_the_right_codes() {
    let (_folder, broker) = broker().await;
    for (version, publish, subscribe) in [("311", "RC:0", 0x80), ("5", "RC:135", 0x87)] {
        let tools = Tools { broker: &broker, version };
        // Overlaps what is forbidden, and must get nothing of it all the same.
        let witness = tools.listen("witness", &["-t", "free/#", "-q", "2", "-C", "1", "-v"]).await;
        for topic in ["free/secret/x", "elsewhere"] {
            for (qos, answer) in [("0", None), ("1", Some("PUBACK")), ("2", Some("PUBREC"))] {
                let ended = tools.publish(&["-t", topic, "-m", "no", "-q", qos, "-d"]).await;
                let Some(answer) = answer else { continue };
                let answer = ended.stdout.lines().find(|line| line.contains(answer));
                // This tool tells the code of PUBREC only in words.
                let told = if qos == "1" {
                    answer.is_some_and(|answer| answer.contains(publish))
                } else {
                    answer.is_some()
                };
                assert!(told, "{version} {topic} {qos}: {ended:?}");
                let warned = ended.stderr.contains("failed: Not authorized");
                assert_eq!(warned, version == "5", "{version} {topic} {qos}: {ended:?}");
            }
        }
        tools.publish_marker("free/end").await;
        assert_eq!(lines(witness).await, ["free/end end"], "{version}");

        let filters = ["-t", "free/secret/x", "-t", "elsewhere", "-t", "free/fine", "-t", "#"];
        let asked = [&filters[..], &["-q", "1", "-d", "-E"]].concat();
        let ended = tools.subscribe(&asked).await.expect_code(0);
        let granted = format!("Subscribed (mid: 1): {subscribe}, {subscribe}, 1, {subscribe}");
        assert!(ended.stdout.contains(&granted), "{version}: {ended:?}");
        let ended = tools.subscribe(&["-t", "free/secret/x"]).await;
        assert!(ended.stderr.contains("All subscription requests were denied"), "{ended:?}");
    }
}

/// MQTT 3.1, whose name is `MQIsdp`, meets the others.
#[tokio::test]
async fn version_3_1_is_served() {
    let (_folder, broker) = broker().await;
    for (from, to) in [("31", "31"), ("31", "5"), ("311", "31")] {
        let (publisher, subscriber) =
            (Tools { broker: &broker, version: from }, Tools { broker: &broker, version: to });
        let arguments = ["-t", "free/#", "-q", "2", "-C", "3", "-F", "%t %q %p"];
        let listener = subscriber.listen("listener", &arguments).await;
        for qos in ["0", "1", "2"] {
            publisher.publish(&["-t", "free/a", "-m", "hello", "-q", qos]).await;
        }
        let expected = ["free/a 0 hello", "free/a 1 hello", "free/a 2 hello"];
        assert_eq!(lines(listener).await, expected, "from {from} to {to}");
    }
}

#[tokio::test]
async fn version_3_1_can_be_refused() {
    let folder = Folder::bundled();
    folder.configure(
        "protocol_versions = [\"3.1.1\", \"5.0\"]\n\
         [[listeners]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n",
    );
    let broker = Program::start(&folder.config()).await;
    let tools = Tools { broker: &broker, version: "31" };
    let ended = run(tools.of_alice("mosquitto_pub", &["-t", "free/x", "-m", "no"]), b"").await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.stderr.contains("unacceptable protocol version"), "{ended:?}");
    for version in VERSIONS {
        Tools { broker: &broker, version }.publish(&["-t", "free/x", "-m", "yes"]).await;
    }
}
