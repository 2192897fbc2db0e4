//! What plugins ask of the broker: publish, disconnect, subscriptions, permissions taken back.
//!
//! Knows nothing of plugins and grants: who asks was judged before.

use std::{sync::Arc, time::Instant};

use access::{BrokerForPlugins, Publication, PublishRefused, Whose};
use codec::{Publish, QoS, ReasonCode, UserProperties};
use session::Fanout;
use topic::TopicName;

use crate::{
    broker::{Broker, Core},
    counts::Counts,
    handle::BrokerHandle,
};

impl BrokerForPlugins for Broker {
    fn invalidate(&self, whose: Whose<'_>) {
        let core = &self.core;
        let client = match whose {
            Whose::Client(client_id) => core.sessions.get(client_id),
            Whose::Principal(_) | Whose::Everybody => None,
        };
        core.gate.take_back(whose, client.as_ref().map(|handle| &*handle.principal));
        match whose {
            Whose::Client(_) => client.iter().for_each(|handle| handle.poke()),
            Whose::Principal(principal) => {
                let mut handles = core.sessions.all();
                handles.retain(|handle| *handle.principal == *principal);
                handles.iter().for_each(|handle| handle.poke());
            }
            Whose::Everybody => core.sessions.all().iter().for_each(|handle| handle.poke()),
        }
    }

    fn publish(&self, message: Publication) -> Result<u32, PublishRefused> {
        // Counted among those of the plugin, in a name that no client can have.
        publish(&self.core, &message, &format!("$plugin/{}", message.plugin))
    }

    fn disconnect(&self, client_id: &str, reason: ReasonCode) -> bool {
        BrokerHandle::disconnect(self, client_id, reason)
    }

    fn subscriptions(&self, client_id: &str) -> Option<Vec<(String, QoS)>> {
        let handle = self.core.sessions.get(client_id)?;
        let state = handle.state.lock();
        let subscriptions = state.session.subscriptions.iter();
        Some(subscriptions.map(|s| (s.filter.to_string(), s.options.maximum_qos)).collect())
    }
}

/// Whether it is within the limits that hold for clients.
pub(crate) fn check(core: &Core, message: &Publication) -> Result<(), PublishRefused> {
    checked(core, message).map(drop)
}

/// Retained store, in the name of `publisher`, then every subscriber.
pub(crate) fn publish(
    core: &Arc<Core>,
    message: &Publication,
    publisher: &str,
) -> Result<u32, PublishRefused> {
    let publish = checked(core, message)?;
    let now = Instant::now();
    let route = core.router.route(message.topic.as_str(), NOBODY);
    let takes = core.takes();
    let store = core.store().filter(|_| takes);
    if (message.retain || route.is_kept(message.qos)) && !takes {
        return Err(PublishRefused::Busy);
    }
    let mut forwarded = Vec::new();
    publish.encode_forwarded(&mut forwarded);
    UserProperties::encode_pairs(&message.properties.user_properties, &mut forwarded);
    let mut frames = session::Frames::default();
    let mut fanout = Fanout::new(
        &message.topic,
        (&forwarded, &message.payload),
        (message.qos, message.retain),
        (message.properties.message_expiry_seconds, now),
        &mut frames,
    );
    let mut counts = Counts::new(&core.metrics, None);
    if message.retain {
        let sizes = &core.live.load().limits.sizes;
        let publisher = core.retained.publisher(&Arc::from(publisher), &Arc::default());
        if core.retained.apply(fanout.message(), &publisher, sizes).is_err() {
            counts.dropped("retained_full", 1);
            return Err(PublishRefused::Busy);
        }
    }
    core.deliver(store, (&route, &mut fanout), now, &mut counts);
    Ok(u32::try_from(route.len()).unwrap_or(u32::MAX))
}

/// No session has this id.
const NOBODY: u64 = 0;

/// The message as a client would have sent it, within the limits that hold for clients.
fn checked<'a>(core: &Core, message: &'a Publication) -> Result<Publish<'a>, PublishRefused> {
    let invalid = |what: String| PublishRefused::Invalid(what);
    let live = core.live.load();
    let sizes = &live.limits.sizes;
    let name = message.topic.as_str();
    if topic::is_of_broker(name) {
        return Err(invalid("topics below $SYS are the broker's own".to_owned()));
    }
    sizes.check_topic(name).map_err(|error| invalid(format!("topic: {error}")))?;
    let properties = &message.properties;
    let pairs = &properties.user_properties;
    let bytes = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    sizes
        .check_user_properties(pairs.len(), bytes)
        .map_err(|error| invalid(format!("user properties: {error}")))?;
    if let Some(response_topic) = &properties.response_topic {
        TopicName::new(response_topic)
            .map_err(|error| invalid(format!("response topic: {error}")))?;
    }
    let texts = [&properties.content_type, &properties.response_topic];
    let too_long = texts.into_iter().flatten().any(|text| text.len() > TEXT_BYTES_MAX)
        || properties.correlation_data.as_ref().is_some_and(|data| data.len() > TEXT_BYTES_MAX)
        || pairs.iter().any(|(name, value)| name.len().max(value.len()) > TEXT_BYTES_MAX);
    if too_long {
        return Err(invalid(format!("a property has over {TEXT_BYTES_MAX} bytes")));
    }
    if properties.payload_is_utf8 && std::str::from_utf8(&message.payload).is_err() {
        return Err(invalid("the payload is not UTF-8, as its properties say".to_owned()));
    }
    let size = name.len() + message.payload.len() + bytes;
    if size > sizes.packet_bytes {
        return Err(invalid(format!("it has over {} bytes", sizes.packet_bytes)));
    }
    let mut publish = Publish::new(name, &message.payload);
    publish.qos = message.qos;
    publish.retain = message.retain;
    publish.payload_format_indicator = properties.payload_is_utf8.then_some(true);
    publish.content_type = properties.content_type.as_deref();
    publish.response_topic = properties.response_topic.as_deref();
    publish.correlation_data = properties.correlation_data.as_deref();
    Ok(publish)
}

/// What the length of a text or of binary data can say.
const TEXT_BYTES_MAX: usize = u16::MAX as usize;
