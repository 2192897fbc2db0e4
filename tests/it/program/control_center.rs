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
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::{
    folder::{ALICE, Folder, bundled},
    process::{Program, root, start},
};

/// A plugin that is uploaded; it needs nothing.
const UPLOADED: &str = "allow-loopback";

#[tokio::test]
async fn people_log_in_and_see_what_happens() {
    walk(&["login", "overview", "notices", "keyboard", "withoutScript"]).await;
}

#[tokio::test]
async fn people_find_clients_and_act_on_them() {
    walk(&["clients", "bans", "decisions", "whoMay"]).await;
}

#[tokio::test]
async fn people_upload_plugins_and_make_users() {
    walk(&["plugins", "people", "masked"]).await;
}

#[tokio::test]
async fn people_approve_versions_go_back_and_try_them_in_the_shadow() {
    let folder = Folder::bundled();
    let files = "control = \"optional\"\n[files]\npasswords = \"../passwords\"\n";
    folder.install_with("asking", &bundled(UPLOADED), files);
    walk_in(&folder, &["versions"]).await;
}

#[tokio::test]
async fn people_see_what_the_broker_holds_and_what_was_written_down() {
    walk(&["holdings", "records", "keyRings", "links"]).await;
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
    let folder = Folder::bundled();
    let broker = walk_in(&folder, &["injection"]).await;
    let log = broker.log_text();
    broker.stop().await;
    let mut lines = 0;
    let mut check = |text: &str, time: &str| {
        for line in text.lines() {
            let record: Result<Map<String, Value>, _> = serde_json::from_str(line);
            assert!(record.is_ok_and(|record| record.contains_key(time)), "no record: {line:?}");
            assert!(!line.contains(char::is_control), "{line:?}");
            lines += 1;
        }
    };
    check(&log, "timestamp");
    let days = fs::read_dir(folder.path("data/access")).expect("the access log");
    for day in days {
        let day = fs::read_to_string(day.expect("a file").path()).expect("its lines");
        check(&day, "time");
        assert!(day.contains("line\\nbreak"), "the client with a line break is in it");
    }
    assert!(lines > 50, "{lines} lines");
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
    if is_for_keeps() {
        fs::create_dir_all(&kept).expect("a folder");
        fs::copy(seen.join(NAVIGATION), kept.join(NAVIGATION)).expect("the navigation");
    }
    let names = |folder: &Path| fs::read_to_string(folder.join(NAVIGATION)).expect("its pages");
    assert_eq!(names(&seen), names(&kept), "the pictures are of other pages: {RETAKE}");
    let page = fs::read_to_string(root().join("docs/operate/tour.md")).expect("the tour");
    for name in PICTURES {
        let file = format!("{name}.png");
        if is_for_keeps() {
            fs::copy(seen.join(&file), kept.join(&file)).expect("a picture");
        }
        assert!(page.contains(&format!("(tour/{file})")), "the tour does not show {file}");
        let bytes = fs::metadata(kept.join(&file)).expect("a picture of the tour").len();
        assert!((5_000..150_000).contains(&bytes), "{file} has {bytes} bytes");
    }
}

/// Pages of the navigation when the pictures were taken; it is on each of them.
const NAVIGATION: &str = "navigation.txt";
const RETAKE: &str = "take them anew with PORTCULLIS_TOUR=1";

fn is_for_keeps() -> bool {
    std::env::var_os("PORTCULLIS_TOUR").is_some()
}

/// Walks flows in front of a broker of its own.
async fn walk(flows: &[&str]) {
    walk_in(&Folder::bundled(), flows).await;
}

/// The same in this folder; the broker still serves.
async fn walk_in(folder: &Folder, flows: &[&str]) -> Program {
    drive("control_center.mjs", folder, flows, &root().join("target/screenshots")).await
}

/// Longest time of all flows of a test: a browser among compilers is slow, and the tour waits a minute
/// for charts to fill.
const WALK: Duration = Duration::from_secs(300);

/// One browser at a time: each is many processes, and a page that is slow to come fails its flow.
static BROWSER: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs a script in front of a broker with this folder.
async fn drive(script: &str, folder: &Folder, flows: &[&str], screenshots: &Path) -> Program {
    // The first line belongs to [admin]. A few refusals in a row are part of the flows.
    let more = "edit_config = true\n[limits.login_backoff]\nfree_failures = 100\n\
         [keys.devices]\nmanaged = true\n\
         [[listeners]]\nname = \"internal\"\nbind = \"127.0.0.1:0\"\nchain = [\"acl-file\"]\n";
    folder.configure_more(more);
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
        "asks_for_more": root().join("plugins/prebuilt/password-file.wasm"),
        "built_in": "acl-file",
        "screenshots": screenshots,
        "for_keeps": is_for_keeps(),
        "flows": flows,
    });
    let _browser = BROWSER.lock().await;
    let mut command = Command::new("node");
    command.arg(root().join("tests/browser").join(script)).arg(settings.to_string());
    let ended = start(command, b"").ended_within(WALK).await;
    assert_eq!(ended.code(), 0, "{}\n{}", ended.stdout, ended.stderr);
    for flow in flows {
        assert!(ended.stdout.contains(&format!("{flow}: ok")), "{flow}: {}", ended.stdout);
    }
    broker
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
