//! The Will Message: checked at CONNECT and again when it is sent.

use std::{
    fmt::Display,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use access::{
    About, Authenticated, DecisionId, Making, NotAuthorized, Operation, PublishRequest, Transformed,
};
use codec::Will;
use session::{Fanout, Frames, Message, WillMessage};
use telemetry::events::{Client, PublishDenied, WillRefused};
use topic::{InvalidTopic, TopicName};

use crate::{
    broker::Core,
    claimed::{MessageRefused, changed_parts, judge_will},
    counts::Counts,
    inherit::Ended,
    sessions::SessionHandle,
    shown::{shown, why},
    traced::{Telling, witness},
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

/// A Will Message is not permitted.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Denied {
    pub(crate) why: NotAuthorized,
    pub(crate) decision: DecisionId,
}

/// Whether the client may publish this: by its rules and by the plugins that claim the topic. A
/// refusal is noted among the decisions.
pub(crate) async fn permit(
    core: &Core,
    will: &WillMessage,
    authenticated: &Authenticated,
) -> Result<(), Denied> {
    let making = core.gate.making();
    let permitted = access::deciding(&making, judge(core, will, authenticated)).await;
    permitted.map_err(|why| note_denied(core, will, authenticated, (making, why)))
}

fn note_denied(
    core: &Core,
    will: &WillMessage,
    authenticated: &Authenticated,
    (making, why): (Arc<Making>, NotAuthorized),
) -> Denied {
    let message = &will.message;
    let (topic, qos, retain) = (message.topic().as_str(), message.qos(), message.retain());
    let rules = authenticated.permissions().explain_publish(PublishRequest { topic, qos, retain });
    let about = About::Publish { topic: topic.to_owned(), qos, retain };
    let said = (Some(&why), rules);
    core.gate.note_operation(&making, authenticated, about, said, core.now_unix());
    Denied { why, decision: making.id() }
}

async fn judge(
    core: &Core,
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
    let telling = Telling::of(core, Some(authenticated));
    let ruled = hooks.rule(authenticated.subject(), &operation, witness(&telling)).await;
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
            Err(refusal) => {
                let reason = ("permissions_unknown", refusal.plugin.as_deref());
                refuse(&core, (&authenticated, &handle), reason, &refusal);
            }
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
        let cause = &"the identity of the client has ended";
        return refuse(core, (authenticated, handle), ("identity_ended", None), cause);
    }
    let topic = will.message.topic().as_str();
    let hooks = authenticated.hooks();
    if !hooks.is_empty() && hooks.transform(topic) {
        return publish_changed(core, will, authenticated, handle).await;
    }
    match permit(core, will, authenticated).await {
        Ok(()) => spread(core, will, (authenticated, handle)),
        Err(denied) => deny(core, will, (authenticated, handle), &denied),
    }
}

fn deny(core: &Core, will: &WillMessage, whose: Whose<'_>, denied: &Denied) {
    let decision = Some(denied.decision);
    let (topic, denied) = (will.message.topic().as_str(), why(&denied.why, &decision));
    PublishDenied { client: whose_will(whose), topic, denied }.emit(&core.metrics);
}

/// The client of a Will Message, and its session.
type Whose<'a> = (&'a Authenticated, &'a SessionHandle);

/// By what it proved, and where it was: a newer connection of the session is somebody else's.
fn whose_will((authenticated, handle): Whose<'_>) -> Client<'_> {
    let last = handle.state.lock().facts.remote;
    let own = authenticated.subject().remote;
    let remote = if last.ip() == own { last } else { SocketAddr::new(own, 0) };
    Client { remote: Some(remote), ..shown(authenticated) }
}

/// As transforms leave it.
async fn publish_changed(
    core: &Core,
    will: &WillMessage,
    authenticated: &Authenticated,
    handle: &SessionHandle,
) {
    match judge_will(core, authenticated, will).await {
        Ok(Transformed::Unchanged) => spread(core, will, (authenticated, handle)),
        Ok(Transformed::Swallowed) => {}
        Ok(Transformed::Changed(changed)) => {
            let Ok(topic) = TopicName::new(&changed.topic) else { return };
            let parts = changed_parts(*changed);
            let mut forwarded = Vec::new();
            parts.encode_forwarded(&mut forwarded);
            let message = Message::new(topic, &forwarded, &parts.payload, will.message.qos())
                .with_retain(will.message.retain());
            let changed = WillMessage { message: Arc::new(message), ..will.clone() };
            spread(core, &changed, (authenticated, handle));
        }
        Err(MessageRefused::Denied(why)) => {
            let denied = note_denied(core, will, authenticated, (core.gate.making(), why));
            deny(core, will, (authenticated, handle), &denied);
        }
        Err(refused) => {
            let plugin = match &refused {
                MessageRefused::Rejected(rejected) => Some(&*rejected.plugin),
                MessageRefused::Denied(_) | MessageRefused::Topic(_) => None,
            };
            refuse(core, (authenticated, handle), ("plugin", plugin), &refused);
        }
    }
}

fn refuse(
    core: &Core,
    whose: Whose<'_>,
    (reason, plugin): (&'static str, Option<&str>),
    cause: &dyn Display,
) {
    WillRefused { client: whose_will(whose), reason, plugin, cause }.emit(&core.metrics);
}

/// Retained store, then every subscriber; when the store takes nothing, those who need none.
fn spread(core: &Core, will: &WillMessage, (authenticated, publisher): Whose<'_>) {
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
            let reason = ("store_unavailable", None);
            refuse(core, (authenticated, publisher), reason, unavailable);
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
