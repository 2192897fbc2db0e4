//! `portcullis plugin list` and `plugin push` against a running broker.

use std::{fs, process::Command};

use super::{
    folder::{Folder, another_build, bundled, guest},
    process::{Program, portcullis, run},
};

fn plugin(program: &Program, folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = portcullis(&["plugin"]);
    command.args(arguments).arg("--url").arg(format!("http://{}", program.api().address));
    command.arg("--token-file").arg(folder.path("data/admin.token"));
    command
}

#[tokio::test]
async fn a_component_is_pushed_and_seen() {
    let folder = Folder::new();
    let program = Program::start_unready(&folder.config()).await;
    let list = || plugin(&program, &folder, &["list"]);
    let listed = run(list(), b"").await.expect_code(0);
    assert!(
        listed.stdout.contains("deny-all") || listed.stdout.contains("no plugin"),
        "{listed:?}"
    );
    let file = folder.path("deny-all.wasm");
    fs::write(&file, bundled("deny-all")).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let pushed = plugin(&program, &folder, &["push", file, "--name", "gate"]);
    let pushed = run(pushed, b"").await.expect_code(0);
    let words: Vec<_> = pushed.stdout.split_whitespace().collect();
    assert_eq!(words[..2], ["gate", "live"], "{pushed:?}");
    let stages: Vec<_> = pushed.stderr.lines().collect();
    assert_eq!(stages, ["received", "checking", "compiling", "testing"], "how far it is");
    let listed = run(list(), b"").await.expect_code(0);
    assert!(listed.stdout.contains(words[2]), "{listed:?}");
    assert_eq!(fs::read(folder.path("plugins/gate.wasm")).expect("stored"), bundled("deny-all"));
    // Another build of it takes its place.
    fs::write(folder.path("gate.wasm"), another_build(&bundled("deny-all"), 1)).expect("a file");
    let file = folder.path("gate.wasm");
    let again = plugin(&program, &folder, &["push", file.to_str().expect("UTF-8")]);
    let again = run(again, b"").await.expect_code(0);
    assert!(!again.stdout.contains(words[2]), "{again:?}");
}

/// Where signatures are required, the one beside the file goes with it.
#[tokio::test]
async fn a_signature_goes_with_its_component() {
    let folder = Folder::new();
    let key = folder.path("key");
    let key = key.to_str().expect("UTF-8");
    run(portcullis(&["plugin", "keygen", key]), b"").await.expect_code(0);
    let table = "[plugins]\nrequire_signature = true\ntrusted_keys = [\"key.pub\"]\n";
    let config = fs::read_to_string(folder.config()).expect("the configuration");
    folder.write("portcullis.toml", config.replace("[plugins]\n", table));
    let program = Program::start_unready(&folder.config()).await;
    let file = folder.path("gate.wasm");
    fs::write(&file, bundled("deny-all")).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let push = || plugin(&program, &folder, &["push", file]);
    let refused = run(push(), b"").await.expect_code(1);
    assert!(refused.stderr.contains("has no gate.sig"), "{refused:?}");
    run(portcullis(&["plugin", "sign", file, "--key", key]), b"").await.expect_code(0);
    run(push(), b"").await.expect_code(0);
    let signature = fs::read(folder.path("gate.sig")).expect("a signature");
    assert_eq!(fs::read(folder.path("plugins/gate.sig")).expect("stored"), signature);
}

#[tokio::test]
async fn what_cannot_be_pushed_says_why() {
    let folder = Folder::new();
    let program = Program::start_unready(&folder.config()).await;
    let pushed = async |name: &str, bytes: &[u8]| {
        let file = folder.path(name);
        fs::write(&file, bytes).expect("a file");
        run(plugin(&program, &folder, &["push", file.to_str().expect("UTF-8")]), b"").await
    };
    let refused = pushed("lent.wasm", &guest("lent")).await.expect_code(1);
    assert!(refused.stderr.contains("does not grant"), "{refused:?}");
    assert!(refused.stderr.starts_with("received\nchecking\n"), "{refused:?}");
    assert!(!refused.stderr.contains("compiling"), "{refused:?}");
    let refused = pushed("junk.wasm", b"junk").await.expect_code(1);
    assert!(refused.stderr.contains("the component"), "{refused:?}");
    let refused = pushed("no name.wasm", b"junk").await.expect_code(2);
    assert!(refused.stderr.contains("--name"), "{refused:?}");
    fs::write(folder.path("wrong"), "wrong\n").expect("a file");
    let mut wrong = portcullis(&["plugin", "list", "--url"]);
    wrong.arg(format!("http://{}", program.api().address));
    wrong.arg("--token-file").arg(folder.path("wrong"));
    let refused = run(wrong, b"").await.expect_code(1);
    assert!(refused.stderr.contains("401"), "{refused:?}");
    let nobody = ["plugin", "list", "--url", "http://127.0.0.1:1", "--token-file"];
    let mut nobody = portcullis(&nobody);
    nobody.arg(folder.path("data/admin.token"));
    let refused = run(nobody, b"").await.expect_code(1);
    assert!(refused.stderr.contains("http://127.0.0.1:1: "), "{refused:?}");
}
