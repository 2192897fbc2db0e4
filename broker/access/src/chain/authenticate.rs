//! Walks a chain for one CONNECT: asks the authenticators and keeps the record of the walk.
//!
//! The rules are in `walk.rs`; here is only the asking.

use std::{sync::Arc, time::Duration};

use super::{Chain, Place, merge::check_grant, stopwatch::Stopwatch, walk::Walk};
use crate::{Connection, Credentials, Decision, Hook, Outcome, PluginFailure, Verdict};

/// Decides one CONNECT. A link whose plugin only authorizes has no place in the walk, unless it must
/// allow: then it fails. `now_unix` = seconds since 1970.
pub(crate) async fn authenticate(
    chain: &Chain,
    connection: &Connection,
    credentials: &Credentials,
    (stopwatch, now_unix): (&mut Stopwatch, u64),
) -> Decision {
    let mut walk = Walk::default();
    // Of both hooks: those of the authorizers join them.
    let mut reports = Vec::with_capacity(2 * chain.links.len());
    for link in &chain.links {
        let place = link.authenticator();
        if matches!(place, Place::Elsewhere) {
            continue;
        }
        if !walk.asks(link.control) {
            reports.push(link.report(Hook::Authenticator, Verdict::Skipped, Duration::ZERO));
            continue;
        }
        let word = match place {
            Place::Asked(hook) => hook.authenticate(&walk.seen(connection), credentials).await,
            Place::Failed(failure) => Err(failure),
            Place::Elsewhere => continue,
        };
        let word = checked(word);
        reports.push(link.report(Hook::Authenticator, verdict(&word), stopwatch.lap()));
        walk.hear(link, word);
    }
    Decision { result: walk.finish(now_unix).map(Arc::new), walk: reports }
}

/// A grant that could not be used is a failure of its link.
pub(super) fn checked(word: Result<Outcome, PluginFailure>) -> Result<Outcome, PluginFailure> {
    if let Ok(Outcome::Allow(grant)) = &word {
        check_grant(grant)?;
    }
    word
}

pub(super) fn verdict(word: &Result<Outcome, PluginFailure>) -> Verdict {
    match word {
        Ok(Outcome::Allow(_)) => Verdict::Allow,
        Ok(Outcome::Deny(denial)) => Verdict::Deny(denial.clone()),
        Ok(Outcome::Next) => Verdict::Next,
        Err(failure) => Verdict::Failure(failure.clone()),
    }
}
