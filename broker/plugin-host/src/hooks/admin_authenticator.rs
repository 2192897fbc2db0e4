//! Hook `admin-authenticator`.

use std::mem;

use access::{AdminAuthenticator, BoxFuture, Grant, Login, Outcome, PluginFailure};
use codec::ReasonCode;
use wasmtime::Store;
use zeroize::Zeroize;

use super::Hook;
use crate::{
    bindings::{
        exports::portcullis::plugin::admin_authenticator as wit,
        portcullis::plugin::types::PluginError,
    },
    exports::Exports,
    failure::printable,
    instance::{Call, State, Work},
    recording::Recorded,
};

impl AdminAuthenticator for Hook {
    fn authenticate_admin<'a>(
        &'a self,
        login: &'a Login,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>> {
        Box::pin(async move {
            let address = login.remote;
            let login = wit::Login {
                username: login.username.clone(),
                password: login.password.expose().to_vec(),
                remote_address: login.remote.to_string(),
            };
            self.decide(address, AuthenticateAdmin(Box::new(login)), outcome).await
        })
    }
}

pub(crate) struct AuthenticateAdmin(Box<wit::Login>);

impl Call for AuthenticateAdmin {
    type Reply = wit::Outcome;
    const WORK: Work = Work::Decision;
    const HOOK: &'static str = "admin-authenticator";
    const VERIFIES_PASSWORDS: bool = true;

    fn bytes(&self) -> usize {
        self.0.username.len() + self.0.password.len() + self.0.remote_address.len()
    }

    async fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Self::Reply, PluginError>> {
        exports.admin_authenticator()?.call_authenticate_admin(store, &self.0).await
    }
}

impl Recorded for AuthenticateAdmin {
    type Input = wit::Login;
    const NAME: &'static str = "authenticate-admin";

    fn input(&self) -> &Self::Input {
        &self.0
    }

    fn take_secret(&mut self) -> Vec<u8> {
        mem::take(&mut self.0.password)
    }

    fn again(input: Self::Input, password: Vec<u8>) -> Self {
        Self(Box::new(wit::Login { password, ..input }))
    }
}

impl Drop for AuthenticateAdmin {
    fn drop(&mut self) {
        self.0.password.zeroize();
    }
}

fn outcome(from: wit::Outcome) -> Result<Outcome, PluginFailure> {
    Ok(match from {
        wit::Outcome::Allow(from) => Outcome::Allow(Grant {
            principal: Some(from.user),
            groups: from.roles,
            expires_at_unix: from.expires_at_unix,
            ..Grant::default()
        }),
        wit::Outcome::Deny(reason) => Outcome::Deny(access::Denial {
            reason_code: ReasonCode::NotAuthorized,
            reason: Some(printable(&reason)),
        }),
        wit::Outcome::Next => Outcome::Next,
    })
}
