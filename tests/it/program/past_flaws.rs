//! The flaws that brokers had before this one, a test for each class: who follows the list sees what was learnt from it.
//!
//! Each test says in its doc comment which one it is (`N7: ...`) and where it was; those of TLS stand in
//! `transport_tls.rs`. [`every_past_flaw_has_its_test`] holds them to the list.

mod barrage;
mod bytes;
mod chain;
mod files;
mod memory;
mod operator;
mod rights;

use std::{collections::BTreeSet, fs, path::Path};

use codec::{QoS, ReasonCode};

use super::{
    folder::{Folder, guest},
    knock::{enter, login},
    process::{Program, root},
};

/// How many there are.
const FLAWS: usize = 40;

/// Lets everybody in, and lets them do everything.
const OPEN: &str = "[config]\nanyone = true\nanswer = \"rules\"\n[[config.rules]]\nallow = true\n\
                    activity = [\"publish\", \"subscribe\"]\nfilter = \"#\"\n";

/// A folder with an open gate and `more` configuration.
fn open(more: &str) -> Folder {
    let folder = Folder::new();
    folder.install_with("gate", &guest("good"), OPEN);
    folder.configure_more(more);
    folder
}

/// A broker with an open gate.
async fn start_open(more: &str) -> (Folder, Program) {
    let folder = open(more);
    let program = Program::start(&folder.config()).await;
    (folder, program)
}

/// It serves as on the first day, and no task of it ended in a panic.
async fn unharmed(program: &Program) {
    program.api().get("/livez").await.expect(200);
    let mut client = enter(program.mqtt(), login("unharmed", ("unharmed", "any"))).await;
    client.subscribe("un/harmed", QoS::AtLeastOnce).await;
    assert_eq!(client.publish("un/harmed", "x").await, ReasonCode::Success);
    client.take("un/harmed", "x").await;
    client.leave().await;
    let log = program.log_text();
    assert!(!log.contains("panicked"), "{log}");
}

/// The numbers of flaws that doc comments of tests in a file name.
fn named(file: &Path) -> Vec<usize> {
    let mut found = Vec::new();
    let text = fs::read_to_string(file).expect("a source");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(number) = line.strip_prefix("/// N").and_then(|rest| rest.split_once(": ")) else {
            continue;
        };
        let behind = lines[at..].iter().find(|line| !line.starts_with("///"));
        let is_test = behind
            .is_some_and(|line| line.starts_with("#[tokio::test") || line.starts_with("#[test]"));
        assert!(is_test, "{line} documents no test");
        found.push(number.0.parse().unwrap_or_else(|_| panic!("{line}")));
    }
    found
}

#[test]
fn every_past_flaw_has_its_test() {
    let folder = fs::read_dir(root().join("tests/it/program/past_flaws")).expect("the tests");
    let mut files: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    files.push(root().join("tests/it/transport_tls.rs"));
    let tested: BTreeSet<_> = files.iter().flat_map(|file| named(file)).collect();
    assert_eq!(tested, (1..=FLAWS).collect());
}
