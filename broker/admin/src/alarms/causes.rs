//! The list of things that can be wrong. To add one, add it to [`System::causes`].

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use access::{HeldBecause, PluginInfo, PluginState};
use server::TlsStatus;

use super::{Cause, Severity};
use crate::{AdminState, process::Process};

/// What has to be remembered from look to look.
#[derive(Default)]
pub(super) struct System(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    looks: u64,
    /// Files that are open, of how many that may be; read now and then: counting them takes a while.
    files: Option<(f64, f64)>,
    /// The two clocks at the last look.
    clocks: Option<(Instant, u64)>,
    /// The clock jumped by so many seconds, then.
    jump: Option<(i64, u64)>,
}

impl System {
    pub(super) fn causes(&self, state: &AdminState, now: u64) -> Vec<Cause> {
        let mut causes = Vec::new();
        for tls in state.broker.tls() {
            of_tls(&tls, now, &mut causes);
        }
        causes.extend(state.plugins.list().iter().filter_map(of_plugin));
        of_store(state, &mut causes);
        if state.records.access_log.as_ref().is_some_and(|log| log.is_failing()) {
            causes.push(cause(
                "access_log".to_owned(),
                Severity::Critical,
                "the access log cannot be written: its lines are lost".to_owned(),
                "look into the log for the error; make room on its disk",
            ));
        }
        let level = state.broker.totals().overload_level;
        if level > 0 {
            causes.push(Cause {
                after_seconds: OVERLOAD_SECONDS,
                ..cause(
                    "overload".to_owned(),
                    if level >= 7 { Severity::Critical } else { Severity::Warning },
                    format!("the level of load is {level} of 10 for more than a minute"),
                    "see docs/secure/overload.md: fewer publishers, more processors or memory",
                )
            });
        }
        if state.broker.listeners().is_empty() {
            causes.push(cause(
                "listeners".to_owned(),
                Severity::Critical,
                "no listener is bound: no client can connect".to_owned(),
                "look into the log of the start",
            ));
        }
        for problem in state.ready_checks.iter().flat_map(|check| check()) {
            let id = format!("ready:{problem}");
            causes.push(cause(id, Severity::Critical, problem, "see /readyz"));
        }
        self.of_system(now, &mut causes);
        causes
    }

    fn of_system(&self, now: u64, causes: &mut Vec<Cause>) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.looks.is_multiple_of(LOOKS_PER_COUNT) {
            let process = Process::read();
            remembered.files = process.open_fds.zip(process.max_fds);
        }
        remembered.looks = remembered.looks.wrapping_add(1);
        if let Some((open, most)) = remembered.files.filter(|(open, most)| *open >= 0.9 * most) {
            causes.push(cause(
                "descriptors".to_owned(),
                Severity::Critical,
                format!("{open} files of {most} that may be are open"),
                "raise LimitNOFILE of the service, or lower limits.connections",
            ));
        }
        remembered.note_clock(Instant::now(), now);
        if let Some((seconds, _)) = remembered.jump {
            causes.push(cause(
                "clock".to_owned(),
                Severity::Warning,
                format!("the clock of the system jumped by {seconds} s within the last hour"),
                "look at time synchronisation: expiry of tokens and certificates depends on it",
            ));
        }
    }
}

impl Remembered {
    /// The two clocks go on at the same pace, but for what the system is told the time.
    fn note_clock(&mut self, instant: Instant, unix: u64) {
        if let Some((instant_before, unix_before)) = self.clocks.replace((instant, unix)) {
            let passed = instant.saturating_duration_since(instant_before).as_secs();
            let passed = i64::try_from(passed).unwrap_or(i64::MAX);
            let told = i64::try_from(unix).unwrap_or(i64::MAX)
                - i64::try_from(unix_before).unwrap_or(i64::MAX);
            if (told - passed).abs() > JUMP_SECONDS {
                self.jump = Some((told - passed, unix));
            }
        }
        // A clock that went back far is an hour of its own time.
        self.jump.take_if(|(_, at)| unix.abs_diff(*at) > 3_600);
    }
}

fn cause(id: String, severity: Severity, what: String, advice: &'static str) -> Cause {
    Cause { id, severity, what, advice, after_seconds: 0 }
}

/// The audit log cannot be written, or its chain is broken.
pub(super) fn of_audit(what: String) -> Cause {
    cause(
        "audit_log".to_owned(),
        Severity::Critical,
        what,
        "no change is made through the API until it can be written: \
         see docs/operate/administrators.md",
    )
}

fn of_tls(tls: &TlsStatus, now: u64, causes: &mut Vec<Cause>) {
    let listener = &tls.listener;
    for (file, ends) in &tls.certificates {
        let left = ends.saturating_sub(now);
        let severity = match left {
            0..DAY => Severity::Critical,
            DAY..WEEK => Severity::Warning,
            WEEK..MONTH => Severity::Info,
            _ => continue,
        };
        let what = match left {
            0 => format!("listener {listener}: the certificate in {file} is over"),
            left => {
                let days = left / DAY;
                format!("listener {listener}: the certificate in {file} is over in {days} days")
            }
        };
        let id = format!("certificate:{listener}:{file}");
        causes.push(cause(id, severity, what, "renew it; the file is read again by itself"));
    }
    if let Some(next) = tls.crl_next_update.filter(|next| *next <= now) {
        causes.push(cause(
            format!("crl:{listener}"),
            Severity::Critical,
            format!(
                "listener {listener}: a revocation list is stale for {} s, and clients whose \
                 certificate it is about are refused",
                now - next
            ),
            "look at where it is fetched from, or put a new one in its file",
        ));
    }
    for (key, sentence) in &tls.failed {
        causes.push(cause(
            format!("tls:{listener}:{key}"),
            Severity::Warning,
            format!("listener {listener}: {key}: {sentence}"),
            "what was good before is in force: put the file right",
        ));
    }
}

