//! Walks a chain for a client that authenticates in several steps (MQTT 5.0 section 4.12).
//!
//! The walk stops where a link has a challenge for the client, and goes on there with the answer. When
//! the chain was swapped in between, it begins anew on the new one up to that link, found by its name:
//! so no decision rests on a generation that is gone.
//!
//! ```text
//! opening ──▶ walk ──▶ challenge ──▶ (the client) ──▶ continuation ──▶ walk ──▶ ... ──▶ decision
//! ```

use std::{sync::Arc, time::Duration};

use super::{
    Chain, Link, LinkState, authenticate, merge::check_grant, stopwatch::Stopwatch, walk::Walk,
};
use crate::{
    Connection, Continuation, Credentials, Denial, Hook, Identity, LinkReport, Opening, Outcome,
    PluginFailure, PluginFailureKind, Refusal, RefusalKind, Step, Verdict,
};
use codec::ReasonCode;

/// An exchange that waits for the client.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Generation of the chain that the walk stands on.
    pub(crate) generation: u64,
    opening: Opening,
    walk: Walk,
    /// Place of the link that holds the exchange.
    at: usize,
    holder: Arc<str>,
    /// What the link left for its next step.
    state: Vec<u8>,
    steps: u8,
}

impl Exchange {
    /// Whether the client was connected when it began.
    pub(crate) fn is_again(&self) -> bool {
        self.opening.principal.is_some()
    }
}

/// The answer of the client.
pub(crate) struct Answer {
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) user_properties: Vec<(String, String)>,
}

/// What a step came to.
pub(crate) enum Stepped {
    /// The client has to answer this.
    Challenge(Vec<u8>, Box<Exchange>),
    /// Who it is, or why not; Authentication Data for the last packet.
    Decided(Result<Arc<Identity>, Refusal>, Option<Vec<u8>>),
}

/// Who asks: the same in every step.
pub(crate) struct Asking<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) credentials: &'a Credentials,
    pub(crate) now_unix: u64,
}

/// Begins an exchange.
pub(crate) async fn begin(
    (chain, generation): (&Chain, u64),
    asking: Asking<'_>,
    opening: Opening,
    reports: &mut Vec<LinkReport>,
    stopwatch: &mut Stopwatch,
) -> Stepped {
    let run = Run { chain, generation, asking, opening, answer: None, steps: 0 };
    run.walk(Walk::default(), 0, reports, stopwatch).await
}

/// Goes on with the answer of the client.
pub(crate) async fn proceed(
    (chain, generation): (&Chain, u64),
    asking: Asking<'_>,
    (exchange, answer): (Exchange, Answer),
    reports: &mut Vec<LinkReport>,
    stopwatch: &mut Stopwatch,
) -> Stepped {
    let Exchange { generation: before, opening, walk, at, holder, state, steps } = exchange;
    if steps >= STEPS_MAX {
        let detail = format!("no end after {STEPS_MAX} steps");
        let refusal = Refusal::by_plugin(RefusalKind::NotAllowed, &holder, detail);
        return Stepped::Decided(Err(refusal), None);
    }
    let answer = Some((holder, state, answer));
    let run = Run { chain, generation, asking, opening, answer, steps };
    match before == generation {
        true => run.walk(walk, at, reports, stopwatch).await,
        false => run.walk(Walk::default(), 0, reports, stopwatch).await,
    }
}

/// One walk, from a packet of the client to the next packet for it.
struct Run<'a> {
    chain: &'a Chain,
    generation: u64,
    asking: Asking<'a>,
    opening: Opening,
    /// Of the client, for the link that holds the exchange with what it left.
    answer: Option<(Arc<str>, Vec<u8>, Answer)>,
    steps: u8,
}

