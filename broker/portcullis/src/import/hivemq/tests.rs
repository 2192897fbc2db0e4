//! The example of the extension's own readme, every value, and what is left out.

use access::{PublishRequest, SubscribeRequest};
use codec::QoS;
use topic::SubscriptionFilter;

use super::*;
use crate::acl::testing::permissions;

/// From the extension's documentation; the passwords are `pass1` and `admin-password`.
const EXAMPLE: &str = include_str!("../../../../../tests/it/program/migration/credentials.xml");

#[test]
fn the_example_of_the_extension_comes_over() {
    let imported = convert(EXAMPLE, PasswordType::Hashed).unwrap();
    assert_eq!(imported.lost, []);
    let document = acl_rules::parse(&imported.made.acl).unwrap();
    assert_eq!(document.groups["role1"], ["user1", "admin-user"]);
    assert_eq!(document.groups["superuser"], ["admin-user"]);
    assert!(document.deny_wildcard_names);
    let may_publish = |user: &str, topic: &str, retain| {
        let permissions = permissions(&document, user, "c").unwrap();
        let request = PublishRequest { topic, qos: QoS::AtLeastOnce, retain };
        permissions.permit_publish(request).is_ok()
    };
    let may_subscribe = |user: &str, filter: &str| {
        let permissions = permissions(&document, user, "c").unwrap();
        let filter = SubscriptionFilter::parse(filter).unwrap();
        let request = SubscribeRequest { filter: &filter, qos: QoS::AtLeastOnce };
        permissions.permit_subscribe(request).is_ok()
    };
    assert!(may_publish("user1", "data/c/x", false) && may_subscribe("user1", "data/c/#"));
    assert!(!may_publish("user1", "data/d/x", false) && !may_subscribe("user1", "data/#"));
    assert!(may_publish("user1", "outgoing/c", true) && !may_publish("user1", "outgoing/c", false));
    assert!(may_subscribe("user1", "incoming/user1/actions"));
    assert!(!may_publish("user1", "incoming/user1/actions", false));
    assert!(may_publish("admin-user", "anything", false) && may_subscribe("admin-user", "#"));
    assert!(!may_subscribe("stranger", "data/c/x"));
}

#[track_caller]
fn check(permission: &str, expected: &str) {
    let xml = document_of(&user("u"), permission);
    let imported = convert(&xml, PasswordType::Hashed).unwrap();
    assert_eq!(imported.lost, [], "{permission}");
    let rules: Vec<_> = imported.made.acl.split("[[rules]]\n").skip(1).collect();
    let rules: Vec<_> = rules
        .iter()
        .map(|rule| rule.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("; "))
        .collect();
    assert_eq!(rules.join(" | "), expected.replace('\'', "\""), "{permission}");
}

fn user(name: &str) -> String {
    let hash = EXAMPLE.split("<password>").nth(1).unwrap().split('<').next().unwrap();
    format!("<user><name>{name}</name><password>{hash}</password><roles><id>r</id></roles></user>")
}

fn document_of(users: &str, permission: &str) -> String {
    format!(
        "<file-rbac>\n<users>{users}</users>\n<roles><role><id>r</id><permissions>\n\
         <permission>{permission}</permission>\n</permissions></role></roles></file-rbac>"
    )
}

#[test]
fn every_value_has_its_key() {
    let shared =
        |value: &str| format!("<topic>a</topic><shared-subscription>{value}</shared-subscription>");
    let group = |value: &str| format!("{}<shared-group>g</shared-group>", shared(value));
    for (permission, expected) in [
        (
            "<topic>a/${{ClientId}}/${{username}}</topic>",
            "allow = 'all'; topic = 'a/${clientid}/${username}'; group = 'r'",
        ),
        (
            "<topic>a</topic><activity> PUBLISH </activity><qos>ZERO_TWO</qos>",
            "allow = 'publish'; topic = 'a'; group = 'r'; qos = [0, 2]",
        ),
        (
            "<topic>a</topic><retain>NOT_RETAINED</retain>",
            "allow = 'all'; topic = 'a'; group = 'r'; retain = false",
        ),
        (
            "<topic>a</topic><activity>SUBSCRIBE</activity><retain>RETAINED</retain>",
            "allow = 'subscribe'; topic = 'a'; group = 'r'",
        ),
        (
            "<topic>a</topic><activity>PUBLISH</activity><shared-group>g</shared-group>",
            "allow = 'publish'; topic = 'a'; group = 'r'",
        ),
        (&*shared("SHARED"), "allow = 'all'; topic = 'a'; group = 'r'; shared = true"),
        (&*shared("NOT_SHARED"), "allow = 'all'; topic = 'a'; group = 'r'; shared = false"),
        (&*group("SHARED"), "allow = 'all'; topic = 'a'; group = 'r'; shared = 'g'"),
        (&*group("NOT_SHARED"), "allow = 'all'; topic = 'a'; group = 'r'; shared = false"),
        (
            &*group("ALL"),
            "allow = 'all'; topic = 'a'; group = 'r'; shared = false | \
             allow = 'subscribe'; topic = 'a'; group = 'r'; shared = 'g'",
        ),
        (
            "<topic>a<!-- c -->b</topic><shared-group>#</shared-group>",
            "allow = 'all'; topic = 'ab'; group = 'r'",
        ),
    ] {
        check(permission, expected);
    }
}

