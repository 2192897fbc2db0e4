//! Hook `enhanced-authenticator`.

use std::mem;

use access::{
    BoxFuture, Challenge, Connection, Continuation, EnhancedAuthenticator, Opening, PluginFailure,
    PluginFailureKind, Step,
};
use wasmtime::Store;

use super::Hook;
use crate::{
    bindings::{
        exports::portcullis::plugin::enhanced_authenticator as wit,
        portcullis::plugin::types::{self, PluginError},
    },
    convert,
    exports::Exports,
    failure::failure,
    instance::{Call, State, Work},
    recording::Recorded,
};

/// What a plugin may leave for its next step.
const STATE_BYTES_MAX: usize = 64 << 10;
/// Authentication Data is Binary Data [MQTT 1.5.6].
const DATA_BYTES_MAX: usize = u16::MAX as usize;

impl EnhancedAuthenticator for Hook {
    fn methods(&self) -> &[String] {
        &self.0.claims.methods
    }

    fn begin<'a>(
        &'a self,
        connection: &'a Connection,
        opening: &'a Opening,
    ) -> BoxFuture<'a, Result<Step, PluginFailure>> {
        Box::pin(async move {
            let opening = wit::Opening {
                method: opening.method.clone(),
                data: opening.data.clone(),
                principal: opening.principal.clone(),
                user_properties: convert::attributes(&opening.user_properties),
            };
            let call = Begin(Box::new((convert::connection(connection), opening)));
            self.decide(connection.remote.ip(), call, step).await
        })
    }

    fn proceed<'a>(
        &'a self,
        connection: &'a Connection,
        continuation: &'a Continuation,
    ) -> BoxFuture<'a, Result<Step, PluginFailure>> {
        Box::pin(async move {
            let continuation = wit::Continuation {
                method: continuation.method.clone(),
                data: continuation.data.clone(),
                state: continuation.state.clone(),
                principal: continuation.principal.clone(),
                user_properties: convert::attributes(&continuation.user_properties),
            };
            let arguments = (convert::connection(connection), continuation);
            self.decide(connection.remote.ip(), Proceed(Box::new(arguments)), step).await
        })
    }
}

pub(crate) struct Begin(Box<(types::Connection, wit::Opening)>);

impl Call for Begin {
    type Reply = wit::Step;
    const WORK: Work = Work::Decision;
    const HOOK: &'static str = "enhanced-authenticator";
    const VERIFIES_PASSWORDS: bool = true;

    fn bytes(&self) -> usize {
        let (connection, opening) = &*self.0;
        convert::connection_bytes(connection)
            + opening.method.len()
            + opening.data.as_ref().map_or(0, Vec::len)
            + convert::attribute_bytes(&opening.user_properties)
    }

    async fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Self::Reply, PluginError>> {
        let (connection, opening) = &*self.0;
        exports.enhanced_authenticator()?.call_begin(store, connection, opening).await
    }
}

impl Recorded for Begin {
    type Input = (types::Connection, wit::Opening);
    const NAME: &'static str = "begin";
    const SECRET_ANSWER: bool = true;

    fn input(&self) -> &Self::Input {
        &self.0
    }

    fn take_secret(&mut self) -> Vec<u8> {
        self.0.1.data.as_mut().map(mem::take).unwrap_or_default()
    }

    fn again(mut input: Self::Input, secret: Vec<u8>) -> Self {
        if let Some(data) = &mut input.1.data {
            *data = secret;
        }
        Self(Box::new(input))
    }
}

pub(crate) struct Proceed(Box<(types::Connection, wit::Continuation)>);

impl Call for Proceed {
    type Reply = wit::Step;
    const WORK: Work = Work::Decision;
    const HOOK: &'static str = "enhanced-authenticator";
    const VERIFIES_PASSWORDS: bool = true;

    fn bytes(&self) -> usize {
        let (connection, continuation) = &*self.0;
        convert::connection_bytes(connection)
            + continuation.method.len()
            + continuation.data.as_ref().map_or(0, Vec::len)
            + continuation.state.len()
            + convert::attribute_bytes(&continuation.user_properties)
    }

    async fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Self::Reply, PluginError>> {
        let (connection, continuation) = &*self.0;
        exports.enhanced_authenticator()?.call_proceed(store, connection, continuation).await
    }
}

impl Recorded for Proceed {
    type Input = (types::Connection, wit::Continuation);
    const NAME: &'static str = "proceed";
    const SECRET_ANSWER: bool = true;

    fn input(&self) -> &Self::Input {
        &self.0
    }

    /// What the link left for itself may be secret too. It goes first, its length before it.
    fn take_secret(&mut self) -> Vec<u8> {
        let continuation = &mut self.0.1;
        let state = mem::take(&mut continuation.state);
        let data = continuation.data.as_mut().map(mem::take).unwrap_or_default();
        [&(state.len() as u64).to_le_bytes(), &state[..], &data].concat()
    }

    fn again(mut input: Self::Input, secret: Vec<u8>) -> Self {
        let (length, rest) = secret.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (state, secret) = rest.split_at(length.min(rest.len()));
        input.1.state = state.to_vec();
        if let Some(data) = &mut input.1.data {
            *data = secret.to_vec();
        }
        Self(Box::new(input))
    }
}

fn step(from: wit::Step) -> Result<Step, PluginFailure> {
    let fits = |what: &str, bytes: usize, most: usize| match bytes > most {
        true => {
            let message =
                format!("answered with {what} of {bytes} bytes; at most {most} are taken");
            Err(failure(PluginFailureKind::TooLarge, message))
        }
        false => Ok(()),
    };
    Ok(match from {
        wit::Step::Challenge(wit::Challenge { data, state }) => {
            fits("Authentication Data", data.len(), DATA_BYTES_MAX)?;
            fits("state", state.len(), STATE_BYTES_MAX)?;
            Step::Challenge(Challenge { data, state })
        }
        wit::Step::Success(wit::Success { grant, data }) => {
            fits("Authentication Data", data.as_ref().map_or(0, Vec::len), DATA_BYTES_MAX)?;
            Step::Success(Box::new(convert::grant(grant)?), data)
        }
        wit::Step::Deny(denial) => Step::Deny(convert::denial(denial)),
        wit::Step::Next => Step::Next,
    })
}
