//! What the permissions of all connected clients together say: who can reach a topic, which rules never decide, and which
//! never did.
//!
//! Each answer looks at a bounded number of clients and rules, and says when that was not all.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use access::{LinkInForce, LinkWord, Permissions, PublishRequest, RuleInForce, SubscribeRequest};
use codec::QoS;
use serde::{Deserialize, Serialize};
use server::{ClientInfo, ClientQuery};
use topic::{SubscriptionFilter, TopicFilter, TopicName};
use utoipa::{IntoParams, ToSchema};

use super::{Action, qos};
use crate::{
    AdminState,
    call::{Answer, Call, blocking},
    clients::effect_name,
    field::{Field, Fields},
    page::{check_limit, default_limit},
};

/// What is to be reached.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReachQuery {
    /// Topic Name.
    topic: String,
    /// `publish` or `subscribe`.
    #[param(inline)]
    activity: Action,
    /// QoS of the PUBLISH, or maximum QoS of the SUBSCRIBE.
    #[serde(default)]
    #[param(minimum = 0, maximum = 2, default = 0)]
    qos: u8,
    /// RETAIN flag of the PUBLISH.
    #[serde(default)]
    retain: bool,
    /// Start here: the `next` of the page before.
    after: Option<String>,
    /// At most so many clients.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

/// Connected clients that can reach a topic. A page may be short, even empty, and still have a next one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reach {
    /// In the order of their ids.
    clients: Vec<Reaching>,
    /// Clients that were looked at for this page.
    looked_at: usize,
    /// Give this as `after` for the next page; null = this is the last.
    next: Option<String>,
}

/// A client that can reach it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reaching {
    /// Client Identifier.
    client_id: String,
    /// Authenticated principal.
    principal: String,
    /// Name of the listener.
    listener: String,
    /// The plugin whose rule allows it.
    plugin: String,
    /// The rule, counted from 1.
    rule: Option<u32>,
}

/// Rules of connected clients.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleFindings {
    /// By plugin, rule and filter; at most 1000.
    rules: Vec<RuleFinding>,
    /// Connected clients whose rules were looked at.
    looked_at: usize,
    /// Everything was looked at and is told. If not, there may be more, and a rule told as unused may be used by a client
    /// that was not looked at.
    complete: bool,
}

/// One rule, the same for all clients with this filter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleFinding {
    /// The plugin whose answer it is part of.
    plugin: String,
    /// Its place in the answer, from 1.
    rule: u32,
    /// `allow` or `deny`.
    effect: &'static str,
    /// Topic Filter, with variables filled in.
    filter: String,
    /// Of rules that never decide: the rule before it that covers it, perhaps with others.
    covered_by: Option<u32>,
    /// Connected clients that have it.
    clients: u64,
    /// For how long it is watched: seconds since the longest of these sets of rules came in force.
    watched_seconds: u64,
}

/// `GET /api/v1/permissions/reach`
pub(crate) async fn reach(call: Call) -> Answer {
    let query: ReachQuery = call.query()?;
    let fields = call.fields();
    let topic = TopicName::new(&query.topic)?;
    let (qos, limit) = (qos(query.qos)?, check_limit(query.limit)?);
    let filter = SubscriptionFilter { share: None, filter: TopicFilter::new(&topic)? };
    let after = query.after.as_deref().map(|after| call.shared.cursors.open(LIST, after));
    let after: Option<String> = after.transpose()?;
    let shared = Arc::clone(&call.shared);
    let found = blocking(move || {
        let asked = (query.activity, topic.as_str(), &filter, qos, query.retain);
        let mut found = Vec::new();
        let (looked_at, next) = visit(&shared.state, after, |info, permissions| {
            if let Some(word) = allowing(permissions, asked) {
                found.push(Reaching::of(info, &word, fields));
            }
            found.len() < limit
        });
        (found, looked_at, next)
    });
    let (clients, looked_at, next) = found.await?;
    let next = next.map(|next| call.shared.cursors.seal(LIST, &next)).transpose()?;
    call.json_answer(&Reach { clients, looked_at, next })
}

/// The first word that allows it, if all together do.
fn allowing(
    permissions: &Permissions,
    (activity, topic, filter, qos, retain): (Action, &str, &SubscriptionFilter, QoS, bool),
) -> Option<LinkWord> {
    let words = match activity {
        Action::Publish => {
            let request = PublishRequest { topic, qos, retain };
            permissions.foresee_publish(request).ok()?;
            permissions.explain_publish(request)
        }
        Action::Subscribe => {
            let request = SubscribeRequest { filter, qos };
            permissions.foresee_subscribe(request).ok()?;
            permissions.explain_subscribe(request)
        }
    };
    words.into_iter().find(|word| word.effect == Some(access::Effect::Allow))
}

