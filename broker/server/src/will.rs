//! The Will Message: checked at CONNECT and again when it is sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access::{Authenticated, NotAuthorized, Permissions, PublishRequest};
use codec::Will;
use session::{Fanout, Frames, Message, WillMessage};
use telemetry::events::PublishDenied;
use topic::{InvalidTopic, TopicName};

use crate::{broker::Core, counts::Counts, sessions::SessionHandle};

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

/// Whether the client may publish this.
pub(crate) fn permit(will: &WillMessage, permissions: &Permissions) -> Result<(), NotAuthorized> {
    let message = &will.message;
    let topic = message.topic().as_str();
    let request = PublishRequest { topic, qos: message.qos(), retain: message.retain() };
    permissions.permit_publish(request).map(|_| ())
}

/// Asks for the client's permissions, which may be old, and then publishes its Will Message. A failure to learn them is
/// a refusal. In a task of its own: whoever answers slowly holds up nobody else.
pub(crate) fn ask_and_publish(
    core: &Arc<Core>,
    handle: &Arc<SessionHandle>,
    authenticated: Arc<Authenticated>,
    will: Box<WillMessage>,
) {
    let (core, handle) = (Arc::clone(core), Arc::clone(handle));
    tokio::spawn(async move {
        let _slot = core.refresh_slots.acquire().await;
        match core.gate.refresh(&authenticated).await.0 {
            Ok(current) => publish(&core, &will, current.permissions(), &handle),
            Err(refusal) => tracing::warn!(
                event = "will_refused",
                client_id = %telemetry::Escaped(&handle.client_id),
                cause = %refusal,
                "will message not sent: permissions unknown"
            ),
        }
    });
}

/// Publishes a Will Message if it is still permitted. `publisher` is the session that it belonged to.
pub(crate) fn publish(
    core: &Core,
    will: &WillMessage,
    permissions: &Permissions,
    publisher: &SessionHandle,
) {
    let message = &will.message;
    let topic = message.topic();
    if let Err(denied) = permit(will, permissions) {
        PublishDenied { client_id: &publisher.client_id, topic: topic.as_str(), cause: &denied }
            .emit(&core.metrics);
        return;
    }
    let now = Instant::now();
    let mut frames = Frames::default();
    let mut fanout = Fanout::new(
        topic,
        (message.forwarded(), message.payload()),
        (message.qos(), message.retain()),
        (will.expiry_seconds, now),
        &mut frames,
    );
    let mut counts = Counts::new(&core.metrics);
    if message.retain() {
        let sizes = &core.live.load().limits.sizes;
        if core.retained.apply(fanout.message(), &publisher.client_id, sizes).is_err() {
            counts.dropped("retained_full", 1);
        }
    }
    let mut wakes = Vec::new();
    let route = core.router.route(topic.as_str(), publisher.id);
    route.deliver(&mut fanout, now, &mut wakes, &mut counts);
    for waker in wakes {
        waker.wake();
    }
    counts.flush();
    core.metrics.wills_published.inc();
}
