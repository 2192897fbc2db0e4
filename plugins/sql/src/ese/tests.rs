//! Rows of the extension, and what they permit.

use portcullis_plugin::host::sql::Value;

use super::*;
use crate::{
    rows::Rows,
    settings::tests::{rows, said, text},
};

const COLUMNS: [&str; 10] = [
    "username",
    "topic",
    "publish_allowed",
    "subscribe_allowed",
    "qos_0_allowed",
    "qos_1_allowed",
    "qos_2_allowed",
    "retained_msgs_allowed",
    "shared_sub_allowed",
    "shared_group",
];

/// The flags in the order of the columns.
fn permitted(topic: &str, flags: [i64; 7], group: &str) -> Result<Vec<Rule>, Error> {
    let mut row = vec![text("u"), text(topic)];
    row.extend(flags.map(Value::Integer));
    row.push(text(group));
    let found = Rows::new("permissions", rows(&COLUMNS, &[&row]));
    rules(found.iter().collect())
}

#[test]
fn the_published_examples() {
    let all = QosSet::all();
    let backend = permitted("topic/+/status", [0, 1, 1, 1, 1, 0, 0], "").unwrap();
    let subscribe = Rule::allow(Activity::SUBSCRIBE, "topic/+/status").qos(all);
    assert_eq!(backend, [subscribe.shared(Condition::No)]);
    let frontend = permitted("topic/${mqtt-clientid}/status", [1, 0, 1, 1, 1, 1, 0], "").unwrap();
    assert_eq!(frontend, [Rule::allow(Activity::PUBLISH, "topic/${clientid}/status").qos(all)]);
    let superuser = permitted("#", [1, 1, 1, 1, 1, 1, 1], "").unwrap();
    assert_eq!(
        superuser,
        [
            Rule::allow(Activity::PUBLISH, "#"),
            Rule::allow(Activity::SUBSCRIBE, "#").shared(Condition::Yes),
            Rule::allow(Activity::SUBSCRIBE, "#").shared(Condition::No),
        ]
    );
}

#[test]
fn what_is_not_allowed_is_not_permitted() {
    assert_eq!(permitted("t", [0, 0, 1, 1, 1, 1, 1], "").unwrap(), []);
    let none = permitted("t", [1, 0, 0, 0, 0, 1, 0], "").unwrap();
    assert_eq!(none[0].qos, QosSet::empty());
    let one = permitted("t", [1, 0, 0, 1, 0, 0, 0], "").unwrap();
    assert_eq!((one[0].qos, one[0].retain), (QosSet::AT_LEAST_ONCE, Condition::No));
    let group = permitted("t", [0, 1, 1, 1, 1, 0, 1], "workers").unwrap();
    assert_eq!(group[0].share_name.as_deref(), Some("workers"));
    assert_eq!((group[1].shared, group.len()), (Condition::No, 2));
}

#[test]
fn variables() {
    for (theirs, ours) in [
        ("a/${{clientid}}", "a/${clientid}"),
        ("${{username}}/b", "${username}/b"),
        ("${mqtt-username}/${mqtt-clientid}", "${username}/${clientid}"),
        ("${{mqtt-clientid}}", "${clientid}"),
        ("$x/{y}", "$x/{y}"),
    ] {
        assert_eq!(permitted(theirs, [1, 0, 1, 1, 1, 1, 0], "").unwrap()[0].filter, ours);
    }
    for unknown in ["${string-1}/a", "a/${MQTT-CLIENTID}", "a/${mqtt-clientid", "${{{clientid}}}"] {
        let said = said(permitted(unknown, [1, 0, 1, 1, 1, 1, 0], ""));
        assert!(said.contains("variable"), "{unknown}: {said}");
    }
}
