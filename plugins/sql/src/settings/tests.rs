//! What may be written, and what a mistake is called. Other tests begin with what is made here.

use std::fmt::Write;

use portcullis_plugin::{
    Error,
    host::sql::{self, Value},
};

use super::*;

/// As a manifest would be read, without the TOML.
pub(crate) fn checked(json: &str) -> Result<Checked, Error> {
    let settings: Settings = serde_json_of(json)?;
    settings.checked()
}

fn serde_json_of(json: &str) -> Result<Settings, Error> {
    serde_json::from_str(json).map_err(|error| Error::misconfigured(error.to_string()))
}

/// An answer of a database.
pub(crate) fn rows(columns: &[&str], rows: &[&[Value]]) -> sql::Rows {
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    sql::Rows { columns, rows: rows.iter().map(|row| row.to_vec()).collect() }
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn said<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let mut said = String::new();
    write!(said, "{:?}", result.unwrap_err()).unwrap();
    said
}

#[test]
fn the_smallest_and_the_largest() {
    let ese = checked(r#"{"source": "users", "schema": "hivemq-ese"}"#).unwrap();
    let login = ese.login.unwrap();
    assert_eq!((login.form, login.allow_plain), (Form::Ese, false));
    assert!(ese.permissions.unwrap().is_ese);
    let queries = checked(
        r#"{"source": "users", "unknown_user": "next", "permissions_ttl_seconds": 5,
            "authentication": {"query": "SELECT 1", "parameters": ["username"],
                               "hash": "sha256-salt-first"},
            "groups": {"query": "SELECT 2", "parameters": ["principal"]},
            "superuser": {"query": "SELECT 3", "parameters": ["principal"]},
            "permissions": {"query": "SELECT 4", "parameters": ["certificate.common_name"]}}"#,
    )
    .unwrap();
    let login = queries.login.unwrap();
    assert_eq!((login.form, login.unknown_user), (Form::Sha256SaltFirst, UnknownUser::Next));
    assert!(login.example_hash.starts_with("$salted-sha256$prefix$"));
    assert_eq!(queries.permissions.unwrap().ttl_seconds, Some(5));
}

#[test]
fn mistakes_are_named() {
    let login =
        |more: &str| format!(r#"{{"source": "u", "authentication": {{"query": "Q", {more}}}}}"#);
    for (json, what) in [
        (r#"{"source": "u"}"#.to_owned(), "one of authentication"),
        (r#"{"source": "", "schema": "hivemq-ese"}"#.to_owned(), "source: is empty"),
        (r#"{"schema": "hivemq-ese"}"#.to_owned(), "missing field `source`"),
        (r#"{"source": "u", "schema": "x"}"#.to_owned(), "hivemq-ese"),
        (r#"{"source": "u", "scheme": "x"}"#.to_owned(), "unknown field `scheme`"),
        (login(r#""parameters": ["username"], "hash": "md5""#), "unknown variant `md5`"),
        (login(r#""parameters": ["username"], "hash": "plain""#), "needs allow_plain"),
        (login(r#""parameters": ["username"], "hash": "ese""#), "unknown variant"),
        (login(r#""parameters": ["password"]"#), "unknown variant `password`"),
        (login(r#""parameters": []"#), "whom it is about"),
        (login(r#""parameters": ["principal"]"#), "not known before the login"),
        (
            r#"{"source": "u", "groups": {"query": "Q", "parameters": []}}"#.to_owned(),
            "one of authentication",
        ),
        (
            r#"{"source": "u", "permissions": {"query": " ", "parameters": []}}"#.to_owned(),
            "permissions.query: is empty",
        ),
        (
            r#"{"source": "u", "schema": "hivemq-ese", "permissions_ttl_seconds": 0}"#.to_owned(),
            "allowed: 1 to 3600",
        ),
        (
            r#"{"source": "u", "schema": "hivemq-ese",
                "permissions": {"query": "Q", "parameters": []}}"#
                .to_owned(),
            "its own statement",
        ),
    ] {
        let said = said(checked(&json));
        assert!(said.contains(what), "{json}: {said}");
    }
}
