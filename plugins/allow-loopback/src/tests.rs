//! Whom it takes for local, and what it calls them.

use super::*;

#[test]
fn only_loopback_addresses_are_local() {
    for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert!(is_loopback(address), "{address}");
    }
    for address in ["", "localhost", "10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "127.0.0.1:1"]
    {
        assert!(!is_loopback(address), "{address}");
    }
}

#[test]
fn clients_from_elsewhere_are_left_to_the_next_link() {
    let connection = Connection { remote_address: "192.0.2.1".into(), ..Connection::default() };
    let outcome = AllowLoopback.authenticate(&connection, &Credentials::default()).unwrap();
    assert_eq!(outcome, Outcome::Next);
}

#[test]
fn the_name_is_the_username_else_the_client_id() {
    check(Some("alice"), "sensor", "alice");
    check(None, "sensor", "sensor");
    check(Some(""), "sensor", "sensor");
    check(None, "", "anonymous");
}

#[track_caller]
fn check(username: Option<&str>, client_id: &str, principal: &str) {
    let connection = Connection {
        username: username.map(str::to_owned),
        client_id: client_id.to_owned(),
        ..Connection::default()
    };
    let outcome = AllowLoopback.authenticate(&connection, &Credentials::default()).unwrap();
    assert_eq!(outcome, Outcome::allow(principal));
}
