//! Interface `broker`: publish, disconnect, subscriptions, each with a grant of its own.

use std::time::{Duration, Instant};

use access::{Publication, PublicationProperties, PublishRefused};
use codec::{QoS, ReasonCode};
use parking_lot::Mutex;
use topic::TopicName;

use super::Lent;
use crate::{
    bindings::portcullis::plugin::{
        broker::{Error, Host, Message, Subscription},
        types::Qos,
    },
    instance::State,
    manifest::BrokerFunction,
};

/// Calls of this interface by one generation in a second: what one message of a client causes must
/// not become a storm.
const CALLS_PER_SECOND: u32 = 1_000;

/// Calls of this second.
#[derive(Debug, Default)]
pub(crate) struct CallRate(Mutex<(Option<Instant>, u32)>);

impl CallRate {
    fn take(&self, now: Instant) -> bool {
        let mut calls = self.0.lock();
        let (since, count) = &mut *calls;
        if since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            (*since, *count) = (Some(now), 0);
        }
        *count += 1;
        *count <= CALLS_PER_SECOND
    }
}

impl Host for State {
    fn publish(&mut self, message: Message) -> wasmtime::Result<Result<u32, Error>> {
        Ok(publish(&self.lent, message))
    }

    fn disconnect(
        &mut self,
        client_id: String,
        reason_code: u8,
    ) -> wasmtime::Result<Result<bool, Error>> {
        Ok(disconnect(&self.lent, &client_id, reason_code))
    }

    fn subscriptions(
        &mut self,
        client_id: String,
    ) -> wasmtime::Result<Result<Option<Vec<Subscription>>, Error>> {
        Ok(subscriptions(&self.lent, &client_id))
    }
}

fn publish(lent: &Lent, message: Message) -> Result<u32, Error> {
    admit(lent, BrokerFunction::Publish, "publish")?;
    let topic = TopicName::new(&message.topic)
        .map_err(|error| Error::Invalid(format!("topic {:?}: {error}", message.topic)))?;
    if !lent.grants.publish_topics.iter().any(|filter| filter.matches(topic.as_str())) {
        let topic = topic.as_str();
        return Err(Error::Denied(format!("[grants] publish_topics does not cover {topic:?}")));
    }
    let properties = PublicationProperties {
        payload_is_utf8: message.payload_is_utf8,
        message_expiry_seconds: message.message_expiry_seconds,
        content_type: message.content_type,
        response_topic: message.response_topic,
        correlation_data: message.correlation_data,
        user_properties: message
            .user_properties
            .into_iter()
            .map(|pair| (pair.name, pair.value))
            .collect(),
    };
    let publication = Publication {
        plugin: lent.plugin.to_string(),
        topic,
        payload: message.payload,
        qos: match message.qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
            Qos::ExactlyOnce => QoS::ExactlyOnce,
        },
        retain: message.retain,
        properties,
    };
    let broker = lent.runtime.broker.get().ok_or(Error::Busy)?;
    broker.publish(publication).map_err(|refused| match refused {
        PublishRefused::Invalid(sentence) => Error::Invalid(sentence),
        PublishRefused::Busy => Error::Busy,
    })
}

fn disconnect(lent: &Lent, client_id: &str, reason_code: u8) -> Result<bool, Error> {
    admit(lent, BrokerFunction::Disconnect, "disconnect")?;
    let reason = ReasonCode::from_value(reason_code).filter(|code| code.is_failure());
    let reason = reason.ok_or_else(|| {
        Error::Invalid(format!("{reason_code:#04x} is no Reason Code of 0x80 or above"))
    })?;
    let broker = lent.runtime.broker.get().ok_or(Error::Busy)?;
    let was_connected = broker.disconnect(client_id, reason);
    let client_id = telemetry::Escaped(client_id);
    let plugin = &*lent.plugin;
    let event = "disconnected_by_plugin";
    tracing::info!(event, plugin, %client_id, was_connected, "disconnect");
    Ok(was_connected)
}

fn subscriptions(lent: &Lent, client_id: &str) -> Result<Option<Vec<Subscription>>, Error> {
    admit(lent, BrokerFunction::Subscriptions, "subscriptions")?;
    let broker = lent.runtime.broker.get().ok_or(Error::Busy)?;
    let found = broker.subscriptions(client_id);
    Ok(found.map(|subscriptions| {
        let subscriptions = subscriptions.into_iter();
        subscriptions.map(|(filter, qos)| Subscription { filter, qos: level(qos) }).collect()
    }))
}

fn level(qos: QoS) -> Qos {
    match qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}

fn admit(lent: &Lent, function: BrokerFunction, name: &str) -> Result<(), Error> {
    if !lent.grants.broker.contains(&function) {
        return Err(Error::Denied(format!("[grants] broker does not name {name:?}")));
    }
    if lent.shadow && function != BrokerFunction::Subscriptions {
        return Err(Error::Denied(super::IN_SHADOW.to_owned()));
    }
    if lent.broker_calls.take(Instant::now()) { Ok(()) } else { Err(Error::Busy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_a_rate() {
        let rate = CallRate::default();
        let now = Instant::now();
        assert!((0..CALLS_PER_SECOND).all(|_| rate.take(now)));
        assert!(!rate.take(now + Duration::from_millis(999)));
        assert!(rate.take(now + Duration::from_secs(1)));
    }
}
