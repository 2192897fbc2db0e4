//! Sessions: lists of them, all about one, and their end at an administrator's word.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access::Subject;
use codec::ReasonCode;
use telemetry::shown_username;

use super::{ClientDetail, ClientQuery, ClientRefused, SubscriptionInfo, VISITS_MAX, WillInfo};
use crate::{
    ClientInfo, ClientPage,
    broker::Core,
    connect::protocol_name,
    ordered::Walk,
    sessions::{SessionHandle, Sessions, State},
    timers,
};

/// How long an administrator waits for the end of a session.
const END: Duration = Duration::from_secs(5);

/// One page; without a filter beside the prefix its cost does not depend on how many sessions there are.
pub(crate) fn list(sessions: &Sessions, query: &ClientQuery) -> ClientPage {
    let limit = query.limit.clamp(1, 1_000);
    let mut clients = Vec::new();
    let mut last = None;
    let walk = Walk::new(sessions.ordered(), &query.prefix, query.after.as_deref());
    for (visited, handle) in walk.enumerate() {
        if clients.len() == limit || visited == VISITS_MAX {
            return ClientPage { clients, next: last };
        }
        if query.wants(&handle) {
            clients.push(info(&handle, &handle.state.lock()));
        }
        last = Some(handle.client_id.to_string());
    }
    ClientPage { clients, next: None }
}

impl ClientQuery {
    fn wants(&self, handle: &SessionHandle) -> bool {
        let quickly = self.connected.is_none_or(|wanted| handle.is_connected() == wanted)
            && self.principal.as_deref().is_none_or(|wanted| *handle.principal == *wanted);
        if !quickly || self.listener.is_none() && self.address.is_none() {
            return quickly;
        }
        let state = handle.state.lock();
        let remote = state.facts.remote.ip().to_canonical();
        self.listener.as_deref().is_none_or(|wanted| *state.facts.listener == *wanted)
            && self.address.is_none_or(|range| range.contains(&remote))
    }
}

/// A line of a list.
pub(crate) fn info(handle: &SessionHandle, state: &State) -> ClientInfo {
    let (facts, session) = (&state.facts, &state.session);
    let identity = facts.authenticated.identity();
    ClientInfo {
        client_id: Arc::clone(&handle.client_id),
        connected: state.connection.is_some(),
        principal: Arc::clone(&handle.principal),
        authenticated_by: Arc::clone(&identity.authenticated_by),
        groups: identity.groups.clone(),
        username: facts.username.as_deref().map(|name| shown_username(name).to_owned()),
        listener: Arc::clone(&facts.listener),
        remote: Some(facts.remote),
        protocol: protocol_name(facts.protocol),
        keep_alive_seconds: facts.keep_alive_seconds,
        clean_start: facts.clean_start,
        session_expiry_interval: facts.session_expiry_interval,
        since_unix: facts.since_unix,
        subscriptions: session.subscriptions.len(),
        in_flight: session.in_flight(),
        queued: session.queued(),
        dropped: session.dropped(),
        generation: facts.authenticated.generation(),
    }
}

/// Everything that is known of a client.
pub(super) fn detail(handle: &SessionHandle) -> ClientDetail {
    let state = handle.state.lock();
    let Subject { identity, certificate, .. } = state.facts.authenticated.subject();
    let subscriptions = state.session.subscriptions.iter();
    let expires_in = state.expires.map(|at| at.saturating_duration_since(Instant::now()));
    ClientDetail {
        info: info(handle, &state),
        subscriptions: subscriptions
            .map(|subscription| SubscriptionInfo::of(handle, subscription))
            .collect(),
        queued_bytes: state.session.queued_bytes(),
        awaiting_release: state.session.awaiting_release(),
        expires_in_seconds: expires_in.map(|left| left.as_secs()),
        is_stored: handle.key.is_some(),
        attributes: identity.attributes.clone(),
        identity_ends_unix: identity.expires_at_unix,
        session_expiry_seconds_max: identity.session_expiry_seconds_max,
        limits: identity.limits,
        certificate: certificate.clone(),
        will: state.will.as_deref().map(WillInfo::from),
        permissions: state.connection.is_some().then(|| Arc::clone(&state.permissions)),
    }
}

impl From<&session::WillMessage> for WillInfo {
    fn from(will: &session::WillMessage) -> Self {
        let message = &will.message;
        Self {
            topic: message.topic().to_string(),
            payload: message.payload().to_vec(),
            qos: message.qos(),
            retain: message.retain(),
            delay_seconds: will.delay.as_secs(),
            expiry_seconds: will.expiry_seconds,
        }
    }
}

/// Ends a session: from now on it ends with its connection, and that ends now. Waits until no restart brings it back.
pub(super) async fn end(core: &Arc<Core>, client_id: &str) -> Result<(), ClientRefused> {
    let handle = core.sessions.get(client_id).ok_or(ClientRefused::NoSession)?;
    let now = Instant::now();
    let mut settled = core.ends.expect(handle.id);
    if core.sessions.get(client_id).is_none_or(|current| current.id != handle.id) {
        // It ended meanwhile, and may have said so before anybody waited.
        return Err(ClientRefused::NoSession);
    }
    let connected = {
        let mut state = handle.state.lock();
        state.facts.session_expiry_interval = 0;
        state.session.set_persistent(false);
        if state.connection.is_none() {
            state.expires = Some(now);
        }
        state.connection.is_some()
    };
    if connected {
        handle.close(ReasonCode::AdministrativeAction);
    } else {
        timers::look_at(core, &handle);
    }
    let ended = async {
        core.sessions.gone(&handle).await;
        if let Some(ticket) = settled.ticket().await {
            core.durable(ticket).await;
        }
    };
    tokio::time::timeout(END, ended).await.map_err(|_| ClientRefused::StillEnding)
}
