//! `/api/v1/clients`: who has a session, and ending a connection.
//!
//! Knows nothing of sessions; asks the broker.

use std::sync::Arc;

use axum::{http::StatusCode, response::IntoResponse};
use codec::ReasonCode;
use serde::{Deserialize, Serialize};
use server::ClientInfo;
use utoipa::{IntoParams, ToSchema};

use crate::{
    call::{Answer, Call, blocking},
    problem::Problem,
};

/// Which clients to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only clients whose id starts so.
    #[serde(default)]
    prefix: String,
    /// Start after this client id: the `next` of the page before.
    after: Option<String>,
    /// At most so many clients.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// One page of clients.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Clients {
    /// In the order of their ids.
    clients: Vec<Client>,
    /// Give this as `after` for the next page; null = this is the last.
    next: Option<String>,
}

/// A session and, when connected, its connection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Client {
    /// Client Identifier.
    client_id: String,
    /// Whether a connection is up.
    connected: bool,
    /// The authenticated principal that the session belongs to.
    principal: String,
    /// The plugin that authenticated it.
    authenticated_by: String,
    /// Groups of the identity.
    groups: Vec<String>,
    /// User Name as sent in CONNECT: a claim, not an identity.
    username: Option<String>,
    /// Name of the listener.
    listener: String,
    /// Address of the client.
    remote: Option<String>,
    /// `3.1.1` or `5.0`.
    protocol: &'static str,
    /// Keep Alive in force, in seconds.
    keep_alive_seconds: u16,
    /// Clean Start of the last CONNECT.
    clean_start: bool,
    /// Session Expiry Interval in seconds; 4294967295 = never.
    session_expiry_interval: u32,
    /// When the connection came up (or went down, if not connected), in seconds since 1970.
    since_unix: u64,
    /// Subscriptions.
    subscriptions: Vec<Subscription>,
    /// Messages sent and not yet acknowledged.
    in_flight: usize,
    /// Messages waiting.
    queued: usize,
    /// Messages dropped since the session began.
    dropped: u64,
    /// Chain generation that its permissions came from.
    generation: u64,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Subscription {
    /// Topic Filter, with share name.
    filter: String,
    /// Maximum QoS.
    qos: u8,
}

/// `GET /api/v1/clients`
pub(crate) async fn list(call: Call) -> Answer {
    let query: ListQuery = call.query()?;
    if !LIMIT.contains(&query.limit) {
        let problem = Problem::invalid(format!("limit = {} is out of range", query.limit));
        return Err(problem.about("limit").allowed("1 to 1000"));
    }
    let shared = Arc::clone(&call.shared);
    let page = blocking(move || {
        shared.state.broker.clients(&query.prefix, query.after.as_deref(), query.limit)
    })
    .await?;
    let clients = page.clients.into_iter().map(Client::from).collect();
    call.json_answer(&Clients { clients, next: page.next })
}

/// `GET /api/v1/clients/{client_id}`
pub(crate) async fn show(call: Call) -> Answer {
    let client_id = call.path("client_id")?;
    let client = call.shared.state.broker.client(&client_id).ok_or_else(|| unknown(&client_id))?;
    call.json_answer(&Client::from(client))
}

/// `DELETE /api/v1/clients/{client_id}/connection`
pub(crate) async fn disconnect(call: Call) -> Answer {
    let client_id = call.path("client_id")?;
    let broker = &call.shared.state.broker;
    if broker.disconnect(&client_id, ReasonCode::AdministrativeAction) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    match broker.client(&client_id) {
        Some(_) => Err(not_connected(&client_id)),
        None => Err(unknown(&client_id)),
    }
}

pub(crate) fn unknown(client_id: &str) -> Problem {
    Problem::not_found(format!("no session belongs to a client {client_id:?}"))
}

pub(crate) fn not_connected(client_id: &str) -> Problem {
    Problem::not_connected(format!("client {client_id:?} has a session but no connection"))
}

impl From<ClientInfo> for Client {
    fn from(info: ClientInfo) -> Self {
        let subscription = |(filter, qos)| Subscription { filter, qos };
        Self {
            client_id: info.client_id.to_string(),
            connected: info.connected,
            principal: info.principal.to_string(),
            authenticated_by: info.authenticated_by.to_string(),
            groups: info.groups,
            username: info.username,
            listener: info.listener.to_string(),
            remote: info.remote.map(|remote| remote.to_string()),
            protocol: info.protocol,
            keep_alive_seconds: info.keep_alive_seconds,
            clean_start: info.clean_start,
            session_expiry_interval: info.session_expiry_interval,
            since_unix: info.since_unix,
            subscriptions: info.subscriptions.into_iter().map(subscription).collect(),
            in_flight: info.in_flight,
            queued: info.queued,
            dropped: info.dropped,
            generation: info.generation,
        }
    }
}

const LIMIT: std::ops::RangeInclusive<usize> = 1..=1000;
