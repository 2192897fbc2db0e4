//! The guest obeys its configuration: otherwise tests that use it prove nothing.

use portcullis_plugin::Rule;

use super::*;

fn good(users: &[(&str, &str)], anyone: bool) -> Good {
    let users = users.iter().map(|(name, word)| ((*name).into(), (*word).into())).collect();
    Good(Settings { users, anyone, ..Settings::default() })
}

fn ask(good: &Good, username: Option<&str>, password: Option<&str>) -> Outcome {
    let connection = Connection { username: username.map(str::to_owned), ..Connection::default() };
    let password = password.map(|password| password.as_bytes().to_vec());
    good.authenticate(&connection, &Credentials { password, ..Credentials::default() }).unwrap()
}

#[test]
fn only_listed_users_with_their_password_pass() {
    let good = good(&[("alice", "a")], false);
    assert_eq!(ask(&good, Some("alice"), Some("a")), Outcome::allow("alice"));
    assert_eq!(ask(&good, Some("alice"), Some("b")), Outcome::Next);
    assert_eq!(ask(&good, Some("bob"), Some("a")), Outcome::Next);
    assert_eq!(ask(&good, None, None), Outcome::Next);
}

#[test]
fn anyone_means_whoever_is_not_listed() {
    let good = good(&[("alice", "a")], true);
    assert_eq!(ask(&good, None, None), Outcome::allow("client"));
    assert_eq!(ask(&good, Some("alice"), None), Outcome::Next);
}

#[test]
fn rules_are_passed_on() {
    let mut good = good(&[], false);
    assert_eq!(good.permissions(&Subject::default()).unwrap(), Answer::Next);
    good.0.answer = AnswerKind::Rules;
    assert_eq!(good.permissions(&Subject::default()).unwrap(), Answer::rules(Vec::<Rule>::new()));
}
