//! What is wrong now: `/api/v1/alarms`, and the task that looks every second and tells when something begins or ends.
//!
//! Knows nothing of how things go wrong; asks the broker, the plugins and the system, and keeps since when.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use telemetry::events::{AlarmCleared, AlarmRaised, PluginChanged};
use tokio::time::{MissedTickBehavior, interval};
use utoipa::ToSchema;

use crate::{
    AdminState,
    call::{Answer, Call, Shared, blocking, now_ms},
};

mod causes;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// It needs a look some time.
    Info,
    /// It will do harm, or does a little.
    Warning,
    /// It does harm now.
    Critical,
}

impl Severity {
    pub(crate) const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Something that is wrong as somebody looks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cause {
    /// Names it: kind and object.
    id: String,
    severity: Severity,
    what: String,
    advice: &'static str,
    /// It counts only once it has been so for so long.
    after_seconds: u64,
}

/// The same with since when.
#[derive(Clone, Debug)]
struct Standing {
    cause: Cause,
    since_unix: u64,
    is_raised: bool,
}

/// What is wrong now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmList {
    /// The worst first, then the oldest.
    alarms: Vec<Alarm>,
}

/// Something that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alarm {
    /// Names it, for as long as it stands: its kind, and what it is about.
    id: String,
    /// How bad it is.
    severity: Severity,
    /// Since when, seconds since 1970, as far as this process knows.
    since_unix: u64,
    /// What is wrong.
    what: String,
    /// What to do.
    advice: &'static str,
}

/// State and generation of a plugin.
type Seen = (&'static str, Option<String>);

/// What stands, and what the last look saw.
#[derive(Default)]
pub(crate) struct Alarms {
    standing: Mutex<BTreeMap<String, Standing>>,
    plugins: Mutex<Option<HashMap<String, Seen>>>,
    system: causes::System,
    counts: [AtomicU64; 3],
}

/// `GET /api/v1/alarms`
pub(crate) async fn list(call: Call) -> Answer {
    let shared = Arc::clone(&call.shared);
    let alarms = blocking(move || {
        shared.alarms.look(&shared.state, shared.audit.problems(), now_ms() / 1_000);
        shared.alarms.raised()
    });
    let alarms = alarms.await?;
    call.json_answer(&AlarmList { alarms })
}

/// Looks for as long as the API serves.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.clone();
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            stopped = stopping.changed() => {
                if stopped.is_err() || *stopping.borrow() {
                    return;
                }
            }
        }
        let looking = Arc::clone(&shared);
        let looked = blocking(move || {
            let now = now_ms() / 1_000;
            looking.alarms.look(&looking.state, looking.audit.problems(), now);
            looking.alarms.look_at_plugins(&looking.state);
        });
        if let Err(problem) = looked.await {
            tracing::error!(cause = problem.detail, "nobody looked for alarms");
        }
    }
}

impl Alarms {
    /// How many of each severity are raised.
    pub(crate) fn counts(&self) -> [(Severity, u64); 3] {
        let mut counts = Severity::ALL.into_iter().zip(&self.counts);
        std::array::from_fn(|_| {
            counts.next().map_or((Severity::Info, 0), |(severity, count)| {
                (severity, count.load(Ordering::Relaxed))
            })
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn raised(&self) -> Vec<Alarm> {
        let standing = self.lock();
        let raised = standing.values().filter(|standing| standing.is_raised);
        let mut alarms: Vec<_> = raised
            .map(|Standing { cause, since_unix, .. }| Alarm {
                id: cause.id.clone(),
                severity: cause.severity,
                since_unix: *since_unix,
                what: cause.what.clone(),
                advice: cause.advice,
            })
            .collect();
        alarms.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.since_unix.cmp(&b.since_unix)));
        alarms
    }

    /// Compares what is wrong with what was, and tells the difference. `audit` = what is wrong with the
    /// audit log.
    pub(crate) fn look(&self, state: &AdminState, audit: Vec<String>, now: u64) {
        let mut causes = self.system.causes(state, now);
        causes.extend(audit.into_iter().map(causes::of_audit));
        let mut standing = self.lock();
        let before = std::mem::take(&mut *standing);
        for cause in causes {
            let earlier = before.get(&cause.id);
            let since_unix = earlier.map_or(now, |earlier| earlier.since_unix);
            let is_raised = now.saturating_sub(since_unix) >= cause.after_seconds;
            let was = earlier.filter(|earlier| earlier.is_raised).map(|earlier| &earlier.cause);
            if is_raised && was.is_none_or(|was| was.severity != cause.severity) {
                let (id, what) = (cause.id.as_str(), cause.what.as_str());
                let severity = cause.severity.name();
                AlarmRaised { id, severity, what }.emit(&state.metrics);
            }
            standing.insert(cause.id.clone(), Standing { cause, since_unix, is_raised });
        }
        for (id, _) in before.iter().filter(|(_, earlier)| earlier.is_raised) {
            if !standing.get(id).is_some_and(|now| now.is_raised) {
                AlarmCleared { id }.emit(&state.metrics);
            }
        }
        for (severity, count) in Severity::ALL.into_iter().zip(&self.counts) {
            let raised = standing.values().filter(|s| s.is_raised && s.cause.severity == severity);
            count.store(raised.count() as u64, Ordering::Relaxed);
        }
    }

    /// Tells of plugins that are in another state than at the last look.
    pub(crate) fn look_at_plugins(&self, state: &AdminState) {
        let plugins = state.plugins.list();
        let now: HashMap<_, _> = plugins
            .iter()
            .map(|plugin| {
                let seen = (causes::state_name(plugin.state), plugin.generation.clone());
                (plugin.name.clone(), seen)
            })
            .collect();
        let mut seen = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = seen.replace(now.clone()) else { return };
        for plugin in &plugins {
            if before.get(&plugin.name) != now.get(&plugin.name) {
                PluginChanged {
                    plugin: &plugin.name,
                    state: causes::state_name(plugin.state),
                    generation: plugin.generation.as_deref(),
                    error: plugin.error.as_deref(),
                }
                .emit(&state.metrics);
            }
        }
        for plugin in before.keys().filter(|name| !now.contains_key(*name)) {
            PluginChanged { plugin, state: "gone", generation: None, error: None }
                .emit(&state.metrics);
        }
    }
}

const LOOK: Duration = Duration::from_secs(1);
