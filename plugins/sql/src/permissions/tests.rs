//! Rules over a database in memory.

use std::{cell::RefCell, collections::HashMap};

use portcullis_plugin::{
    Condition, Effect, QosSet,
    host::sql::{self, Value},
};

use super::*;
use crate::settings::tests::{checked, rows, said, text};

#[derive(Default)]
struct Memory {
    answers: HashMap<&'static str, sql::Rows>,
    asked: RefCell<Vec<String>>,
}

impl Host for Memory {
    fn query(&self, _: &str, what: &str, _: &str, values: &[Value]) -> Result<Rows, Error> {
        self.asked.borrow_mut().push(format!("{what} {values:?}"));
        let answer = self.answers.get(what).ok_or_else(|| Error::unavailable("it is down"))?;
        Ok(Rows::new(what, answer.clone()))
    }

    fn verify(&self, _: &str, _: &[u8]) -> Result<bool, Error> {
        Err(Error::internal("no business of permissions"))
    }

    fn equal(&self, _: &[u8], _: &[u8]) -> bool {
        false
    }
}

const ONLY: &str = r#""permissions": {"query": "P", "parameters": ["principal"]}"#;
const SUPERUSER: &str = r#""superuser": {"query": "S", "parameters": ["principal"]}"#;

fn permissions(tables: &str, answers: &[(&'static str, sql::Rows)]) -> Permissions<Memory> {
    let json = format!(r#"{{"source": "users", {tables}}}"#);
    let settings = checked(&json).unwrap().permissions.unwrap();
    let memory = Memory { answers: answers.iter().cloned().collect(), ..Memory::default() };
    Permissions::new(memory, "users".to_owned(), settings)
}

fn answer(permissions: &Permissions<Memory>) -> Result<Answer, Error> {
    permissions.answer(&Subject::default())
}

#[test]
fn rows_are_rules_in_their_order() {
    let columns = ["effect", "activity", "topic", "qos", "retain", "shared"];
    let found: [&[Value]; 3] = [
        &[text("deny"), text("all"), text("s/#"), Value::Null, Value::Null, Value::Null],
        &[
            Value::Null,
            text("publish"),
            text("t/${username}"),
            text("0, 1"),
            Value::Integer(0),
            Value::Null,
        ],
        &[
            text("allow"),
            text("subscribe"),
            text("t/#"),
            Value::Integer(2),
            Value::Null,
            text("workers"),
        ],
    ];
    let permissions = permissions(ONLY, &[("permissions", rows(&columns, &found))]);
    let both = Activity::PUBLISH | Activity::SUBSCRIBE;
    let expected = vec![
        Rule::deny(both, "s/#"),
        Rule::allow(Activity::PUBLISH, "t/${username}")
            .qos(QosSet::AT_MOST_ONCE | QosSet::AT_LEAST_ONCE)
            .retain(Condition::No),
        Rule::allow(Activity::SUBSCRIBE, "t/#").qos(QosSet::EXACTLY_ONCE).share_name("workers"),
    ];
    assert_eq!(answer(&permissions).unwrap(), Answer::rules_for(HoldsFor::Principal, expected));
    assert_eq!(*permissions.host.asked.borrow(), ["permissions [Value::Text(\"principal\")]"]);
}

#[test]
fn fewer_columns_are_enough_and_none_is_no_word() {
    let found: [&[Value]; 1] = [&[text("all"), text("#")]];
    let columns = ["ACTIVITY", "topic"];
    let by_client = ONLY.replace("principal", "client_id");
    let permissions = permissions(&by_client, &[("permissions", rows(&columns, &found))]);
    let Answer::Permissions(set) = answer(&permissions).unwrap() else { panic!("no rules") };
    assert_eq!((set.rules[0].effect, set.holds_for), (Effect::Allow, HoldsFor::Client));
    let empty = self::permissions(ONLY, &[("permissions", rows(&columns, &[]))]);
    assert_eq!(answer(&empty).unwrap(), Answer::Next);
    let certificate = ONLY.replace("principal", "certificate.serial");
    let without = self::permissions(&certificate, &[]);
    assert_eq!(answer(&without).unwrap(), Answer::DenyAll, "what is forbidden is not known");
}

#[test]
fn who_may_do_everything() {
    let columns = ["username", "is_superuser"];
    let tables = format!("{SUPERUSER}, {ONLY}");
    let none = ("permissions", rows(&["activity", "topic"], &[]));
    for (value, is_superuser) in [
        (Value::Boolean(true), true),
        (Value::Integer(1), true),
        (Value::Blob(vec![1]), true),
        (Value::Boolean(false), false),
        (Value::Null, false),
    ] {
        let found = rows(&columns, &[&[text("principal"), value.clone()]]);
        let permissions = permissions(&tables, &[("superuser", found), none.clone()]);
        let expected = match is_superuser {
            true => {
                let both = Activity::PUBLISH | Activity::SUBSCRIBE;
                Answer::rules_for(HoldsFor::Principal, vec![Rule::allow(both, "#")])
            }
            false => Answer::Next,
        };
        assert_eq!(answer(&permissions).unwrap(), expected, "{value:?}");
    }
    let other = rows(&columns, &[&[text("Principal"), Value::Boolean(true)]]);
    let like = permissions(&tables, &[("superuser", other), none.clone()]);
    assert_eq!(answer(&like).unwrap(), Answer::Next, "somebody of a name that is alike");
    let odd = rows(&columns, &[&[text("principal"), Value::Integer(2)]]);
    let odd = permissions(&tables, &[("superuser", odd), none]);
    assert!(said(answer(&odd)).contains("is no boolean"));
}

#[test]
fn what_is_not_understood_is_an_error() {
    for (column, value, what) in [
        ("activity", text("read"), "is none of publish"),
        ("effect", text("maybe"), "is neither allow nor deny"),
        ("qos", Value::Integer(3), "is none of 0, 1, 2"),
        ("qos", text("0;1"), "is no list"),
        ("qos", text(""), "is no list"),
        ("retain", text("perhaps"), "is no boolean"),
        ("topic", Value::Null, "is NULL"),
        ("topik", text("t"), "has the column"),
    ] {
        let mut columns = vec!["activity", "topic"];
        let mut row = vec![text("all"), text("t")];
        match columns.iter().position(|name| *name == column) {
            Some(at) => row[at] = value,
            None => {
                columns.push(column);
                row.push(value);
            }
        }
        let permissions = permissions(ONLY, &[("permissions", rows(&columns, &[&row]))]);
        let said = said(answer(&permissions));
        assert!(said.contains(what), "{column}: {said}");
    }
    // Whose rows these are, if they say so.
    let columns = ["username", "activity", "topic"];
    for (name, is_good) in [("principal", true), ("Principal", false), ("", false)] {
        let found = rows(&columns, &[&[text(name), text("all"), text("t")]]);
        let permissions = permissions(ONLY, &[("permissions", found)]);
        assert_eq!(answer(&permissions).is_ok(), is_good, "{name}");
    }
    let down = permissions(ONLY, &[]);
    assert!(matches!(answer(&down), Err(Error::Unavailable(_))));
}
