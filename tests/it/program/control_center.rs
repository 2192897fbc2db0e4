//! The control center in a browser that we did not write: headless Chromium, driven by
//! playwright-core, with axe-core looking for what keeps people out.
//!
//! The flows are `tests/browser/control_center.mjs`. A flow fails on its own checks, and on every
//! error of a script, every violation of the Content Security Policy, every dialog that a script
//! opens, serious findings of axe, and pages wider than a phone. What it saw lies in
//! `target/screenshots`.

use std::{path::PathBuf, process::Command};

use serde_json::json;

use super::{
    folder::{ALICE, Folder},
    process::{Program, root, run},
};

/// A plugin that is uploaded; it needs nothing.
const UPLOADED: &str = "allow-loopback";

#[tokio::test]
async fn people_log_in_and_see_what_happens() {
    walk(&["login", "overview", "keyboard", "withoutScript"]).await;
}

#[tokio::test]
async fn people_find_clients_and_act_on_them() {
    walk(&["clients", "bans", "decisions", "whoMay"]).await;
}

#[tokio::test]
async fn people_upload_plugins_and_make_users() {
    walk(&["plugins", "people"]).await;
}

#[tokio::test]
async fn every_page_is_accessible_dark_and_light_and_fits_a_phone() {
    walk(&["looks"]).await;
}

#[tokio::test]
async fn text_of_clients_never_runs() {
    walk(&["injection"]).await;
}

/// Walks flows in front of a broker of its own.
async fn walk(flows: &[&str]) {
    let folder = Folder::bundled();
    // A few refusals in a row are part of the flows.
    folder.configure_more("[limits.login_backoff]\nfree_failures = 100\n");
    let broker = Program::start(&folder.config()).await;
    let token = std::fs::read_to_string(folder.path("data/admin.token")).expect("the token");
    let tools = root().join("target/test-tools/node");
    for package in ["playwright-core", "axe-core", "mqtt"] {
        installed(tools.join("node_modules").join(package).join("package.json"));
    }
    let settings = json!({
        "tools": tools,
        "chromium": chromium(),
        "admin": format!("http://{}", broker.api().address),
        "token": token.trim(),
        "mqtt": broker.mqtt().port(),
        "username": ALICE.0,
        "password": ALICE.1,
        "component": installed(root().join(format!("plugins/prebuilt/{UPLOADED}.wasm"))),
        "plugin": UPLOADED,
        "built_in": "acl-file",
        "screenshots": root().join("target/screenshots"),
        "flows": flows,
    });
    let mut command = Command::new("node");
    command.arg(root().join("tests/browser/control_center.mjs")).arg(settings.to_string());
    let ended = run(command, b"").await;
    assert_eq!(ended.code(), 0, "{}\n{}", ended.stdout, ended.stderr);
    for flow in flows {
        assert!(ended.stdout.contains(&format!("{flow}: ok")), "{flow}: {}", ended.stdout);
    }
}

fn installed(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is not there; install it with: tests/setup", path.display());
    path
}

fn chromium() -> PathBuf {
    let names = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let found = names.iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("there is no Chromium; install it with: tests/setup"))
}