/// Goes through connected clients behind `after` until `see` has enough; how many, and where to go on.
fn visit(
    state: &AdminState,
    mut after: Option<String>,
    mut see: impl FnMut(&ClientInfo, &Permissions) -> bool,
) -> (usize, Option<String>) {
    let mut looked_at = 0;
    loop {
        let query = ClientQuery {
            after: after.take(),
            limit: LOT,
            connected: Some(true),
            ..ClientQuery::default()
        };
        let page = state.broker.clients(&query);
        for info in &page.clients {
            looked_at += 1;
            let permissions = state.broker.permissions(&info.client_id);
            let goes_on = permissions.is_none_or(|permissions| see(info, &permissions));
            if !goes_on || looked_at >= CLIENTS_MAX {
                return (looked_at, Some(info.client_id.to_string()));
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return (looked_at, None),
        }
    }
}

impl Reaching {
    fn of(info: &ClientInfo, word: &LinkWord, fields: Fields) -> Self {
        Self {
            client_id: fields.show(Field::ClientId, &*info.client_id).into_owned(),
            principal: fields.show(Field::Username, &*info.principal).into_owned(),
            listener: info.listener.to_string(),
            plugin: word.plugin.to_string(),
            rule: word.rule,
        }
    }
}

/// `GET /api/v1/permissions/unreachable`
pub(crate) async fn unreachable(call: Call) -> Answer {
    findings(call, |rules| rules.covered_by.is_some()).await
}

/// `GET /api/v1/permissions/unused`
pub(crate) async fn unused(call: Call) -> Answer {
    findings(call, |rules| !rules.is_used).await
}

async fn findings(call: Call, is_wanted: fn(&Rules) -> bool) -> Answer {
    let (shared, fields) = (Arc::clone(&call.shared), call.fields());
    let found = blocking(move || {
        let (all, looked_at, complete) = Rules::of_all(&shared.state);
        let now = shared.state.gate.now();
        let wanted = all.into_iter().filter(|(_, rules)| is_wanted(rules));
        let mut rules: Vec<_> = wanted
            .map(|((plugin, number, filter), rules)| RuleFinding {
                plugin: plugin.to_string(),
                rule: number,
                effect: effect_name(rules.effect),
                filter: fields.show(Field::Topic, filter).into_owned(),
                covered_by: rules.covered_by,
                clients: rules.clients,
                watched_seconds: rules.since.map_or(0, |at| now.saturating_sub(at).as_secs()),
            })
            .take(FINDINGS_MAX + 1)
            .collect();
        let complete = complete && rules.len() <= FINDINGS_MAX;
        rules.truncate(FINDINGS_MAX);
        RuleFindings { rules, looked_at, complete }
    });
    let found = found.await?;
    call.json_answer(&found)
}

/// The same rule of all sets that have it.
struct Rules {
    effect: access::Effect,
    covered_by: Option<u32>,
    is_used: bool,
    clients: u64,
    since: Option<std::time::Duration>,
}

type RuleKey = (Arc<str>, u32, String);

impl Rules {
    /// Of all connected clients; how many those are, and whether they are all.
    fn of_all(state: &AdminState) -> (BTreeMap<RuleKey, Self>, usize, bool) {
        let mut sets: HashMap<usize, (LinkInForce, u64)> = HashMap::new();
        let mut rules_left = RULES_MAX;
        let (looked_at, next) = visit(state, None, |_, permissions| {
            let mut listed: Option<Vec<LinkInForce>> = None;
            for (at, set) in permissions.sets().enumerate() {
                if let Some((_, clients)) = sets.get_mut(&set) {
                    *clients += 1;
                    continue;
                }
                let links = listed.get_or_insert_with(|| permissions.in_force());
                let Some(link) = links.get(at).cloned() else { continue };
                rules_left = rules_left.saturating_sub(link.rules.len());
                sets.insert(set, (link, 1));
            }
            rules_left > 0
        });
        let mut all = BTreeMap::new();
        for (link, clients) in sets.into_values() {
            for rule in link.rules {
                let key = (Arc::clone(&link.plugin), rule.number, rule.filter.clone());
                let same = all.entry(key).or_insert_with(|| Self::new(&rule));
                same.is_used |= rule.used;
                // Where one set leaves it something, it is not without effect.
                same.covered_by = same.covered_by.and(rule.covered_by);
                same.clients += clients;
                same.since = same.since.into_iter().chain(link.since).min();
            }
        }
        (all, looked_at, next.is_none())
    }

    fn new(rule: &RuleInForce) -> Self {
        Self {
            effect: rule.effect,
            covered_by: rule.covered_by,
            is_used: rule.used,
            clients: 0,
            since: None,
        }
    }
}

const LIST: &str = "reach";
/// Clients at once.
const LOT: usize = 1_000;
/// Clients that one answer looks at.
const CLIENTS_MAX: usize = 50_000;
/// Rules that one answer looks at.
const RULES_MAX: usize = 500_000;
/// Rules that one answer tells.
const FINDINGS_MAX: usize = 1_000;