#[test]
fn quotes_and_backslashes_survive() {
    let xml = document_of(&user("u"), "<topic>a&quot;&amp;\\</topic>");
    let made = convert(&xml, PasswordType::Hashed).unwrap().made.acl;
    assert_eq!(acl_rules::parse(&made).unwrap().rules[0].topic, "a\"&\\");
}

/// Nothing that narrows in HiveMQ, or was meant to, is lost without the whole permission.
#[test]
fn permissions_that_cannot_be_carried_over_are_left_out() {
    for permission in [
        "<topic>a</topic><acitivity>PUBLISH</acitivity>",
        "<topic>a</topic><activity>publish</activity>",
        "<topic>a</topic><qos>THREE</qos>",
        "<topic>a</topic><retain>true</retain>",
        "<topic>a</topic><topic>b</topic>",
        "<topic>a<b/></topic>",
        "<topic></topic>",
        "",
        "<topic>a#</topic>",
        "<topic>$share/g/a</topic>",
        "<topic>a/${{other}}</topic>",
        "<topic>a/${{clientid</topic>",
        "<topic>a/§${{clientid}}</topic>",
        "<topic>a/${clientid}</topic>",
        "<topic>a/${{clientid:-x}}</topic>",
        "<topic>a</topic><shared-group>g/h</shared-group>",
    ] {
        let imported = convert(&document_of(&user("u"), permission), PasswordType::Hashed).unwrap();
        assert_eq!(imported.lost.len(), 1, "{permission}");
        assert_eq!(imported.lost[0].line, 4, "{permission}");
        assert_eq!(acl_rules::parse(&imported.made.acl).unwrap().rules, [], "{permission}");
    }
}

#[test]
fn users_that_could_not_log_in_are_left_out_of_both_files() {
    let good = user("good");
    for bad in ["a+b", "a:b", "#c", " d"] {
        let xml = document_of(&format!("{good}\n{}", user(bad)), "<topic>a</topic>");
        let imported = convert(&xml, PasswordType::Hashed).unwrap();
        assert_eq!(imported.lost.len(), 1, "{bad}");
        assert_eq!(imported.lost[0].line, 3);
        assert_eq!(acl_rules::parse(&imported.made.acl).unwrap().groups["r"], ["good"], "{bad}");
        assert_eq!(imported.made.passwords.lines().count(), 2, "{bad}");
    }
    for hash in ["hunter2", "c2FsdA==:aGFzaA==", "c2FsdHNhbHQ=:100:aGFzaA==", "!:100:!"] {
        let bad = user("bad");
        let start = bad.find("<password>").unwrap() + 10;
        let end = bad.find("</password>").unwrap();
        let bad = format!("{}{hash}{}", &bad[..start], &bad[end..]);
        let xml = document_of(&format!("{good}{bad}"), "<topic>a</topic>");
        let imported = convert(&xml, PasswordType::Hashed).unwrap();
        assert_eq!(imported.lost.len(), 1, "{hash}");
        assert!(!imported.lost[0].text.contains(hash), "told: {:?}", imported.lost);
    }
}

#[test]
fn plain_passwords_are_hashed() {
    let xml = "<file-rbac><users><user><name>u</name><password>pass1</password><roles><id>r</id>\
               </roles></user></users><roles><role><id>r</id><permissions><permission>\
               <topic>a</topic></permission></permissions></role></roles></file-rbac>";
    let imported = convert(xml, PasswordType::Plain).unwrap();
    assert!(imported.made.passwords.contains("\nu:$argon2id$"), "{}", imported.made.passwords);
    assert!(convert(xml, PasswordType::Hashed).is_err(), "nobody could be brought over");
}

#[test]
fn what_the_extension_refuses_is_refused() {
    let good = user("u");
    let permission = "<topic>a</topic>";
    for (xml, line) in [
        (document_of(&format!("{good}\n{good}"), permission), 3),
        (document_of("<user/>", permission), 2),
        (document_of(&good.replace("<id>r</id>", "<id>s</id>"), permission), 2),
        (document_of(&good, permission).replace("<role><id>r</id>", "<role>"), 3),
        ("<file-rbac/>".replace("file-rbac", "other"), 1),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]>\n<file-rbac/>".to_owned(), 1),
        ("<file-rbac>\n<users>".to_owned(), 0),
    ] {
        match convert(&xml, PasswordType::Hashed).map(drop) {
            // Of what is no XML the reader may not know where.
            Err(ImportError::Line(note)) => {
                assert!(line == 0 || note.line == line, "{xml} {note:?}");
            }
            other => panic!("{xml}: {other:?}"),
        }
    }
}
