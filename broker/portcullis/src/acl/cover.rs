//! Whether one rule is about all that another is about: then the other, behind it, never acts.

use std::collections::BTreeMap;

use acl_rules::{CertificateScope, Effect, Rule, Scope};
use topic::TopicFilter;

/// Groups of the file.
type Groups = BTreeMap<String, Vec<String>>;

/// A rule with its topic as a filter in which a variable is a level like any other.
pub(crate) struct Prepared<'r> {
    pub(crate) rule: &'r Rule,
    pub(crate) filter: TopicFilter,
}

impl<'r> Prepared<'r> {
    /// None for a topic that is no filter; the parser lets none through.
    pub(crate) fn new(rule: &'r Rule) -> Option<Self> {
        // A value never begins with `$`, so a wildcard covers it.
        let text = rule.topic.replace("${", VARIABLE);
        Some(Self { rule, filter: TopicFilter::new(&text).ok()? })
    }

    /// Whether this rule matches whenever the other one does.
    pub(crate) fn covers(&self, other: &Self, groups: &Groups) -> bool {
        let (one, two) = (self.rule, other.rule);
        covers_activity(one, two)
            && covers_scope(one, two, groups)
            && self.filter.covers(&other.filter)
    }
}

fn covers_activity(one: &Rule, two: &Rule) -> bool {
    let qos = one.qos.iter().zip(two.qos).all(|(one, two)| *one || !two);
    let retain = !two.publish || one.retain.is_none() || one.retain == two.retain;
    let shared = one.shared.is_none() || one.shared == two.shared;
    let name = one.share_name.is_none() || one.share_name == two.share_name;
    (one.publish || !two.publish)
        && (one.subscribe || !two.subscribe)
        && qos
        && retain
        && (!two.subscribe || shared && name)
}

fn covers_scope(one: &Rule, two: &Rule, groups: &Groups) -> bool {
    let (wide, narrow) = (&one.scope, &two.scope);
    names(&wide.users, &narrow.users)
        && names(&wide.client_ids, &narrow.client_ids)
        && names(&wide.listeners, &narrow.listeners)
        && names(&wide.authenticated_by, &narrow.authenticated_by)
        && covers_groups(wide, narrow, groups)
        && covers_addresses(one, two)
        && wide.attributes.iter().all(|(name, values)| {
            let same = narrow.attributes.iter().find(|(other, _)| other == name);
            same.is_some_and(|(_, narrow)| names(values, narrow))
        })
        && covers_certificate(wide.certificate.as_deref(), narrow.certificate.as_deref())
}

/// Whether everyone who is named narrowly is named widely; nobody named is everybody.
fn names(wide: &[String], narrow: &[String]) -> bool {
    wide.is_empty() || !narrow.is_empty() && narrow.iter().all(|name| wide.contains(name))
}

/// A group of the file also covers users who are in it.
fn covers_groups(wide: &Scope, narrow: &Scope, groups: &Groups) -> bool {
    let in_file = |user: &String| {
        let members = wide.groups.iter().filter_map(|group| groups.get(group));
        members.flatten().any(|member| member == user)
    };
    names(&wide.groups, &narrow.groups)
        || !narrow.users.is_empty() && narrow.users.iter().all(in_file)
}

fn covers_addresses(one: &Rule, two: &Rule) -> bool {
    let (wide, narrow) = (&one.scope.addresses, &two.scope.addresses);
    if wide.is_empty() {
        return true;
    }
    // A client whose address nobody can read meets deny rules only.
    let unknown = one.effect == Effect::Deny || two.effect == Effect::Allow;
    unknown
        && !narrow.is_empty()
        && narrow.iter().all(|block| wide.iter().any(|wide| wide.covers(block)))
}

fn covers_certificate(wide: Option<&CertificateScope>, narrow: Option<&CertificateScope>) -> bool {
    let Some(wide) = wide else { return true };
    let Some(narrow) = narrow else { return false };
    // Of the lists of a certificate any name fits, so that two rules may both hold; each wide list
    // has to hold all of the narrow one all the same.
    [
        (&wide.common_names, &narrow.common_names),
        (&wide.dns_names, &narrow.dns_names),
        (&wide.uris, &narrow.uris),
        (&wide.email_names, &narrow.email_names),
        (&wide.subjects, &narrow.subjects),
        (&wide.issuers, &narrow.issuers),
        (&wide.serials, &narrow.serials),
        (&wide.sha256, &narrow.sha256),
    ]
    .into_iter()
    .all(|(wide, narrow)| names(wide, narrow))
}

/// Stands for `${` where filters are compared: no topic of a file begins like this.
const VARIABLE: &str = "\u{F8FF}{";
