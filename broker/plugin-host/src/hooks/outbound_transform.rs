//! Hook `outbound-transform`.

use access::{Application, BoxFuture, Outbound, OutboundTransform, PluginFailure, Scope, Subject};
use topic::TopicFilter;
use wasmtime::Store;

use super::Hook;
use crate::{
    bindings::{
        exports::portcullis::plugin::outbound_transform as wit,
        portcullis::plugin::{
            messages,
            types::{self, PluginError},
        },
    },
    convert,
    exports::Exports,
    instance::{Call, State, Work},
    manifest::OnTransformError,
};

impl OutboundTransform for Hook {
    fn topics(&self) -> &[TopicFilter] {
        &self.0.claims.outbound
    }

    fn scope(&self) -> Scope {
        if self.0.claims.asks_who { Scope::Subscriber } else { Scope::Message }
    }

    fn transform<'a>(
        &'a self,
        subscriber: Option<&'a Subject>,
        message: &'a Application,
    ) -> BoxFuture<'a, Result<Outbound, PluginFailure>> {
        Box::pin(async move {
            let arguments = (subscriber.map(convert::client), convert::message(message));
            let answer = self.ask(Transform(Box::new(arguments)), outcome).await;
            answer.or_else(|failure| match self.0.manifest.transform.on_error {
                None | Some(OnTransformError::Reject) => Err(failure),
                Some(OnTransformError::Drop) => Ok(Outbound::Swallow),
                Some(OnTransformError::Pass) => Ok(Outbound::Unchanged),
            })
        })
    }
}

struct Transform(Box<(Option<types::Client>, messages::Message)>);

impl Call for Transform {
    type Reply = wit::Outcome;
    const WORK: Work = Work::Message;
    const HOOK: &'static str = "outbound-transform";

    fn bytes(&self) -> usize {
        let (client, message) = &*self.0;
        client.as_ref().map_or(0, convert::client_bytes) + convert::message_bytes(message)
    }

    async fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Self::Reply, PluginError>> {
        let (client, message) = &*self.0;
        let hook = exports.outbound_transform()?;
        hook.call_transform(store, client.as_ref(), message).await
    }
}

fn outcome(from: wit::Outcome) -> Result<Outbound, PluginFailure> {
    Ok(match from {
        wit::Outcome::Unchanged => Outbound::Unchanged,
        wit::Outcome::Patched(patch) => Outbound::Patched(Box::new(convert::patch(patch)?)),
        wit::Outcome::Swallow => Outbound::Swallow,
    })
}
