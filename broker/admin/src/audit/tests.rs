use std::{
    fs,
    os::unix::fs::MetadataExt,
    sync::atomic::{AtomicU64, Ordering},
};

use super::*;

const DAY: u64 = 24 * 3_600 * 1_000;
/// 30 November 2026.
const START: u64 = 20_787 * DAY + 1_000;

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("audit-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn file(&self, day: &str) -> PathBuf {
        self.0.join(format!("{day}.jsonl"))
    }

    fn lines(&self, day: &str) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.file(day)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn fault(&self) -> String {
        verify_audit(&self.0).unwrap_err().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn login(user: &str) -> Record {
    Record::new(Action::Login).claims(user).status(200)
}

fn open(folder: &Folder, clock: Clock) -> Audit {
    Audit::open(&folder.0, 90, clock).unwrap()
}

fn start() -> u64 {
    START
}

#[tokio::test]
async fn lines_follow_each_other_over_restarts_and_days() {
    static NOW: AtomicU64 = AtomicU64::new(START);
    let folder = Folder::new("chain");
    let clock = || NOW.load(Ordering::Relaxed);
    let audit = open(&folder, clock);
    audit.record(login("alice")).await.unwrap();
    drop(audit);
    let audit = open(&folder, clock);
    audit.record(login("bob")).await.unwrap();
    NOW.fetch_add(DAY, Ordering::Relaxed);
    audit.record(login("carol")).await.unwrap();
    // A clock that goes back does not go back to a file that is complete.
    NOW.fetch_sub(DAY, Ordering::Relaxed);
    audit.record(login("dave")).await.unwrap();
    let lines = folder.lines("2026-11-30");
    let seen: Vec<_> = lines.iter().map(|line| (line["seq"].as_u64(), &line["action"])).collect();
    let expected = ["start", "login", "start", "login"];
    for (at, action) in expected.iter().enumerate() {
        assert_eq!(seen[at], (Some(at as u64 + 1), &serde_json::json!(action)));
    }
    assert_eq!(lines[0]["previous"], "0".repeat(64));
    assert_eq!(lines[1]["time"], "2026-11-30T00:00:01.000Z");
    assert_eq!(folder.lines("2026-12-01").len(), 2);
    let report = verify_audit(&folder.0).unwrap();
    assert_eq!((report.files, report.lines, report.last), (2, 6, 6));
    assert_eq!(audit.head(), (6, report.hash));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&folder.0), mode(&folder.file("2026-11-30"))), (0o700, 0o600));
}

#[tokio::test]
async fn every_change_of_a_line_is_found_by_name() {
    let folder = Folder::new("tampered");
    let audit = open(&folder, start);
    for user in ["alice", "bob", "carol"] {
        audit.record(login(user)).await.unwrap();
    }
    let file = folder.file("2026-11-30");
    let good = fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let swapped = [lines[0], lines[2], lines[1], lines[3], ""].join("\n");
    let removed = [lines[0], lines[2], lines[3], ""].join("\n");
    let doubled = [lines[0], lines[1], lines[1], lines[2], lines[3], ""].join("\n");
    for (text, line) in [
        (good.replace("bob", "eve"), 4),
        (good.replace("\"seq\":3", "\"seq\":4"), 3),
        (swapped, 2),
        (removed, 2),
        (doubled, 3),
        (good.trim_end().to_owned(), 4),
        (format!("{good}\n"), 5),
    ] {
        fs::write(&file, &text).unwrap();
        let fault = folder.fault();
        assert!(fault.starts_with(&format!("{}:{line}: ", file.display())), "{fault}");
    }
    // Each byte counts, up to the last line, which nothing follows yet.
    let last = good.len() - lines[3].len() - 2;
    for at in (0..last).step_by(7) {
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert!(verify_audit(&folder.0).is_err(), "byte {at}");
    }
    fs::write(&file, &good).unwrap();
    let report = verify_audit(&folder.0).unwrap();
    assert_eq!(report.lines, 4);
    fs::rename(&file, folder.file("2026-11-29")).unwrap();
    assert!(folder.fault().contains("behind the day of its file"));
}