/// A link's part in a walk.
enum Part<'a> {
    /// It holds the exchange, or may.
    Step(&'a dyn crate::EnhancedAuthenticator),
    /// It must allow, whatever way the client chose.
    Plain(&'a dyn crate::Authenticator),
    /// It cannot answer.
    Failed(PluginFailure),
    /// None.
    Elsewhere,
}

impl Run<'_> {
    async fn walk(
        mut self,
        mut walk: Walk,
        from: usize,
        reports: &mut Vec<LinkReport>,
        stopwatch: &mut Stopwatch,
    ) -> Stepped {
        let mut held = self.answer.is_some();
        let mut data = None;
        let chain = self.chain;
        for (at, link) in chain.links.iter().enumerate().skip(from) {
            let holds = self.answer.as_ref().is_some_and(|(holder, ..)| **holder == *link.name);
            let part = self.part(link, held && !holds);
            let hook = match part {
                Part::Elsewhere => continue,
                Part::Plain(_) => Hook::Authenticator,
                Part::Step(_) | Part::Failed(_) => Hook::EnhancedAuthenticator,
            };
            if !walk.asks(link.control) {
                reports.push(link.report(hook, Verdict::Skipped, Duration::ZERO));
                continue;
            }
            let word = match part {
                Part::Elsewhere => continue,
                Part::Failed(failure) => Err(failure),
                Part::Plain(plain) => {
                    let Asking { connection, credentials, .. } = self.asking;
                    plain.authenticate(&walk.seen(connection), credentials).await
                }
                Part::Step(enhanced) => {
                    let seen = walk.seen(self.asking.connection);
                    match self.step((enhanced, &seen), holds).await {
                        Ok(Step::Challenge(challenge)) => {
                            reports.push(link.report(hook, Verdict::Challenge, stopwatch.lap()));
                            let exchange = Exchange {
                                generation: self.generation,
                                opening: self.opening,
                                walk,
                                at,
                                holder: Arc::clone(&link.name),
                                state: challenge.state,
                                steps: self.steps + 1,
                            };
                            return Stepped::Challenge(challenge.data, Box::new(exchange));
                        }
                        Ok(Step::Success(grant, last)) => {
                            data = last;
                            held = true;
                            Ok(Outcome::Allow(*grant))
                        }
                        Ok(Step::Deny(denial)) => {
                            held = true;
                            Ok(Outcome::Deny(denial))
                        }
                        Ok(Step::Next) if holds => Ok(Outcome::Deny(Denial {
                            reason_code: ReasonCode::NotAuthorized,
                            reason: None,
                        })),
                        Ok(Step::Next) => Ok(Outcome::Next),
                        Err(failure) => Err(failure),
                    }
                }
            };
            let word = authenticate::checked(word);
            reports.push(link.report(hook, authenticate::verdict(&word), stopwatch.lap()));
            walk.hear(link, word);
        }
        let decided = walk.finish(self.asking.now_unix).map(Arc::new);
        Stepped::Decided(self.judge(decided), data)
    }

    /// `taken` = the exchange is another link's.
    fn part<'l>(&self, link: &'l Link, taken: bool) -> Part<'l> {
        let hooks = match &link.state {
            LinkState::Live(hooks) => hooks,
            LinkState::Missing(sentence) => return Part::Failed(super::missing(sentence.clone())),
        };
        let method = &self.opening.method;
        let enhanced = hooks.enhanced_authenticator.as_deref();
        if let Some(enhanced) = enhanced.filter(|hook| !taken && hook.methods().contains(method)) {
            return Part::Step(enhanced);
        }
        match &hooks.authenticator {
            _ if !link.must_allow() => Part::Elsewhere,
            Some(plain) => Part::Plain(plain.as_ref()),
            None => Part::Failed(PluginFailure {
                kind: PluginFailureKind::Missing,
                message: "the link must allow, but its plugin has no part in this exchange"
                    .to_owned(),
            }),
        }
    }

    async fn step(
        &mut self,
        (enhanced, connection): (&dyn crate::EnhancedAuthenticator, &Connection),
        holds: bool,
    ) -> Result<Step, PluginFailure> {
        let step = match self.answer.take_if(|_| holds) {
            None => enhanced.begin(connection, &self.opening).await?,
            Some((_, state, answer)) => {
                let continuation = Continuation {
                    method: self.opening.method.clone(),
                    data: answer.data,
                    state,
                    principal: self.opening.principal.clone(),
                    user_properties: answer.user_properties,
                };
                enhanced.proceed(connection, &continuation).await?
            }
        };
        if let Step::Success(grant, _) = &step {
            check_grant(grant)?;
        }
        Ok(step)
    }

    /// Whoever nobody could ask has no method here; and who authenticates again stays who it is.
    fn judge(&self, decided: Result<Arc<Identity>, Refusal>) -> Result<Arc<Identity>, Refusal> {
        let method = &self.opening.method;
        let has_method = |link: &Link| match &link.state {
            LinkState::Live(hooks) => hooks
                .enhanced_authenticator
                .as_ref()
                .is_some_and(|hook| hook.methods().contains(method)),
            LinkState::Missing(_) => false,
        };
        match decided {
            Err(refusal)
                if refusal.kind == RefusalKind::NotAllowed
                    && !self.chain.links.iter().any(has_method) =>
            {
                let detail = format!("no link of the chain has the method {method:?}");
                Err(Refusal::by_nobody(RefusalKind::NoMethod, detail))
            }
            Ok(identity)
                if self.opening.principal.as_ref().is_some_and(|p| **p != *identity.principal) =>
            {
                let detail = "the client authenticated again as another principal".to_owned();
                let link = &identity.authenticated_by;
                Err(Refusal::by_plugin(RefusalKind::PrincipalConflict, link, detail))
            }
            decided => decided,
        }
    }
}

/// Most steps that a client is asked for.
const STEPS_MAX: u8 = 8;

#[cfg(test)]
mod tests;
