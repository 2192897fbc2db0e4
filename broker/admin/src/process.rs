//! What the operating system says of this process, from `/proc/self`.
//!
//! Knows nothing of metrics. Where there is no `/proc`, everything is missing, nothing is made up.

use std::{fs, path::Path};

/// Numbers of this process; `None` = the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) resident_bytes: Option<f64>,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) threads: Option<f64>,
    pub(crate) open_fds: Option<f64>,
    pub(crate) max_fds: Option<f64>,
}

impl Process {
    /// Reads them now.
    pub(crate) fn read() -> Self {
        Self::read_from(Path::new("/proc/self"))
    }

    fn read_from(folder: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let status = text("status");
        Self {
            resident_bytes: field(&status, "VmRSS:").map(|kilobytes| kilobytes * 1024.0),
            cpu_seconds: cpu_seconds(&text("stat")),
            threads: field(&status, "Threads:"),
            open_fds: fs::read_dir(folder.join("fd")).ok().map(|entries| entries.count() as f64),
            max_fds: field(&text("limits"), "Max open files"),
        }
    }
}

/// The first number behind the name of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time: fields 14 and 15 of `stat`. The name in field 2 may hold blanks and
/// parentheses, so counting starts behind its end.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// `USER_HZ`, which Linux promises to programs on every architecture that Rust's standard library
/// supports.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_blanks_and_parentheses_do_not_shift_the_fields() {
        let stat = "7 (a) b ) S 1 7 7 0 -1 4194560 300 0 0 0 250 150 0 0 20 0 1 0";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn missing_files_are_missing_numbers() {
        assert_eq!(Process::read_from(Path::new("/nonexistent")), Process::default());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_numbers() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000.0), "{process:?}");
        assert!(process.open_fds.is_some_and(|count| count >= 3.0), "{process:?}");
        assert!(process.max_fds.is_some() && process.cpu_seconds.is_some(), "{process:?}");
        assert!(process.threads.is_some_and(|count| count >= 1.0), "{process:?}");
    }
}
