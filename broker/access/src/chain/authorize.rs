//! Asks the authorizers of a chain for one client's permissions and compiles the answers.
//!
//! Control flags and `on_error` have no say here: every authorizer is asked, and any failure
//! refuses, because what failed to answer might have held the deny rule.

use std::{sync::Arc, time::Duration};

use codec::ReasonCode;

use super::{Chain, Place, answers::Answers, stopwatch::Stopwatch};
use crate::{
    Answer, Denial, GrantedRules, HoldsFor, Hook, LinkReport, PermissionSet, Permissions,
    PluginFailure, Refusal, Subject, Verdict, answered::Answered,
};

/// What a client may do, from answers that may be older than the question.
#[derive(Debug)]
pub(crate) struct Permitted {
    pub(crate) permissions: Permissions,
    /// How much longer.
    pub(crate) usable_for: Duration,
}

/// The compiled permissions, or why there are none, and what each link said. After the first
/// failure nobody is asked any more.
pub(crate) async fn authorize(
    chain: &Chain,
    kept: &[Answers],
    subject: &Subject,
    stopwatch: &mut Stopwatch,
) -> (Result<Permitted, Refusal>, Vec<LinkReport>) {
    let mut reports = Vec::with_capacity(chain.links.len());
    let mut answers: Vec<(Arc<str>, Arc<Answered>)> = Vec::with_capacity(chain.links.len());
    let mut new: Vec<(&Answers, Arc<Answered>)> = Vec::new();
    let mut refusal = None;
    for (link, kept) in chain.links.iter().zip(kept) {
        let place = link.authorizer();
        if matches!(place, Place::Elsewhere) {
            continue;
        }
        if refusal.is_some() {
            reports.push(link.report(Hook::Authorizer, Verdict::Skipped, Duration::ZERO));
            continue;
        }
        let (word, cached) = match place {
            Place::Asked(hook) => kept.ask(hook, subject, stopwatch).await,
            Place::Failed(failure) => (Err(failure), false),
            Place::Elsewhere => continue,
        };
        let elapsed = if cached { Duration::ZERO } else { stopwatch.lap() };
        let report = link.report(Hook::Authorizer, verdict(&word), elapsed);
        reports.push(LinkReport { cached, ..report });
        match word {
            Ok(answer) => {
                if !cached {
                    new.push((kept, Arc::clone(&answer)));
                }
                answers.push((link.name.clone(), answer));
            }
            Err(failure) => refusal = Some(Refusal::of_failure(&link.name, &failure)),
        }
    }
    let granted = subject.identity.permissions.iter();
    answers.extend(granted.map(|granted| by_grant(granted, stopwatch.now())));
    let result = match refusal {
        Some(refusal) => Err(refusal),
        None => Permissions::compile_answered(subject, &answers),
    };
    if result.is_ok() {
        for (kept, answer) in new {
            kept.keep(subject, &answer);
        }
    }
    let permitted = |permissions: Permissions| {
        let now = stopwatch.now();
        let remains = answers.iter().map(|(_, answered)| answered.remains(now)).min();
        Permitted { usable_for: remains.unwrap_or_else(|| permissions.ttl()), permissions }
    };
    let of_link = |plugin: &Arc<str>| chain.links.iter().find(|link| link.name == *plugin);
    let result = result.map(permitted).map_err(|refusal| {
        let link = refusal.plugin.as_ref().and_then(of_link);
        let generation = link.map(|link| link.generation.clone()).unwrap_or_default();
        Refusal { generation, ..refusal }
    });
    (result, reports)
}

/// Rules of a grant as a link of their own. They end with the identity, not by age.
fn by_grant(granted: &GrantedRules, now: Duration) -> (Arc<str>, Arc<Answered>) {
    let answer = Answer::Permissions(PermissionSet {
        rules: granted.rules.to_vec(),
        ttl_seconds: Some(u32::MAX),
        holds_for: HoldsFor::Client,
    });
    (Arc::clone(&granted.link), Answered::new(answer, now))
}

fn verdict(word: &Result<Arc<Answered>, PluginFailure>) -> Verdict {
    match word.as_ref().map(|answered| &answered.answer) {
        Ok(Answer::Permissions(_)) => Verdict::Allow,
        Ok(Answer::DenyAll) => {
            Verdict::Deny(Denial { reason_code: ReasonCode::NotAuthorized, reason: None })
        }
        Ok(Answer::Next) => Verdict::Next,
        Err(failure) => Verdict::Failure(failure.clone()),
    }
}
