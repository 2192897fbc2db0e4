//! Which rules are odd, and that those of the linter never act is what the broker's own compiler says.

use access::{PublishRequest, SubscribeRequest};
use codec::QoS;

use super::*;
use crate::acl::testing::compile;

#[track_caller]
fn check(text: &str, expected: &[(u32, Kind, Option<u32>)]) {
    let document = acl_rules::parse(text).unwrap();
    let found = of(&document);
    let found: Vec<_> = found.iter().map(|one| (one.line, one.kind, one.because)).collect();
    assert_eq!(found, expected, "{text}");
}

fn rules(rules: &[&str]) -> String {
    rules.iter().map(|rule| format!("[[rules]]\n{rule}\n")).collect()
}

/// The second of two rules begins on line 4 or, with one more key in the first, on line 5.
#[track_caller]
fn pair(first: &str, second: &str, never_acts: bool) {
    let text = rules(&[first, second]);
    let line = u32::try_from(first.lines().count()).unwrap() + 2;
    let unreachable = (line, Kind::Unreachable, Some(1));
    let document = acl_rules::parse(&text).unwrap();
    let found = of(&document);
    let found = found.iter().filter(|one| one.kind == Kind::Unreachable);
    let found: Vec<_> = found.map(|one| (one.line, one.kind, one.because)).collect();
    assert_eq!(found, if never_acts { vec![unreachable] } else { vec![] }, "{text}");
}

#[test]
fn a_rule_behind_a_wider_one_never_acts() {
    let all = |topic: &str| format!("allow = \"all\"\ntopic = \"{topic}\"");
    for (first, second, never_acts) in [
        ("a/#", "a/b", true),
        ("a/#", "a/#", true),
        ("a/b", "a/#", false),
        ("+/b", "a/b", true),
        ("a/${clientid}/#", "a/${clientid}/x", true),
        ("a/${clientid}/#", "a/${username}/x", false),
        ("a/+", "a/${attr.b}", true),
        ("#", "${username}", true),
        ("#", "$SYS/#", false),
        ("a/${clientid}", "a/+", false),
    ] {
        pair(&all(first), &all(second), never_acts);
        pair(&all(first), &all(second).replace("allow", "deny"), never_acts);
    }
}

#[test]
fn conditions_and_scopes_are_compared() {
    let rule = |more: &str| format!("allow = \"all\"\ntopic = \"a\"\n{more}").trim().to_owned();
    for (first, second, never_acts) in [
        ("", "user = \"x\"", true),
        ("user = \"x\"", "", false),
        ("user = [\"x\", \"y\"]", "user = \"x\"", true),
        ("user = \"x\"", "user = [\"x\", \"y\"]", false),
        ("user = \"x\"", "user = \"x\"\nclient_id = \"c\"", true),
        ("user = \"x\"\nclient_id = \"c\"", "user = \"x\"", false),
        ("group = \"g\"", "user = \"x\"", false),
        ("qos = [0, 1]", "qos = [1]", true),
        ("qos = [0]", "qos = [0, 1]", false),
        ("retain = true", "", false),
        ("", "retain = true", true),
        ("shared = true", "shared = \"g\"", true),
        ("shared = \"g\"", "shared = true", false),
        ("shared = \"g\"", "shared = \"h\"", false),
        ("address = \"10.0.0.0/8\"", "address = [\"10.1.0.0/16\", \"10.2.0.0/16\"]", true),
        ("address = \"10.0.0.0/8\"", "address = [\"10.1.0.0/16\", \"11.0.0.0/16\"]", false),
        ("address = \"10.0.0.0/8\"", "", false),
        ("attributes = { a = \"1\" }", "attributes = { a = \"1\", b = \"2\" }", true),
        ("attributes = { a = \"1\", b = \"2\" }", "attributes = { a = \"1\" }", false),
        ("certificate = { uri = \"u\" }", "certificate = { uri = \"u\", issuer = \"i\" }", true),
        ("certificate = { uri = \"u\" }", "", false),
        ("listener = \"l\"", "listener = \"m\"", false),
        ("authenticated_by = \"l\"", "authenticated_by = \"l\"", true),
    ] {
        pair(&rule(first), &rule(second), never_acts);
    }
    let publish = "allow = \"publish\"\ntopic = \"a\"";
    pair(publish, &publish.replace("publish", "subscribe"), false);
    pair(publish, &publish.replace("publish", "all"), false);
    // The flags of what the second rule is not about do not matter.
    let subscribe = "allow = \"subscribe\"\ntopic = \"a\"\nretain = true";
    pair("allow = \"all\"\ntopic = \"a\"\nretain = false", subscribe, true);
    // Who cannot be located meets the deny rule.
    let here = "allow = \"all\"\ntopic = \"a\"\naddress = \"10.0.0.0/8\"";
    pair(here, &here.replace("allow", "deny"), false);
}

#[test]
fn a_group_of_the_file_covers_its_members() {
    let groups = "[groups]\ng = [\"x\", \"y\"]\n";
    let of = |user: &str| {
        let text = rules(&[
            "allow = \"all\"\ntopic = \"a\"\ngroup = \"g\"",
            &format!("deny = \"all\"\ntopic = \"a\"\nuser = {user}"),
        ]);
        format!("{text}{groups}")
    };
    check(&of("\"x\""), &[(5, Kind::Unreachable, Some(1))]);
    check(&of("[\"x\", \"z\"]"), &[]);
}