#[tokio::test]
async fn what_is_old_goes_and_the_rest_still_fits() {
    static NOW: AtomicU64 = AtomicU64::new(START);
    let folder = Folder::new("old");
    let audit = Audit::open(&folder.0, 2, || NOW.load(Ordering::Relaxed)).unwrap();
    for _ in 0..6 {
        audit.record(login("alice")).await.unwrap();
        NOW.fetch_add(DAY, Ordering::Relaxed);
    }
    let found = audit.search(Search { limit: 10, ..Search::default() }).await.unwrap();
    assert_eq!(found.days, ["2026-12-05", "2026-12-04", "2026-12-03"]);
    let report = verify_audit(&folder.0).unwrap();
    assert_eq!((report.files, report.lines, report.last), (3, 3, 7));
    // A crash may come before the file is gone for which the anchor stands.
    let anchor = fs::read_to_string(folder.0.join("anchor.json")).unwrap();
    let seq = anchor.split_once("\"seq\":4").map(|_| 4);
    assert_eq!(seq, Some(4), "{anchor}");
    let again = Audit::open(&folder.0, 2, || NOW.load(Ordering::Relaxed)).unwrap();
    assert_eq!(again.head().0, 7);
    // Without the anchor nobody can tell what was before.
    fs::remove_file(folder.0.join("anchor.json")).unwrap();
    assert!(folder.fault().contains("expected 1"), "{}", folder.fault());
}

#[tokio::test]
async fn a_line_that_was_cut_short_is_taken_away_and_said() {
    let folder = Folder::new("torn");
    let audit = open(&folder, start);
    audit.record(login("alice")).await.unwrap();
    drop(audit);
    let file = folder.file("2026-11-30");
    let good = fs::read(&file).unwrap();
    fs::write(&file, [&good[..], b"{\"seq\":3,\"ti"].concat()).unwrap();
    let audit = open(&folder, start);
    audit.check_writable().await.unwrap();
    let lines = folder.lines("2026-11-30");
    assert_eq!(lines[2]["cause"], "12 bytes of an unfinished line were cut off");
    assert_eq!(verify_audit(&folder.0).unwrap().lines, 3);
    // A file whose first line was cut short, after one that is whole.
    fs::write(folder.file("2026-12-01"), b"{").unwrap();
    let audit = Audit::open(&folder.0, 90, || START + DAY).unwrap();
    audit.check_writable().await.unwrap();
    assert_eq!(verify_audit(&folder.0).unwrap().lines, 4);
}

#[tokio::test]
async fn a_broken_end_stops_all_changes() {
    let folder = Folder::new("broken");
    open(&folder, start).record(login("alice")).await.unwrap();
    fs::write(folder.file("2026-11-30"), b"no line of the log\n").unwrap();
    let audit = open(&folder, start);
    assert!(audit.problems()[0].contains("is none of the log"), "{:?}", audit.problems());
    assert_eq!(audit.check_writable().await.unwrap_err().status, 503);
    assert_eq!(audit.record(login("alice")).await.unwrap_err().status, 503);
    let text = fs::read_to_string(folder.file("2026-11-30")).unwrap();
    assert_eq!(text, "no line of the log\n", "left as it is for whoever looks into it");
}

#[tokio::test]
async fn lines_wait_for_the_disk() {
    let folder = Folder::new("full");
    let audit = open(&folder, start);
    audit.record(login("alice")).await.unwrap();
    audit.writer.lock().unwrap().fill_disk(true);
    assert_eq!(audit.record(login("bob")).await.unwrap_err().status, 503);
    assert_eq!(audit.check_writable().await.unwrap_err().status, 503);
    assert!(audit.problems()[0].contains("cannot be written"), "{:?}", audit.problems());
    assert_eq!(folder.lines("2026-11-30").len(), 2);
    audit.writer.lock().unwrap().fill_disk(false);
    audit.check_writable().await.unwrap();
    assert!(audit.problems().is_empty());
    let lines = folder.lines("2026-11-30");
    assert_eq!((lines.len(), &lines[2]["user"]), (3, &serde_json::json!("bob")));
    verify_audit(&folder.0).unwrap();
}

