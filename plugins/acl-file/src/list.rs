//! From the rules of the file that are about a client to the answer that the host is given.

use acl_rules::{Certificate, Depends, Document, Selected, Who};
use portcullis_plugin::{Activity, Answer, Condition, HoldsFor, QosSet, Rule, Subject, host};

/// All rules of the file.
#[derive(Debug)]
pub(crate) struct List {
    document: Document,
    /// For whom an answer holds: no wider than what any of the rules looks at.
    holds_for: HoldsFor,
}

impl List {
    pub(crate) fn new(document: Document) -> Self {
        let holds_for = match document.depends() {
            Depends::Listener => HoldsFor::Everyone,
            Depends::Principal => HoldsFor::Principal,
            Depends::Client => HoldsFor::Client,
        };
        Self { document, holds_for }
    }

    pub(crate) fn len(&self) -> usize {
        self.document.rules.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.document.rules.is_empty()
    }

    /// The rules about one client, in the order of the file; the host lets the first match decide.
    pub(crate) fn answer(&self, subject: &Subject) -> Answer {
        match self.document.select(&who(subject)) {
            Selected::Rules(rules) if rules.is_empty() => Answer::Next,
            Selected::Rules(rules) => {
                let rules = rules.into_iter().map(|(rule, topic)| ready(rule, topic.into_owned()));
                Answer::rules_for(self.holds_for, rules.collect())
            }
            Selected::DenyAll(why) => {
                host::log::warn(&format!("everything is denied to a client: {why}"));
                Answer::DenyAll
            }
        }
    }
}

fn who(subject: &Subject) -> Who<'_> {
    let attributes = subject.attributes.iter();
    Who {
        principal: &subject.principal,
        authenticated_by: &subject.authenticated_by,
        groups: &subject.groups,
        attributes: attributes.map(|one| (one.name.as_str(), one.value.as_str())).collect(),
        client_id: &subject.client_id,
        listener: &subject.listener,
        remote_address: &subject.remote_address,
        certificate: subject.certificate.as_ref().map(|certificate| Certificate {
            common_name: certificate.common_name.as_deref(),
            dns_names: &certificate.dns_names,
            uris: &certificate.uris,
            email_names: &certificate.email_names,
            subject: &certificate.subject,
            issuer: &certificate.issuer,
            serial: &certificate.serial,
            sha256: &certificate.sha256,
        }),
    }
}

fn ready(rule: &acl_rules::Rule, topic: String) -> Rule {
    let mut activity = Activity::empty();
    activity.set(Activity::PUBLISH, rule.publish);
    activity.set(Activity::SUBSCRIBE, rule.subscribe);
    let levels = [QosSet::AT_MOST_ONCE, QosSet::AT_LEAST_ONCE, QosSet::EXACTLY_ONCE];
    let qos = levels.into_iter().zip(rule.qos).filter(|(_, about)| *about);
    let qos = qos.fold(QosSet::empty(), |set, (level, _)| set | level);
    let made = match rule.effect {
        acl_rules::Effect::Allow => Rule::allow(activity, topic),
        acl_rules::Effect::Deny => Rule::deny(activity, topic),
    };
    let made = made.qos(qos).retain(condition(rule.retain)).shared(condition(rule.shared));
    match &rule.share_name {
        None => made,
        Some(name) => made.share_name(name.clone()),
    }
}

const fn condition(value: Option<bool>) -> Condition {
    match value {
        None => Condition::Any,
        Some(true) => Condition::Yes,
        Some(false) => Condition::No,
    }
}

#[cfg(test)]
mod tests;
