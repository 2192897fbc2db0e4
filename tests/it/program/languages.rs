//! Plugins in every language that `plugin new` knows: the project that it makes is built with the
//! language's own tools, does what its cases say, and stands at the gate of a real broker.
//!
//! Compilers are installed by `tests/setup`; without one its test fails and says how to get it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use codec::{QoS, ReasonCode};
use portcullis_tests::packets;

use super::{
    folder::Folder,
    knock::{enter, knock, login},
    process::{Program, binary, portcullis, root, run},
};

#[tokio::test]
async fn rust() {
    stands_at_the_gate("rust").await;
}

#[tokio::test]
async fn c() {
    stands_at_the_gate("c").await;
}

#[tokio::test]
async fn javascript() {
    stands_at_the_gate("js").await;
}

#[tokio::test]
async fn typescript() {
    stands_at_the_gate("ts").await;
}

#[tokio::test]
async fn go() {
    stands_at_the_gate("go").await;
}

#[tokio::test]
async fn python() {
    stands_at_the_gate("python").await;
}

async fn stands_at_the_gate(language: &str) {
    let name = format!("gate-in-{language}");
    let projects = tempfile::tempdir().expect("a temporary folder");
    let project = projects.path().join("project");
    make(language, &name, &project).await;
    build(language, &project).await;
    let component = project.join(format!("{name}.wasm"));
    // Each hook has its cases, and each answers whatever it is asked.
    let mut test = portcullis(&["plugin", "test", "--fuzz", "100"]);
    test.arg(&component);
    let ended = run(test, b"").await.expect_code(0);
    assert!(ended.stdout.contains("cases.toml: 0 of 9 cases failed"), "{ended:#?}");
    println!("{language}\n{}", ended.stdout);

    let folder = Folder::new();
    let manifest = project.join(format!("{name}.toml"));
    let manifest = fs::read_to_string(manifest).expect("a manifest");
    folder.install_with(&name, &fs::read(component).expect("a component"), &manifest);
    let broker = Program::start(&folder.config()).await;
    let (code, _) = knock(broker.mqtt(), login("intruder", ("alice", "wrong"))).await;
    assert_eq!(code, ReasonCode::BadUserNameOrPassword);
    let mut alice = enter(broker.mqtt(), login("a", ("alice", "open sesame"))).await;
    alice.subscribe("devices/alice/#", QoS::AtMostOnce).await;
    alice.publish("devices/alice/name", "pump 7").await;
    alice.take("devices/alice/name", "PUMP 7").await;
    alice.publish("devices/alice/warmth", "warm").await;
    alice.take("devices/alice/warmth", "warm").await;
    for (id, topic, payload, code) in [
        (1, "devices/bob/name", "pump", ReasonCode::NotAuthorized),
        (2, "devices/alice/name", "", ReasonCode::PayloadFormatInvalid),
    ] {
        alice.send(packets::qos1(id, topic, payload)).await;
        assert_eq!(alice.puback(id).await, code, "{topic}");
    }
    alice.send(packets::subscribe(3, &[("devices/#", QoS::AtMostOnce)])).await;
    alice.expect(packets::suback(3, &[ReasonCode::NotAuthorized])).await;
    alice.quiet().await;
}

async fn make(language: &str, name: &str, project: &Path) {
    let mut new = portcullis(&["plugin", "new", "--lang", language, name, "--dir"]);
    new.arg(project);
    run(new, b"").await.expect_code(0);
}

async fn build(language: &str, project: &Path) {
    let built = try_to_build(language, project).await;
    assert!(built.status.success(), "{}", told(&built));
}

async fn try_to_build(language: &str, project: &Path) -> Output {
    let mut build = Command::new(root().join("examples/build"));
    build.arg(language).arg(project).env("PORTCULLIS", binary());
    // A compiler takes longer than anything else here may.
    let built = tokio::task::spawn_blocking(move || build.output()).await.expect("a thread");
    built.expect("the script can be started")
}

fn told(output: &Output) -> String {
    let (stdout, stderr) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr))
}

/// Puts something else into a file of a project.
fn change(file: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(file).expect("a file");
    assert!(text.contains(old), "{old} is not in {}", file.display());
    fs::write(file, text.replace(old, new)).expect("the file is writable");
}

