use std::{os::unix::fs::PermissionsExt, path::Path};

use super::*;
use crate::calendar::date;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("portcullis-access-log-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(folder: &Path) -> AccessLogConfig {
    AccessLogConfig { folder: folder.to_owned(), keep_days: 2, day_bytes_max: 1 << 20 }
}

fn refused(at_unix_ms: u64, client_id: &str) -> Happening<'_> {
    Happening {
        at_unix_ms,
        client_id: Some(client_id),
        listener: Some("mqtt"),
        remote: Some("192.0.2.1:5000".parse().unwrap()),
        reason: Some("not_authorized"),
        ..Happening::of(HappeningKind::ConnectRefused)
    }
}

/// 2026-11-30 at noon.
const NOON: u64 = (20_787 * 24 + 12) * 3_600_000;

fn day(log: &AccessLog, day: u64) -> Vec<Entry<'static>> {
    log.search(AccessQuery { day, limit: 100_000, ..AccessQuery::default() }).unwrap().entries
}

#[test]
fn each_day_has_its_file_and_old_ones_go() {
    let folder = Folder::new("days");
    std::fs::create_dir_all(&folder.0).unwrap();
    let old = folder.0.join("access-2026-11-27.jsonl");
    let other = folder.0.join("access-of-mine.jsonl");
    std::fs::write(&old, "").unwrap();
    std::fs::write(&other, "").unwrap();
    let metrics = Metrics::new();
    let log = AccessLog::start(config(&folder.0), &metrics).unwrap();
    for days in 0..4 {
        log.observe(&refused(NOON + days * 86_400_000, "a\nb"));
    }
    log.close();
    let files: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|f| f.unwrap()).collect();
    let mut names: Vec<_> = files.iter().map(|f| f.file_name().into_string().unwrap()).collect();
    names.sort();
    let days = ["2026-12-01", "2026-12-02", "2026-12-03"].map(|d| format!("access-{d}.jsonl"));
    assert_eq!(names, [&days[..], &["access-of-mine.jsonl".to_owned()]].concat());
    for file in files.iter().filter(|file| file.path() != other) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(file.path()).unwrap().lines().count(), 1);
    }
    let found = day(&log, 20_788);
    assert_eq!(found[0].client_id.as_deref(), Some("a\nb"));
    assert_eq!(metrics.access_log_lines.of("connect_refused").get(), 4);
}

#[test]
fn a_flood_is_counted_and_not_written() {
    let folder = Folder::new("flood");
    let metrics = Metrics::new();
    let log = AccessLog::start(config(&folder.0), &metrics).unwrap();
    for n in 0..5_000 {
        log.observe(&refused(NOON, &format!("client {n}")));
    }
    log.observe(&Happening {
        at_unix_ms: NOON,
        client_id: Some("good"),
        ..Happening::of(HappeningKind::Connected)
    });
    log.close();
    let found = day(&log, 20_787);
    let lines = found.iter().filter(|entry| entry.kind == "connect_refused").count() as u64;
    let repeated: Vec<_> = found.iter().filter(|entry| entry.kind == "repeated").collect();
    // One, or a few when the machine is slow: what was left out is told after each interval.
    let intervals = repeated.len() as u64;
    assert!((1..10).contains(&intervals), "{intervals}");
    assert_eq!(repeated.iter().filter_map(|entry| entry.count).sum::<u64>(), 5_000 - lines);
    for repeated in repeated {
        assert_eq!(repeated.remote.as_deref(), Some("192.0.2.1"));
        assert_eq!(repeated.of.as_deref(), Some("connect_refused"));
    }
    // The last interval may end before there is anything to leave out.
    assert!(lines <= 50 * (intervals + 1), "{lines} in {intervals}");
    assert!(found.iter().any(|entry| entry.client_id.as_deref() == Some("good")));
}

#[test]
fn a_day_has_an_end_that_is_said() {
    let folder = Folder::new("full");
    let metrics = Metrics::new();
    let small = AccessLogConfig { day_bytes_max: 2_000, ..config(&folder.0) };
    let log = AccessLog::start(small, &metrics).unwrap();
    for n in 0..100 {
        log.observe(&refused(NOON + n * 1_000, "a"));
    }
    log.close();
    let file = folder.0.join(format!("access-{}.jsonl", date(20_787)));
    assert!(std::fs::metadata(&file).unwrap().len() < 2_200);
    let found = day(&log, 20_787);
    let lost: Vec<_> = found.iter().filter(|entry| entry.kind == "lost").collect();
    assert_eq!(lost.len(), 1, "{found:?}");
    assert_eq!(lost[0].reason.as_deref(), Some("day_full"));
    let written = found.len() as u64 - 1;
    assert_eq!(metrics.access_log_dropped.of("day_full").get(), 100 - written);
}

