//! Names, groups and permissions from client certificates (X.509).
//!
//! - *Owns* the configuration (`settings`), the fields of a certificate (`field`), and the answers to a
//!   CONNECT and about permissions (`gate`).
//! - *Knows nothing of* signatures, validity and revocation: the broker's listener has verified the
//!   certificate before anybody here sees it.
//! - *Invariant*: a name that could be read in two ways, or stand for more than itself in a topic
//!   filter, is a refusal and never a name.

mod field;
mod gate;
mod settings;

use portcullis_plugin::{
    Answer, Authenticator, Authorizer, Config, Connection, Credentials, Error, Outcome, Plugin,
    Subject, export, host,
};

use gate::Gate;
use settings::{Settings, Written};

/// The plugin.
#[derive(Debug)]
pub struct X509(Gate);

impl Plugin for X509 {
    fn init(config: &Config) -> Result<Self, Error> {
        let written: Written = config.parse()?;
        Ok(Self(Gate::new(Settings::try_from(written)?)))
    }
}

impl Authenticator for X509 {
    fn authenticate(&self, connection: &Connection, _: &Credentials) -> Result<Outcome, Error> {
        let (outcome, why) = self.0.judge(connection);
        if let Some(why) = why {
            host::log::info(&format!("{}: {why}", connection.remote_address));
        }
        Ok(outcome)
    }
}

impl Authorizer for X509 {
    fn permissions(&self, subject: &Subject) -> Result<Answer, Error> {
        Ok(self.0.permissions(subject))
    }
}

export!(X509 with authenticator, authorizer);
