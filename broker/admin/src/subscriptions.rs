//! `/api/v1/subscriptions` and `/api/v1/clients/{client_id}/subscriptions`: who wants what, and subscribing for a client.
//!
//! Knows nothing of the subscription tree; asks the broker.

use std::sync::Arc;

use axum::{http::StatusCode, response::IntoResponse};
use codec::{RetainHandling, SubscriptionOptions};
use serde::{Deserialize, Serialize};
use server::{SubscriptionInfo, SubscriptionPlace, SubscriptionQuery};
use topic::{SubscriptionFilter, TopicName};
use utoipa::{IntoParams, ToSchema};

use crate::{
    call::{Answer, Call, blocking, json},
    clients::problem,
    field::{Field, Fields},
    page::{check_limit, default_limit, may_choose_by},
    permissions::qos,
    problem::Problem,
};

/// Which subscriptions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only those whose Topic Filter, without `$share/NAME/`, starts so. Needs field:topic.
    #[serde(default)]
    prefix: String,
    /// Only those that get messages of this topic. Needs field:topic.
    matching: Option<String>,
    /// Only those of this client. Needs field:client_id.
    client_id: Option<String>,
    /// Start here: the `next` of the page before.
    after: Option<String>,
    /// At most so many subscriptions.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

/// One page of subscriptions. It may be short, even empty, and still have a next one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Subscriptions {
    /// In the order of clients and filters.
    subscriptions: Vec<Subscription>,
    /// Give this as `after` for the next page; null = this is the last.
    next: Option<String>,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Subscription {
    /// Client Identifier.
    client_id: String,
    /// Topic Filter, with share name.
    filter: String,
    /// Maximum QoS.
    qos: u8,
    /// No Local.
    no_local: bool,
    /// Retain As Published.
    retain_as_published: bool,
    /// Retain Handling: 0 = retained messages at each SUBSCRIBE, 1 = only at a new one, 2 = never.
    retain_handling: u8,
    /// Subscription Identifier.
    identifier: Option<u32>,
    /// Since when it exists, seconds since 1970, whatever the client did with its options since; null = it is older than
    /// this being written down.
    since_unix: Option<u64>,
}

/// A subscription to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubscribeRequest {
    /// Topic Filter, with share name, if any.
    filter: String,
    /// Maximum QoS.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2, default = 0)]
    qos: u8,
    /// No Local; not with a share name.
    #[serde(default)]
    #[schema(default = false)]
    no_local: bool,
    /// Retain As Published.
    #[serde(default)]
    #[schema(default = false)]
    retain_as_published: bool,
    /// Retain Handling.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2, default = 0)]
    retain_handling: u8,
    /// Subscription Identifier, which the client is told with each message.
    #[schema(minimum = 1, maximum = 268_435_455)]
    identifier: Option<u32>,
}

/// Which subscription to end.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnsubscribeQuery {
    /// Its Topic Filter, with share name, if any.
    filter: String,
}

/// `GET /api/v1/subscriptions`
pub(crate) async fn list(call: Call) -> Answer {
    let query: ListQuery = call.query()?;
    let (shared, fields) = (Arc::clone(&call.shared), call.fields());
    may_choose_by(fields, Field::Topic, ("prefix", !query.prefix.is_empty()))?;
    may_choose_by(fields, Field::Topic, ("matching", query.matching.is_some()))?;
    may_choose_by(fields, Field::ClientId, ("client_id", query.client_id.is_some()))?;
    let matching = query.matching.as_deref().map(TopicName::new).transpose();
    let after = query.after.as_deref();
    let after = after.map(|after| shared.cursors.open::<SubscriptionPlace>(LIST, after));
    let query = SubscriptionQuery {
        limit: check_limit(query.limit)?,
        matching: matching.map_err(|error| Problem::from(error).about("matching"))?,
        after: after.transpose()?,
        prefix: query.prefix,
        client_id: query.client_id,
    };
    let page = blocking(move || shared.state.broker.subscriptions(&query)).await?;
    let next = page.next.map(|next| call.shared.cursors.seal(LIST, &next)).transpose()?;
    let subscriptions = page.subscriptions.into_iter();
    let subscriptions = subscriptions.map(|info| Subscription::of(info, fields)).collect();
    call.json_answer(&Subscriptions { subscriptions, next })
}

/// `POST /api/v1/clients/{client_id}/subscriptions`
pub(crate) async fn subscribe(call: Call) -> Answer {
    let (client_id, fields) = (call.path("client_id")?, call.fields());
    let (shared, request) = call.json::<SubscribeRequest>().await?;
    let (filter, options) = request.read()?;
    let broker = &shared.state.broker;
    let begun = broker.subscribe(&client_id, filter, options, request.identifier).await;
    let info = begun.map_err(|refused| problem(&client_id, &refused))?;
    json(StatusCode::OK, &Subscription::of(info, fields))
}

/// `DELETE /api/v1/clients/{client_id}/subscriptions`
pub(crate) async fn unsubscribe(call: Call) -> Answer {
    let client_id = call.path("client_id")?;
    let query: UnsubscribeQuery = call.query()?;
    let filter = parse(&query.filter)?;
    let ended = call.shared.state.broker.unsubscribe(&client_id, &filter).await;
    ended.map_err(|refused| problem(&client_id, &refused))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn parse(text: &str) -> Result<SubscriptionFilter, Problem> {
    SubscriptionFilter::parse(text).map_err(|error| Problem::from(error).about("filter"))
}

impl SubscribeRequest {
    fn read(&self) -> Result<(SubscriptionFilter, SubscriptionOptions), Problem> {
        let filter = parse(&self.filter)?;
        if self.no_local && filter.share.is_some() {
            let problem = Problem::invalid("no_local = true goes with no share name");
            return Err(problem.about("no_local").allowed("false"));
        }
        if self.identifier.is_some_and(|id| !(1..=268_435_455).contains(&id)) {
            let problem = Problem::invalid("the Subscription Identifier is out of range");
            return Err(problem.about("identifier").allowed("1 to 268435455"));
        }
        let options = SubscriptionOptions {
            maximum_qos: qos(self.qos)?,
            no_local: self.no_local,
            retain_as_published: self.retain_as_published,
            retain_handling: match self.retain_handling {
                0 => RetainHandling::SendAtSubscribe,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                other => {
                    let problem = Problem::invalid(format!("retain_handling = {other}"));
                    return Err(problem.about("retain_handling").allowed("0 to 2"));
                }
            },
        };
        Ok((filter, options))
    }
}

impl Subscription {
    pub(crate) fn of(info: SubscriptionInfo, fields: Fields) -> Self {
        let options = info.options;
        Self {
            client_id: fields.show(Field::ClientId, &*info.client_id).into_owned(),
            filter: fields.show(Field::Topic, info.filter).into_owned(),
            qos: options.maximum_qos.value(),
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            retain_handling: match options.retain_handling {
                RetainHandling::SendAtSubscribe => 0,
                RetainHandling::SendIfNew => 1,
                RetainHandling::DoNotSend => 2,
            },
            identifier: info.identifier,
            since_unix: info.since_unix,
        }
    }
}

const LIST: &str = "subscriptions";
