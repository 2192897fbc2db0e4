//! Manifests: what is accepted, and where and how errors point.

use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(Path::new("m.toml"), text)
}

#[track_caller]
fn refuses(text: &str, expected: &str) {
    let error = parse(text).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}\n  wanted {expected}");
}

#[test]
fn empty_is_the_default() {
    assert_eq!(parse("").unwrap(), Manifest::default());
}

#[test]
fn everything_at_once() {
    let manifest = parse(
        r#"
enabled = false
order = -5
control = "requisite"
on_error = "next"
isolation = "per-call"
[config]
issuer = "https://idp.example"
list = [1, 2.5, true]
since = 2026-01-02T03:04:05Z
[config.deep]
key = "value"
[files]
passwords = "users.txt"
[grants]
[limits]
memory = "32 MiB"
cpu = "20ms"
deadline = "1 s"
concurrency = 3
"#,
    )
    .unwrap();
    assert!(!manifest.enabled);
    assert_eq!(manifest.order, -5);
    assert_eq!(manifest.control, Control::Requisite);
    assert_eq!(manifest.on_error, OnError::Next);
    assert_eq!(manifest.isolation, Isolation::PerCall);
    assert_eq!(
        serde_json::Value::Object(manifest.config).to_string(),
        r#"{"deep":{"key":"value"},"issuer":"https://idp.example","list":[1,2.5,true],"#.to_owned()
            + r#""since":"2026-01-02T03:04:05Z"}"#
    );
    assert_eq!(manifest.files.len(), 1);
    assert_eq!(
        manifest.limits,
        Limits {
            memory_bytes: 32 << 20,
            cpu: Duration::from_millis(20),
            deadline: Duration::from_secs(1),
            concurrency: 3,
        }
    );
}

#[test]
fn errors_name_line_key_value_and_range() {
    refuses("ordr = 1\n", "m.toml:1: unknown field `ordr`, expected one of");
    refuses("\norder = 2000000\n", "m.toml:2: order = 2000000: must be from -1000000 to 1000000");
    refuses(
        "control = \"first\"",
        "m.toml:1: control = \"first\": must be one of \"sufficient\", \"required\"",
    );
    refuses("on_error = \"allow\"", "m.toml:1: on_error = \"allow\": must be one of");
    refuses("enabled = 1", "m.toml:1: invalid type");
    refuses(
        "[limits]\nmemory = \"1 GiB\"",
        "m.toml:2: limits.memory = \"1 GiB\": must be from \"1 MiB\" to \"64 MiB\"",
    );
    refuses("[limits]\nmemory = \"65 MiB\"", "m.toml:2: limits.memory = \"65 MiB\"");
    refuses("[limits]\nmemory = 1000000", "m.toml:2: limits.memory = 1000000");
    refuses(
        "[limits]\ncpu = \"11s\"",
        "m.toml:2: limits.cpu = \"11s\": must be from \"5 ms\" to \"10 s\"",
    );
    refuses("[limits]\ndeadline = \"0s\"", "m.toml:2: limits.deadline = \"0s\"");
    refuses("[limits]\nconcurrency = 0", "m.toml:2: limits.concurrency = 0: must be from 1 to 256");
    refuses("[files]\na = \"\"", "m.toml:2: files.a = \"\": must be a path");
    refuses("[config]\nx = inf", "m.toml:1: config.x: infinite");
    refuses("not toml at all", "m.toml:1:");
    refuses("[outbound]\nx = 1", "m.toml:1: unknown field `outbound`");
}

