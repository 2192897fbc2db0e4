//! Users, groups and permissions from a database, by queries of the operator or in the schema of
//! HiveMQ's Enterprise Security Extension.
//!
//! - *Owns* what the columns mean (`login`, `rules`, `ese`), which hash a row holds (`stored`), and
//!   what a query may be given (`parameter`).
//! - *Knows nothing of* connections, passwords of databases and hashing: those are the host's. What a
//!   client says goes into parameters, never into a statement.
//! - *Start reading at* `login`, then `permissions`.
//! - *Invariant*: an answer of the database that is not understood to the last column is an error,
//!   which refuses; no name is taken for another because a database thinks they are alike.

mod broker;
mod ese;
mod login;
mod parameter;
mod permissions;
mod rows;
mod rules;
mod settings;
mod stored;

use portcullis_plugin::{
    Answer, Authenticator, Authorizer, Config, Connection, Credentials, Error, Outcome, Plugin,
    Subject, export, host,
};

use broker::Broker;
use login::Login;
use permissions::Permissions;
use settings::Settings;

/// The plugin.
#[derive(Debug)]
pub struct Sql {
    login: Option<Login<Broker>>,
    permissions: Option<Permissions<Broker>>,
}

impl Plugin for Sql {
    fn init(config: &Config) -> Result<Self, Error> {
        let settings = config.parse::<Settings>()?.checked()?;
        let source = settings.source;
        let login = settings.login.map(|login| Login::new(Broker, source.clone(), login));
        let permissions =
            settings.permissions.map(|permissions| Permissions::new(Broker, source, permissions));
        Ok(Self { login, permissions })
    }

    /// The statements as the database sees them. One that does not answer is no reason not to go
    /// live: it is asked again for each client.
    fn self_test(&self) -> Result<(), Error> {
        let checks = [
            self.login.as_ref().map(Login::check),
            self.permissions.as_ref().map(Permissions::check),
        ];
        for checked in checks.into_iter().flatten() {
            match checked {
                Err(Error::Unavailable(why) | Error::Timeout(why)) => {
                    host::log::warn(&format!("the statements could not be checked: {why}"));
                }
                other => other?,
            }
        }
        Ok(())
    }
}

impl Authenticator for Sql {
    fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        match &self.login {
            Some(login) => login.judge(connection, credentials.password.as_deref()),
            None => Ok(Outcome::Next),
        }
    }
}

impl Authorizer for Sql {
    fn permissions(&self, subject: &Subject) -> Result<Answer, Error> {
        match &self.permissions {
            Some(permissions) => permissions.answer(subject),
            None => Ok(Answer::Next),
        }
    }
}

export!(Sql with authenticator, authorizer);
