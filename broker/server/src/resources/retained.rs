//! Retained messages: lists of them, one with all there is, and its end.

use std::{sync::Arc, time::Instant};

use access::PublicationProperties;
use codec::Publish;
use session::Message;
use topic::{TopicFilter, TopicName};

use super::{RetainedInfo, RetainedPage};
use crate::broker::Core;

/// Topics that one page looks at under one lock, and in all.
const LOT_VISITS: usize = 1_024;
const LOTS_MAX: usize = 50;

pub(super) fn list(
    core: &Core,
    filter: &TopicFilter,
    after: Option<&TopicName>,
    limit: usize,
) -> RetainedPage {
    let limit = limit.clamp(1, 1_000);
    let mut page = RetainedPage { messages: Vec::new(), next: after.cloned() };
    for _ in 0..LOTS_MAX {
        let left = limit - page.messages.len();
        let mut found = Vec::new();
        let from = page.next.take();
        page.next = core.retained.listed(filter, from.as_ref(), (left, LOT_VISITS), &mut found);
        let now = Instant::now();
        let alive = found.iter().filter(|(message, _, _)| !message.is_expired(now));
        page.messages.extend(alive.map(|(message, publisher, is_withheld)| RetainedInfo {
            publisher: Arc::clone(publisher),
            ..info(message, *is_withheld)
        }));
        if page.next.is_none() || page.messages.len() >= limit {
            break;
        }
    }
    page
}

pub(super) fn show(core: &Core, topic: &str) -> Option<RetainedInfo> {
    let (message, publisher, is_withheld) = core.retained.find(topic)?;
    let now = Instant::now();
    if message.is_expired(now) {
        return None;
    }
    let whole = Publish::from_parts(topic, message.forwarded(), message.payload());
    let text = |text: Option<&str>| text.map(str::to_owned);
    let properties = whole.map(|whole| PublicationProperties {
        payload_is_utf8: whole.payload_format_indicator == Some(true),
        message_expiry_seconds: message.expiry_left_seconds(now),
        content_type: text(whole.content_type),
        response_topic: text(whole.response_topic),
        correlation_data: whole.correlation_data.map(<[u8]>::to_vec),
        user_properties: whole
            .user_properties
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
    });
    Some(RetainedInfo {
        payload: Some(message.payload().to_vec()),
        properties: properties.unwrap_or_default(),
        publisher,
        ..info(&message, is_withheld)
    })
}

fn info(message: &Message, is_withheld: bool) -> RetainedInfo {
    RetainedInfo {
        topic: message.topic().clone(),
        payload_bytes: message.payload().len(),
        payload: None,
        qos: message.qos(),
        properties: PublicationProperties::default(),
        publisher: Arc::default(),
        is_withheld,
    }
}

/// Those of the broker itself are made anew all the time, and cannot be removed.
pub(super) async fn remove(core: &Core, topic: &str) -> bool {
    if topic::is_of_broker(topic) || core.retained.find(topic).is_none() {
        return false;
    }
    if let Some(ticket) = core.retained.forget(topic) {
        core.durable(ticket).await;
    }
    true
}
