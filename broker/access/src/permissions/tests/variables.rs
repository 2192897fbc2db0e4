//! `${clientid}` and `${username}`, and rules that cannot be read.

use super::{allow, compile, compile_for, denied_by, deny, publish, subscribe};
use crate::permissions::NotAuthorized;
use crate::testing::rules;
use crate::{QoSSet, RefusalKind, Rule};

#[test]
fn variables_are_filled_in() {
    let template = [allow("up/${clientid}/+"), deny("x/${username}"), allow("dev-${clientid}/#")];
    let set = compile_for("c 1", "al-ice", &[rules(template)]).expect("compiles");
    assert_eq!(publish(&set, "up/c 1/t"), Ok(()));
    assert_eq!(publish(&set, "dev-c 1/t"), Ok(()));
    assert_eq!(publish(&set, "up/c/t"), Err(NotAuthorized::NoRule));
    assert_eq!(publish(&set, "x/al-ice"), Err(denied_by("first", 2)));
    // The claim of CONNECT is not the principal, and a value is not looked at for variables.
    assert_eq!(publish(&set, "x/claimed"), Err(NotAuthorized::NoRule));
    let nested = compile_for("${username}", "p", &[rules([allow("n/${clientid}/x")])]);
    let nested = nested.expect("compiles");
    assert_eq!(publish(&nested, "n/${username}/x"), Ok(()));
    assert_eq!(publish(&nested, "n/p/x"), Err(NotAuthorized::NoRule));
}

#[test]
fn unsafe_values_drop_an_allow_and_refuse_at_a_deny() {
    for value in ["", "+", "#", "a/b", "/", "a+", "a#b", "a\0", "a\n", "\u{7f}", "\u{85}"] {
        for (client, principal, variable) in [(value, "p", "clientid"), ("c", value, "username")] {
            let filter = format!("x/${{{variable}}}/y");
            let set = [allow(&filter), allow("open")];
            let set = compile_for(client, principal, &[rules(set)]).expect("compiles");
            assert_eq!(publish(&set, &format!("x/{value}/y")), Err(NotAuthorized::NoRule));
            assert_eq!(publish(&set, "x/x/y"), Err(NotAuthorized::NoRule));
            assert_eq!(publish(&set, "open"), Ok(()));
            let set = [rules([allow("#")]), rules([allow("open"), deny(&filter)])];
            let refusal = compile_for(client, principal, &set).expect_err("compiled");
            assert_eq!(refusal.kind, RefusalKind::UnsafeVariable, "{value:?}");
            assert_eq!(refusal.plugin.as_deref(), Some("second"));
            assert!(refusal.detail.contains("rule 2") && refusal.detail.contains(variable));
        }
    }
}

#[test]
fn a_client_named_like_the_topics_of_the_broker_does_not_reach_them() {
    for name in ["$SYS", "$share", "$"] {
        let set = compile_for(name, "p", &[rules([allow("${clientid}/#")])]).expect("compiles");
        assert!(publish(&set, &format!("{name}/x")).is_err());
        assert_eq!(subscribe(&set, "$SYS/#"), Err(NotAuthorized::NoRule));
        let refusal = compile_for(name, "p", &[rules([deny("${clientid}/#")])]);
        assert_eq!(refusal.expect_err("compiled").kind, RefusalKind::UnsafeVariable);
        // Further behind, `$` is a character like any other.
        let set = compile_for(name, "p", &[rules([allow("x/${clientid}")])]).expect("compiles");
        assert_eq!(publish(&set, &format!("x/{name}")), Ok(()));
    }
}

#[test]
fn a_rule_that_cannot_be_read_is_a_failure_of_its_link() {
    let share = |name: &str| Rule { share_name: Some(name.to_owned()), ..allow("a") };
    for (bad, word) in [
        (allow(""), ""),
        (allow("a/#/b"), ""),
        (deny("a+/b"), ""),
        (allow("a\0b"), ""),
        (allow("${clientId}/x"), "clientId"),
        (allow("${}/x"), "not known"),
        (allow("x/${clientid"), "not closed"),
        (allow("${clientid}+/x"), ""),
        (allow("$share/g/a"), "share-name"),
        (share(""), "share-name"),
        (share("a/b"), "share-name"),
        (share("+"), "share-name"),
        (share("${username}"), "share-name"),
        (Rule { qos: QoSSet(0), ..deny("a/#/b") }, ""),
    ] {
        let answers = [rules([allow("#")]), rules([allow("ok"), bad.clone(), allow("#")])];
        // An unsafe value does not hide that the rule is wrong.
        for client in ["dev-1", "a/b"] {
            let refusal = compile_for(client, "p", &answers).expect_err("compiled");
            assert_eq!(refusal.kind, RefusalKind::PluginFailure, "{bad:?}");
            assert_eq!(refusal.plugin.as_deref(), Some("second"));
            let shown = format!("rule 2, filter {:?}", bad.filter);
            let detail = &refusal.detail;
            assert!(detail.contains(&shown) && detail.contains(word), "{detail}");
        }
    }
    let long = compile(&[rules([allow(&format!("{}#", "x".repeat(60_000)))])]);
    assert!(long.expect_err("compiled").detail.len() < 500);
}
