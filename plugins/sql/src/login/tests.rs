//! Logins over a database in memory, whose hash of a password `p` is `plain$p`.

use std::collections::HashMap;

use portcullis_plugin::host::sql::{self, Value};

use super::*;
use crate::settings::tests::{checked, rows, said, text};

#[derive(Default)]
struct Memory {
    answers: HashMap<&'static str, sql::Rows>,
    asked: RefCell<Vec<String>>,
    verified: RefCell<Vec<String>>,
}

impl Host for Memory {
    fn query(&self, _: &str, what: &str, _: &str, values: &[Value]) -> Result<Rows, Error> {
        self.asked.borrow_mut().push(format!("{what} {values:?}"));
        let answer = self.answers.get(what).ok_or_else(|| Error::unavailable("it is down"))?;
        Ok(Rows::new(what, answer.clone()))
    }

    fn verify(&self, hash: &str, password: &[u8]) -> Result<bool, Error> {
        self.verified.borrow_mut().push(hash.to_owned());
        if hash == "broken" {
            return Err(Error::misconfigured("the stored hash is malformed"));
        }
        Ok(hash.strip_prefix("plain$").is_some_and(|it| it.as_bytes() == password))
    }

    fn equal(&self, a: &[u8], b: &[u8]) -> bool {
        a == b
    }
}

const QUERIES: &str = r#"{"source": "users",
    "authentication": {"query": "Q", "parameters": ["username"], "example_hash": "example"}MORE}"#;
const GROUPS: &str = r#", "groups": {"query": "G", "parameters": ["principal"]}"#;

