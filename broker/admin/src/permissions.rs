//! `/api/v1/permissions/`: what a client may do, and why; what all may together; and that it is asked for again.
//!
//! Knows nothing of rules; asks the permissions in force, the same that the packet loop asks.

use std::{net::Ipv4Addr, sync::Arc};

use access::{
    ClientLimits, Effect, Identity, LinkWord, NotAuthorized, Permissions, PublishRequest, Refusal,
    Subject, SubscribeRequest, Whose,
};
use axum::{http::StatusCode, response::IntoResponse};
use codec::{ProtocolVersion, QoS};
use serde::{Deserialize, Serialize};
use topic::{InvalidTopic, SubscriptionFilter, TopicName};
use utoipa::ToSchema;

use crate::{
    AdminState,
    call::{Answer, Call, json},
    clients,
    field::{Field, Fields},
    problem::Problem,
};

mod reach;

pub(crate) use reach::{Reach, ReachQuery, RuleFindings, reach, unreachable, unused};

/// What is to be judged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// Client Identifier.
    client_id: String,
    /// Principal of a client that is not connected, as plugins would name it. Not for one that is connected.
    principal: Option<String>,
    /// Listener that such a client would come to; without it that of its session, or the default chain.
    listener: Option<String>,
    /// Groups that plugins would give such a client.
    #[serde(default)]
    groups: Vec<String>,
    /// What it wants to do.
    action: Action,
    /// Topic Name to publish to, or Topic Filter to subscribe to (with share name, if any).
    topic: String,
    /// QoS of the PUBLISH, or maximum QoS of the SUBSCRIBE.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2, default = 0)]
    qos: u8,
    /// RETAIN flag of the PUBLISH; not looked at for a SUBSCRIBE.
    #[serde(default)]
    #[schema(default = false)]
    retain: bool,
}

/// An operation.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// PUBLISH.
    Publish,
    /// SUBSCRIBE.
    Subscribe,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verdict {
    /// Whether it would be permitted now.
    allowed: bool,
    /// Why, as a sentence.
    reason: String,
    /// The client is not connected: this is what plugins say now of a client of this principal, without certificate,
    /// attributes and address.
    assumed: bool,
    /// Only for a subscription that is permitted: some topics under the filter are denied, so each
    /// delivery is checked.
    check_each_delivery: bool,
    /// What each link of the chain says, in order.
    walk: Vec<Word>,
}

/// What one link says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Word {
    /// Name of the plugin.
    plugin: String,
    /// `allow`, `deny` or null: no word from this link.
    effect: Option<&'static str>,
    /// The rule that decided, counted from 1.
    rule: Option<u32>,
    /// The same as a sentence.
    detail: String,
}

/// `POST /api/v1/permissions/can`
pub(crate) async fn can(call: Call) -> Answer {
    let fields = call.fields();
    let (shared, question) = call.json::<Question>().await?;
    let qos = qos(question.qos)?;
    let connected = shared.state.broker.permissions(&question.client_id);
    let assumed = connected.is_none();
    let permissions = match connected {
        Some(_) if question.principal.is_some() => {
            let problem = Problem::invalid("the client is connected: its principal is known");
            return Err(problem.about("principal"));
        }
        Some(permissions) => permissions,
        None => match assume(&shared.state, &question).await? {
            Ok(permissions) => permissions,
            Err(refusal) => {
                let reason = fields.show_sentence(refusal.to_string()).into_owned();
                let (allowed, check_each_delivery, walk) = (false, false, Vec::new());
                let verdict = Verdict { allowed, reason, assumed, check_each_delivery, walk };
                return json(StatusCode::OK, &verdict);
            }
        },
    };
    let verdict = match question.action {
        Action::Publish => {
            TopicName::check(&question.topic)?;
            let request = PublishRequest { topic: &question.topic, qos, retain: question.retain };
            let permit = permissions.foresee_publish(request).map(|()| false);
            verdict(permit, permissions.explain_publish(request), (fields, assumed))
        }
        Action::Subscribe => {
            let filter = SubscriptionFilter::parse(&question.topic)?;
            let request = SubscribeRequest { filter: &filter, qos };
            let permit = permissions.foresee_subscribe(request);
            let permit = permit.map(|permit| permit.check_each_delivery);
            verdict(permit, permissions.explain_subscribe(request), (fields, assumed))
        }
    };
    json(StatusCode::OK, &verdict)
}