#[test]
fn rules_for_everybody_and_everything_are_wide() {
    for (rule, width) in [
        ("allow = \"all\"\ntopic = \"#\"", Some(Width::PublishesEverything)),
        ("allow = \"publish\"\ntopic = \"+/#\"", Some(Width::PublishesEverything)),
        ("allow = \"publish\"\ntopic = \"+/+/+\"", Some(Width::PublishesEverything)),
        ("allow = \"subscribe\"\ntopic = \"#\"", Some(Width::ReadsEverything)),
        ("allow = \"subscribe\"\ntopic = \"$SYS/#\"", Some(Width::ReadsBroker)),
        ("allow = \"publish\"\ntopic = \"a/+/b\"", Some(Width::PublishesForOthers)),
        ("allow = \"all\"\ntopic = \"#\"\naddress = [\"::/0\"]", Some(Width::PublishesEverything)),
        ("allow = \"all\"\ntopic = \"#\"\naddress = \"10.0.0.0/8\"", None),
        ("allow = \"all\"\ntopic = \"#\"\nuser = \"root\"", None),
        ("allow = \"all\"\ntopic = \"#\"\ncertificate = { issuer = \"i\" }", None),
        ("allow = \"publish\"\ntopic = \"a/${clientid}/+\"", None),
        ("allow = \"subscribe\"\ntopic = \"a/+/b\"", None),
        ("allow = \"all\"\ntopic = \"d/#\"", None),
        ("deny = \"all\"\ntopic = \"#\"", None),
    ] {
        let document = acl_rules::parse(&rules(&[rule])).unwrap();
        assert_eq!(super::width(&document.rules[0]), width, "{rule}");
    }
}

#[test]
fn what_changes_nothing_is_told() {
    check(&rules(&["allow = \"publish\"\ntopic = \"$SYS/x\""]), &[(1, Kind::NoEffect, None)]);
    let retain = "allow = \"subscribe\"\ntopic = \"a\"\nretain = true";
    check(&rules(&[retain]), &[(1, Kind::NoEffect, None)]);
    let shared = "allow = \"publish\"\ntopic = \"a\"\nshared = true";
    check(&rules(&[shared]), &[(1, Kind::NoEffect, None)]);
    check(&rules(&["allow = \"all\"\ntopic = \"a\"\nretain = true\nshared = true"]), &[]);
}

/// A random rule of a small world, as text.
fn random_rule(random: &mut fastrand::Rng) -> String {
    let pick = |random: &mut fastrand::Rng, of: &[&str]| of[random.usize(..of.len())].to_owned();
    let effect = pick(random, &["allow", "deny"]);
    let activity = pick(random, &["publish", "subscribe", "all"]);
    let topic = pick(random, &["a", "a/b", "a/+", "+/b", "a/#", "#", "+", "a/${clientid}", "+/+"]);
    let qos = pick(random, &["", "", "qos = [0]\n", "qos = [0, 1]\n"]);
    let flag = pick(random, &["", "", "retain = true\n", "shared = false\n", "shared = \"g\"\n"]);
    format!("[[rules]]\n{effect} = \"{activity}\"\ntopic = \"{topic}\"\n{qos}{flag}")
}

/// Without a rule that never acts everything is decided as with it, by the compiler of the broker.
#[test]
fn unreachable_rules_make_no_difference() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut removed = 0;
    for _ in 0..3_000 {
        let text: String = (0..random.usize(2..6)).map(|_| random_rule(&mut random)).collect();
        let document = acl_rules::parse(&text).unwrap();
        let found = of(&document);
        let dead = |rule: &&Rule| {
            let mut found = found.iter().filter(|one| one.kind == Kind::Unreachable);
            found.any(|one| one.line == rule.line)
        };
        let all: Vec<_> = document.rules.iter().collect();
        let alive: Vec<_> = document.rules.iter().filter(|rule| !dead(rule)).collect();
        removed += all.len() - alive.len();
        assert_eq!(decisions(&all), decisions(&alive), "{text}");
    }
    assert!(removed > 1_000, "only {removed} rules were found unreachable");
}

fn decisions(rules: &[&Rule]) -> Vec<bool> {
    let rules = rules.iter().map(|rule| (*rule, rule.topic.as_str()));
    let permissions = compile(rules, "alice", "b").unwrap();
    let mut decisions = Vec::new();
    for topic in ["a", "b", "a/b", "a/c", "c/b", "a/b/c", "x"] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for retain in [false, true] {
                let request = PublishRequest { topic, qos, retain };
                decisions.push(permissions.permit_publish(request).is_ok());
            }
            for share in ["", "$share/g/", "$share/h/"] {
                let filter = format!("{share}{topic}");
                let filter = topic::SubscriptionFilter::parse(&filter).unwrap();
                let request = SubscribeRequest { filter: &filter, qos };
                decisions.push(permissions.permit_subscribe(request).is_ok());
                decisions.push(permissions.permit_delivery(topic, request));
            }
        }
    }
    decisions
}
