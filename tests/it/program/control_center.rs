//! The control center in a browser that we did not write: headless Chromium, driven by
//! playwright-core, with axe-core looking for what keeps people out.
//!
//! The flows are `tests/browser/control_center.mjs`. A flow fails on its own checks, and on every
//! error of a script, every violation of the Content Security Policy, every dialog that a script
//! opens, serious findings of axe, and pages wider than a phone. What it saw lies in
//! `target/screenshots`. With `PORTCULLIS_TOUR=1` the pictures of `docs/operate/tour.md` are taken anew.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

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
async fn people_trace_devices_and_change_the_configuration() {
    walk(&["traces", "configuration"]).await;
}

#[tokio::test]
async fn every_page_is_accessible_dark_and_light_and_fits_a_phone() {
    walk(&["looks"]).await;
}

#[tokio::test]
async fn text_of_clients_never_runs() {
    walk(&["injection"]).await;
}

/// Pictures of the tour, by name.
const PICTURES: [&str; 7] =
    ["overview", "clients", "client", "plugin", "decision", "who-may", "phone"];

#[tokio::test]
async fn the_tour_can_be_taken_and_shows_its_pictures() {
    let seen = root().join("target/screenshots/tour");
    let folder = Folder::bundled();
    folder.write(
        "acl.toml",
        "[[rules]]\ndeny = \"all\"\ntopic = \"plant/secret/#\"\n\n\
         [[rules]]\nallow = \"all\"\ntopic = \"plant/#\"\n",
    );
    drive("tour.mjs", &folder, &["tour"], &seen).await;
    let kept = root().join("docs/operate/tour");
    let page = fs::read_to_string(root().join("docs/operate/tour.md")).expect("the tour");
    for name in PICTURES {
        let file = format!("{name}.png");
        if std::env::var_os("PORTCULLIS_TOUR").is_some() {
            fs::create_dir_all(&kept).expect("a folder");
            fs::copy(seen.join(&file), kept.join(&file)).expect("a picture");
        }
        assert!(page.contains(&format!("(tour/{file})")), "the tour does not show {file}");
        let bytes = fs::metadata(kept.join(&file)).expect("a picture of the tour").len();
        assert!((5_000..150_000).contains(&bytes), "{file} has {bytes} bytes");
    }
}

/// Walks flows in front of a broker of its own.
async fn walk(flows: &[&str]) {
    let folder = Folder::bundled();
    drive("control_center.mjs", &folder, flows, &root().join("target/screenshots")).await;
}

/// One browser at a time: each is many processes, and a page that is slow to come fails its flow.
static BROWSER: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs a script in front of a broker with this folder.
async fn drive(script: &str, folder: &Folder, flows: &[&str], screenshots: &Path) {
    // The configuration is changed in one of the flows; a few refusals in a row are part of others.
    folder.configure_more("edit_config = true\n");
    folder.configure_more("[limits.login_backoff]\nfree_failures = 100\n");
    let broker = Program::start(&folder.config()).await;
    let token = fs::read_to_string(folder.path("data/admin.token")).expect("the token");
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
        "screenshots": screenshots,
        "flows": flows,
    });
    let _browser = BROWSER.lock().await;
    let mut command = Command::new("node");
    command.arg(root().join("tests/browser").join(script)).arg(settings.to_string());
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
