//! `/api/v1/clients`: who has a session, all about one client, and the end of a connection or a session.
//!
//! Knows nothing of sessions; asks the broker.

use std::sync::Arc;

use axum::{http::StatusCode, response::IntoResponse};
use codec::ReasonCode;
use serde::{Deserialize, Serialize};
use server::{ClientInfo, ClientQuery, ClientRefused, IpNet};
use utoipa::{IntoParams, ToSchema};

use crate::{
    call::{Answer, Call, blocking},
    field::{Field, Fields},
    page::{check_limit, default_limit, may_choose_by},
    problem::Problem,
};

mod detail;
mod explain;

pub(crate) use detail::{ClientDetail, effect_name, show};
pub(crate) use explain::{Explained, explain};

/// Which clients to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only clients whose id starts so. Needs field:client_id.
    #[serde(default)]
    prefix: String,
    /// Only those that are connected (true), or are not (false).
    connected: Option<bool>,
    /// Only those of this principal. Needs field:username.
    principal: Option<String>,
    /// Only those of this listener.
    listener: Option<String>,
    /// Only those from this address or range of addresses, such as 10.0.0.0/8. Needs field:address.
    address: Option<String>,
    /// Start here: the `next` of the page before.
    after: Option<String>,
    /// At most so many clients.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

/// One page of clients. With a filter it may be short, even empty, and still have a next one.
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
    /// Address of the client; where it last was, if it is not connected.
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
    /// How many subscriptions it has.
    subscription_count: usize,
    /// Messages sent and not yet acknowledged.
    in_flight: usize,
    /// Messages waiting.
    queued: usize,
    /// Messages dropped since the session began.
    dropped: u64,
    /// Chain generation that its permissions came from.
    generation: u64,
}

/// `GET /api/v1/clients`
pub(crate) async fn list(call: Call) -> Answer {
    let query: ListQuery = call.query()?;
    let (shared, fields) = (Arc::clone(&call.shared), call.fields());
    may_choose_by(fields, Field::ClientId, ("prefix", !query.prefix.is_empty()))?;
    may_choose_by(fields, Field::Username, ("principal", query.principal.is_some()))?;
    may_choose_by(fields, Field::Address, ("address", query.address.is_some()))?;
    let after = query.after.as_deref().map(|after| shared.cursors.open(LIST, after)).transpose()?;
    let query = ClientQuery {
        limit: check_limit(query.limit)?,
        after,
        address: query.address.as_deref().map(address).transpose()?,
        prefix: query.prefix,
        connected: query.connected,
        principal: query.principal,
        listener: query.listener,
    };
    let page = blocking(move || shared.state.broker.clients(&query)).await?;
    let next = page.next.map(|next| call.shared.cursors.seal(LIST, &next)).transpose()?;
    let clients = page.clients.into_iter().map(|info| Client::of(info, fields)).collect();
    call.json_answer(&Clients { clients, next })
}

fn address(text: &str) -> Result<IpNet, Problem> {
    let single = text.parse::<std::net::IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
    single.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
        let problem = Problem::invalid(format!("{text:?} is no range of addresses"));
        problem.about("address").allowed("ADDRESS or ADDRESS/BITS, such as 10.0.0.0/8")
    })
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

/// `DELETE /api/v1/clients/{client_id}/session`
pub(crate) async fn end_session(call: Call) -> Answer {
    let client_id = call.path("client_id")?;
    let ended = call.shared.state.broker.end_session(&client_id).await;
    ended.map_err(|refused| problem(&client_id, &refused))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) fn unknown(client_id: &str) -> Problem {
    Problem::not_found(format!("no session belongs to a client {client_id:?}"))
}

pub(crate) fn not_connected(client_id: &str) -> Problem {
    Problem::not_connected(format!("client {client_id:?} has a session but no connection"))
}

pub(crate) fn problem(client_id: &str, refused: &ClientRefused) -> Problem {
    match refused {
        ClientRefused::NoSession => unknown(client_id),
        ClientRefused::NoSubscription => Problem::not_found(refused.to_string()),
        ClientRefused::Refused { code, cause } => {
            Problem::refused(format!("{}: {cause}", code.name()))
        }
        ClientRefused::StillEnding => Problem::timed_out(refused.to_string()),
    }
}

/// What plugins say of who a client is, as its attributes.
pub(crate) fn shown_groups(groups: Vec<String>, fields: Fields) -> Vec<String> {
    let shown = groups.into_iter().map(|group| fields.show(Field::Username, group).into_owned());
    shown.collect()
}

impl Client {
    pub(crate) fn of(info: ClientInfo, fields: Fields) -> Self {
        let show = |field, text: String| fields.show(field, text).into_owned();
        Self {
            client_id: show(Field::ClientId, info.client_id.to_string()),
            connected: info.connected,
            principal: show(Field::Username, info.principal.to_string()),
            authenticated_by: info.authenticated_by.to_string(),
            groups: shown_groups(info.groups, fields),
            username: info.username.map(|name| show(Field::Username, name)),
            listener: info.listener.to_string(),
            remote: info.remote.map(|remote| show(Field::Address, remote.to_string())),
            protocol: info.protocol,
            keep_alive_seconds: info.keep_alive_seconds,
            clean_start: info.clean_start,
            session_expiry_interval: info.session_expiry_interval,
            since_unix: info.since_unix,
            subscription_count: info.subscriptions,
            in_flight: info.in_flight,
            queued: info.queued,
            dropped: info.dropped,
            generation: info.generation,
        }
    }
}

const LIST: &str = "clients";
