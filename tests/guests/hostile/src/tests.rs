//! What can be tried natively: the harms that are answers, and that others are left alone.

use portcullis_plugin::Denial;

use super::*;

fn hostile(behaviour: Behaviour) -> Hostile {
    Hostile(Settings {
        behaviour,
        hook: Hook::Authenticate,
        client_prefix: "victim".to_owned(),
        bytes: 1_000,
        milliseconds: 0,
    })
}

fn ask(behaviour: Behaviour, client_id: &str) -> Result<Outcome, Error> {
    let connection = Connection { client_id: client_id.to_owned(), ..Connection::default() };
    hostile(behaviour).authenticate(&connection, &Credentials::default())
}

#[test]
fn only_the_named_clients_are_attacked() {
    assert_eq!(ask(Behaviour::Fail, "good"), Ok(Outcome::Next));
    assert_eq!(ask(Behaviour::Fail, "victim-1"), Err(Error::internal("hostile failure")));
    assert_eq!(ask(Behaviour::None, "victim-1"), Ok(Outcome::allow("hostile")));
}

#[test]
fn answers_carry_the_harm() {
    assert_eq!(ask(Behaviour::LongPrincipal, "victim"), Ok(Outcome::allow("x".repeat(1_000))));
    let denial = Outcome::Deny(Denial { reason_code: 0, reason: None });
    assert_eq!(ask(Behaviour::LowReasonCode, "victim"), Ok(denial));
    assert_eq!(ask(Behaviour::Allocate, "victim"), Ok(Outcome::allow("hostile")));
}
