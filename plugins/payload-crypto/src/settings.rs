//! The table `[config]`: TOML to checked rules, or a sentence that names the rule and what is wrong with it.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::{
    bound::Stamp,
    filter::Filter,
    pseudonym::{Pseudonyms, VARIABLE},
    rules::{Circle, Fresh, Inbound, InboundWork, Named, Outbound, OutboundWork, Rules, Seal},
};

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(default)]
    rules: Vec<RawRule>,
    pseudonyms: Option<RawPseudonyms>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    OpenInbound,
    VerifyInbound,
    SealInbound,
    OpenOutbound,
    SealOutbound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawNamed {
    ClientId,
    Principal,
    TopicLevel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Others {
    Sealed,
    Nothing,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    topic: String,
    action: Action,
    key: String,
    client: Option<RawNamed>,
    level: Option<usize>,
    client_key: Option<bool>,
    #[serde(default)]
    stamp: Stamp,
    window_seconds: Option<u32>,
    remember: Option<usize>,
    reject: Option<u8>,
    listeners: Option<Vec<String>>,
    clear_for_groups: Option<Vec<String>>,
    clear_for_attributes: Option<BTreeMap<String, String>>,
    others: Option<Others>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPseudonyms {
    secret: String,
    prefix: String,
    topics: Vec<String>,
    #[serde(default = "client_id")]
    client: RawNamed,
}

fn client_id() -> RawNamed {
    RawNamed::ClientId
}

impl Settings {
    /// # Errors
    /// A sentence.
    pub(crate) fn checked(self) -> Result<(Rules, Option<Pseudonyms>), String> {
        if self.rules.is_empty() && self.pseudonyms.is_none() {
            return Err("[config] has no [[config.rules]]: this plugin would do nothing".to_owned());
        }
        if self.rules.len() > RULES_MAX {
            return Err(format!("{} rules, allowed: at most {RULES_MAX}", self.rules.len()));
        }
        let mut rules = Rules { inbound: Vec::new(), outbound: Vec::new() };
        for (number, raw) in (1..).zip(self.rules) {
            raw.put_into(&mut rules)
                .map_err(|what| format!("[[config.rules]] {number}: {what}"))?;
        }
        one_kind_of_name_a_ring(&rules)?;
        rules.share_memories();
        let pseudonyms = self.pseudonyms.map(RawPseudonyms::checked).transpose();
        let pseudonyms = pseudonyms.map_err(|what| format!("[config.pseudonyms]: {what}"))?;
        Ok((rules, pseudonyms))
    }
}

/// A client may call itself as the principal of another is called.
fn one_kind_of_name_a_ring(rules: &Rules) -> Result<(), String> {
    let mut kinds = HashMap::new();
    for seal in rules.seals() {
        let Some(kind @ (Named::ClientId | Named::Principal)) = seal.client else { continue };
        if *kinds.entry(&seal.ring).or_insert(kind) != kind {
            return Err(format!(
                "key = {:?}: some rules take client identifiers and some principals for the names \
                 of one ring: give them a ring each",
                seal.ring
            ));
        }
    }
    Ok(())
}

impl RawRule {
    fn put_into(self, rules: &mut Rules) -> Result<(), String> {
        self.check_keys()?;
        match self.action {
            Action::OpenInbound => {
                let what = InboundWork::Open(self.fresh()?);
                rules.inbound.push(self.inbound(what)?);
            }
            Action::VerifyInbound => {
                let what = InboundWork::Verify(self.fresh()?);
                rules.inbound.push(self.inbound(what)?);
            }
            Action::SealInbound => rules.inbound.push(self.inbound(InboundWork::Seal)?),
            Action::OpenOutbound => {
                let others_get_it_sealed = self.others != Some(Others::Nothing);
                rules.outbound.push(self.outbound(OutboundWork::Open { others_get_it_sealed })?);
            }
            Action::SealOutbound => rules.outbound.push(self.outbound(OutboundWork::Seal)?),
        }
        Ok(())
    }

    /// No key that means nothing here.
    fn check_keys(&self) -> Result<(), String> {
        use Action::{OpenInbound, OpenOutbound, SealInbound, SealOutbound, VerifyInbound};
        let inbound = [OpenInbound, VerifyInbound, SealInbound];
        let opens_inbound = [OpenInbound, VerifyInbound];
        let outbound = [OpenOutbound, SealOutbound];
        for (key, there, allowed) in [
            ("reject", self.reject.is_some(), &inbound[..]),
            ("listeners", self.listeners.is_some(), &inbound),
            ("window_seconds", self.window_seconds.is_some(), &opens_inbound),
            ("remember", self.remember.is_some(), &opens_inbound),
            ("clear_for_groups", self.clear_for_groups.is_some(), &outbound),
            ("clear_for_attributes", self.clear_for_attributes.is_some(), &outbound),
            ("others", self.others.is_some(), &[OpenOutbound]),
        ] {
            if there && !allowed.contains(&self.action) {
                return Err(format!("{key} means nothing with action = {}", name(self.action)));
            }
        }
        if self.key.is_empty() {
            return Err("key is empty, allowed: the NAME of [keys.NAME]".to_owned());
        }
        if matches!(self.action, SealInbound | SealOutbound) && self.stamp == Stamp::Counter {
            return Err("the broker does not count: stamp = \"timestamp\" or none".to_owned());
        }
        if self.client.is_none() && (self.client_key == Some(true) || self.level.is_some()) {
            return Err("client_key and level mean nothing without client".to_owned());
        }
        let named = matches!(self.client, Some(RawNamed::ClientId | RawNamed::Principal));
        if self.action == OpenOutbound && named {
            return Err("who published is not known any more when a message goes out: client = \
                        \"topic-level\" or none"
                .to_owned());
        }
        Ok(())
    }

    fn fresh(&self) -> Result<Option<Fresh>, String> {
        if self.stamp != Stamp::Timestamp && self.window_seconds.is_some() {
            return Err("window_seconds means nothing without stamp = \"timestamp\"".to_owned());
        }
        if self.stamp == Stamp::None {
            return match self.remember {
                Some(_) => Err("remember means nothing without stamp".to_owned()),
                None => Ok(None),
            };
        }
        if self.client.is_none() {
            return Err("stamp needs client: each counts by itself, and what one sent must not \
                        count as new from another"
                .to_owned());
        }
        let window = self.window_seconds.unwrap_or(WINDOW_SECONDS.2);
        if !(WINDOW_SECONDS.0..=WINDOW_SECONDS.1).contains(&window) {
            let (least, most, _) = WINDOW_SECONDS;
            return Err(format!("window_seconds = {window}, allowed: {least} to {most}"));
        }
        let remember = self.remember.unwrap_or(REMEMBER.2);
        if !(REMEMBER.0..=REMEMBER.1).contains(&remember) {
            let (least, most, _) = REMEMBER;
            return Err(format!("remember = {remember}, allowed: {least} to {most}"));
        }
        let window_seconds = (self.stamp == Stamp::Timestamp).then_some(window);
        Ok(Some(Fresh { window_seconds, remember, memory_seconds: None }))
    }

    fn inbound(self, what: InboundWork) -> Result<Inbound, String> {
        let reject = self.reject.unwrap_or(REJECT[0]);
        if !REJECT.contains(&reject) {
            return Err(format!("reject = {reject:#04x}, allowed: 0x99 or 0x87"));
        }
        if self.listeners.as_ref().is_some_and(Vec::is_empty) {
            return Err("listeners is empty: leave it out to mean all".to_owned());
        }
        let (filter, listeners) = (Filter::new(self.topic.clone())?, self.listeners.clone());
        Ok(Inbound { seal: self.seal(&filter)?, filter, listeners, what, reject })
    }

    fn outbound(mut self, what: OutboundWork) -> Result<Outbound, String> {
        let groups = self.clear_for_groups.take();
        let attributes = self.clear_for_attributes.take();
        let circle = (groups.is_some() || attributes.is_some()).then(|| Circle {
            groups: groups.unwrap_or_default(),
            attributes: attributes.unwrap_or_default().into_iter().collect(),
        });
        if circle.as_ref() == Some(&Circle::default()) {
            return Err(
                "clear_for_groups and clear_for_attributes are empty: leave them out".to_owned()
            );
        }
        if circle.is_none() && self.others.is_some() {
            return Err("others means nothing: everybody gets it in clear".to_owned());
        }
        let filter = Filter::new(self.topic.clone())?;
        Ok(Outbound { seal: self.seal(&filter)?, filter, what, clear_for: circle })
    }

    fn seal(self, filter: &Filter) -> Result<Seal, String> {
        let client = match (self.client, self.level) {
            (None, _) => None,
            (Some(RawNamed::ClientId), None) => Some(Named::ClientId),
            (Some(RawNamed::Principal), None) => Some(Named::Principal),
            (Some(RawNamed::TopicLevel), Some(level @ 1..)) if filter.has_level(level) => {
                Some(Named::Level(level))
            }
            (Some(RawNamed::TopicLevel), level) => {
                let (level, topic) = (level.unwrap_or_default(), filter.as_str());
                return Err(format!(
                    "client = \"topic-level\" with level = {level}: allowed is one that every \
                     topic of {topic:?} has, from 1"
                ));
            }
            (Some(_), Some(_)) => {
                return Err("level means nothing without client = \"topic-level\"".to_owned());
            }
        };
        let client_key = self.client_key.unwrap_or_else(|| client.is_some());
        Ok(Seal { ring: self.key, client, client_key, stamp: self.stamp })
    }
}

impl RawPseudonyms {
    fn checked(self) -> Result<Pseudonyms, String> {
        if self.secret.is_empty() {
            return Err("secret is empty, allowed: the NAME of [secrets.NAME]".to_owned());
        }
        let client = match self.client {
            RawNamed::ClientId => Named::ClientId,
            RawNamed::Principal => Named::Principal,
            RawNamed::TopicLevel => {
                return Err("client = \"topic-level\": the topic is what is looked for".to_owned());
            }
        };
        let plain = |text: &str| !text.is_empty() && !text.contains(['+', '#', '\0']);
        if !plain(&self.prefix) || self.prefix.starts_with('$') {
            return Err(format!("prefix = {:?} is no begin of a topic name", self.prefix));
        }
        if !(1..=TOPICS_MAX).contains(&self.topics.len()) {
            return Err(format!("{} topics, allowed: 1 to {TOPICS_MAX}", self.topics.len()));
        }
        for topic in &self.topics {
            let rest = topic.replace(VARIABLE, "");
            let begins_with_dollar = rest.starts_with('$');
            if !plain(topic) || rest.contains("${") || begins_with_dollar {
                return Err(format!(
                    "topics: {topic:?} is no topic name; the one variable is {VARIABLE}"
                ));
            }
        }
        Ok(Pseudonyms {
            secret: self.secret,
            prefix: self.prefix,
            topics: self.topics,
            client,
            known: HashMap::new().into(),
        })
    }
}

fn name(action: Action) -> &'static str {
    match action {
        Action::OpenInbound => "\"open-inbound\"",
        Action::VerifyInbound => "\"verify-inbound\"",
        Action::SealInbound => "\"seal-inbound\"",
        Action::OpenOutbound => "\"open-outbound\"",
        Action::SealOutbound => "\"seal-outbound\"",
    }
}

/// With the pseudonyms, what the contract lets a plugin claim.
const RULES_MAX: usize = 99;
/// Each costs an HMAC the first time that an instance sees a client.
const TOPICS_MAX: usize = 64;
/// Payload format invalid, Not authorized.
const REJECT: [u8; 2] = [0x99, 0x87];
/// Least, most, default.
const WINDOW_SECONDS: (u32, u32, u32) = (1, 86_400, 120);
const REMEMBER: (usize, usize, usize) = (1, 64, 32);

#[cfg(test)]
mod tests;
