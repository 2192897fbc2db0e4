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

/// The answer may be given to nobody for whom another one would have been made.
#[test]
fn an_answer_holds_for_those_about_whom_the_rules_ask_the_same() {
    let holds_for = |more: &str| {
        let text = format!("[[rules]]\nallow = \"all\"\ntopic = \"${{clientid}}/#\"\n{more}");
        let list = List::new(file::parse(&text).unwrap());
        let principal = Subject { groups: vec!["g".to_owned()], ..Subject::default() };
        match list.answer(&principal) {
            Answer::Permissions(set) => set.holds_for,
            other => panic!("{other:?}"),
        }
    };
    let more = |keys: &str| format!("[[rules]]\nallow = \"all\"\ntopic = \"x\"\n{keys}");
    assert_eq!(holds_for(""), HoldsFor::Everyone);
    assert_eq!(holds_for(&more("user = \"u\"")), HoldsFor::Principal);
    assert_eq!(holds_for(&more("group = \"g\"")), HoldsFor::Principal);
    assert_eq!(holds_for(&more("client_id = \"c\"")), HoldsFor::Client);
    assert_eq!(holds_for(&more("user = \"u\"\nclient_id = \"c\"")), HoldsFor::Client);
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