fn of_plugin(plugin: &PluginInfo) -> Option<Cause> {
    let name = &plugin.name;
    let because = plugin.error.as_deref().unwrap_or("no reason is known");
    let held = plugin.versions.held.as_ref().map(|held| held.because);
    let (severity, what, advice) = match (plugin.state, held) {
        (PluginState::Failed, _) => (
            Severity::Critical,
            format!("plugin {name} does not answer, and its link refuses: {because}"),
            "put its file right, or roll it back",
        ),
        (PluginState::Removed, _) => (
            Severity::Critical,
            format!("the file of plugin {name} is gone, and its link refuses"),
            "put the file back, or forget the plugin",
        ),
        (PluginState::WaitingForGrant, _) => (
            Severity::Warning,
            format!("plugin {name} imports more than it is granted: {because}"),
            "grant it in its manifest, or take another version",
        ),
        (PluginState::WaitingForApproval, _) => (
            Severity::Warning,
            format!("a version of plugin {name} asks for more and waits for approval"),
            "approve it, or put the former version back",
        ),
        (PluginState::LiveOld, _) => (
            Severity::Warning,
            format!("the newest file of plugin {name} failed, an earlier one answers: {because}"),
            "put its file right",
        ),
        (PluginState::Disabled, _) if plugin.is_named => (
            Severity::Critical,
            format!("plugin {name} is disabled, and a chain that names it refuses"),
            "enable it, or take its name out of the chain in the configuration",
        ),
        (_, Some(HeldBecause::Probation)) => (
            Severity::Warning,
            format!("plugin {name} was rolled back: the newer version failed in its probation"),
            "look at its errors, then put a version in the folder that works",
        ),
        (_, Some(HeldBecause::Start)) => (
            Severity::Warning,
            format!("an earlier version of plugin {name} answers: its files did not load"),
            "put its files right",
        ),
        _ if plugin.breaker.open => (
            Severity::Critical,
            format!("plugin {name} fails so often that it is not asked, and its link refuses"),
            "look at its errors and at what it depends on",
        ),
        _ => return None,
    };
    Some(cause(format!("plugin:{name}"), severity, what, advice))
}

fn of_store(state: &AdminState, causes: &mut Vec<Cause>) {
    let Some(store) = state.broker.store() else { return };
    if !store.available {
        causes.push(cause(
            "store".to_owned(),
            Severity::Critical,
            "the store takes nothing: no room, or the disk fails".to_owned(),
            "look into the log for the error; make room on its disk",
        ));
    }
    if store.pending_bytes >= PENDING_BYTES {
        causes.push(Cause {
            after_seconds: PENDING_SECONDS,
            ..cause(
                "store_slow".to_owned(),
                Severity::Warning,
                format!("{} bytes wait for the disk", store.pending_bytes),
                "a faster disk, or [store] durability = \"os\"",
            )
        });
    }
}

/// As the API names it.
pub(super) fn state_name(state: PluginState) -> &'static str {
    match state {
        PluginState::Live => "live",
        PluginState::LiveOld => "live_old",
        PluginState::Failed => "failed",
        PluginState::WaitingForGrant => "waiting_for_grant",
        PluginState::WaitingForApproval => "waiting_for_approval",
        PluginState::Disabled => "disabled",
        PluginState::Removed => "removed",
    }
}

const DAY: u64 = 86_400;
const WEEK: u64 = 7 * DAY;
const MONTH: u64 = 30 * DAY;
const OVERLOAD_SECONDS: u64 = 60;
const PENDING_BYTES: u64 = 16 * 1024 * 1024;
const PENDING_SECONDS: u64 = 10;
const LOOKS_PER_COUNT: u64 = 30;
const JUMP_SECONDS: i64 = 5;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn certificates_before_their_end() {
        let now = 1_000_000_000;
        for (left, severity) in [
            (0, Some(Severity::Critical)),
            (DAY - 1, Some(Severity::Critical)),
            (DAY, Some(Severity::Warning)),
            (WEEK, Some(Severity::Info)),
            (MONTH, None),
        ] {
            let certificates = vec![("c.pem".to_owned(), now + left)];
            let tls = TlsStatus { listener: "l".into(), certificates, ..TlsStatus::default() };
            let mut causes = Vec::new();
            of_tls(&tls, now, &mut causes);
            assert_eq!(causes.first().map(|cause| cause.severity), severity, "{left}");
            assert!(causes.iter().all(|cause| cause.id == "certificate:l:c.pem"));
        }
    }

    #[test]
    fn a_clock_that_jumps_is_said_for_an_hour() {
        let start = Instant::now();
        let mut remembered = Remembered::default();
        let mut look = |seconds, unix| {
            remembered.note_clock(start + Duration::from_secs(seconds), unix);
            remembered.jump.map(|(by, _)| by)
        };
        assert_eq!(look(0, 1_000), None);
        assert_eq!(look(10, 1_012), None);
        assert_eq!(look(20, 1_122), Some(100));
        assert_eq!(look(3_000, 4_102), Some(100));
        assert_eq!(look(4_000, 5_102), None);
        assert_eq!(look(4_010, 1_112), Some(-4_000));
    }
}
