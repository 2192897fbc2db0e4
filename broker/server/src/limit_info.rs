//! Limits as metrics show them: what is allowed, and how much of it is in use.
//!
//! Knows nothing of how they are enforced.

use std::sync::atomic::Ordering;

use crate::{LimitInfo, broker::Core};

/// Those of the broker as a whole, with what is in use, then those of one client, connection or
/// packet.
pub(crate) fn limits(core: &Core) -> Vec<LimitInfo> {
    let live = core.live.load();
    let (sizes, rates) = (&live.limits.sizes, &live.limits.connection_rate);
    let whole = |name, maximum: usize, current: u64| LimitInfo {
        name,
        maximum: maximum as f64,
        current: Some(current as f64),
    };
    let each = |name, maximum: usize| LimitInfo { name, maximum: maximum as f64, current: None };
    vec![
        whole("connections", rates.connections, core.connections.load(Ordering::Relaxed)),
        whole("sessions", sizes.sessions, core.sessions.len() as u64),
        whole("retained_messages", sizes.retained_messages, core.retained.len() as u64),
        whole("retained_bytes", sizes.retained_bytes, core.retained.bytes()),
        whole("strangers_bytes", sizes.strangers_bytes, core.strangers.held() as u64),
        each("handshakes_in_flight", live.limits.handshake.in_flight),
        each("handshakes_waiting", live.limits.handshake.waiting),
        each("connections_per_address", rates.connections_per_address),
        each("sessions_per_principal", sizes.sessions_per_principal),
        each("subscriptions_per_client", sizes.subscriptions_per_client),
        each("wildcard_subscriptions_per_client", sizes.wildcard_subscriptions_per_client),
        each("queue_messages", sizes.queue_messages),
        each("queue_bytes", sizes.queue_bytes),
        each("receive_maximum", sizes.receive_maximum.into()),
        each("packet_bytes", sizes.packet_bytes),
        each("packet_bytes_before_connect", sizes.packet_bytes_before_connect),
        each("client_id_bytes", sizes.client_id_bytes),
        each("username_bytes", sizes.username_bytes),
        each("topic_bytes", sizes.topic_bytes),
        each("topic_levels", sizes.topic_levels),
        each("topic_alias_maximum", sizes.topic_alias_maximum.into()),
        each("user_properties", sizes.user_properties),
        each("user_property_bytes", sizes.user_property_bytes),
        each("keep_alive_max", sizes.keep_alive_max.into()),
    ]
}
