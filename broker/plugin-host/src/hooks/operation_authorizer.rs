//! Hook `operation-authorizer`.

use std::time::Duration;

use access::{
    BoxFuture, Operation, OperationAuthorizer, OperationWord, PluginFailure, Ruling, Subject,
};
use topic::TopicFilter;
use wasmtime::Store;

use super::Hook;
use crate::{
    bindings::{
        exports::portcullis::plugin::operation_authorizer as wit,
        portcullis::plugin::types::{self, PluginError},
    },
    convert,
    exports::Exports,
    instance::{Call, State, Work},
    recording::Recorded,
    shadow::Asked,
};

/// How long an answer may be used again, in seconds: when it says nothing, and at most.
const TTL_DEFAULT: u32 = 60;
const TTL_MAX: u32 = 3_600;

impl OperationAuthorizer for Hook {
    fn topics(&self) -> &[TopicFilter] {
        &self.0.claims.operations
    }

    fn authorize<'a>(
        &'a self,
        subject: &'a Subject,
        operation: &'a Operation,
    ) -> BoxFuture<'a, Result<Ruling, PluginFailure>> {
        Box::pin(async move {
            let arguments = (convert::subject(subject), self::operation(operation));
            let call = Authorize(Box::new(arguments));
            let ruling = self.decide(subject.remote, call, |ruling| Ok(self::ruling(ruling))).await;
            if let Ok(ruling) = &ruling {
                self.0.tell_shadow(|| {
                    let question = Box::new((subject.clone(), operation.clone()));
                    Asked::Authorize(question, ruling.clone())
                });
            }
            ruling
        })
    }
}

pub(crate) struct Authorize(Box<(types::Subject, wit::Operation)>);

impl Call for Authorize {
    type Reply = wit::Ruling;
    const WORK: Work = Work::Decision;
    const HOOK: &'static str = "operation-authorizer";

    fn bytes(&self) -> usize {
        let (subject, operation) = &*self.0;
        let operation = match operation {
            wit::Operation::Publish(publish) => publish.topic.len(),
            wit::Operation::Subscribe(subscribe) => {
                subscribe.filter.len() + convert::text(subscribe.share_name.as_ref())
            }
        };
        convert::subject_bytes(subject) + operation
    }

    async fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Self::Reply, PluginError>> {
        let (subject, operation) = &*self.0;
        exports.operation_authorizer()?.call_authorize(store, subject, operation).await
    }
}

impl Recorded for Authorize {
    type Input = (types::Subject, wit::Operation);
    const NAME: &'static str = "authorize";

    fn input(&self) -> &Self::Input {
        &self.0
    }

    fn again(input: Self::Input, _: Vec<u8>) -> Self {
        Self(Box::new(input))
    }
}

fn operation(from: &Operation) -> wit::Operation {
    match from.clone() {
        Operation::Publish { topic, qos, retain, payload_bytes_max } => {
            let qos = convert::qos(qos);
            wit::Operation::Publish(wit::PublishOperation { topic, qos, retain, payload_bytes_max })
        }
        Operation::Subscribe { filter, qos, share_name } => {
            let qos = convert::qos(qos);
            wit::Operation::Subscribe(wit::SubscribeOperation { filter, qos, share_name })
        }
    }
}

fn ruling(from: wit::Ruling) -> Ruling {
    let seconds = from.ttl_seconds.unwrap_or(TTL_DEFAULT).min(TTL_MAX);
    Ruling {
        word: match from.decision {
            wit::Decision::Allow => OperationWord::Allow,
            wit::Decision::Deny(denial) => OperationWord::Deny(convert::denial(denial)),
            wit::Decision::Next => OperationWord::Next,
        },
        ttl: Duration::from_secs(seconds.into()),
    }
}