#[test]
fn grants_are_lists_of_names_and_flags() {
    let manifest = parse(
        r#"
[grants]
secrets = ["hmac-key", "api"]
reveal = ["api"]
keys = ["cookies"]
jwt = ["idp"]
state = "1 MiB"
http = ["https://idp.example/", "http://10.0.0.7:8080/api"]
http_private = true
sql = ["users-db"]
ldap = ["corp"]
cache_control = true
broker = ["publish", "subscriptions"]
publish_topics = ["plant/+/alarm"]
"#,
    );
    let grants = manifest.unwrap().grants;
    assert_eq!(grants.secrets, ["hmac-key", "api"]);
    assert_eq!(grants.state_bytes, Some(1 << 20));
    assert_eq!(grants.http.len(), 2);
    assert!(grants.http_private && grants.cache_control);
    assert_eq!(grants.broker, [BrokerFunction::Publish, BrokerFunction::Subscriptions]);
    assert_eq!(grants.publish_topics.len(), 1);
    let listed = grants.listed();
    assert_eq!(listed.len(), 12, "{listed:?}");
    assert_eq!(Grants::default().listed(), []);
    assert!(listed.contains(&("state", vec!["1048576".to_owned()])), "{listed:?}");
    let functions = ["publish", "subscriptions"].map(str::to_owned);
    assert!(listed.contains(&("broker", functions.to_vec())), "{listed:?}");
    assert_eq!(parse("[grants]\n").unwrap().grants, Grants::default());
}

/// For a plugin that can do without.
#[test]
fn an_empty_list_is_an_answer() {
    let imports = ["files", "sql", "secrets"].map(str::to_owned);
    let missing = |text: &str| crate::capability::missing_grant(&imports, &parse(text).unwrap());
    let all = "[files]\n[grants]\nsql = []\nsecrets = []\n";
    assert_eq!(missing(all), None);
    assert!(parse(all).unwrap().grants.sql.is_empty(), "nothing is lent");
    for (line, interface) in [("[files]\n", "files"), ("sql = []\n", "sql")] {
        let said = missing(&all.replace(line, "")).unwrap();
        assert!(said.starts_with(&format!("imports {interface}, which")), "{said}");
    }
}

#[test]
fn an_empty_list_is_an_answer_and_lends_nothing() {
    let imports: Vec<String> = ["jwt", "http-client", "log"].map(str::to_owned).to_vec();
    let missing = |text: &str| crate::capability::missing_grant(&imports, &parse(text).unwrap());
    let sentence = missing("[grants]\njwt = [\"idp\"]\n").unwrap();
    assert!(sentence.contains("http-client") && !sentence.contains("jwt"), "{sentence}");
    assert_eq!(missing("[grants]\njwt = [\"idp\"]\nhttp = []\n"), None);
    assert_eq!(missing("[grants]\njwt = []\nhttp = [\"https://idp.example/\"]\n"), None);
    assert!(parse("[grants]\nhttp = []\n").unwrap().grants.http.is_empty());
}

#[test]
fn errors_of_grants_name_line_key_value_and_what_is_allowed() {
    let refuses = |text: &str, expected: &str| refuses(&format!("[grants]\n{text}"), expected);
    refuses("https = []", "m.toml:2: unknown field `https`, expected one of `secrets`, ");
    refuses("secrets = \"a\"", "m.toml:2: invalid type");
    refuses("secrets = [\n\"a\",\n\"b c\"]", "m.toml:4: grants.secrets: \"b c\": must be 1 to 64");
    refuses("reveal = [\"a\"]", "m.toml:2: grants.reveal: \"a\" does not stand in grants.secrets");
    refuses("state = \"1 GiB\"", "m.toml:2: grants.state = \"1 GiB\": must be from \"1 KiB\" to");
    refuses("state = 5", "m.toml:2: grants.state = 5: must be from \"1 KiB\" to \"64 MiB\"");
    refuses("\nhttp = [\"idp\"]", "m.toml:3: grants.http: \"idp\": is no URL");
    refuses("http_private = true", "m.toml:2: grants.http_private: means nothing without http");
    refuses("broker = [\"stop\"]", "m.toml:2: grants.broker: \"stop\": must be one of \"publish\"");
    refuses("broker = [\"publish\"]", "m.toml:2: grants.broker: \"publish\" needs publish_topics");
    refuses("publish_topics = [\"a\"]", "m.toml:2: grants.publish_topics: means nothing without");
    let topics = "broker = [\"publish\"]\npublish_topics = [\"a/#/b\"]";
    refuses(topics, "m.toml:3: grants.publish_topics: \"a/#/b\": is no Topic Filter: ");
    let many = format!("sql = {:?}", vec!["a"; 65]);
    refuses(&many, "m.toml:2: grants.sql: at most 64 entries are granted");
}
