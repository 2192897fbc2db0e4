//! Shadow mode: a candidate beside the live generation is asked what that was asked, and its
//! answers are compared and reported. They have no effect, and neither has anything that it does
//! (see `shadow` of `Lent`).
//!
//! The live path is never slower for it: without a candidate it costs one relaxed load, with one a
//! copy of the question as long as there is room in the queue; what does not fit is counted.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use access::{
    Answer, Connection, Credentials, Operation, Outcome, PluginFailure, Ruling, ShadowDifference,
    ShadowReport, Subject,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use toml::Table;

use crate::{
    cases::answered::{self, all_differences},
    generation::Generation,
    hooks,
    manifest::Shadowing,
};

/// Questions that wait for the candidate.
const WAITING_MAX: usize = 256;
/// Differences that are kept for the report.
const DIFFERENCES_MAX: usize = 100;

/// A question that the live generation decided, and its answer. One that it did not decide is no
/// measure for anybody.
pub(crate) enum Asked {
    Authenticate(Box<(Connection, Credentials)>, Outcome),
    Permissions(Box<Subject>, Answer),
    Authorize(Box<(Subject, Operation)>, Ruling),
}

/// A candidate that sees live traffic.
pub(crate) struct Shadow {
    pub(crate) candidate: Arc<Generation>,
    queue: mpsc::Sender<Asked>,
    since: Instant,
    dropped: AtomicU64,
    compared: Arc<Mutex<Compared>>,
}

#[derive(Default)]
struct Compared {
    calls: u64,
    differences: u64,
    /// By hook.
    kinds: BTreeMap<&'static str, u64>,
    last: VecDeque<ShadowDifference>,
}

impl Shadow {
    /// Begins to ask `candidate`. Its task ends with the last handle.
    pub(crate) fn start(candidate: Arc<Generation>) -> Arc<Self> {
        let (queue, asked) = mpsc::channel(WAITING_MAX);
        let compared = Arc::default();
        tokio::spawn(work(Arc::clone(&candidate), asked, Arc::clone(&compared)));
        let dropped = AtomicU64::new(0);
        Arc::new(Self { candidate, queue, since: Instant::now(), dropped, compared })
    }

    /// Copies a question if there is room for it.
    pub(crate) fn tell(&self, copy: impl FnOnce() -> Asked) {
        match self.queue.try_reserve() {
            Ok(place) => place.send(copy()),
            Err(_) => {
                self.dropped.fetch_add(1, Relaxed);
            }
        }
    }

    pub(crate) fn report(&self, now: Instant) -> ShadowReport {
        let compared = self.compared.lock();
        let kinds = compared.kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count));
        ShadowReport {
            version: self.candidate.version.clone(),
            described: self.candidate.described.clone(),
            seconds: now.saturating_duration_since(self.since).as_secs(),
            calls: compared.calls,
            dropped: self.dropped.load(Relaxed),
            differences: compared.differences,
            by_hook: kinds.collect(),
            last: compared.last.iter().cloned().collect(),
        }
    }

    /// Whether the manifest's rule is met.
    pub(crate) fn is_due(&self, rule: &Shadowing, now: Instant) -> bool {
        let Some(after) = rule.promote_after else { return false };
        let compared = self.compared.lock();
        now.saturating_duration_since(self.since) >= after
            && compared.calls >= rule.min_calls
            && compared.differences <= rule.max_differences
    }
}

async fn work(
    candidate: Arc<Generation>,
    mut asked: mpsc::Receiver<Asked>,
    compared: Arc<Mutex<Compared>>,
) {
    let hooks = hooks::of(&candidate);
    while let Some(asked) = asked.recv().await {
        let (hook, who, live, own) = match asked {
            Asked::Authenticate(question, live) => {
                let (connection, credentials) = &*question;
                let Some(hook) = &hooks.authenticator else { continue };
                let own = hook.authenticate(connection, credentials).await;
                let who = (connection.client_id.to_string(), connection.username.clone());
                let own = written(&own, answered::outcome);
                let live = answered::outcome(&live);
                ("authenticate", who, live, own)
            }
            Asked::Permissions(subject, live) => {
                let Some(hook) = &hooks.authorizer else { continue };
                let own = hook.permissions(&subject).await;
                let own = written(&own, answered::answer);
                let live = answered::answer(&live);
                ("permissions", who(&subject), live, own)
            }
            Asked::Authorize(question, live) => {
                let (subject, operation) = &*question;
                let Some(hook) = &hooks.operation_authorizer else { continue };
                let own = hook.authorize(subject, operation).await;
                let own = written(&own, answered::ruling);
                let live = answered::ruling(&live);
                ("authorize", who(subject), live, own)
            }
        };
        compared.lock().add(hook, who, &all_differences(&live, &own));
    }
}

fn who(subject: &Subject) -> (String, Option<String>) {
    (subject.client_id.to_string(), Some(subject.identity.principal.to_string()))
}

fn written<T>(answer: &Result<T, PluginFailure>, fields: impl FnOnce(&T) -> Table) -> Table {
    match answer {
        Ok(answer) => fields(answer),
        Err(failure) => answered::failure(failure),
    }
}

impl Compared {
    fn add(&mut self, hook: &'static str, who: (String, Option<String>), lines: &[String]) {
        self.calls += 1;
        if lines.is_empty() {
            return;
        }
        self.differences += 1;
        *self.kinds.entry(hook).or_default() += 1;
        if self.last.len() >= DIFFERENCES_MAX {
            self.last.pop_front();
        }
        let (client_id, user) = who;
        let lines = lines.to_vec();
        self.last.push_back(ShadowDifference { hook: hook.to_owned(), client_id, user, lines });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tests::{calls, guest::Guest};

    fn question() -> Asked {
        let asked = Box::new((calls::connection(), calls::credentials()));
        Asked::Authenticate(asked, Outcome::Next)
    }

    #[tokio::test]
    async fn a_queue_that_is_full_drops_and_counts() {
        let candidate = calls::build(&Guest::allow()).await;
        let shadow = Shadow::start(candidate);
        // Nobody else runs before this task waits.
        for _ in 0..WAITING_MAX + 7 {
            shadow.tell(question);
        }
        assert_eq!(shadow.report(Instant::now()).dropped, 7);
    }

    #[tokio::test]
    async fn the_rule_wants_time_calls_and_few_differences() {
        let shadow = Shadow::start(calls::build(&Guest::next()).await);
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let rule = Shadowing {
            promote_after: Some(Duration::from_secs(60)),
            min_calls: 2,
            max_differences: 1,
        };
        assert!(!shadow.is_due(&rule, after(3600)), "nobody asked");
        shadow.compared.lock().add("authenticate", ("c".to_owned(), None), &[]);
        let differs = ["x".to_owned()];
        shadow.compared.lock().add("authenticate", ("c".to_owned(), None), &differs);
        assert!(!shadow.is_due(&rule, after(30)));
        assert!(shadow.is_due(&rule, after(61)));
        let never = Shadowing { promote_after: None, ..rule };
        assert!(!shadow.is_due(&never, after(3600)));
        shadow.compared.lock().add("authenticate", ("c".to_owned(), None), &differs);
        assert!(!shadow.is_due(&rule, after(3600)), "too many differ");
    }
}
