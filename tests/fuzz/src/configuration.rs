//! Any text, taken as a configuration: it is valid, or something is said to be wrong with it, a line each, and the same
//! the next time.

use portcullis::untrusted::configuration as read;

/// Reads `data` as a configuration; texts that name files of the machine are left alone.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // What comments say is read by nobody.
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let text = &lines.collect::<Vec<_>>().join("\n");
    let names_files = ["file:", "/dev", "/proc", "/sys", ".."].iter().any(|it| text.contains(it));
    if names_files || text.len() > BYTES_MAX {
        return;
    }
    let (valid, faults) = read(text);
    assert_eq!(valid, faults.is_empty(), "{faults:?}");
    let lines = text.lines().count() + 1;
    for fault in &faults {
        let place = fault.strip_prefix("/nowhere/portcullis.toml:").expect("a fault has a place");
        let (line, what) = place.split_once(": ").expect("a fault says what is wrong");
        let line: usize = line.parse().expect("a line");
        assert!((1..=lines).contains(&line), "{fault}");
        assert!(!what.is_empty() && !what.contains(['\n', '\r', '\u{1b}']), "{fault:?}");
    }
    assert_eq!(read(text), (valid, faults));
}

const BYTES_MAX: usize = 16 * 1024;
