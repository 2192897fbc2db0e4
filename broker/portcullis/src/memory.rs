//! How much memory there is for the broker: that of the machine, or what the control group of its container or service
//! leaves of it.

use std::{fs, path::Path};

/// What is taken where the system does not say.
const UNKNOWN: u64 = 2 << 30;

/// Bytes. The least of the machine's memory and of all limits that hold for this process.
pub(crate) fn of_machine() -> u64 {
    let machine = read("/proc/meminfo").and_then(|text| total(&text));
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let limits = group_limits(Path::new("/sys/fs/cgroup"), &groups);
    machine.into_iter().chain(limits).min().unwrap_or(UNKNOWN)
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// `MemTotal` of `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The limits of the group that the process is in, and of all groups round it, of both versions of control groups.
fn group_limits(root: &Path, groups: &str) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (folder, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            "memory" => (root.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        for group in Path::new(group.trim_start_matches('/')).ancestors() {
            // A group without limit says "max", or a number that no machine has.
            let text = read(folder.join(group).join(file));
            limits.extend(text.and_then(|text| text.trim().parse::<u64>().ok()));
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_memory() {
        assert!(of_machine() > 64 << 20);
    }

    #[test]
    fn the_memory_of_the_machine_is_read_in_its_unit() {
        assert_eq!(total("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn the_limits_of_all_groups_round_it_count() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "1000\n");
        write("memory/c/memory.limit_in_bytes", "500\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(group_limits(folder.path(), "0::/a/b\n"), [1000]);
        let both = "4:memory:/c\n3:cpu:/a\n0::/a/b\n";
        assert_eq!(group_limits(folder.path(), both), [500, 9_223_372_036_854_771_712, 1000]);
        assert_eq!(group_limits(folder.path(), "nonsense\n"), [0; 0]);
    }
}
