//! Names, passwords and groups from a directory (LDAP).
//!
//! - *Owns* the configuration (`settings`, `filter`), what entries say (`account`), and the answers to
//!   a CONNECT and about permissions (`gate`).
//! - *Knows nothing of* connections, TLS and escaping: the host asks the directory, as whom and how
//!   the operator says in `[ldap.NAME]`.
//! - *Invariant*: nothing that a client said becomes part of a filter or a distinguished name. An
//!   unknown user and a wrong password are the same answer after the same questions.

mod account;
mod filter;
mod gate;
mod settings;

use portcullis_plugin::{
    Answer, Authenticator, Authorizer, Config, Connection, Credentials, Error, Outcome, Plugin,
    Subject, export,
    host::{
        self,
        ldap::{Entry, Error as LdapError, Search},
    },
};

use gate::{Gate, LdapHost};
use settings::{Settings, Written};

/// The plugin.
#[derive(Debug)]
pub struct Ldap(Gate<Broker>);

impl Plugin for Ldap {
    fn init(config: &Config) -> Result<Self, Error> {
        let written: Written = config.parse()?;
        Ok(Self(Gate::new(Broker, Settings::try_from(written)?)))
    }

    fn self_test(&self) -> Result<(), Error> {
        self.0.check()
    }
}

impl Authenticator for Ldap {
    fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        self.0.judge(connection, credentials)
    }
}

impl Authorizer for Ldap {
    fn permissions(&self, subject: &Subject) -> Result<Answer, Error> {
        self.0.permissions(subject)
    }
}

export!(Ldap with authenticator, authorizer);

/// The functions of the broker.
#[derive(Debug)]
struct Broker;

impl LdapHost for Broker {
    fn bind(&self, source: &str, dn: &str, password: &[u8]) -> Result<bool, LdapError> {
        host::ldap::bind(source, dn, password)
    }

    fn compare(
        &self,
        source: &str,
        dn: &str,
        attribute: &str,
        value: &[u8],
    ) -> Result<bool, LdapError> {
        host::ldap::compare(source, dn, attribute, value)
    }

    fn search(&self, source: &str, search: Search<'_>) -> Result<Vec<Entry>, LdapError> {
        host::ldap::search(source, search)
    }

    fn warn(&self, text: &str) {
        host::log::warn(text);
    }
}
