//! How long a start takes, and how much memory. Figures with `PORTCULLIS_PROOF=1` and `--nocapture`.

use std::{process::Command, time::Instant};

use super::*;

const FOLDER: &str = "PORTCULLIS_TEST_START";
const PAYLOAD: &[u8] = &[7; 100];

/// Resident memory of this process in bytes, now and at its peak.
fn memory() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    };
    (value("VmRSS:"), value("VmHWM:"))
}

/// The child: opens what another process wrote.
#[test]
fn start_of_a_store() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (before, begun) = (memory().0, Instant::now());
    let (_store, recovered) = FileStore::open(Options::new(folder)).unwrap();
    let (seconds, (after, peak)) = (begun.elapsed().as_secs_f64(), memory());
    let claims: usize = recovered.sessions.iter().map(|session| session.owed.len()).sum();
    let each = |bytes: u64| bytes.saturating_sub(before) / claims as u64;
    println!(
        "{claims} claims of {} sessions: {seconds:.2} s, {} bytes each, {} at the peak",
        recovered.sessions.len(),
        each(after),
        each(peak),
    );
}

/// Fills a store and has another process open it.
fn measure(sessions: u64, messages: u64, each_for_all: bool) {
    let folder = TempDir::new().unwrap();
    let os = Options { durability: Durability::Os, ..Options::new(folder.path()) };
    let (store, _) = FileStore::open(os).unwrap();
    let keys: Vec<_> = (0..sessions).map(|_| store.new_session()).collect();
    for key in &keys {
        store.put_session(*key, session(&format!("client-{}", key.0)));
    }
    for number in 1..=messages {
        let claims: Vec<_> = keys.iter().map(|key| owed(*key, number)).collect();
        let messages = if each_for_all { claims.len() } else { 1 };
        let mut last = Ticket::default();
        for claims in claims.chunks(messages) {
            let position = store.append_message(&message("plant/7/temperature", PAYLOAD), None);
            last = store.append_owed(position, (120, None), claims);
        }
        if number % 100 == 0 {
            wait(&store, last);
        }
    }
    drop(store);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "file::tests::start::start_of_a_store", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    let figures = said.lines().find(|line| line.contains("bytes each")).expect("opens it");
    let expected = format!("{} claims of {sessions} sessions", sessions * messages);
    assert!(figures.contains(&expected), "{figures}");
    println!("{figures}");
}

#[test]
fn a_message_for_each_session() {
    if proof() { measure(100, 10_000, false) } else { measure(10, 100, false) }
}

#[test]
fn messages_for_all_sessions() {
    if proof() { measure(1_000, 1_000, true) } else { measure(100, 10, true) }
}
