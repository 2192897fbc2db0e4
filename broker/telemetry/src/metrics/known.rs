//! Values of labels that are known beforehand: their series are there from the start, at zero.
//!
//! Owns only names. What is missing here is counted all the same, from its first event on.

use crate::HappeningKind;

/// Names of [`codec::ReasonCode`] and of ends of the network.
pub(crate) const CLOSED: [&str; 32] = [
    "normal_disconnection",
    "network",
    "write_timeout",
    "websocket",
    "disconnect_with_will_message",
    "unspecified_error",
    "malformed_packet",
    "protocol_error",
    "implementation_specific_error",
    "not_authorized",
    "server_busy",
    "server_shutting_down",
    "keep_alive_timeout",
    "session_taken_over",
    "topic_filter_invalid",
    "topic_name_invalid",
    "packet_identifier_in_use",
    "receive_maximum_exceeded",
    "topic_alias_invalid",
    "packet_too_large",
    "message_rate_too_high",
    "quota_exceeded",
    "administrative_action",
    "payload_format_invalid",
    "retain_not_supported",
    "qos_not_supported",
    "use_another_server",
    "server_moved",
    "shared_subscriptions_not_supported",
    "connection_rate_exceeded",
    "maximum_connect_time",
    "wildcard_subscriptions_not_supported",
];

/// Names of [`codec::ReasonCode`].
pub(crate) const CONNECT_REFUSED: [&str; 17] = [
    "unspecified_error",
    "malformed_packet",
    "protocol_error",
    "implementation_specific_error",
    "unsupported_protocol_version",
    "client_identifier_not_valid",
    "bad_user_name_or_password",
    "not_authorized",
    "server_unavailable",
    "server_busy",
    "banned",
    "bad_authentication_method",
    "topic_name_invalid",
    "packet_too_large",
    "quota_exceeded",
    "connection_rate_exceeded",
    "retain_not_supported",
];

/// Limits before the first byte.
pub(crate) const LIMITS: [&str; 10] = [
    "proxy_protocol.trusted",
    "connections",
    "connect_rate",
    "connections_per_address",
    "connect_rate_per_address",
    "memory",
    "listeners.deny",
    "bans",
    "listeners.connections",
    "addresses",
];

pub(crate) const HANDSHAKES: [&str; 12] = [
    "full",
    "resumed",
    "timeout",
    "pushed_out",
    "network",
    "protocol",
    "revoked",
    "revocation_unknown",
    "not_trusted",
    "expired",
    "no_certificate",
    "no_identity",
];

pub(crate) const DROPPED: [&str; 11] = [
    "queue_full",
    "slow_consumer",
    "too_large",
    "not_connected",
    "not_stored",
    "expired",
    "no_longer_permitted",
    "retained_full",
    "store_unavailable",
    "transform_failed",
    "transform_swallowed",
];

pub(crate) const WILLS: [&str; 4] =
    ["identity_ended", "permissions_unknown", "plugin", "store_unavailable"];

pub(crate) const BANS: [&str; 2] = ["administrator", "flapping"];

pub(crate) const LOST: [&str; 4] = ["queue_full", "day_full", "not_written", "closed"];

pub(crate) const STATUS: [&str; 11] =
    ["200", "204", "303", "400", "401", "403", "404", "409", "429", "500", "503"];

/// Kinds of lines of the access log.
pub(crate) fn lines() -> impl Iterator<Item = &'static str> {
    HappeningKind::ALL.into_iter().map(HappeningKind::name).chain(["repeated", "lost"])
}