#[tokio::test]
async fn a_flood_of_refusals_is_counted_and_not_written() {
    static NOW: AtomicU64 = AtomicU64::new(START);
    let folder = Folder::new("flood");
    let audit = open(&folder, || NOW.load(Ordering::Relaxed));
    for _ in 0..100 {
        audit.record_refusal(Record::new(Action::Refused).route("GET /x")).await;
    }
    NOW.fetch_add(60_000, Ordering::Relaxed);
    audit.record_refusal(Record::new(Action::Refused).route("GET /y")).await;
    let lines = folder.lines("2026-11-30");
    assert_eq!(lines.len(), 1 + 60 + 1);
    assert_eq!(lines[61]["left_out"], 40);
    // Whoever asks for anything without a token does not hide who guesses passwords, nor the other way round.
    for _ in 0..100 {
        audit.record_refusal(Record::new(Action::Refused).route("GET /x")).await;
    }
    audit.record_refusal(login("alice").status(401)).await;
    let last = folder.lines("2026-11-30").pop().unwrap();
    assert_eq!((&last["action"], &last["left_out"]), (&"login".into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn an_empty_day_does_not_keep_what_is_old() {
    static NOW: AtomicU64 = AtomicU64::new(START);
    let folder = Folder::new("empty");
    let audit = Audit::open(&folder.0, 2, || NOW.load(Ordering::Relaxed)).unwrap();
    audit.record(login("alice")).await.unwrap();
    // A crash left the file of a day without a line, and another with the start of one.
    fs::write(folder.file("2026-12-01"), "").unwrap();
    fs::write(folder.file("2026-12-02"), "{\"seq").unwrap();
    for day in [3, 4, 5, 6] {
        NOW.store(START + day * DAY, Ordering::Relaxed);
        audit.record(login("alice")).await.unwrap();
    }
    let found = audit.search(Search { limit: 1, ..Search::default() }).await.unwrap();
    assert_eq!(found.days, ["2026-12-06", "2026-12-05", "2026-12-04"]);
    assert_eq!(verify_audit(&folder.0).unwrap().files, 3);
}

#[tokio::test]
async fn what_strangers_say_stays_on_its_line() {
    let folder = Folder::new("escaped");
    let audit = open(&folder, start);
    let nasty = "a\n{\"seq\":9}\u{1b}[31m\u{202e}\"\\";
    let record = login(nasty).route(nasty).cause(Some(&"x".repeat(9_999)));
    audit.record(record.target(Some(nasty))).await.unwrap();
    let text = fs::read_to_string(folder.file("2026-11-30")).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    assert!(text.len() < 2_000, "{}", text.len());
    verify_audit(&folder.0).unwrap();
}

#[tokio::test]
async fn a_search_pages_from_the_newest_line() {
    let folder = Folder::new("search");
    let audit = open(&folder, start);
    for number in 0..7 {
        audit.record(login(if number % 2 == 0 { "even" } else { "odd" })).await.unwrap();
    }
    let numbers = |found: &Found| -> Vec<_> {
        found.records.iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    let mut search = Search { limit: 3, ..Search::default() };
    let found = audit.search(search.clone()).await.unwrap();
    assert_eq!((numbers(&found), found.next), (vec![8, 7, 6], Some(6)));
    search.before = found.next;
    let found = audit.search(search.clone()).await.unwrap();
    assert_eq!((numbers(&found), found.next), (vec![5, 4, 3], Some(3)));
    search.before = found.next;
    let found = audit.search(search.clone()).await.unwrap();
    assert_eq!((numbers(&found), found.next), (vec![2, 1], None));
    let odd = Search { user: Some("odd".to_owned()), limit: 10, ..Search::default() };
    assert_eq!(numbers(&audit.search(odd).await.unwrap()), [7, 5, 3]);
    let starts = Search { action: Some(Action::Start), limit: 10, ..Search::default() };
    assert_eq!(numbers(&audit.search(starts).await.unwrap()), [1]);
    let other = Search { day: Some("2026-11-29".to_owned()), limit: 10, ..Search::default() };
    assert!(audit.search(other).await.unwrap().records.is_empty());
}
