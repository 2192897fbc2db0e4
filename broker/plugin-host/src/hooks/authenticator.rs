//! Hook `authenticator`.

use std::mem;

use access::{Authenticator, BoxFuture, Connection, Credentials, Outcome, PluginFailure};
use wasmtime::Store;
use zeroize::Zeroize;

use super::Hook;
use crate::{
    bindings::{
        exports::portcullis::plugin::authenticator as wit,
        portcullis::plugin::types::{self, PluginError},
    },
    convert,
    exports::Exports,
    instance::{Call, State, Work},
    recording::Recorded,
    shadow::Asked,
};

impl Authenticator for Hook {
    fn authenticate<'a>(
        &'a self,
        connection: &'a Connection,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>> {
        Box::pin(async move {
            let arguments = (convert::connection(connection), self::credentials(credentials));
            let call = Authenticate(Box::new(arguments));
            let answer = self.decide(connection.remote.ip(), call, outcome).await;
            if let Ok(outcome) = &answer {
                self.0.tell_shadow(|| {
                    let question = Box::new((connection.clone(), credentials.clone()));
                    Asked::Authenticate(question, outcome.clone())
                });
            }
            answer
        })
    }
}

pub(crate) struct Authenticate(Box<(types::Connection, wit::Credentials)>);

impl Call for Authenticate {
    type Reply = wit::Outcome;
    const WORK: Work = Work::Decision;
    const HOOK: &'static str = "authenticator";
    const VERIFIES_PASSWORDS: bool = true;

    fn logs_in(&self) -> Option<&str> {
        self.0.0.username.as_deref()
    }

    fn is_allow(reply: &Self::Reply) -> bool {
        matches!(reply, wit::Outcome::Allow(_))
    }

    fn bytes(&self) -> usize {
        let (connection, credentials) = &*self.0;
        convert::connection_bytes(connection)
            + credentials.password.as_ref().map_or(0, Vec::len)
            + convert::attribute_bytes(&credentials.user_properties)
            + credentials.will.as_ref().map_or(0, |will| will.topic.len())
    }

    async fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Self::Reply, PluginError>> {
        let (connection, credentials) = &*self.0;
        exports.authenticator()?.call_authenticate(store, connection, credentials).await
    }
}

impl Recorded for Authenticate {
    type Input = (types::Connection, wit::Credentials);
    const NAME: &'static str = "authenticate";

    fn input(&self) -> &Self::Input {
        &self.0
    }

    fn take_secret(&mut self) -> Vec<u8> {
        self.0.1.password.as_mut().map(mem::take).unwrap_or_default()
    }

    fn again(mut input: Self::Input, secret: Vec<u8>) -> Self {
        if let Some(password) = &mut input.1.password {
            *password = secret;
        }
        Self(Box::new(input))
    }
}

impl Drop for Authenticate {
    fn drop(&mut self) {
        if let Some(password) = &mut self.0.1.password {
            password.zeroize();
        }
    }
}

fn credentials(from: &Credentials) -> wit::Credentials {
    wit::Credentials {
        password: from.password.as_ref().map(|password| password.expose().to_vec()),
        clean_start: from.clean_start,
        keep_alive_seconds: from.keep_alive_seconds,
        user_properties: convert::attributes(&from.user_properties),
        will: from.will.as_ref().map(|will| wit::Will {
            topic: will.topic.clone(),
            qos: convert::qos(will.qos),
            retain: will.retain,
            payload_bytes: will.payload_bytes,
            delay_seconds: will.delay_seconds,
        }),
    }
}

fn outcome(from: wit::Outcome) -> Result<Outcome, PluginFailure> {
    Ok(match from {
        wit::Outcome::Allow(from) => Outcome::Allow(convert::grant(from)?),
        wit::Outcome::Deny(from) => Outcome::Deny(convert::denial(from)),
        wit::Outcome::Next => Outcome::Next,
    })
}
