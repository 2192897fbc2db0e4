//! Lists that EMQX takes, and what of them has no rule here.

use serde_json::json;

use super::*;

#[test]
fn its_documented_list_is_read() {
    let list = json!([
        {"permission": "allow", "action": "publish", "topic": "t/${clientid}"},
        {"permission": "allow", "action": "subscribe", "topic": "eq t/1", "qos": [1]},
        {"permission": "deny", "action": "publish", "topic": "t/2", "retain": true},
        {"permission": "deny", "action": "all", "topics": ["t/3", "t/4"], "qos": "0,1"},
    ]);
    let all = Activity::PUBLISH | Activity::SUBSCRIBE;
    let low = QosSet::AT_MOST_ONCE | QosSet::AT_LEAST_ONCE;
    let expected = [
        Rule::allow(Activity::PUBLISH, "t/${clientid}"),
        Rule::allow(Activity::SUBSCRIBE, "t/1").qos(QosSet::AT_LEAST_ONCE),
        Rule::deny(Activity::PUBLISH, "t/2").retain(Condition::Yes),
        Rule::deny(all, "t/3").qos(low),
        Rule::deny(all, "t/4").qos(low),
    ];
    assert_eq!(from_list(&list).unwrap(), expected);
    assert_eq!(from_list_or_lists(&list).unwrap(), expected);
    assert_eq!(from_list(&json!([])).unwrap(), []);
}

#[test]
fn its_older_lists_permit() {
    let lists = json!({"pub": ["a"], "sub": ["b/#"], "all": ["c"]});
    let rules = from_list_or_lists(&lists).unwrap();
    assert_eq!(rules.len(), 3);
    for rule in [
        Rule::allow(Activity::PUBLISH, "a"),
        Rule::allow(Activity::SUBSCRIBE, "b/#"),
        Rule::allow(Activity::PUBLISH | Activity::SUBSCRIBE, "c"),
    ] {
        assert!(rules.contains(&rule), "{rule:?}");
    }
    for (lists, what) in [
        (json!({"publish": "a"}), "no list"),
        (json!({"other": []}), "not pub, sub or all"),
        (json!({"pub": [1]}), "no text"),
        (json!({"pub": ["a/#/b"]}), "last level"),
        (json!("a"), "no list of rules"),
    ] {
        let error = from_list_or_lists(&lists).unwrap_err();
        assert!(error.contains(what), "{lists}: {error}");
    }
}

#[test]
fn what_is_not_understood_is_never_left_out() {
    let with = |name: &str, value: Value| {
        let mut rule = json!({"permission": "allow", "action": "all", "topic": "t"});
        rule[name] = value;
        json!([rule])
    };
    for (list, what) in [
        (with("ipaddr", json!("10.0.0.0/8")), "\"ipaddr\" is not known"),
        (with("clientid_re", json!("^a")), "not known"),
        (with("permission", json!("Allow")), "allow or deny"),
        (with("permission", json!(true)), "allow or deny"),
        (with("action", json!("write")), "publish, subscribe or all"),
        (with("topic", json!("eq t/#")), "`eq`"),
        (with("topic", json!("${username")), "variables"),
        (with("topic", json!("${cert_common_name}/a")), "variables"),
        (with("topic", json!(["t"])), "no text"),
        (with("topics", json!("t")), "no list"),
        (with("qos", json!([3])), "qos"),
        (with("qos", json!([])), "qos"),
        (with("qos", json!("0,x")), "qos"),
        (with("qos", json!(1.5)), "qos"),
        (with("retain", json!("sometimes")), "retain"),
        (with("retain", json!(2)), "retain"),
        (json!([{"permission": "allow", "action": "all"}]), "no topic"),
        (json!([{"permission": "allow", "topic": "t"}]), "no action"),
        (json!([{"action": "all", "topic": "t"}]), "no permission"),
        (json!(["t"]), "no object"),
        (json!({"all": ["t"]}), "no list of rules"),
    ] {
        let error = from_list(&list).unwrap_err();
        assert!(error.contains(what), "{list}: {error}");
    }
    let rule = json!({"permission": "allow", "action": "all", "topic": "t"});
    let many = json!(vec![rule; 1_001]);
    assert!(from_list(&many).unwrap_err().contains("over 1000"));
}

#[test]
fn every_way_to_write_a_level_and_a_flag() {
    let one = |name: &str, value: Value| {
        let mut rule = json!({"permission": "allow", "action": "all", "topic": "t"});
        rule[name] = value;
        from_list(&json!([rule])).unwrap().remove(0)
    };
    for value in [json!(1), json!("1"), json!([1]), json!(["1"])] {
        assert_eq!(one("qos", value).qos, QosSet::AT_LEAST_ONCE);
    }
    assert_eq!(one("qos", json!(null)).qos, QosSet::all());
    for (value, expected) in [
        (json!(true), Condition::Yes),
        (json!("1"), Condition::Yes),
        (json!(0), Condition::No),
        (json!("false"), Condition::No),
        (json!("all"), Condition::Any),
        (json!(null), Condition::Any),
    ] {
        assert_eq!(one("retain", value).retain, expected);
    }
}
