//! Which rules are about whom.

use super::*;
use crate::file;

const FILE: &str = r##"
    [[rules]]
    deny = "all"
    topic = "secret/#"

    [[rules]]
    allow = "all"
    topic = "plant/#"
    user = "alice"

    [[rules]]
    allow = "subscribe"
    topic = "log/#"
    group = "readers"

    [[rules]]
    allow = "publish"
    topic = "one"
    user = "alice"
    client_id = "press-1"
"##;

#[test]
fn rules_are_chosen_by_principal_group_and_client_id() {
    check(FILE, "bob", &[], "x", &["secret/#"]);
    check(FILE, "alice", &[], "x", &["secret/#", "plant/#"]);
    check(FILE, "alice", &[], "press-1", &["secret/#", "plant/#", "one"]);
    check(FILE, "bob", &[], "press-1", &["secret/#"]);
    check(FILE, "bob", &["writers", "readers"], "x", &["secret/#", "log/#"]);
    check(FILE, "Alice", &["Readers"], "PRESS-1", &["secret/#"]);
}

#[test]
fn a_file_without_rules_denies_everything() {
    let list = List::new(file::parse("# empty").unwrap());
    assert_eq!(list.answer(&Subject::default()), Answer::DenyAll);
}

#[test]
fn a_client_without_rules_is_the_next_links_matter() {
    let list = List::new(
        file::parse("[[rules]]\nallow = \"all\"\ntopic = \"#\"\nuser = \"alice\"").unwrap(),
    );
    assert_eq!(list.answer(&Subject::default()), Answer::Next);
}

#[track_caller]
fn check(text: &str, principal: &str, groups: &[&str], client_id: &str, filters: &[&str]) {
    let subject = Subject {
        principal: principal.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        client_id: client_id.to_owned(),
        ..Subject::default()
    };
    let Answer::Permissions(set) = List::new(file::parse(text).unwrap()).answer(&subject) else {
        panic!("no rules");
    };
    let got: Vec<&str> = set.rules.iter().map(|rule| rule.filter.as_str()).collect();
    assert_eq!(got, filters);
    assert_eq!(set.ttl_seconds, None);
}
