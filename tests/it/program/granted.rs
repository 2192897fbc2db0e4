//! What manifests grant, through the whole program: configuration, files, signals, metrics, and what
//! survives a restart.

use std::{fs, path::Path};

use rustix::process::Signal;
use serde_json::Value;

use super::{
    eventually::until,
    folder::{Folder, guest},
    knock::{knock, login},
    plugin_check::described,
    process::Program,
    servers::{Asked, NO_DATABASE, NO_DIRECTORY},
};

const MANIFEST: &str = r#"
[grants]
secrets = ["hmac-key"]
keys = ["cookies"]
jwt = ["idp"]
state = "1 MiB"
http = ["https://idp.example/"]
sql = ["users"]
ldap = ["corp"]
cache_control = true
broker = ["publish"]
publish_topics = ["alarm"]
"#;

/// All that the manifest names; the secret is `VALUE`.
const SOURCES: &str = r#"
[secrets.hmac-key]
value = "VALUE"
[keys.cookies]
[[keys.cookies.key]]
id = 1
value = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
[jwt.idp]
secret = "shared"
algorithms = ["HS256"]
issuer = "idp"
audience = ["mqtt"]
[sql.users]
url = "postgres://app@db.example/users"
password = "sesame of the database"
[ldap.corp]
url = "ldaps://dir.example"
bind_dn = "cn=broker,dc=example"
bind_password = "sesame of the directory"
"#;

fn words<'a>(plugin: &'a Value, key: &str) -> &'a str {
    plugin[key].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_plugin_waits_for_its_grants_and_for_the_configuration() {
    let folder = Folder::new();
    folder.install("lent", &guest("lent"));
    let program = Program::start_unready(&folder.config()).await;
    let plugin = program.plugin("lent", |plugin| plugin["state"] == "waiting_for_grant").await;
    assert!(words(&plugin, "error").contains("add [grants] state = \"1 MiB\""), "{plugin}");
    folder.write("plugins/lent.toml", MANIFEST);
    let plugin = program.plugin("lent", |plugin| plugin["state"] == "failed").await;
    assert!(words(&plugin, "error").contains("has no [secrets.hmac-key]"), "{plugin}");
    folder.configure_more(&SOURCES.replace("VALUE", "open sesame"));
    program.signal(Signal::HUP);
    let first = program.plugin("lent", |plugin| plugin["state"] == "live").await;
    // Another secret, another generation; the same file again, the same generation.
    let config = fs::read_to_string(folder.config()).expect("the configuration");
    folder.write("portcullis.toml", config.replace("open sesame", "close sesame"));
    program.signal(Signal::HUP);
    let changed = |plugin: &Value| plugin["generation"] != first["generation"];
    let second = program.plugin("lent", changed).await;
    assert_eq!(second["state"], "live", "{second}");
    let log = program.log_text();
    assert!(!log.contains("sesame"), "a secret is in the log");
    assert!(!second.to_string().contains("sesame"));
}

#[tokio::test]
async fn state_survives_the_program_until_the_plugin_is_forgotten() {
    let folder = Folder::new();
    folder.configure_more(&SOURCES.replace("VALUE", "open sesame"));
    folder.install_with("lent", &guest("lent"), MANIFEST);
    let file = folder.path("data/plugin-state/lent.state");
    let program = Program::start(&folder.config()).await;
    knock(program.mqtt(), login("c", ("state.set", "key\nvalue-of-the-test"))).await;
    knock(program.mqtt(), login("c", ("metrics.add", "logins"))).await;
    assert!(holds(&file, "value-of-the-test"), "answered, so it is there");
    let metrics = program.api().get("/metrics").await.expect(200).body;
    let line = "portcullis_plugin_custom_counter_total{plugin=\"lent\",name=\"logins\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    program.stop().await;
    let program = Program::start(&folder.config()).await;
    knock(program.mqtt(), login("c", ("state.set", "other\nmore"))).await;
    assert!(holds(&file, "value-of-the-test") && holds(&file, "more"));
    fs::remove_file(folder.path("plugins/lent.wasm")).expect("removed");
    program.plugin("lent", |plugin| plugin["state"] == "removed").await;
    program.api().delete("/api/v1/plugins/lent").await.expect(204);
    until("its state is gone", async || !file.exists()).await;
}

fn holds(file: &Path, text: &str) -> bool {
    let bytes = fs::read(file).expect("a state file");
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn plugin_check_says_what_a_manifest_must_grant() {
    let grants = described("lent", "grants").await;
    for line in ["[grants] state = ", "[grants] http = ", "[grants] sql = ", "[grants] ldap = "] {
        assert!(grants.contains(line), "{line}: {grants}");
    }
    assert_eq!(described("wasi", "grants").await, "none needed");
}

/// Used, refused, misnamed, read again: what is secret is in no line of the log and in no answer of
/// the admin API, decisions and recordings among them; nor is a password.
#[tokio::test]
async fn no_secret_is_told() {
    let database = NO_DATABASE.replace("sqlite:/nonexistent", "postgres://app@127.0.0.1:1/users");
    let database = format!("{database}password = \"hush-hush-database\"\n");
    let directory = "bind_dn = \"cn=broker\"\nbind_password = \"hush-hush-directory\"\n";
    let asked = Asked::start(&[&database, &format!("{NO_DIRECTORY}{directory}")]).await;
    asked.check("secrets.names", "", "hmac-key").await;
    asked.check("secrets.reveal", "hmac-key", "NotRevealed(").await;
    asked.check("secrets.reveal", "other", "Unknown(").await;
    asked.check("keys.hmac", "hmac-key\nhush-hush-password", "").await;
    asked.check("jwt.verify", "idp\na.b.c", "Refused(").await;
    asked.check("sql.query", "users\nSELECT 1", "Unavailable(").await;
    asked.check("ldap.search", "corp\ndc=x\n(cn=a)", "Unavailable(").await;
    asked.program.signal(Signal::HUP);
    asked.program.logged("reload").await;
    let told = asked.everything_told().await;
    assert!(told.contains("a database of plugins is not there"), "{told}");
    assert!(!told.contains("hush-hush"), "{told}");
}
