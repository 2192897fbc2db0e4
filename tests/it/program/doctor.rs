//! `portcullis doctor` over real folders and a real broker: what it sees there, and how it ends.

use std::{fs, os::unix::fs::PermissionsExt};

use portcullis_tests::{Authority, Wish};
use serde_json::Value;

use super::{
    folder::{Folder, bundled},
    process::{Ended, Program, portcullis, run},
};

async fn doctor(folder: &Folder, more: &[&str]) -> Ended {
    let config = folder.config();
    let config = config.to_str().expect("a path of text");
    run(portcullis(&[&["doctor", "--config", config], more].concat()), b"").await
}

/// Verdict and sights of a check.
#[track_caller]
fn check(report: &Value, id: &str) -> (String, String) {
    let checks = report["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["id"] == id);
    let found = found.unwrap_or_else(|| panic!("no {id} in {report}"));
    (found["verdict"].as_str().expect("a word").to_owned(), found["seen"].to_string())
}

fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[tokio::test]
async fn a_running_broker_is_judged() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let url = format!("http://{}", program.api().address);
    let ended = doctor(&folder, &["--json", "--url", &url]).await.expect_code(0);
    let report = report(&ended);
    assert_eq!(report["fail"], 0, "{report}");
    for id in ["config", "file-modes", "broker-running", "broker-ready", "chain", "plugins-load"] {
        assert_eq!(check(&report, id).0, "ok", "{id}: {report}");
    }
    assert!(check(&report, "listeners-reachable").1.contains("1 accept"), "{report}");
    // The passwords of these tests are cheap on purpose.
    let (verdict, seen) = check(&report, "password-hashes");
    assert!(verdict == "warn" && seen.contains("101 iterations"), "{seen}");
    assert!(!ended.stdout.contains("alice"), "users are not named");

    // A plugin that breaks while it runs.
    folder.write("acl.toml", "allow everything");
    program.plugin("acl-file", |plugin| plugin["state"] == "live_old").await;
    let ended = doctor(&folder, &["--json", "--url", &url]).await.expect_code(1);
    let (verdict, seen) = check(&self::report(&ended), "plugins-load");
    assert!(verdict == "fail" && seen.contains("acl-file is live_old"), "{seen}");
    assert!(ended.stderr.contains("check"), "{ended:?}");

    // For people, and without the configuration.
    let token = folder.path("data/admin.token");
    let token = token.to_str().expect("a path of text");
    let table = run(portcullis(&["doctor", "--url", &url, "--token-file", token]), b"").await;
    assert!(
        table.stdout.contains("application broker-running       http://127.0.0.1:"),
        "{table:?}"
    );
    assert!(table.stdout.lines().last().expect("a line").contains("to mend"), "{table:?}");
    assert!(!table.stdout.contains("file-modes"), "{table:?}");
    program.stop().await;
    let ended = doctor(&folder, &["--json", "--url", &url]).await.expect_code(1);
    assert_eq!(check(&self::report(&ended), "broker-running").0, "fail");
}

#[tokio::test]
async fn a_configuration_is_judged() {
    let folder = Folder::bundled();
    let ended = doctor(&folder, &["--json"]).await.expect_code(0);
    let good = report(&ended);
    assert_eq!((check(&good, "broker-running").0.as_str(), &good["fail"]), ("warn", &0.into()));

    folder.install("allow-loopback", &bundled("allow-loopback"));
    folder.write("acl.toml", "[[rules]]\nallow = \"all\"\ntopic = \"#\"\n");
    folder.write("open-secret", "hush");
    let mode = |path, mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path(path), mode).expect("a mode can be set");
    };
    mode("open-secret", 0o644);
    mode("plugins", 0o777);
    folder.configure(
        "[[listeners]]\nname = \"mqtt\"\nbind = \"0.0.0.0:0\"\n[listeners.proxy_protocol]\n\
         trusted = [\"0.0.0.0/0\"]\n[limits]\nconnections = 10000000\n\
         [store]\ndurability = \"memory\"\n[secrets.s]\nvalue = \"file:open-secret\"\n",
    );
    let ended = doctor(&folder, &["--json"]).await.expect_code(1);
    let bad = report(&ended);
    for (id, words) in [
        ("file-modes", "plugins: mode 0777"),
        ("secret-files", "open-secret: mode 0644"),
        ("listeners-public", "mqtt (tcp) listens at 0.0.0.0"),
        ("proxy-trust", "0.0.0.0/0"),
        ("open-files", "wants 10000000"),
        ("acl-rules", "whoever is let in may"),
        ("allow-loopback", "gets in"),
    ] {
        let (verdict, seen) = check(&bad, id);
        assert!(verdict == "fail" && seen.contains(words), "{id}: {verdict} {seen}");
    }
    assert_eq!(check(&bad, "durability").0, "warn");
    assert!(!ended.stdout.contains("hush"), "secrets are not shown");

    // What is shown to clients, the end of each chain.
    let authority = Authority::root("root");
    let wish = |is_over| Wish { names: &["localhost"], serial: 1, is_over, ..Wish::default() };
    let mut listeners = String::new();
    for (name, is_over) in [("good", false), ("over", true)] {
        let held = authority.certify(&wish(is_over));
        folder.write(&format!("{name}.pem"), &held.chain);
        folder.write(&format!("{name}.key"), &held.key);
        listeners += &format!(
            "[[listeners]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\ntransport = \"tls\"\n\
             [listeners.tls]\ncert = \"{name}.pem\"\nkey = \"{name}.key\"\n"
        );
    }
    folder.configure(&listeners);
    let ended = doctor(&folder, &["--json"]).await.expect_code(1);
    let (verdict, seen) = check(&report(&ended), "tls-certificates");
    assert!(verdict == "fail" && seen.contains("over.pem has expired"), "{seen}");
    assert!(seen.contains("good.pem is good for "), "{seen}");

    // Too broken to look further, or not there.
    folder.write("portcullis.toml", "data_dir = 1\n");
    let ended = doctor(&folder, &["--json"]).await.expect_code(1);
    let (verdict, seen) = check(&report(&ended), "config");
    assert!(verdict == "fail" && seen.contains("data_dir"), "{seen}");
    run(portcullis(&["doctor", "--config", "/nowhere/at/all.toml"]), b"").await.expect_code(1);
}
