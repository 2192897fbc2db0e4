//! Subscriptions that an administrator begins or ends for a client, by the rules that hold for the client itself.
//!
//! A filter that operation authorizers judge is refused: they judge what a client asks, and their word is part of what
//! its connection knows.

use std::sync::Arc;

use access::{Event, EventKinds, NotAuthorized, SubscribeRequest, Who};
use codec::ReasonCode;
use session::Subscription;
use topic::SubscriptionFilter;

use super::{ClientRefused, SubscriptionInfo};
use crate::{
    broker::Core,
    remember::kept_subscription,
    sessions::SessionHandle,
    subscribe::{self, NotKept},
    unsubscribe,
};

pub(super) async fn subscribe(
    core: &Arc<Core>,
    client_id: &str,
    mut subscription: Subscription,
) -> Result<SubscriptionInfo, ClientRefused> {
    let handle = core.sessions.get(client_id).ok_or(ClientRefused::NoSession)?;
    let ticket = begin(core, &handle, &mut subscription)?;
    let info = SubscriptionInfo::of(&handle, &subscription);
    // Retained messages go out by its connection.
    handle.poke();
    if let Some(ticket) = ticket {
        core.durable(ticket).await;
    }
    Ok(info)
}

fn begin(
    core: &Arc<Core>,
    handle: &Arc<SessionHandle>,
    subscription: &mut Subscription,
) -> Result<Option<store::Ticket>, ClientRefused> {
    let refused = |code, cause: String| ClientRefused::Refused { code, cause };
    let live = core.live.load();
    let (text, qos) = (subscription.filter.to_string(), subscription.options.maximum_qos);
    live.limits
        .sizes
        .check_filter(&text)
        .map_err(|error| refused(ReasonCode::TopicFilterInvalid, error.to_string()))?;
    let _routing = handle.routing.lock();
    let (permissions, authenticated) = {
        let state = handle.state.lock();
        if state.ended {
            return Err(ClientRefused::NoSession);
        }
        (Arc::clone(&state.permissions), Arc::clone(&state.facts.authenticated))
    };
    let asked = SubscribeRequest { filter: &subscription.filter, qos };
    let permit = permissions.permit_subscribe(asked).map_err(|denied| {
        let cause = match &denied {
            NotAuthorized::NotAsked => {
                "a plugin judges subscriptions to this filter: only the client can ask it"
                    .to_owned()
            }
            denied => denied.to_string(),
        };
        refused(denied.reason_code(), cause)
    })?;
    let kept = handle.key.zip(core.store());
    if let Some(unavailable) = kept.and_then(|(_, store)| store.check().err()) {
        return Err(refused(ReasonCode::QuotaExceeded, unavailable.to_string()));
    }
    let most = live.subscriptions(&authenticated.identity().limits);
    let is_new = subscribe::keep(handle, subscription, (most, &live)).map_err(|NotKept| {
        refused(
            ReasonCode::QuotaExceeded,
            "the client has as many subscriptions as it may".to_owned(),
        )
    })?;
    core.router.subscribe(subscribe::subscriber(handle, subscription, &permissions, permit));
    let who = || who(handle);
    core.gate.tell(EventKinds::SUBSCRIBED, || Event::Subscribed(who(), text, qos));
    let cursor = subscribe::retained_due(core, subscription, permit, is_new);
    let mut state = handle.state.lock();
    state.retained.extend(cursor);
    let Some((key, store)) = kept else { return Ok(None) };
    let due = state.retained.promises(&subscription.filter);
    Ok(Some(store.put_subscription(key, kept_subscription(subscription, due))))
}

pub(super) async fn unsubscribe(
    core: &Arc<Core>,
    client_id: &str,
    filter: &SubscriptionFilter,
) -> Result<(), ClientRefused> {
    let handle = core.sessions.get(client_id).ok_or(ClientRefused::NoSession)?;
    let (removed, ticket) = {
        let _routing = handle.routing.lock();
        unsubscribe::remove(core, &handle, filter)
    };
    if !removed {
        return Err(ClientRefused::NoSubscription);
    }
    let event = || Event::Unsubscribed(who(&handle), filter.to_string());
    core.gate.tell(EventKinds::UNSUBSCRIBED, event);
    if let Some(ticket) = ticket {
        core.durable(ticket).await;
    }
    Ok(())
}

/// As plugins know the client. Without a connection it has the number 0, which none has.
fn who(handle: &SessionHandle) -> Who {
    let state = handle.state.lock();
    Who {
        connection_id: state.connection.as_ref().map_or(0, |slot| slot.connection_id),
        client_id: Arc::clone(&handle.client_id),
        principal: Arc::clone(&handle.principal),
        listener: Arc::clone(&state.facts.listener),
        remote: state.facts.remote.ip(),
        protocol: state.facts.protocol,
    }
}
