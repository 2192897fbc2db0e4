//! Hook `inbound-transform`.

use access::{
    Application, BoxFuture, Denial, Inbound, InboundTransform, PluginFailure, Publisher, Source,
};
use codec::ReasonCode;
use topic::TopicFilter;
use wasmtime::Store;

use super::Hook;
use crate::{
    bindings::{
        exports::portcullis::plugin::inbound_transform as wit,
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

impl InboundTransform for Hook {
    fn topics(&self) -> &[TopicFilter] {
        &self.0.claims.inbound
    }

    fn transform<'a>(
        &'a self,
        source: Source,
        publisher: Publisher<'a>,
        message: &'a Application,
    ) -> BoxFuture<'a, Result<Inbound, PluginFailure>> {
        Box::pin(async move {
            let source = match source {
                Source::Publish => wit::Source::Publish,
                Source::Will => wit::Source::Will,
                Source::Api => wit::Source::Api,
            };
            let arguments = (source, convert::publisher(publisher), convert::message(message));
            let call = Transform(Box::new(arguments));
            let answer = match publisher {
                Publisher::Client(client) => self.ask_for(client.remote, call, outcome).await,
                Publisher::Api(_) => self.ask(call, outcome).await,
            };
            answer.or_else(|failure| match self.0.manifest.transform.on_error {
                None | Some(OnTransformError::Reject) => Err(failure),
                Some(OnTransformError::Drop) => Ok(Inbound::Swallow),
                Some(OnTransformError::Pass) => Ok(Inbound::Unchanged),
            })
        })
    }
}

struct Transform(Box<(wit::Source, types::Client, messages::Message)>);

impl Call for Transform {
    type Reply = wit::Outcome;
    const WORK: Work = Work::Message;
    const HOOK: &'static str = "inbound-transform";

    fn bytes(&self) -> usize {
        let (_, client, message) = &*self.0;
        convert::client_bytes(client) + convert::message_bytes(message)
    }

    async fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Self::Reply, PluginError>> {
        let (source, client, message) = &*self.0;
        exports.inbound_transform()?.call_transform(store, *source, client, message).await
    }
}

fn outcome(from: wit::Outcome) -> Result<Inbound, PluginFailure> {
    Ok(match from {
        wit::Outcome::Unchanged => Inbound::Unchanged,
        wit::Outcome::Patched(patch) => Inbound::Patched(Box::new(convert::patch(patch)?)),
        wit::Outcome::Swallow => Inbound::Swallow,
        wit::Outcome::Reject(denial) => Inbound::Reject(publish_denial(convert::denial(denial))),
    })
}

/// Only what PUBACK and PUBREC can say [MQTT-3.4.2-1] [MQTT-3.5.2-1].
fn publish_denial(denial: Denial) -> Denial {
    let reason_code = match denial.reason_code {
        code @ (ReasonCode::UnspecifiedError
        | ReasonCode::ImplementationSpecificError
        | ReasonCode::NotAuthorized
        | ReasonCode::TopicNameInvalid
        | ReasonCode::QuotaExceeded
        | ReasonCode::PayloadFormatInvalid) => code,
        _ => ReasonCode::NotAuthorized,
    };
    Denial { reason_code, ..denial }
}
