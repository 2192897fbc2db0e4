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
    refuses("[grants]\nhttp = [\"https://x/\"]", "m.toml:1: grants.http: this host has no such");
    refuses("[files]\na = \"\"", "m.toml:2: files.a = \"\": must be a path");
    refuses("[config]\nx = inf", "m.toml:1: config.x: infinite");
    refuses("not toml at all", "m.toml:1:");
    refuses("[outbound]\nx = 1", "m.toml:1: unknown field `outbound`");
}
