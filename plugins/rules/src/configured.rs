//! A rule as an operator writes it in `[config]`: the keys that `acl-file` has, without those that
//! say whom it is about.

use portcullis_plugin::{Activity, Condition, QosSet, Rule};
use serde::Deserialize;

use crate::{qos, topic};

/// `{ allow = "publish", topic = "devices/${clientid}/#" }`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredRule {
    allow: Option<Operations>,
    deny: Option<Operations>,
    topic: String,
    qos: Option<Vec<u64>>,
    retain: Option<bool>,
    shared: Option<Shared>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Operations {
    Publish,
    Subscribe,
    All,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
enum Shared {
    Any(bool),
    Named(String),
}

impl ConfiguredRule {
    /// Permits everything on this filter.
    pub fn allow_all(topic: impl Into<String>) -> Self {
        Self {
            allow: Some(Operations::All),
            deny: None,
            topic: topic.into(),
            qos: None,
            retain: None,
            shared: None,
        }
    }

    /// As the host takes it.
    ///
    /// # Errors
    /// A sentence that fits behind "the rule: ".
    pub fn rule(&self) -> Result<Rule, String> {
        topic::check(&self.topic)?;
        let rule = match (self.allow, self.deny) {
            (Some(allow), None) => Rule::allow(allow.activity(), &*self.topic),
            (None, Some(deny)) => Rule::deny(deny.activity(), &*self.topic),
            _ => return Err("it has either `allow` or `deny`".to_owned()),
        };
        let rule = rule.qos(self.levels()?).retain(self.retain.map_or(Condition::Any, condition));
        Ok(match &self.shared {
            None => rule,
            Some(Shared::Any(shared)) => rule.shared(condition(*shared)),
            Some(Shared::Named(name)) if topic::is_share_name(name) => rule.share_name(&**name),
            Some(Shared::Named(_)) => {
                return Err("its `shared` is true, false or a share name".to_owned());
            }
        })
    }

    fn levels(&self) -> Result<QosSet, String> {
        let Some(levels) = &self.qos else { return Ok(QosSet::all()) };
        let set = levels.iter().map(|level| qos(*level)).collect::<Option<Vec<_>>>();
        let set = set.unwrap_or_default().into_iter().fold(QosSet::empty(), |set, it| set | it);
        match set.is_empty() {
            true => Err("its `qos` is a list of the levels 0, 1 and 2, not empty".to_owned()),
            false => Ok(set),
        }
    }
}

impl Operations {
    fn activity(self) -> Activity {
        match self {
            Self::Publish => Activity::PUBLISH,
            Self::Subscribe => Activity::SUBSCRIBE,
            Self::All => Activity::PUBLISH | Activity::SUBSCRIBE,
        }
    }
}

pub(crate) const fn condition(value: bool) -> Condition {
    if value { Condition::Yes } else { Condition::No }
}

#[cfg(test)]
mod tests;
