//! Asks the authorizers of a chain for one client's permissions and compiles the answers.
//!
//! Control flags and `on_error` have no say here: every authorizer is asked, and any failure
//! refuses, because what failed to answer might have held the deny rule.

use std::{sync::Arc, time::Duration};

use codec::ReasonCode;

use super::{Chain, Place};
use crate::{
    Answer, Denial, Hook, LinkReport, Permissions, PluginFailure, Refusal, Subject, Verdict,
};

/// The compiled permissions, or why there are none, and what each link said. After the first
/// failure nobody is asked any more.
pub(crate) async fn authorize(
    chain: &Chain,
    subject: &Subject,
    monotonic: fn() -> Duration,
) -> (Result<Permissions, Refusal>, Vec<LinkReport>) {
    let mut reports = Vec::with_capacity(chain.links.len());
    let mut answers: Vec<(Arc<str>, Answer)> = Vec::with_capacity(chain.links.len());
    let mut refusal = None;
    for link in &chain.links {
        let place = link.authorizer();
        if matches!(place, Place::Elsewhere) {
            continue;
        }
        if refusal.is_some() {
            reports.push(link.report(Hook::Authorizer, Verdict::Skipped, Duration::ZERO));
            continue;
        }
        let started = monotonic();
        let word = match place {
            Place::Asked(hook) => hook.permissions(subject).await,
            Place::Failed(failure) => Err(failure),
            Place::Elsewhere => continue,
        };
        let elapsed = monotonic().saturating_sub(started);
        reports.push(link.report(Hook::Authorizer, verdict(&word), elapsed));
        match word {
            Ok(answer) => answers.push((link.name.clone(), answer)),
            Err(failure) => refusal = Some(Refusal::of_failure(&link.name, &failure)),
        }
    }
    let result = match refusal {
        Some(refusal) => Err(refusal),
        None => Permissions::compile(subject, &answers),
    };
    let of_link = |plugin: &Arc<str>| chain.links.iter().find(|link| link.name == *plugin);
    let result = result.map_err(|refusal| {
        let link = refusal.plugin.as_ref().and_then(of_link);
        let generation = link.map(|link| link.generation.clone()).unwrap_or_default();
        Refusal { generation, ..refusal }
    });
    (result, reports)
}

fn verdict(word: &Result<Answer, PluginFailure>) -> Verdict {
    match word {
        Ok(Answer::Permissions(_)) => Verdict::Allow,
        Ok(Answer::DenyAll) => {
            Verdict::Deny(Denial { reason_code: ReasonCode::NotAuthorized, reason: None })
        }
        Ok(Answer::Next) => Verdict::Next,
        Err(failure) => Verdict::Failure(failure.clone()),
    }
}
