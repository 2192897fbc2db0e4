//! `portcullis check` against what `portcullis run` does with the same folder.

use std::{fs, path::Path};

use codec::ReasonCode;
use serde_json::Value;

use super::{
    folder::{Folder, bundled, guest},
    knock::{knock, login},
    process::{Program, portcullis, root, run},
};

fn check(config: &Path) -> std::process::Command {
    let mut command = portcullis(&["check", "--config"]);
    command.arg(config);
    command
}

/// Every file below a folder with its content.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push((path.display().to_string(), fs::read(&path).expect("a file")));
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn a_good_folder_passes_and_is_left_alone() {
    let folder = Folder::bundled();
    let before = files(&folder.path(""));
    let ended = run(check(&folder.config()), b"").await.expect_code(0);
    assert!(ended.stdout.contains("portcullis.toml: ok"), "{ended:?}");
    assert!(ended.stdout.contains("acl-file, password-file"), "{ended:?}");
    assert_eq!(ended.stderr, "");
    assert!(files(&folder.path("")) == before, "check has written something");
    assert!(!folder.path("data").exists(), "check has made the data folder");
}

/// What check complains of is what keeps a broker from being ready, plugin by plugin.
#[tokio::test]
async fn check_and_run_agree_on_what_is_wrong() {
    let folder = Folder::bundled();
    let passwords = bundled("password-file");
    folder.write("torn-passwords", "alice:$7$101$cG9ydGN1bGxpcy1h\n");
    let faults = [
        ("a-file-gone", "[files]\npasswords = \"../gone\"\n", "gone"),
        ("an-unknown-key", "ordr = 1\n", "an-unknown-key.toml:1: unknown field `ordr`"),
        ("a-file-outside", "[files]\npasswords = \"/etc/hostname\"\n", "/etc/hostname"),
        ("torn-lines", "[files]\npasswords = \"../torn-passwords\"\n", "torn-lines.wasm: "),
    ];
    for (name, manifest, _) in faults {
        folder.install_with(name, &passwords, manifest);
    }
    folder.install("next-version", &guest("next-version"));
    folder.install("half", &passwords[..passwords.len() / 2]);

    let ended = run(check(&folder.config()), b"").await.expect_code(1);
    for words in faults.map(|(_, _, words)| words).iter().chain(&[
        "next-version.wasm: wants portcullis:plugin@0.2.0",
        "half.wasm: is a damaged component",
        "6 problems",
    ]) {
        assert!(ended.stderr.contains(words), "{words:?} is not in {}", ended.stderr);
    }
    for good in ["acl-file.", "password-file."] {
        assert!(!ended.stderr.contains(good), "{}", ended.stderr);
    }

    let broker = Program::start_unready(&folder.config()).await;
    let ready = broker.api().get("/readyz").await.expect(503).json();
    let problems = ready["problems"].as_array().expect("a list");
    let names = faults.map(|(name, ..)| name);
    for name in names.iter().chain(&["next-version", "half"]) {
        let about = |problem: &&Value| problem.as_str().is_some_and(|text| text.contains(name));
        assert_eq!(problems.iter().filter(about).count(), 1, "{name}: {ready}");
    }
    assert_eq!(problems.len(), 6, "{ready}");
    broker.stop().await;
}

/// The example with two listeners lies beside a folder of a quickstart, as its comment says.
#[tokio::test]
async fn the_example_with_two_listeners_works() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data = dir.path().join("portcullis-data");
    let mut quickstart = portcullis(&["quickstart", "--once", "--dir"]);
    quickstart.arg(&data);
    run(quickstart, b"").await.expect_code(0);
    let example = fs::read_to_string(root().join("examples/two-listeners.toml")).expect("a file");
    let examples = dir.path().join("examples");
    fs::create_dir(&examples).expect("a folder");
    let config = examples.join("two-listeners.toml");
    let free_ports = example.replace(":1883\"", ":0\"").replace(":1884\"", ":0\"");
    fs::write(&config, format!("{free_ports}\n[admin]\nbind = \"127.0.0.1:0\"\n")).expect("a file");
    run(check(&config), b"").await.expect_code(0);

    // Where the support expects the token.
    std::os::unix::fs::symlink(&data, examples.join("data")).expect("a link");
    let broker = Program::start(&config).await;
    let password = fs::read_to_string(data.join("demo.password")).expect("the password");
    let demo = ("demo", password.trim());
    let (code, _) = knock(broker.listener("users"), login("a", demo)).await;
    assert_eq!(code, ReasonCode::Success);
    let (code, _) = knock(broker.listener("closed"), login("b", demo)).await;
    assert_eq!(code, ReasonCode::NotAuthorized);
}
