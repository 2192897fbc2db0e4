//! What the machine says of itself.

use std::{fs, time::SystemTime};

use rustix::process::{Resource, getrlimit};

use super::super::facts::System;

pub(super) fn look() -> System {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let modules = fs::read_to_string("/sys/kernel/security/lsm").ok();
    System {
        now: SystemTime::now(),
        // The soft limit is raised to this one at a start.
        descriptors: getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 30),
        somaxconn: number("/proc/sys/net/core/somaxconn"),
        syn_cookies: number("/proc/sys/net/ipv4/tcp_syncookies"),
        landlock: modules.map(|modules| modules.split(',').any(|name| name.trim() == "landlock")),
    }
}