#[test]
fn a_search_finds_what_it_asks_for_page_by_page() {
    let folder = Folder::new("search");
    let log = AccessLog::start(config(&folder.0), &Metrics::new()).unwrap();
    for n in 0..40_u64 {
        let client_id = if n % 4 == 0 { "a" } else { "b" };
        log.observe(&refused(NOON + n * 1_000, client_id));
    }
    log.close();
    let mut found = Vec::new();
    let mut query =
        AccessQuery { day: 20_787, client_id: Some("a"), limit: 3, ..AccessQuery::default() };
    loop {
        let page = log.search(query).unwrap();
        assert!(page.entries.len() <= 3);
        found.extend(page.entries);
        let Some(next) = page.next else { break };
        assert!(query.before.is_none_or(|before| next < before));
        query.before = Some(next);
    }
    assert_eq!(found.len(), 10);
    assert!(found.windows(2).all(|pair| pair[0].time > pair[1].time));
    let none = AccessQuery { kind: Some("connected"), ..query };
    assert!(log.search(AccessQuery { before: None, ..none }).unwrap().entries.is_empty());
    let of_address = AccessQuery { address: Some("192.0.2.1"), limit: 100, ..query };
    assert_eq!(log.search(AccessQuery { before: None, ..of_address }).unwrap().entries.len(), 10);
    // From the middle of the first line, of the last, and from behind the end.
    let all = AccessQuery { client_id: None, before: None, limit: 100, ..query };
    let end = log.search(AccessQuery { limit: 1, ..all }).unwrap().next.unwrap();
    for (before, count) in [(0, 0), (7, 0), (end, 39), (end + 7, 39), (1 << 40, 40)] {
        let page = log.search(AccessQuery { before: Some(before), ..all }).unwrap();
        assert_eq!((page.entries.len(), page.next), (count, None), "before {before}");
    }
    assert!(log.search(AccessQuery { day: 1, ..all }).unwrap().entries.is_empty());
}

#[test]
fn a_search_reads_a_large_day_piece_by_piece() {
    let folder = Folder::new("pieces");
    let log = AccessLog::start(config(&folder.0), &Metrics::new()).unwrap();
    for n in 0..6_000 {
        log.observe(&refused(NOON + n * 1_000, if n == 0 { "first" } else { "a" }));
    }
    log.close();
    let file = folder.0.join(format!("access-{}.jsonl", date(20_787)));
    let mut text = std::fs::read_to_string(&file).unwrap();
    assert!(text.len() > 600_000, "{}", text.len());
    // What somebody else put there, longer than a piece, and a line that is being written.
    text.push_str(&"x".repeat(600_000));
    text.push_str("\n{\"time\":");
    std::fs::write(&file, text).unwrap();
    let all = AccessQuery { day: 20_787, limit: 100_000, ..AccessQuery::default() };
    let written = log.search(all).unwrap();
    assert_eq!((written.next, written.entries.len()), (None, 6_000));
    assert!(written.entries.windows(2).all(|pair| pair[0].time >= pair[1].time));
    let first = AccessQuery { client_id: Some("first"), limit: 1, ..all };
    assert_eq!(log.search(first).unwrap().entries.len(), 1);
}

#[test]
fn a_torn_line_is_not_continued() {
    let folder = Folder::new("torn");
    std::fs::create_dir_all(&folder.0).unwrap();
    let file = folder.0.join(format!("access-{}.jsonl", date(day_of(NOON))));
    std::fs::write(&file, "{\"type\":\"connected\",\"clie").unwrap();
    // However old the file is by now, it stays.
    let config = AccessLogConfig { keep_days: 3_650, ..config(&folder.0) };
    for _ in 0..2 {
        let log = AccessLog::start(config.clone(), &Metrics::new()).unwrap();
        log.observe(&refused(NOON, "a"));
        log.close();
        assert!(!log.is_failing());
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1..].iter().all(|line| serde_json::from_str::<Entry<'_>>(line).is_ok()));
}

#[test]
fn one_that_cannot_be_written_says_so() {
    let folder = Folder::new("failing");
    let log = AccessLog::start(config(&folder.0), &Metrics::new()).unwrap();
    // A folder is where the file of the day should be.
    let file = folder.0.join(format!("access-{}.jsonl", date(day_of(NOON))));
    std::fs::create_dir_all(file).unwrap();
    log.observe(&refused(NOON, "a"));
    log.close();
    assert!(log.is_failing());
    assert_eq!(log.lost.of("not_written").get(), 1);
}
