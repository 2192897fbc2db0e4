//! Groups of the file, and attributes that a deny rule cannot do without.

use super::*;
use crate::parse;

fn topics(text: &str, who: &Who<'_>) -> Option<Vec<String>> {
    match parse(text).unwrap().select(who) {
        Selected::Rules(rules) => {
            Some(rules.into_iter().map(|(_, topic)| topic.into_owned()).collect())
        }
        Selected::DenyAll(_) => None,
    }
}

const GROUPS: &str = r#"
[groups]
readers = ["alice"]
[[rules]]
allow = "all"
topic = "x"
group = "readers"
"#;

#[test]
fn groups_are_those_of_the_grants_and_of_the_file() {
    let readers = ["readers".to_owned()];
    let who = |principal, groups| Who { principal, groups, ..Who::default() };
    assert_eq!(topics(GROUPS, &who("alice", &[])), Some(vec!["x".to_owned()]));
    assert_eq!(topics(GROUPS, &who("bob", &readers)), Some(vec!["x".to_owned()]));
    assert_eq!(topics(GROUPS, &who("bob", &[])), Some(vec![]));
    assert_eq!(topics(GROUPS, &who("readers", &[])), Some(vec![]));
}

#[test]
fn an_attribute_that_is_missing_drops_an_allow_and_denies_all_in_a_deny() {
    let rule = |effect: &str| format!("[[rules]]\n{effect} = \"all\"\ntopic = \"${{attr.a}}/#\"\n");
    let with = Who { attributes: vec![("a", "b")], ..Who::default() };
    for effect in ["allow", "deny"] {
        assert_eq!(topics(&rule(effect), &with), Some(vec!["b/#".to_owned()]));
    }
    assert_eq!(topics(&rule("allow"), &Who::default()), Some(vec![]));
    assert_eq!(topics(&rule("deny"), &Who::default()), None);
    // Not about this client: nothing to fill in.
    let other = format!("{}user = \"somebody\"\n", rule("deny"));
    assert_eq!(topics(&other, &Who::default()), Some(vec![]));
}

#[test]
fn a_file_without_rules_denies_everything() {
    for text in ["", "[groups]\na = []", "names_with_wildcards = \"allow\""] {
        assert_eq!(topics(text, &Who::default()), None, "{text}");
    }
}
