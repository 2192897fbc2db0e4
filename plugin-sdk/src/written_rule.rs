//! Rules as an operator writes them in a manifest: a [`Rule`] deserializes from
//! `{ allow = "publish", topic = "plant/${clientid}/#" }`. What `acl-file` takes, beside whom a rule is
//! about.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use crate::{Activity, Condition, QosSet, Rule, topic_filter};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    allow: Option<WrittenActivity>,
    deny: Option<WrittenActivity>,
    topic: String,
    qos: Option<Vec<u8>>,
    retain: Option<bool>,
    shared: Option<Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenActivity {
    Publish,
    Subscribe,
    All,
}

/// No key has a default that would widen an allow by a spelling mistake: unknown keys are errors.
impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer)?.rule().map_err(D::Error::custom)
    }
}

impl Written {
    fn rule(self) -> Result<Rule, String> {
        topic_filter::check(&self.topic)?;
        let rule = match (self.allow, self.deny) {
            (Some(activity), None) => Rule::allow(activity.flags(), self.topic),
            (None, Some(activity)) => Rule::deny(activity.flags(), self.topic),
            _ => return Err("a rule has either `allow` or `deny`".to_owned()),
        };
        let rule = match self.qos {
            None => rule,
            Some(levels) => rule.qos(qos_set(&levels)?),
        };
        let rule = match self.retain {
            None => rule,
            Some(retain) => rule.retain(condition(retain)),
        };
        match self.shared {
            None => Ok(rule),
            Some(Value::Bool(shared)) => Ok(rule.shared(condition(shared))),
            Some(Value::String(name)) if topic_filter::is_share_name(&name) => {
                Ok(rule.share_name(name))
            }
            Some(_) => Err("`shared` is true, false or a share name".to_owned()),
        }
    }
}

impl WrittenActivity {
    const fn flags(self) -> Activity {
        match self {
            Self::Publish => Activity::PUBLISH,
            Self::Subscribe => Activity::SUBSCRIBE,
            Self::All => Activity::all(),
        }
    }
}

fn qos_set(levels: &[u8]) -> Result<QosSet, String> {
    let mut set = QosSet::empty();
    for level in levels {
        set |= match level {
            0 => QosSet::AT_MOST_ONCE,
            1 => QosSet::AT_LEAST_ONCE,
            2 => QosSet::EXACTLY_ONCE,
            _ => return Err(format!("`qos` has {level}; allowed: 0, 1 and 2")),
        };
    }
    if set.is_empty() {
        return Err("`qos` is a list of the levels 0, 1 and 2, not empty".to_owned());
    }
    Ok(set)
}

const fn condition(value: bool) -> Condition {
    if value { Condition::Yes } else { Condition::No }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<Rule, &str>) {
        match (serde_json::from_str::<Rule>(json), expected) {
            (Ok(rule), Ok(expected)) => assert_eq!(rule, expected, "{json}"),
            (Err(error), Err(expected)) => {
                let error = error.to_string();
                assert!(error.contains(expected), "{json}: {error}");
            }
            (read, _) => panic!("{json}: {read:?}"),
        }
    }

    #[test]
    fn every_key_arrives() {
        check(r#"{"allow":"all","topic":"a/#"}"#, Ok(Rule::allow(Activity::all(), "a/#")));
        let narrow = Rule::deny(Activity::PUBLISH, "${username}/x")
            .qos(QosSet::AT_MOST_ONCE | QosSet::EXACTLY_ONCE)
            .retain(Condition::No);
        let json = r#"{"deny":"publish","topic":"${username}/x","qos":[0,2],"retain":false}"#;
        check(json, Ok(narrow));
        let shared = Rule::allow(Activity::SUBSCRIBE, "a");
        let json = r#"{"allow":"subscribe","topic":"a","shared":"workers"}"#;
        check(json, Ok(shared.clone().share_name("workers")));
        let json = r#"{"allow":"subscribe","topic":"a","shared":false}"#;
        check(json, Ok(shared.shared(Condition::No)));
    }

    #[test]
    fn what_is_no_rule() {
        check(r#"{"topic":"a"}"#, Err("either `allow` or `deny`"));
        check(r#"{"allow":"all","deny":"all","topic":"a"}"#, Err("either `allow` or `deny`"));
        check(r#"{"allow":"all"}"#, Err("topic"));
        check(r#"{"allow":"write","topic":"a"}"#, Err("unknown variant"));
        check(r#"{"allow":"all","topic":"a","user":"x"}"#, Err("unknown field `user`"));
        check(r#"{"allow":"all","topic":"a/#/b"}"#, Err("has to be the last level"));
        check(r#"{"allow":"all","topic":"a","qos":[]}"#, Err("not empty"));
        check(r#"{"allow":"all","topic":"a","qos":[3]}"#, Err("`qos` has 3"));
        check(r#"{"allow":"all","topic":"a","shared":"a/b"}"#, Err("`shared` is"));
        check(r#"{"allow":"all","topic":"a","shared":1}"#, Err("`shared` is"));
    }
}
