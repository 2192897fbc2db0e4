//! What the file may say, and on which line it is wrong.

use super::*;

#[test]
fn every_key_arrives() {
    let rules = parse(
        r#"
        [[rules]]
        allow = "publish"
        topic = "plant/${clientid}/state"
        user = "alice"
        group = "plant"
        client_id = "press-1"
        qos = [0, 2]
        retain = true

        [[rules]]
        deny = "subscribe"
        topic = "plant/#"
        shared = "workers"

        [[rules]]
        allow = "all"
        topic = "+/${username}"
        shared = false
        retain = false
        "#,
    )
    .unwrap();
    let first = Rule::allow(Activity::PUBLISH, "plant/${clientid}/state")
        .qos(QosSet::AT_MOST_ONCE | QosSet::EXACTLY_ONCE)
        .retain(Condition::Yes);
    let second = Rule::deny(Activity::SUBSCRIBE, "plant/#").share_name("workers");
    let third = Rule::allow(Activity::PUBLISH | Activity::SUBSCRIBE, "+/${username}")
        .retain(Condition::No)
        .shared(Condition::No);
    let everyone = |rule| ScopedRule { rule, user: None, group: None, client_id: None };
    let scoped = ScopedRule {
        rule: first,
        user: Some("alice".to_owned()),
        group: Some("plant".to_owned()),
        client_id: Some("press-1".to_owned()),
    };
    assert_eq!(rules, [scoped, everyone(second), everyone(third)]);
}

#[test]
fn a_file_without_rules_is_a_file() {
    for text in ["", "# nothing yet\n", "rules = []"] {
        assert_eq!(parse(text), Ok(vec![]), "{text:?}");
    }
}

#[test]
fn unknown_keys_are_refused_with_their_line() {
    refuse(&rule("a", "users = \"x\""), "line 4: unknown key `users`; known are allow, deny");
    refuse("default = \"allow\"\n", "line 1: unknown key `default`; known are rules");
    refuse("\n[[rule]]\nallow = \"all\"\n", "line 2: unknown key `rule`");
    refuse("rules = 1", "line 1: `rules` are tables");
    refuse("rules = [1]", "line 1: `rules` are tables");
}

#[test]
fn a_rule_says_what_it_does_and_where() {
    refuse("\n[[rules]]\ntopic = \"a\"\n", "line 2: a rule has either `allow` or `deny`");
    refuse(&rule("a", "deny = \"all\""), "line 1: a rule has either");
    refuse("[[rules]]\nallow = \"all\"\n", "line 1: a rule has a `topic`");
    refuse("[[rules]]\nallow = \"read\"\ntopic = \"a\"\n", "line 2: `allow` is \"publish\"");
    refuse("[[rules]]\nallow = \"all\"\nallow = \"all\"\ntopic = \"a\"\n", "line 3: ");
    refuse("[[rules]]\nallow = \"all\"\ntopic = 7\n", "line 3: `topic` is a text");
}

#[test]
fn values_that_could_never_match_are_refused() {
    for qos in ["[]", "[3]", "[-1]", "[\"1\"]", "1"] {
        refuse(&rule("a", &format!("qos = {qos}")), "line 4: `qos` is a list of the levels");
    }
    refuse(&rule("a", "user = \"\""), "line 4: `user` is not empty");
    refuse(&rule("a", "group = 1"), "line 4: `group` is a text");
    refuse(&rule("a", "shared = \"a/b\""), "line 4: `shared` is true, false or a share name");
    refuse(&rule("a", "shared = 1"), "line 4: `shared` is true, false or a share name");
    refuse(&rule("a", "retain = \"yes\""), "line 4: `retain` is true or false");
}

#[test]
fn topics_are_filters() {
    for topic in ["#", "+", "/", "a//b", "$SYS/#", "a/+/b/#", "${username}/#", "x-${clientid}"] {
        assert!(parse(&rule(topic, "")).is_ok(), "{topic}");
    }
    for topic in ["", "a#", "a/#/b", "a+/b", "$share/g/a", "${user}", "${clientid", "a\\u0000"] {
        refuse(&rule(topic, ""), "line 3: `topic`");
    }
}

#[test]
fn the_second_rule_is_found_by_its_line() {
    let text = format!("{}\n{}", rule("a", ""), rule("b/#/c", ""));
    refuse(&text, "line 8: `topic`: `#` has to be the last level");
}

#[test]
fn broken_text_is_refused() {
    refuse("[[rules]]\nallow = \"all\ntopic = \"a\"\n", "line 2: ");
    refuse("[[rules]", "line 1: ");
    refuse("\u{FEFF}\u{FEFF}[[rules]]", "line 1: ");
}

#[test]
fn more_rules_than_the_contract_allows_are_refused() {
    let text = rule("a", "").repeat(RULES_MAX + 1);
    refuse(&text, "line 1: 10001 rules");
    assert_eq!(parse(&rule("a", "").repeat(RULES_MAX)).map(|rules| rules.len()), Ok(RULES_MAX));
}

fn rule(topic: &str, more: &str) -> String {
    format!("[[rules]]\nallow = \"all\"\ntopic = \"{topic}\"\n{more}\n")
}

#[track_caller]
fn refuse(text: &str, start: &str) {
    let why = parse(text).unwrap_err();
    assert!(why.starts_with(start), "{why}");
    assert!(!why.contains('\n'), "{why}");
}
