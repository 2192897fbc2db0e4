//! TLS of the program: from its configuration to clients that we did not write, `check`, and SIGHUP.

use std::process::Command;

use portcullis_tests::{Authority, Holder, Until, Wish};
use rustix::process::Signal;

use super::{
    eventually::eventually,
    folder::{ALICE, Folder},
    process::{Program, portcullis, root, run},
};

const LISTENERS: &str = r#"
[[listeners]]
name = "tls"
bind = "127.0.0.1:0"
transport = "tls"
[listeners.tls]
cert = "server.pem"
key = "server.key"
client_ca = "ca.pem"
crl = ["list.pem"]
identity = "cn"

[[listeners]]
name = "wss"
bind = "127.0.0.1:0"
transport = "wss"
[listeners.tls]
cert = "server.pem"
key = "server.key"
client_ca = "ca.pem"
"#;

fn hold(folder: &Folder, name: &str, holder: &Holder) {
    folder.write(&format!("{name}.pem"), &holder.chain);
    folder.write(&format!("{name}.key"), &holder.key);
}

fn folder(authority: &Authority) -> Folder {
    let folder = Folder::bundled();
    folder.configure_more(LISTENERS);
    folder.write("ca.pem", authority.pem());
    folder.write("list.pem", authority.list([666], Until::Later));
    hold(&folder, "server", &authority.server());
    hold(&folder, "alice", &authority.client(ALICE.0, 20));
    hold(&folder, "revoked", &authority.client(ALICE.0, 666));
    folder
}

fn mosquitto(folder: &Folder, broker: &Program, who: Option<&str>) -> Command {
    let mut command = Command::new("mosquitto_pub");
    let text = |name: &str| folder.path(name).display().to_string();
    command.args(["-h", "127.0.0.1", "-p", &broker.listener("tls").port().to_string()]);
    command.args(["--cafile", &text("ca.pem"), "-t", "free/t", "-m", "x", "-q", "1"]);
    // Whoever it says it is: the certificate says alice.
    command.args(["-u", "somebody", "-P", ALICE.1]);
    if let Some(who) = who {
        command.args(["--cert", &text(&format!("{who}.pem"))]);
        command.args(["--key", &text(&format!("{who}.key"))]);
    }
    command
}

#[tokio::test]
async fn mosquitto_comes_with_a_certificate_or_not_at_all() {
    let authority = Authority::root("root");
    let folder = folder(&authority);
    let broker = Program::start(&folder.config()).await;
    run(mosquitto(&folder, &broker, Some("alice")), b"").await.expect_code(0);
    for who in [None, Some("revoked")] {
        let ended = run(mosquitto(&folder, &broker, who), b"").await;
        assert_ne!(ended.code(), 0, "{who:?}: {ended:?}");
    }
    let metrics = broker.api().get("/metrics").await.expect(200).body;
    for line in [
        "portcullis_tls_reload_failed{listener=\"tls\",what=\"crl\"} 0",
        "portcullis_tls_revoked{listener=\"tls\"} 1",
        "portcullis_tls_handshakes_total{result=\"revoked\"} 1",
        "portcullis_tls_crl_next_update_seconds{listener=\"tls\"}",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn npm_s_client_comes_over_wss() {
    let authority = Authority::root("root");
    let folder = folder(&authority);
    let broker = Program::start(&folder.config()).await;
    let module = root().join("target/test-tools/node/node_modules/mqtt");
    assert!(module.exists(), "{} is not there; run tests/setup", module.display());
    let script = r#"
        const [module, url, folder, user, password, who] = process.argv.slice(1);
        const fs = require("fs"), mqtt = require(module);
        const read = (name) => fs.readFileSync(`${folder}/${name}`);
        const client = mqtt.connect(url, {
            ca: read("ca.pem"), username: user, password, reconnectPeriod: 0,
            ...(who ? { cert: read(`${who}.pem`), key: read(`${who}.key`) } : {}),
        });
        client.on("error", (error) => {
            console.log(`refused: ${error.message}`);
            process.exit(3);
        });
        client.on("close", () => process.exit(3));
        client.on("connect", () => client.publish("free/t", "x", { qos: 1 }, (error) => {
            console.log(error ? "not published" : "published");
            process.exit(error ? 4 : 0);
        }));
    "#;
    for (who, code) in [("alice", 0), ("", 3)] {
        let mut command = Command::new("node");
        command.args(["-e", script]).arg(&module);
        command.arg(format!("wss://127.0.0.1:{}/mqtt", broker.listener("wss").port()));
        command.arg(folder.path(".")).args([ALICE.0, ALICE.1, who]);
        let ended = run(command, b"").await;
        assert_eq!(ended.code(), code, "{ended:?}");
    }
}

#[tokio::test]
async fn a_hangup_reads_everything_again_and_keeps_what_is_good() {
    let authority = Authority::root("root");
    let folder = folder(&authority);
    let broker = Program::start(&folder.config()).await;
    folder.write("list.pem", "no list");
    broker.signal(Signal::HUP);
    broker.logged("tls_reload_failed").await;
    run(mosquitto(&folder, &broker, Some("alice")), b"").await.expect_code(0);
    let failed = "portcullis_tls_reload_failed{listener=\"tls\",what=\"crl\"} 1";
    let metrics = broker.api().get("/metrics").await.expect(200).body;
    assert!(metrics.contains(failed), "{metrics}");
    // What the file of the configuration says about TLS is taken as well.
    let text = std::fs::read_to_string(folder.config()).expect("a file");
    folder.write("none.pem", authority.list([20], Until::Later));
    folder.write("portcullis.toml", text.replace("list.pem", "none.pem"));
    broker.signal(Signal::HUP);
    eventually("alice is revoked", async || {
        let ended = run(mosquitto(&folder, &broker, Some("alice")), b"").await;
        if ended.code() == 0 { Err("still comes in".to_owned()) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn check_judges_certificates() {
    let authority = Authority::root("root");
    let folder = folder(&authority);
    let check = async |expect: &[&str]| {
        let mut check = portcullis(&["check", "--config"]);
        check.arg(folder.config());
        let ended = run(check, b"").await;
        for part in expect {
            assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
        }
        assert_eq!(ended.code(), i32::from(!expect.is_empty()), "{ended:?}");
    };
    check(&[]).await;
    let names = &["localhost"];
    let over = Wish { names, serial: 3, is_over: true, ..Wish::default() };
    hold(&folder, "server", &authority.certify(&over));
    check(&["listener \"tls\": tls.cert: ", "server.pem: expired"]).await;
    hold(&folder, "server", &authority.server());
    folder.write("server.key", authority.server().key);
    check(&["tls.key: ", "server.key: is not the key of the certificate in "]).await;
    hold(&folder, "server", &authority.server());
    std::fs::remove_file(folder.path("ca.pem")).expect("was there");
    check(&["tls.client_ca: ", "ca.pem: cannot be read"]).await;
    folder.write("ca.pem", authority.pem());
    folder.write("list.pem", Authority::root("root").list([1], Until::Later));
    check(&["tls.crl: ", "list.pem: its signature is not that of its authority"]).await;
    folder.write("list.pem", authority.list([1], Until::Past));
    check(&["tls.crl: ", "stale"]).await;
}
