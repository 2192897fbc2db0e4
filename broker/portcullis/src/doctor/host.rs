//! The machine and the files on it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    facts::{Facts, Parts},
    finding::{Judgement, Verdict},
};

/// What the checks below are about, if it is known.
pub(super) fn parts(facts: &Facts) -> Option<&Parts> {
    facts.configured.as_ref()?.parts.as_ref()
}

fn fails(seen: &[String]) -> Vec<(Verdict, String)> {
    seen.iter().map(|seen| (Verdict::Fail, seen.clone())).collect()
}

pub(super) fn config(facts: &Facts) -> Option<Judgement> {
    let configured = facts.configured.as_ref()?;
    let good = format!("{} is valid", configured.file.display());
    let mend = "mend these lines; portcullis check names every one";
    Some(Judgement::of(fails(&configured.faults), good, mend))
}

pub(super) fn file_modes(facts: &Facts) -> Option<Judgement> {
    let good = "nobody else can change what decides, or read the token";
    let mend = "chmod and chown as each line says: who writes these files decides who gets in";
    Some(Judgement::of(fails(&parts(facts)?.modes), good, mend))
}

pub(super) fn secret_files(facts: &Facts) -> Option<Judgement> {
    let good = "files that the configuration takes secrets from are private";
    let mend = "chmod o-rwx them; the group may be that of the broker";
    Some(Judgement::of(fails(&parts(facts)?.open_secrets), good, mend))
}

pub(super) fn user(facts: &Facts) -> Option<Judgement> {
    match parts(facts)?.owner? {
        0 => {
            let seen = "data_dir belongs to root: the broker runs with more rights than it needs";
            let mend = "give the broker a user of its own, as docs/operate/service.md does";
            Some(Judgement::of(vec![(Verdict::Warn, seen.to_owned())], "", mend))
        }
        user => Some(Judgement::ok(format!("the broker runs as user {user}"))),
    }
}

/// A fleet of this size should not be turned away by a limit that nobody chose.
const CONNECTIONS_FEW: usize = 1_000;

pub(super) fn open_files(facts: &Facts) -> Option<Judgement> {
    let running = facts.running.as_ref().and_then(|running| running.as_ref().ok());
    let of_running = running.and_then(|running| running.descriptors);
    let descriptors = of_running.unwrap_or(facts.system.descriptors);
    let fit = limits::connections_for_descriptors(descriptors);
    let wanted = parts(facts).and_then(|parts| parts.connections);
    let whose = if of_running.is_some() { "the running broker" } else { "this user" };
    let seen = format!("{descriptors} open files for {whose}: {fit} connections");
    let mend = "raise the hard limit: LimitNOFILE= of the unit, or ulimit -Hn";
    let judged = match wanted {
        Some(wanted) if wanted > fit => {
            (Verdict::Fail, format!("{seen}, and limits.connections wants {wanted}"))
        }
        _ if fit < CONNECTIONS_FEW => (Verdict::Warn, seen),
        _ => (Verdict::Ok, seen),
    };
    Some(Judgement::of(vec![judged], "", mend))
}

/// 2025-01-01: before that this program was not.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);
/// 2100-01-01.
const LATEST: Duration = Duration::from_secs(4_102_444_800);
/// What a file system and a clock may differ by.
const SLACK: Duration = Duration::from_secs(300);

pub(super) fn clock(facts: &Facts) -> Option<Judgement> {
    let now = facts.system.now;
    let mend = "set the clock and keep it with NTP: grants, tokens and certificates end by it";
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut seen = Vec::new();
    if !(EARLIEST..LATEST).contains(&since) {
        let what = format!("the clock says {} s since 1970", since.as_secs());
        seen.push((Verdict::Fail, what));
    }
    let newest = parts(facts).and_then(|parts| parts.newest);
    let ahead = |newest: SystemTime| newest.duration_since(now).ok().filter(|by| *by > SLACK);
    if let Some(ahead) = newest.and_then(ahead) {
        let what = format!("files of the broker were written {} s from now", ahead.as_secs());
        seen.push((Verdict::Fail, what));
    }
    Some(Judgement::of(seen, "the clock agrees with the files of the broker", mend))
}

pub(super) fn disk_space(facts: &Facts) -> Option<Judgement> {
    let parts = parts(facts)?;
    let disk = parts.disk?;
    let mend = "make room, or give the store a larger disk ([store] path)";
    let mib = |bytes: u64| bytes >> 20;
    let seen = format!(
        "{} MiB of {} free for {}",
        mib(disk.free_bytes),
        mib(disk.total_bytes),
        parts.store.display()
    );
    let verdict = if parts.durability == "memory" {
        Verdict::Ok
    } else if disk.free_bytes < parts.free_bytes_min {
        Verdict::Fail
    } else if disk.free_bytes / 4 < parts.free_bytes_min {
        Verdict::Warn
    } else {
        Verdict::Ok
    };
    let min = mib(parts.free_bytes_min);
    Some(Judgement::of(vec![(verdict, format!("{seen}, free_bytes_min is {min} MiB"))], "", mend))
}

pub(super) fn durability(facts: &Facts) -> Option<Judgement> {
    let parts = parts(facts)?;
    let mend = "[store] durability = \"fsync\", on a disk that keeps what it has flushed";
    let mut seen = Vec::new();
    match parts.durability {
        "memory" => seen.push("nothing survives the process"),
        "os" => seen.push("acknowledged messages do not survive a power cut"),
        _ => {}
    }
    if parts.durability != "memory" && parts.disk.is_some_and(|disk| disk.in_memory) {
        seen.push("the store lies in a file system that is gone with the power");
    }
    let seen = seen.into_iter().map(|seen| (Verdict::Warn, seen.to_owned())).collect();
    Some(Judgement::of(seen, "acknowledged messages survive a power cut", mend))
}

pub(super) fn landlock(facts: &Facts) -> Option<Judgement> {
    let mend = "[process] landlock = true, and a kernel with Landlock among its security modules";
    let mut seen = Vec::new();
    if !parts(facts)?.landlock {
        seen.push((Verdict::Warn, "[process] landlock = false".to_owned()));
    }
    if facts.system.landlock == Some(false) {
        seen.push((Verdict::Warn, "this kernel has no Landlock".to_owned()));
    }
    Some(Judgement::of(seen, "files that the broker does not need are out of its reach", mend))
}