/// An answer that the contract does not have is found by the compiler.
#[tokio::test]
async fn the_types_of_typescript_are_checked() {
    let projects = tempfile::tempdir().expect("a temporary folder");
    let project = projects.path().join("project");
    make("ts", "gate", &project).await;
    change(&project.join("plugin.ts"), "{ tag: 'next' }", "{ tag: 'perhaps' }");
    let built = try_to_build("ts", &project).await;
    assert!(!built.status.success() && told(&built).contains("TS2322"), "{}", told(&built));
    assert!(!project.join("gate.wasm").exists());
}

/// What Go's own library asks the operating system for comes from the contract, also while garbage is
/// collected; and what it prints last is in the log.
#[tokio::test]
async fn go_has_the_time_random_numbers_and_a_last_word() {
    let projects = tempfile::tempdir().expect("a temporary folder");
    let project = projects.path().join("project");
    make("go", "gate", &project).await;
    let hooks = project.join("hooks/hooks.go");
    change(&hooks, "\t\"crypto/subtle\"\n", "\t\"crypto/rand\"\n\t\"crypto/subtle\"\n\t\"time\"\n");
    change(
        &hooks,
        "func SelfTest() Result[Unit, pluginError] {\n",
        "func SelfTest() Result[Unit, pluginError] {\n\
         \tone, other := make([]byte, 9000), make([]byte, 9000)\n\
         \trand.Read(one)\n\
         \trand.Read(other)\n\
         \tzeroes := bytes.Count(one[8192:], []byte{0})\n\
         \tbegan := time.Now()\n\
         \tfor range 200 {\n\
         \t\tpassword = bytes.Repeat(password, 1)\n\
         \t\t_ = make([]byte, 1<<20)\n\
         \t}\n\
         \ttime.Sleep(20 * time.Millisecond)\n\
         \ttook := time.Since(began)\n\
         \twrong := bytes.Equal(one, other) || zeroes > 100 || began.Year() < 2026\n\
         \tif wrong || took < 20*time.Millisecond {\n\
         \t\tpanic(\"not of this world\")\n\
         \t}\n\
         \tprintln(\"gr\\u00fc\\u00dfe\")\n\
         \tpanic(\"as was agreed\")\n",
    );
    build("go", &project).await;
    let mut test = portcullis(&["plugin", "test"]);
    test.arg(project.join("gate.wasm"));
    let ended = run(test, b"").await.expect_code(1);
    for expected in ["gr????e", "panic: as was agreed", "self-test"] {
        assert!(ended.stderr.contains(expected), "{expected}: {ended:#?}");
    }
}

/// An example and what is made of it differ in the name only, and nothing is written over.
#[tokio::test]
async fn a_project_is_its_example_under_another_name() {
    for language in ["rust", "c", "js", "ts", "python", "go"] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let project = dir.path().join("project");
        make(language, "my-gate", &project).await;
        let example = root().join("examples/plugins").join(language);
        for file in ["README.md", "wit/world.wit", "wit/deps/portcullis/types.wit"] {
            let read = |path: &Path| fs::read_to_string(path).expect("a file");
            let expected = read(&example.join(file)).replace("first-plugin", "my-gate");
            assert_eq!(read(&project.join(file)), expected, "{language}: {file}");
        }
        assert!(
            project.join("my-gate.cases.toml").is_file() && project.join(".gitignore").is_file()
        );

        let mut again = portcullis(&["plugin", "new", "--lang", language, "my-gate", "--dir"]);
        again.arg(&project);
        let ended = run(again, b"").await.expect_code(1);
        assert!(ended.stderr.contains("exists"), "{ended:?}");
    }
    for name in ["Gate", "../gate", "2gate"] {
        let ended = run(portcullis(&["plugin", "new", "--lang", "c", name]), b"").await;
        let ended = ended.expect_code(1);
        assert!(ended.stderr.contains("must be 1 to 64 lower-case letters"), "{ended:?}");
    }
    run(portcullis(&["plugin", "new", "--lang", "cobol", "gate"]), b"").await.expect_code(2);
}
