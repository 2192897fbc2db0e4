//! What the plugin needs from its host, as a trait, so that everything else runs in native tests.

use portcullis_plugin::{
    Error,
    host::{
        crypto,
        sql::{self, Value},
    },
};

use crate::rows::Rows;

/// The host.
pub(crate) trait Host {
    /// Asks a database; `what` is the place of the statement in the configuration.
    fn query(
        &self,
        source: &str,
        what: &str,
        statement: &str,
        parameters: &[Value],
    ) -> Result<Rows, Error>;
    /// Whether a password is the one that was hashed.
    fn verify(&self, hash: &str, password: &[u8]) -> Result<bool, Error>;
    /// Whether two texts are the same, in a time that does not tell where they differ.
    fn equal(&self, a: &[u8], b: &[u8]) -> bool;
}

/// The functions of the broker.
#[derive(Debug)]
pub(crate) struct Broker;

impl Host for Broker {
    fn query(
        &self,
        source: &str,
        what: &str,
        statement: &str,
        parameters: &[Value],
    ) -> Result<Rows, Error> {
        let rows =
            sql::query(source, statement, parameters).map_err(|error| failed(what, error))?;
        Ok(Rows::new(what, rows))
    }

    fn verify(&self, hash: &str, password: &[u8]) -> Result<bool, Error> {
        crypto::verify_password(hash, password).map_err(|error| match error {
            crypto::Error::Busy => Error::unavailable(error.sentence()),
            other => Error::misconfigured(format!("the stored hash {}", other.sentence())),
        })
    }

    fn equal(&self, a: &[u8], b: &[u8]) -> bool {
        crypto::constant_time_equal(a, b)
    }
}

fn failed(what: &str, error: sql::Error) -> Error {
    match error {
        sql::Error::Denied(why) => Error::misconfigured(format!("{what}: {why}")),
        sql::Error::Timeout => Error::Timeout(format!("{what}: the database takes too long")),
        sql::Error::Unavailable(why) => Error::unavailable(format!("{what}: {why}")),
        sql::Error::Statement(why) => Error::misconfigured(format!("{what}: {why}")),
        sql::Error::TooLarge => {
            Error::misconfigured(format!("{what}: the answer has more than 1,000 rows or 1 MiB"))
        }
    }
}
