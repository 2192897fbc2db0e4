//! `portcullis plugin check` and `portcullis plugin build`: what a plugin's author sees.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use codec::ReasonCode;

use super::{
    folder::{Folder, bundled, guests},
    knock::{enter, knock, login},
    process::{Ended, Program, portcullis, root, run},
    proof,
};

fn check(file: &Path) -> Command {
    let mut command = portcullis(&["plugin", "check"]);
    command.arg(file);
    command
}

/// What follows a word at the beginning of a line.
#[track_caller]
fn value<'a>(ended: &'a Ended, word: &str) -> &'a str {
    let line = ended.stdout.lines().find_map(|line| line.trim_start().strip_prefix(word));
    line.unwrap_or_else(|| panic!("no line {word:?}: {ended:?}")).trim()
}

fn sorted(list: &str) -> Vec<&str> {
    let mut names: Vec<_> = list.split(", ").collect();
    names.sort_unstable();
    names
}

/// What `plugin check` says of a guest of the tests behind a word.
pub(super) async fn described(guest: &str, word: &str) -> String {
    let file = guests().join(format!("{guest}.wasm"));
    let ended = run(check(&file), b"").await.expect_code(0);
    value(&ended, word).to_owned()
}

#[tokio::test]
async fn every_good_component_is_described() {
    let of_the_box = root().join("plugins/prebuilt");
    for (folder, name, hooks, imports) in [
        (&of_the_box, "acl-file", &["authorizer"][..], &["config", "files", "log"][..]),
        (&of_the_box, "allow-loopback", &["authenticator"], &["config", "log"]),
        (&of_the_box, "deny-all", &["authenticator"], &["log"]),
        (&of_the_box, "rate-policy", &["authenticator"], &["config", "log"]),
        (&of_the_box, "password-file", &["authenticator"], &["config", "crypto", "files", "log"]),
        (&guests(), "good", &["authenticator", "authorizer"], &["config", "log"]),
    ] {
        let file = folder.join(format!("{name}.wasm"));
        let ended = run(check(&file), b"").await.expect_code(0);
        assert_eq!(sorted(value(&ended, "hooks")), hooks, "{name}");
        assert_eq!(sorted(value(&ended, "imports")), imports, "{name}");
        assert_eq!(value(&ended, "grants"), "none needed", "{name}");
        let version = value(&ended, "says").strip_prefix(name);
        assert!(version.is_some_and(|version| version.starts_with(" 0.")), "{name}: {ended:?}");
        let size = fs::metadata(&file).expect("a file").len();
        assert_eq!(value(&ended, "size"), format!("{size} bytes as a component"), "{name}");
        let asks_for_files = ended.stdout.contains("under [files]");
        assert_eq!(asks_for_files, imports.contains(&"files"), "{name}: {ended:?}");
        assert_eq!(ended.stderr, "", "{name}");
    }
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_in_one_sentence() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let acl_file = bundled("acl-file");
    let made = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).expect("a file can be written");
        path
    };
    let guest = |name: &str| guests().join(format!("{name}.wasm"));
    let no_export = "does not export portcullis:plugin/plugin, so it is no plugin";
    for (file, words) in [
        (made("empty.wasm", b""), "is neither a WebAssembly component nor a core module"),
        (made("garbage.wasm", b"garbage"), "is neither a WebAssembly component nor a core module"),
        (made("truncated.wasm", &acl_file[..acl_file.len() / 2]), "is a damaged component"),
        (made("header.wasm", &acl_file[..8]), no_export),
        (made("module.wasm", b"\0asm\x01\0\0\0"), no_export),
        (guest("next-version"), "wants portcullis:plugin@0.2.0, host has 0.1.0"),
        (guest("unknown-import"), "imports example:unknown/mystery@0.1.0"),
        (guest("lies-in-describe"), "describe: trap"),
        (PathBuf::from("/nowhere/x.wasm"), "No such file"),
        (dir.path().to_owned(), "Is a directory"),
    ] {
        let ended = run(check(&file), b"").await.expect_code(1);
        let begins = format!("portcullis: {}: ", file.display());
        assert!(ended.stderr.starts_with(&begins), "{ended:?}");
        assert!(ended.stderr.contains(words), "{words:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        assert_eq!(ended.stdout, "", "{ended:?}");
    }
    run(portcullis(&["plugin", "check"]), b"").await.expect_code(2);
}

#[tokio::test]
async fn a_folder_that_is_no_project_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut build = portcullis(&["plugin", "build"]);
    build.arg(dir.path());
    let ended = run(build, b"").await.expect_code(1);
    assert!(ended.stderr.contains("Cargo.toml"), "{ended:?}");
}

/// The example becomes a component with the tools of this machine, and a broker takes it. Compiles
/// a standard library where the target is not installed, so it is no sample for every run.
#[tokio::test]
async fn the_example_is_built_and_decides() {
    if !proof() {
        return;
    }
    let example = root().join("examples/plugins/hello-authenticator");
    let folder = Folder::new();
    let output = folder.path("hello.wasm");
    let mut build = portcullis(&["plugin", "build"]);
    build.arg(&example).arg("--output").arg(&output);
    build.env("CARGO_TARGET_DIR", root().join("target/hello-authenticator"));
    // A compiler takes longer than anything else here may.
    let built = tokio::task::spawn_blocking(move || build.output()).await.expect("a thread");
    let built = built.expect("the program can be started");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert!(String::from_utf8_lossy(&built.stdout).contains("hooks    authenticator"));

    let manifest = fs::read_to_string(example.join("hello-authenticator.toml")).expect("a file");
    let component = fs::read(&output).expect("the component");
    folder.install_with("hello-authenticator", &component, &manifest);
    let broker = Program::start(&folder.config()).await;
    enter(broker.mqtt(), login("a", ("anybody", "hello"))).await.quiet().await;
    let (code, _) = knock(broker.mqtt(), login("b", ("anybody", "wrong"))).await;
    assert_eq!(code, ReasonCode::BadUserNameOrPassword);
}
