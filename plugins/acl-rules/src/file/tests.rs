//! What the file may say, and on which line it is wrong.

use super::*;
use crate::{Block, CertificateScope, Effect, Rule, Scope};

#[test]
fn every_key_arrives() {
    let document = parse(
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
    let rule = |line, effect, (publish, subscribe), topic: &str| Rule {
        line,
        effect,
        publish,
        subscribe,
        topic: topic.to_owned(),
        qos: [true; 3],
        retain: None,
        shared: None,
        share_name: None,
        scope: Scope::default(),
    };
    let first = Rule {
        qos: [true, false, true],
        retain: Some(true),
        scope: Scope {
            users: vec!["alice".to_owned()],
            groups: vec!["plant".to_owned()],
            client_ids: vec!["press-1".to_owned()],
            ..Scope::default()
        },
        ..rule(2, Effect::Allow, (true, false), "plant/${clientid}/state")
    };
    let second = Rule {
        shared: Some(true),
        share_name: Some("workers".to_owned()),
        ..rule(11, Effect::Deny, (false, true), "plant/#")
    };
    let third = Rule {
        retain: Some(false),
        shared: Some(false),
        ..rule(16, Effect::Allow, (true, true), "+/${username}")
    };
    assert_eq!(document.rules, [first, second, third]);
}

#[test]
fn a_rule_says_whom_it_is_about() {
    let document = parse(
        r#"
        names_with_wildcards = "deny"

        [groups]
        readers = ["alice", "bob"]
        none = []

        [[rules]]
        allow = "all"
        topic = "${attr.plant}/#"
        user = ["alice", "bob"]
        listener = "tls"
        address = ["10.0.0.0/8", "::1"]
        authenticated_by = ["jwt", "ldap"]
        attributes = { plant = ["a", "b"], shift = "2" }
        certificate = { common_name = "c", dns_name = ["d", "e"], uri = "u", email_name = "m",
                        subject = "CN=c", issuer = "CN=ca", serial = "0A:FF", sha256 = "SHA" }
        "#
        .replace("SHA", &"AB".repeat(32))
        .as_str(),
    )
    .unwrap();
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert!(document.deny_wildcard_names);
    assert_eq!(document.groups["readers"], ["alice", "bob"]);
    assert_eq!(document.groups["none"], Vec::<String>::new());
    let expected = Scope {
        users: list(&["alice", "bob"]),
        listeners: list(&["tls"]),
        addresses: vec![Block::parse("10.0.0.0/8").unwrap(), Block::parse("::1").unwrap()],
        authenticated_by: list(&["jwt", "ldap"]),
        attributes: vec![
            ("plant".to_owned(), list(&["a", "b"])),
            ("shift".to_owned(), list(&["2"])),
        ],
        certificate: Some(Box::new(CertificateScope {
            common_names: list(&["c"]),
            dns_names: list(&["d", "e"]),
            uris: list(&["u"]),
            email_names: list(&["m"]),
            subjects: list(&["CN=c"]),
            issuers: list(&["CN=ca"]),
            serials: list(&["0aff"]),
            sha256: vec!["ab".repeat(32)],
        })),
        ..Scope::default()
    };
    assert_eq!(document.rules[0].scope, expected);
}

/// Whatever would hold for more clients than was meant is an error.
#[test]
fn scopes_that_are_no_scopes_are_refused() {
    for (key, start) in [
        ("user = []", "line 4: `user` is not empty"),
        ("user = [\"a\", \"\"]", "line 4: `user` is not empty"),
        ("user = [1]", "line 4: `user` is a text"),
        ("listener = false", "line 4: `listener` is a text"),
        ("address = \"10.0.0.1/8\"", "line 4: `address`: `10.0.0.1/8` has bits set"),
        ("address = [\n\"::1\",\n\"x\"]", "line 6: `address`: `x` is no address"),
        ("attributes = {}", "line 4: `attributes` is a table, not empty"),
        ("attributes = \"a\"", "line 4: `attributes` is a table, not empty"),
        ("attributes = { a = [] }", "line 4: `a` is not empty"),
        ("certificate = true", "line 4: `certificate` is a table, not empty"),
        ("certificate = {}", "line 4: `certificate` is a table, not empty"),
        ("certificate = { cn = \"a\" }", "line 4: unknown key `cn`; known are common_name, "),
        ("certificate = { serial = \"xy\" }", "line 4: write hexadecimal digits"),
        ("certificate = { sha256 = \"ab\" }", "line 4: write 64 hexadecimal digits"),
    ] {
        refuse(&rule("a", key), start);
    }
    refuse("groups = 1", "line 1: `groups` is a table");
    refuse("[groups]\na = \"bob\"", "line 2: `a` is a list of users");
    refuse("[groups]\na = [\"\"]", "line 2: `a` is not empty");
    refuse("[groups]\n\"\" = []", "line 2: a group has a name");
    refuse("names_with_wildcards = true", "line 1: `names_with_wildcards` is a text");
    refuse("names_with_wildcards = \"no\"", "line 1: `names_with_wildcards` is \"deny\" or");
}

#[test]
fn a_file_without_rules_is_a_file() {
    for text in ["", "# nothing yet\n", "rules = []"] {
        assert_eq!(parse(text), Ok(Document::default()), "{text:?}");
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
    refuse(&rule("a", "shared = \"${clientid}\""), "line 4: `shared` is true, false");
    refuse(&rule("a", "shared = 1"), "line 4: `shared` is true, false or a share name");
    refuse(&rule("a", "retain = \"yes\""), "line 4: `retain` is true or false");
}

#[test]
fn topics_are_filters() {
    for topic in ["#", "+", "/", "a//b", "$SYS/#", "a/+/b/#", "${username}/#", "x-${clientid}"] {
        assert!(parse(&rule(topic, "")).is_ok(), "{topic}");
    }
    for topic in ["${attr.a}", "x-${attr.a.b_c-1}/#"] {
        assert!(parse(&rule(topic, "")).is_ok(), "{topic}");
    }
    for topic in ["${attr.}", "${attr.a b}", "${attr}", "${attr.a", "${Username}"] {
        refuse(&rule(topic, ""), "line 3: `topic`");
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
    refuse(&text, "line 28345: more than 10000 rules");
    assert_eq!(
        parse(&rule("a", "").repeat(RULES_MAX)).map(|document| document.rules.len()),
        Ok(RULES_MAX)
    );
}

/// A file that is read in pieces is the same as one that is read at once.
#[test]
fn large_files_are_read_in_pieces() {
    let groups = "[groups]\na = [\"b\"]\n";
    let (before, behind) = (RULES_MAX / 2, RULES_MAX / 2 - 10);
    let large = rule("a", "").repeat(before) + groups + &rule("b", "").repeat(behind);
    assert!(pieces(&large).count() > 2);
    assert_eq!(pieces(&large).collect::<String>(), large);
    let at_once = large.replacen("\"a\"", "\"\"\"a\"\"\"", 1);
    assert_eq!(pieces(&at_once).count(), 1);
    let document = parse(&large).unwrap();
    assert_eq!(document, parse(&at_once).unwrap());
    assert_eq!((document.rules.len(), document.groups.len()), (before + behind, 1));
    let lines = large.lines().count();
    refuse(&format!("{large}[[rules]]\n"), &format!("line {}: a rule has", lines + 1));
    refuse(&format!("{large}x"), &format!("line {}: ", lines + 1));
    refuse(
        &format!("{large}{groups}"),
        &format!("line {}: `groups` stands there twice", lines + 1),
    );
    // What looks like a header on its line, and is none.
    let odd = format!(
        "{}[[rules]]\nallow = \"all\"\ntopic = \"\"\"a\n[[rules]]\"\"\"\n",
        rule("a", "").repeat(RULES_MAX - 1)
    );
    assert_eq!(parse(&odd).unwrap().rules[RULES_MAX - 1].topic, "a\n[[rules]]");
}

fn rule(topic: &str, more: &str) -> String {
    format!("[[rules]]\nallow = \"all\"\ntopic = \"{topic}\"\n{more}\n")
}

#[track_caller]
fn refuse(text: &str, start: &str) {
    let why = parse(text).unwrap_err().to_string();
    assert!(why.starts_with(start), "{why}");
    assert!(!why.contains('\n'), "{why}");
}