fn login(more: &str, answers: &[(&'static str, sql::Rows)]) -> Login<Memory> {
    let settings = checked(&QUERIES.replace("MORE", more)).unwrap().login.unwrap();
    let memory = Memory { answers: answers.iter().cloned().collect(), ..Memory::default() };
    Login::new(memory, "users".to_owned(), settings)
}

fn judge(login: &Login<Memory>, name: &str, password: &str) -> Result<Outcome, Error> {
    let connection = Connection { username: Some(name.to_owned()), ..Connection::default() };
    login.judge(&connection, Some(password.as_bytes()))
}

fn users(found: &[&[Value]]) -> (&'static str, sql::Rows) {
    ("authentication", rows(&["username", "password_hash"], found))
}

#[test]
fn who_has_the_password_is_the_user_with_its_groups() {
    let groups = ("groups", rows(&["role"], &[&[text("a")], &[text("b")]]));
    let alice: &[Value] = &[text("alice"), text("plain$p")];
    let login = login(GROUPS, &[users(&[alice]), groups]);
    let expected = Grant::new("alice").group("a").group("b");
    assert_eq!(judge(&login, "alice", "p").unwrap(), expected.into());
    let asked = login.host.asked.borrow().join("; ");
    assert_eq!(asked, "authentication [Value::Text(\"alice\")]; groups [Value::Text(\"alice\")]");
    assert_eq!(judge(&login, "alice", "q").unwrap(), Outcome::bad_credentials());
    assert_eq!(judge(&login, "alice", "").unwrap(), Outcome::bad_credentials());
    let nobody = Connection::default();
    assert_eq!(login.judge(&nobody, Some(b"p")).unwrap(), Outcome::Next);
}

/// One verification each, of a hash that costs as much.
#[test]
fn an_unknown_user_is_the_same_work_as_a_wrong_password() {
    let login = login("", &[users(&[])]);
    assert_eq!(judge(&login, "nobody", "p").unwrap(), Outcome::bad_credentials());
    assert_eq!(*login.host.verified.borrow(), ["example"]);
    // Without a password in the row nobody logs in either, and it takes as long.
    let bob: &[Value] = &[text("bob"), Value::Null];
    let login = self::login("", &[users(&[bob])]);
    assert_eq!(judge(&login, "bob", "p").unwrap(), Outcome::bad_credentials());
    assert_eq!(*login.host.verified.borrow(), ["example"]);
    // A hash that costs more than the example is the next example.
    let carol: &[Value] = &[text("carol"), text("$7$1000$x$y")];
    let login = self::login("", &[users(&[carol])]);
    assert_eq!(judge(&login, "carol", "p").unwrap(), Outcome::bad_credentials());
    assert_eq!(judge(&login, "nobody", "p").unwrap(), Outcome::bad_credentials());
    assert_eq!(*login.host.verified.borrow(), ["$7$1000$x$y"; 2]);
    // One that costs less is followed by the example.
    let settings = r#", "unknown_user": "deny""#;
    let login = self::login(settings, &[users(&[carol])]);
    *login.example.borrow_mut() = "$7$5000$x$y".to_owned();
    assert_eq!(judge(&login, "carol", "p").unwrap(), Outcome::bad_credentials());
    assert_eq!(*login.host.verified.borrow(), ["$7$1000$x$y", "$7$5000$x$y"]);
    let next = self::login(r#", "unknown_user": "next""#, &[users(&[])]);
    assert_eq!(judge(&next, "nobody", "p").unwrap(), Outcome::Next);
}

/// MariaDB finds `Alice`, and `alice ` with a space, where `alice` is asked for.
#[test]
fn a_name_is_not_another_that_is_like_it() {
    let alice: &[Value] = &[text("Alice"), text("plain$p")];
    let login = login("", &[users(&[alice])]);
    for name in ["alice", "alice ", "ALICE"] {
        assert_eq!(judge(&login, name, "p").unwrap(), Outcome::bad_credentials(), "{name}");
    }
    assert_eq!(judge(&login, "Alice", "p").unwrap(), Outcome::allow("Alice"));
    let login = self::login("", &[users(&[alice, alice])]);
    assert!(said(judge(&login, "Alice", "p")).contains("two rows"));
}

#[test]
fn a_principal_of_another_name() {
    let columns = ["username", "password_hash", "principal"];
    let row: &[Value] = &[text("alice"), text("plain$p"), text("employee-7")];
    let login = login("", &[("authentication", rows(&columns, &[row]))]);
    assert_eq!(judge(&login, "alice", "p").unwrap(), Outcome::allow("employee-7"));
}

#[test]
fn what_is_not_understood_is_an_error() {
    let alice: &[Value] = &[text("alice"), text("broken")];
    let login = login("", &[users(&[alice])]);
    assert!(said(judge(&login, "alice", "p")).contains("malformed"));
    let down = self::login("", &[]);
    assert!(matches!(judge(&down, "alice", "p"), Err(Error::Unavailable(_))));
    let number: &[Value] = &[text("alice"), Value::Integer(7)];
    let login = self::login("", &[users(&[number])]);
    assert!(said(judge(&login, "alice", "p")).contains("\\\"password_hash\\\" is no text"));
    let other = ("authentication", rows(&["username", "hash"], &[]));
    let login = self::login("", &[other]);
    assert!(said(login.check()).contains("has no column \\\"password_hash\\\""));
    let more = ("authentication", rows(&["username", "password_hash", "admin"], &[]));
    let login = self::login("", &[more]);
    assert!(said(login.check()).contains("has the column \\\"admin\\\""));
    // Nor are those of somebody whose name is alike.
    let of_other = ("groups", rows(&["username", "role"], &[&[text("Alice"), text("admins")]]));
    let login = self::login(GROUPS, &[users(&[&[text("alice"), text("plain$p")]]), of_other]);
    assert!(said(judge(&login, "alice", "p")).contains("about another user"));
    // Groups that cannot be had are no reason to let somebody in without them.
    let login = self::login(GROUPS, &[users(&[&[text("alice"), text("plain$p")]])]);
    assert!(matches!(judge(&login, "alice", "p"), Err(Error::Unavailable(_))));
}

#[test]
fn the_extensions_users() {
    let json = r#"{"source": "users", "schema": "hivemq-ese"MORE}"#;
    let columns = ["username", "password", "password_iterations", "password_salt", "algorithm"];
    let row = |algorithm: &str| -> Vec<Value> {
        let salt = text("c2FsdCBzYWx0");
        vec![text("alice"), text("cA=="), Value::Integer(100), salt, text(algorithm)]
    };
    let login = |more: &str, algorithm: &str| {
        let settings = checked(&json.replace("MORE", more)).unwrap().login.unwrap();
        let costly = vec![
            text("bob"),
            text("cA=="),
            Value::Integer(9_000),
            text("c2FsdCBzYWx0"),
            text("SHA512"),
        ];
        let answers = HashMap::from([
            ("authentication", rows(&columns, &[&row(algorithm)])),
            ("example", rows(&columns, &[&costly])),
            (
                "groups",
                rows(
                    &["username", "name"],
                    &[&[text("Alice"), text("admins")], &[text("alice"), text("machines")]],
                ),
            ),
        ]);
        Login::new(Memory { answers, ..Memory::default() }, "users".to_owned(), settings)
    };
    let unknown = login("", "SHA512");
    assert_eq!(judge(&unknown, "nobody", "p").unwrap(), Outcome::bad_credentials());
    let last = unknown.host.verified.borrow().last().cloned();
    assert_eq!(last.as_deref(), Some("$ese-sha512$9000$c2FsdCBzYWx0$cA=="));
    assert!(said(judge(&login("", "PLAIN"), "alice", "p")).contains("allow_plain"));
    assert!(said(judge(&login("", "MD5"), "alice", "p")).contains("MD5"));
    let plain = login(r#", "allow_plain": true"#, "PLAIN");
    let allowed = Grant::new("alice").group("machines");
    assert_eq!(judge(&plain, "alice", "p").unwrap(), allowed.into());
    assert_eq!(judge(&plain, "alice", "q").unwrap(), Outcome::bad_credentials());
}