/// What plugins say now of a client that is not connected: as its session knows it, or as the question does.
async fn assume(
    state: &AdminState,
    question: &Question,
) -> Result<Result<Arc<Permissions>, Refusal>, Problem> {
    let known = state.broker.client(&question.client_id);
    let (principal, groups, link, listener) = match (&question.principal, known) {
        (None, None) => return Err(clients::unknown(&question.client_id)),
        (None, Some(info)) => (info.principal, info.groups, info.authenticated_by, info.listener),
        (Some(principal), known) => {
            let listener = known.map(|info| info.listener).unwrap_or_default();
            (Arc::from(principal.as_str()), question.groups.clone(), Arc::default(), listener)
        }
    };
    let listener = question.listener.as_deref().map_or(listener, Arc::from);
    let identity = Identity {
        principal,
        authenticated_by: link,
        groups,
        attributes: Vec::new(),
        permissions: Vec::new(),
        expires_at_unix: None,
        session_expiry_seconds_max: None,
        limits: ClientLimits::default(),
        user_properties: Vec::new(),
    };
    let subject = Subject {
        identity: Arc::new(identity),
        client_id: question.client_id.as_str().into(),
        listener,
        remote: Ipv4Addr::UNSPECIFIED.into(),
        protocol: ProtocolVersion::V5,
        certificate: None,
    };
    let (permissions, _) = state.gate.permissions(&subject).await;
    Ok(permissions.map(|(permissions, _)| permissions))
}

/// Whose permissions are asked for again: exactly one of the three.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meant {
    /// Client Identifier.
    client_id: Option<String>,
    /// Principal: all of its clients.
    principal: Option<String>,
    /// True: everybody.
    #[serde(default)]
    #[schema(default = false)]
    everybody: bool,
}

/// `POST /api/v1/permissions/invalidate`
pub(crate) async fn invalidate(call: Call) -> Answer {
    let (shared, meant) = call.json::<Meant>().await?;
    let whose = match (&meant.client_id, &meant.principal, meant.everybody) {
        (Some(client_id), None, false) => Whose::Client(client_id),
        (None, Some(principal), false) => Whose::Principal(principal),
        (None, None, true) => Whose::Everybody,
        _ => {
            return Err(Problem::invalid("it is not clear whose permissions are meant")
                .allowed("one of client_id, principal and everybody = true"));
        }
    };
    shared.state.broker.take_back(whose);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn verdict(
    permit: Result<bool, NotAuthorized>,
    walk: Vec<LinkWord>,
    (fields, assumed): (Fields, bool),
) -> Verdict {
    let (allowed, check_each_delivery, reason) = match permit {
        Ok(false) => (true, false, "permitted".to_owned()),
        Ok(true) => (true, true, "permitted; each delivery is checked".to_owned()),
        // Whatever a plugin said in its own words.
        Err(error @ (NotAuthorized::Ruling { .. } | NotAuthorized::Failed { .. })) => {
            (false, false, fields.show_sentence(error.to_string()).into_owned())
        }
        Err(error) => (false, false, error.to_string()),
    };
    Verdict {
        allowed,
        reason,
        assumed,
        check_each_delivery,
        walk: walk.into_iter().map(|word| Word::of(word, fields)).collect(),
    }
}

pub(crate) fn qos(value: u8) -> Result<QoS, Problem> {
    match value {
        0 => Ok(QoS::AtMostOnce),
        1 => Ok(QoS::AtLeastOnce),
        2 => Ok(QoS::ExactlyOnce),
        _ => Err(Problem::invalid(format!("qos = {value} is out of range"))
            .about("qos")
            .allowed("0 to 2")),
    }
}

impl From<InvalidTopic> for Problem {
    fn from(error: InvalidTopic) -> Self {
        Self::invalid(error.to_string()).about("topic")
    }
}

impl Word {
    /// The sentence names the filter of a rule: without field:topic only what is known beside it.
    pub(crate) fn of(word: LinkWord, fields: Fields) -> Self {
        let detail = fields.show(Field::Topic, word.detail).into_owned();
        Self {
            plugin: word.plugin.to_string(),
            effect: word.effect.map(|effect| match effect {
                Effect::Allow => "allow",
                Effect::Deny => "deny",
            }),
            rule: word.rule,
            detail,
        }
    }
}
