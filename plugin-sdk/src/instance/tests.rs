//! The order of calls that an instance insists on.

use super::Instance;
use crate::{Authenticator, Config, Connection, Credentials, Error, Outcome, Plugin};

struct Echo;

impl Plugin for Echo {
    fn init(_: &Config) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Authenticator for Echo {
    fn authenticate(&self, connection: &Connection, _: &Credentials) -> Result<Outcome, Error> {
        Ok(Outcome::allow(connection.client_id.as_str()))
    }
}

#[test]
fn a_call_before_init_is_an_error_and_not_an_allow() {
    let instance = Instance::<Echo>::new();
    let outcome = instance.authenticate(&Connection::default(), &Credentials::default());
    assert_eq!(outcome.unwrap_err(), Error::internal("called before init"));
    assert!(instance.self_test().is_err());
}

#[test]
fn after_init_calls_reach_the_plugin() {
    let instance = Instance::<Echo>::new();
    instance.init().unwrap();
    let outcome = instance.authenticate(&Connection::default(), &Credentials::default()).unwrap();
    assert_eq!(outcome, Outcome::allow("client"));
    assert!(instance.self_test().is_ok());
}

#[test]
fn a_second_init_is_refused() {
    let instance = Instance::<Echo>::new();
    instance.init().unwrap();
    assert!(instance.init().is_err());
}
