//! A generation behind the traits of `access`: one file per hook, with what the guest is asked, what
//! it answers, and what of the answer is not taken.

pub(crate) mod admin_authenticator;
pub(crate) mod authenticator;
pub(crate) mod authorizer;
pub(crate) mod enhanced_authenticator;
pub(crate) mod events;
mod inbound_transform;
pub(crate) mod operation_authorizer;
mod outbound_transform;
pub(crate) mod timer;

use std::{net::IpAddr, sync::Arc, time::Instant};

use access::{Answer, Hooks, Inbound, Outbound, Outcome, PluginFailure, Ruling, Step};
use serde::Serialize;

use crate::{generation::Generation, instance::Call, recording::Recorded};

/// A live generation as chains see it.
pub(crate) struct Hook(pub(crate) Arc<Generation>);

impl Hook {
    /// Asks the guest. An answer that is not taken is a failure of the call like any other.
    async fn ask<C: Call, T: Said>(
        &self,
        call: C,
        take: impl FnOnce(C::Reply) -> Result<T, PluginFailure>,
    ) -> Result<T, PluginFailure> {
        let begun = Instant::now();
        let taken = self.0.ask(call).await.and_then(|answer| self.take(answer, take));
        self.note::<C, T>(begun, &taken);
        taken
    }

    /// The same on behalf of a client.
    async fn ask_for<C: Call, T: Said>(
        &self,
        client: IpAddr,
        call: C,
        take: impl FnOnce(C::Reply) -> Result<T, PluginFailure>,
    ) -> Result<T, PluginFailure> {
        let begun = Instant::now();
        let asked = self.0.ask_for(client, call).await;
        let taken = asked.and_then(|answer| self.take(answer, take));
        self.note::<C, T>(begun, &taken);
        taken
    }

    /// The same as part of a decision.
    async fn decide<C: Recorded, T: Said>(
        &self,
        client: IpAddr,
        call: C,
        take: impl FnOnce(C::Reply) -> Result<T, PluginFailure>,
    ) -> Result<T, PluginFailure>
    where
        C::Reply: Serialize,
    {
        let begun = Instant::now();
        let decided = self.0.decide(client, call).await;
        let taken = decided.and_then(|answer| self.take(answer, take));
        self.note::<C, T>(begun, &taken);
        taken
    }

    /// How long it took to say what.
    fn note<C: Call, T: Said>(&self, begun: Instant, taken: &Result<T, PluginFailure>) {
        let verdict = taken.as_ref().map_or("failure", Said::word);
        self.0.times.observe(C::HOOK, verdict, begun.elapsed());
        if let Err(failure) = taken {
            self.0.times.failed(C::HOOK, failure.kind.name());
        }
    }

    fn take<A, T>(
        &self,
        answer: A,
        take: impl FnOnce(A) -> Result<T, PluginFailure>,
    ) -> Result<T, PluginFailure> {
        let taken = take(answer);
        if let Err(error) = &taken {
            self.0.refused(error);
        }
        taken
    }
}

/// An answer in the word that metrics have for it: one of `telemetry::HookTimes`.
trait Said {
    fn word(&self) -> &'static str;
}

impl Said for Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Deny(_) => "deny",
            Self::Next => "next",
        }
    }
}

impl Said for Step {
    fn word(&self) -> &'static str {
        match self {
            Self::Challenge(_) => "challenge",
            Self::Success(..) => "allow",
            Self::Deny(_) => "deny",
            Self::Next => "next",
        }
    }
}

impl Said for Answer {
    fn word(&self) -> &'static str {
        match self {
            Self::Permissions(_) => "allow",
            Self::DenyAll => "deny",
            Self::Next => "next",
        }
    }
}

impl Said for Ruling {
    fn word(&self) -> &'static str {
        self.word.word()
    }
}

impl Said for Inbound {
    fn word(&self) -> &'static str {
        Self::word(self)
    }
}

impl Said for Outbound {
    fn word(&self) -> &'static str {
        Self::word(self)
    }
}

/// Those hooks of a generation that have a part in chains.
pub(crate) fn of(generation: &Arc<Generation>) -> Hooks {
    let hook = || Arc::new(Hook(Arc::clone(generation)));
    let exports = |name: &str| generation.hook_names.iter().any(|hook| hook == name);
    Hooks {
        authenticator: exports("authenticator").then(|| hook() as _),
        enhanced_authenticator: exports("enhanced-authenticator").then(|| hook() as _),
        authorizer: exports("authorizer").then(|| hook() as _),
        operation_authorizer: exports("operation-authorizer").then(|| hook() as _),
        inbound_transform: exports("inbound-transform").then(|| hook() as _),
        outbound_transform: exports("outbound-transform").then(|| hook() as _),
        admin_authenticator: exports("admin-authenticator").then(|| hook() as _),
    }
}
