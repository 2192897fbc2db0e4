//! The Will Message: checked at CONNECT and again when it is sent.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use access::{Authenticated, NotAuthorized, Operation, PublishRequest, Transformed};
use codec::Will;
use session::{Fanout, Frames, Message, WillMessage};
use telemetry::events::{PublishDenied, WillRefused};
use topic::{InvalidTopic, TopicName};

use crate::{
    broker::Core,
    claimed::{changed_parts, judge_will},
    counts::Counts,
    inherit::Ended,
    sessions::SessionHandle,
    shown::shown,
};

/// The Will Message of a CONNECT in the form in which it waits.
pub(crate) fn prepare(will: &Will) -> Result<Box<WillMessage>, InvalidTopic> {
    let topic = TopicName::new(&will.topic)?;
    let mut forwarded = Vec::new();
    will.encode_forwarded(&mut forwarded);
    let message = Message::new(topic, &forwarded, &will.payload, will.qos).with_retain(will.retain);
    Ok(Box::new(WillMessage {
        message: Arc::new(message),
        expiry_seconds: will.message_expiry_interval,
        delay: Duration::from_secs(will.delay_interval.into()),
    }))
}

/// Whether the client may publish this: by its rules and by the plugins that claim the topic.
pub(crate) async fn permit(
    will: &WillMessage,
    authenticated: &Authenticated,
) -> Result<(), NotAuthorized> {
    let message = &will.message;
    let topic = message.topic().as_str();
    let request = PublishRequest { topic, qos: message.qos(), retain: message.retain() };
    let permissions = authenticated.permissions();
    let hooks = authenticated.hooks();
    if !hooks.judge_publish(topic) {
        return permissions.permit_publish(request).map(drop);
    }
    let operation = Operation::publish(&request, message.payload().len());
    let ruled = hooks.rule(authenticated.subject(), &operation).await;
    permissions.permit_publish_ruled(request, &ruled).map(drop)
}

/// Asks for the client's permissions, which may be old, and then publishes its Will Message. A failure to learn them is
/// a refusal. In a task of its own: whoever answers slowly holds up nobody else. `ended` = the session is over with it.
pub(crate) fn ask_and_publish(
    core: &Arc<Core>,
    handle: &Arc<SessionHandle>,
    authenticated: Arc<Authenticated>,
    will: Box<WillMessage>,
    ended: Option<Ended>,
) {
    let (core, handle) = (Arc::clone(core), Arc::clone(handle));
    tokio::spawn(async move {
        match core.refresh(&authenticated).await {
            Ok(current) => publish(&core, &will, &current, &handle).await,
            Err(refusal) => refuse(&core, &handle, "permissions_unknown", &refusal),
        }
        settle(&core, &handle, ended);
    });
}

/// The Will Message was dealt with. Only now: a crash before that must not lose it.
pub(crate) fn settle(core: &Arc<Core>, handle: &SessionHandle, ended: Option<Ended>) {
    match ended {
        Some(ended) => drop(ended.settle(core)),
        None => handle.remember(core),
    }
}

/// Publishes a Will Message if it is still permitted, in the name of `authenticated`. `handle` is the session that it
/// belonged to. Waits only for plugins that claim its topic.
pub(crate) async fn publish(
    core: &Core,
    will: &WillMessage,
    authenticated: &Authenticated,
    handle: &SessionHandle,
) {
    let ends_at = authenticated.identity().expires_at_unix;
    if ends_at.is_some_and(|end| end <= core.now_unix()) {
        // Nobody speaks in the name of an identity that is over, not even about its end.
        return refuse(core, handle, "identity_ended", &"the identity of the client has ended");
    }
    let topic = will.message.topic().as_str();
    let hooks = authenticated.hooks();
    if !hooks.is_empty() && hooks.transform(topic) {
        return publish_changed(core, will, authenticated, handle).await;
    }
    if let Err(denied) = permit(will, authenticated).await {
        let (client, cause) = (shown(authenticated), &denied);
        PublishDenied { client, topic, decision: None, cause }.emit(&core.metrics);
        return;
    }
    spread(core, will, handle);
}

/// As transforms leave it.
async fn publish_changed(
    core: &Core,
    will: &WillMessage,
    authenticated: &Authenticated,
    handle: &SessionHandle,
) {
    match judge_will(core, authenticated, will).await {
        Ok(Transformed::Unchanged) => spread(core, will, handle),
        Ok(Transformed::Swallowed) => {}
        Ok(Transformed::Changed(changed)) => {
            let Ok(topic) = TopicName::new(&changed.topic) else { return };
            let parts = changed_parts(*changed);
            let mut forwarded = Vec::new();
            parts.encode_forwarded(&mut forwarded);
            let message = Message::new(topic, &forwarded, &parts.payload, will.message.qos())
                .with_retain(will.message.retain());
            spread(core, &WillMessage { message: Arc::new(message), ..will.clone() }, handle);
        }
        Err(refused) => refuse(core, handle, "plugin", &refused),
    }
}

fn refuse(core: &Core, handle: &SessionHandle, reason: &'static str, cause: &dyn Display) {
    WillRefused { client_id: &handle.client_id, reason, cause }.emit(&core.metrics);
}

/// Retained store, then every subscriber; when the store takes nothing, those who need none.
fn spread(core: &Core, will: &WillMessage, publisher: &SessionHandle) {
    let message = &will.message;
    let topic = message.topic();
    let now = Instant::now();
    let mut frames = Frames::default();
    let mut fanout = Fanout::new(
        topic,
        (message.forwarded(), message.payload()),
        (message.qos(), message.retain()),
        (will.expiry_seconds, now),
        &mut frames,
    );
    let mut counts = Counts::new(&core.metrics, None);
    let route = core.router.route(topic.as_str(), publisher.id);
    let unavailable = core.store().and_then(|store| store.check().err());
    if let Some(unavailable) = &unavailable {
        if message.retain() {
            core.retained.forget(topic.as_str());
        }
        if message.retain() || route.is_kept(message.qos()) {
            refuse(core, publisher, "store_unavailable", unavailable);
        }
    } else if message.retain() {
        let sizes = &core.live.load().limits.sizes;
        let by = core.retained.publisher(&publisher.client_id, &publisher.principal);
        if core.retained.apply(fanout.message(), &by, sizes).is_err() {
            counts.dropped("retained_full", 1);
            core.retained.forget(topic.as_str());
        }
    }
    let store = core.store().filter(|_| unavailable.is_none());
    core.deliver(store, (&route, &mut fanout), now, &mut counts);
    core.metrics.wills_published.inc();
}
