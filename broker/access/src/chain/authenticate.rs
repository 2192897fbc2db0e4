//! Walks a chain for one CONNECT: asks the authenticators and keeps the record of the walk.
//!
//! The rules are in `walk.rs`; here is only the asking.

use std::{sync::Arc, time::Duration};

use super::{Chain, Place, merge::check_grant, walk::Walk};
use crate::{Connection, Credentials, Decision, Hook, Outcome, PluginFailure, Verdict};

/// What every walk needs to know of time.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    /// A clock that never goes back: measures how long links take.
    pub(crate) monotonic: fn() -> Duration,
    /// Seconds since 1970.
    pub(crate) now_unix: u64,
}

/// Decides one CONNECT. A link whose plugin only authorizes has no place in the walk, unless it must
/// allow: then it fails.
pub(crate) async fn authenticate(
    chain: &Chain,
    connection: &Connection,
    credentials: &Credentials,
    clock: Clock,
) -> Decision {
    let mut walk = Walk::default();
    let mut reports = Vec::with_capacity(chain.links.len());
    for link in &chain.links {
        let place = link.authenticator();
        if matches!(place, Place::Elsewhere) {
            continue;
        }
        if !walk.asks(link.control) {
            reports.push(link.report(Hook::Authenticator, Verdict::Skipped, Duration::ZERO));
            continue;
        }
        let started = (clock.monotonic)();
        let word = match place {
            Place::Asked(hook) => hook.authenticate(connection, credentials).await,
            Place::Failed(failure) => Err(failure),
            Place::Elsewhere => continue,
        };
        let word = word.and_then(checked);
        let elapsed = (clock.monotonic)().saturating_sub(started);
        reports.push(link.report(Hook::Authenticator, verdict(&word), elapsed));
        walk.hear(link, word);
    }
    Decision { result: walk.finish(clock.now_unix).map(Arc::new), walk: reports }
}

fn checked(outcome: Outcome) -> Result<Outcome, PluginFailure> {
    if let Outcome::Allow(grant) = &outcome {
        check_grant(grant)?;
    }
    Ok(outcome)
}

fn verdict(word: &Result<Outcome, PluginFailure>) -> Verdict {
    match word {
        Ok(Outcome::Allow(_)) => Verdict::Allow,
        Ok(Outcome::Deny(denial)) => Verdict::Deny(denial.clone()),
        Ok(Outcome::Next) => Verdict::Next,
        Err(failure) => Verdict::Failure(failure.clone()),
    }
}
