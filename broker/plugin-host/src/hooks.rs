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

use std::{net::IpAddr, sync::Arc};

use access::{Hooks, PluginFailure};
use serde::Serialize;

use crate::{generation::Generation, instance::Call, recording::Recorded};

/// A live generation as chains see it.
pub(crate) struct Hook(pub(crate) Arc<Generation>);

impl Hook {
    /// Asks the guest. An answer that is not taken is a failure of the call like any other.
    async fn ask<C: Call, T>(
        &self,
        call: C,
        take: impl FnOnce(C::Reply) -> Result<T, PluginFailure>,
    ) -> Result<T, PluginFailure> {
        self.take(self.0.ask(call).await?, take)
    }

    /// The same on behalf of a client.
    async fn ask_for<C: Call, T>(
        &self,
        client: IpAddr,
        call: C,
        take: impl FnOnce(C::Reply) -> Result<T, PluginFailure>,
    ) -> Result<T, PluginFailure> {
        self.take(self.0.ask_for(client, call).await?, take)
    }

    /// The same as part of a decision.
    async fn decide<C: Recorded, T>(
        &self,
        client: IpAddr,
        call: C,
        take: impl FnOnce(C::Reply) -> Result<T, PluginFailure>,
    ) -> Result<T, PluginFailure>
    where
        C::Reply: Serialize,
    {
        self.take(self.0.decide(client, call).await?, take)
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
