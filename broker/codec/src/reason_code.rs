//! Reason Codes of MQTT 5.0 (section 2.4), the only ones used inside the broker, and which packet
//! may carry which; 3.1.1 return codes are translated in `connack` and `suback`.

use crate::{Error, PacketType};

/// A Reason Code. 0x80 and above are failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum ReasonCode {
    /// Also Normal disconnection and Granted QoS 0.
    Success = 0x00,
    GrantedQoS1 = 0x01,
    GrantedQoS2 = 0x02,
    DisconnectWithWillMessage = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    ContinueAuthentication = 0x18,
    ReAuthenticate = 0x19,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerBusy = 0x89,
    Banned = 0x8A,
    ServerShuttingDown = 0x8B,
    BadAuthenticationMethod = 0x8C,
    KeepAliveTimeout = 0x8D,
    SessionTakenOver = 0x8E,
    TopicFilterInvalid = 0x8F,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    MessageRateTooHigh = 0x96,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9A,
    QoSNotSupported = 0x9B,
    UseAnotherServer = 0x9C,
    ServerMoved = 0x9D,
    SharedSubscriptionsNotSupported = 0x9E,
    ConnectionRateExceeded = 0x9F,
    MaximumConnectTime = 0xA0,
    SubscriptionIdentifiersNotSupported = 0xA1,
    WildcardSubscriptionsNotSupported = 0xA2,
}

impl ReasonCode {
    /// Normal disconnection: the same value as [`ReasonCode::Success`].
    pub const NORMAL_DISCONNECTION: Self = Self::Success;

    /// Its value on the wire.
    pub fn value(self) -> u8 {
        self as u8
    }

    /// Whether it is 0x80 or above.
    pub fn is_failure(self) -> bool {
        self.value() >= 0x80
    }

    /// The code with this value, if the specification defines one.
    pub fn from_value(value: u8) -> Option<Self> {
        Some(match value {
            0x00 => Self::Success,
            0x01 => Self::GrantedQoS1,
            0x02 => Self::GrantedQoS2,
            0x04 => Self::DisconnectWithWillMessage,
            0x10 => Self::NoMatchingSubscribers,
            0x11 => Self::NoSubscriptionExisted,
            0x18 => Self::ContinueAuthentication,
            0x19 => Self::ReAuthenticate,
            0x80 => Self::UnspecifiedError,
            0x81 => Self::MalformedPacket,
            0x82 => Self::ProtocolError,
            0x83 => Self::ImplementationSpecificError,
            0x84 => Self::UnsupportedProtocolVersion,
            0x85 => Self::ClientIdentifierNotValid,
            0x86 => Self::BadUserNameOrPassword,
            0x87 => Self::NotAuthorized,
            0x88 => Self::ServerUnavailable,
            0x89 => Self::ServerBusy,
            0x8A => Self::Banned,
            0x8B => Self::ServerShuttingDown,
            0x8C => Self::BadAuthenticationMethod,
            0x8D => Self::KeepAliveTimeout,
            0x8E => Self::SessionTakenOver,
            0x8F => Self::TopicFilterInvalid,
            0x90 => Self::TopicNameInvalid,
            0x91 => Self::PacketIdentifierInUse,
            0x92 => Self::PacketIdentifierNotFound,
            0x93 => Self::ReceiveMaximumExceeded,
            0x94 => Self::TopicAliasInvalid,
            0x95 => Self::PacketTooLarge,
            0x96 => Self::MessageRateTooHigh,
            0x97 => Self::QuotaExceeded,
            0x98 => Self::AdministrativeAction,
            0x99 => Self::PayloadFormatInvalid,
            0x9A => Self::RetainNotSupported,
            0x9B => Self::QoSNotSupported,
            0x9C => Self::UseAnotherServer,
            0x9D => Self::ServerMoved,
            0x9E => Self::SharedSubscriptionsNotSupported,
            0x9F => Self::ConnectionRateExceeded,
            0xA0 => Self::MaximumConnectTime,
            0xA1 => Self::SubscriptionIdentifiersNotSupported,
            0xA2 => Self::WildcardSubscriptionsNotSupported,
            _ => return None,
        })
    }

    /// The lower-case name with underscores used in metrics, logs and API answers, e.g.
    /// `not_authorized`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::GrantedQoS1 => "granted_qos_1",
            Self::GrantedQoS2 => "granted_qos_2",
            Self::DisconnectWithWillMessage => "disconnect_with_will_message",
            Self::NoMatchingSubscribers => "no_matching_subscribers",
            Self::NoSubscriptionExisted => "no_subscription_existed",
            Self::ContinueAuthentication => "continue_authentication",
            Self::ReAuthenticate => "re_authenticate",
            Self::UnspecifiedError => "unspecified_error",
            Self::MalformedPacket => "malformed_packet",
            Self::ProtocolError => "protocol_error",
            Self::ImplementationSpecificError => "implementation_specific_error",
            Self::UnsupportedProtocolVersion => "unsupported_protocol_version",
            Self::ClientIdentifierNotValid => "client_identifier_not_valid",
            Self::BadUserNameOrPassword => "bad_user_name_or_password",
            Self::NotAuthorized => "not_authorized",
            Self::ServerUnavailable => "server_unavailable",
            Self::ServerBusy => "server_busy",
            Self::Banned => "banned",
            Self::ServerShuttingDown => "server_shutting_down",
            Self::BadAuthenticationMethod => "bad_authentication_method",
            Self::KeepAliveTimeout => "keep_alive_timeout",
            Self::SessionTakenOver => "session_taken_over",
            Self::TopicFilterInvalid => "topic_filter_invalid",
            Self::TopicNameInvalid => "topic_name_invalid",
            Self::PacketIdentifierInUse => "packet_identifier_in_use",
            Self::PacketIdentifierNotFound => "packet_identifier_not_found",
            Self::ReceiveMaximumExceeded => "receive_maximum_exceeded",
            Self::TopicAliasInvalid => "topic_alias_invalid",
            Self::PacketTooLarge => "packet_too_large",
            Self::MessageRateTooHigh => "message_rate_too_high",
            Self::QuotaExceeded => "quota_exceeded",
            Self::AdministrativeAction => "administrative_action",
            Self::PayloadFormatInvalid => "payload_format_invalid",
            Self::RetainNotSupported => "retain_not_supported",
            Self::QoSNotSupported => "qos_not_supported",
            Self::UseAnotherServer => "use_another_server",
            Self::ServerMoved => "server_moved",
            Self::SharedSubscriptionsNotSupported => "shared_subscriptions_not_supported",
            Self::ConnectionRateExceeded => "connection_rate_exceeded",
            Self::MaximumConnectTime => "maximum_connect_time",
            Self::SubscriptionIdentifiersNotSupported => "subscription_identifiers_not_supported",
            Self::WildcardSubscriptionsNotSupported => "wildcard_subscriptions_not_supported",
        }
    }

    /// Whether 5.0 lets a packet of this type carry it (table 2-6).
    fn is_allowed_in(self, packet_type: PacketType) -> bool {
        match packet_type {
            PacketType::ConnAck => self.is_allowed_in_connack(),
            PacketType::PubAck | PacketType::PubRec => self.is_allowed_in_puback(),
            PacketType::PubRel | PacketType::PubComp => {
                matches!(self, Self::Success | Self::PacketIdentifierNotFound)
            }
            PacketType::SubAck => self.is_allowed_in_suback(),
            PacketType::UnsubAck => self.is_allowed_in_unsuback(),
            PacketType::Disconnect => self.is_allowed_in_disconnect(),
            PacketType::Auth => {
                matches!(self, Self::Success | Self::ContinueAuthentication | Self::ReAuthenticate)
            }
            _ => false,
        }
    }

    fn is_allowed_in_connack(self) -> bool {
        matches!(self.value(), 0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F)
    }

    fn is_allowed_in_puback(self) -> bool {
        matches!(self.value(), 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
    }

    fn is_allowed_in_suback(self) -> bool {
        matches!(
            self.value(),
            0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2
        )
    }

    fn is_allowed_in_unsuback(self) -> bool {
        matches!(self.value(), 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91)
    }

    fn is_allowed_in_disconnect(self) -> bool {
        matches!(
            self.value(),
            0x00 | 0x04 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B..=0x90 | 0x93..=0xA2
        )
    }
}

/// The Reason Code in a packet of this type. A value that no packet knows is malformed, a known one
/// in the wrong packet is a Protocol Error.
pub(crate) fn decode(value: u8, packet_type: PacketType) -> Result<ReasonCode, Error> {
    let reason_code = ReasonCode::from_value(value).ok_or(UNKNOWN)?;
    if reason_code.is_allowed_in(packet_type) { Ok(reason_code) } else { Err(WRONG_PACKET) }
}

const UNKNOWN: Error = Error::malformed("Reason Code is none of MQTT 5.0", "section 2.4");
const WRONG_PACKET: Error =
    Error::protocol("Reason Code is not one of those for its packet", "section 2.4");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_names_are_unambiguous() {
        let codes: Vec<_> = (0..=255).filter_map(ReasonCode::from_value).collect();
        assert_eq!(codes.len(), 43);
        let mut names: Vec<_> = codes.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 43);
        for value in 0..=255 {
            assert!(ReasonCode::from_value(value).is_none_or(|code| code.value() == value));
        }
        assert_eq!(ReasonCode::NotAuthorized.name(), "not_authorized");
        assert_eq!(ReasonCode::QoSNotSupported.name(), "qos_not_supported");
        assert_eq!(ReasonCode::GrantedQoS1.name(), "granted_qos_1");
        assert!(!ReasonCode::ReAuthenticate.is_failure());
        assert!(ReasonCode::UnspecifiedError.is_failure());
    }

    /// How many codes each packet's table in chapter 3 lists (DISCONNECT with 0x8C of table 2-6).
    /// Covers 5.0 [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
    /// [MQTT-3.9.3-2] [MQTT-3.11.3-2] [MQTT-3.14.2-1] [MQTT-3.15.2-1].
    #[test]
    fn each_packet_has_its_own_codes() {
        let table = [
            (PacketType::ConnAck, 22),
            (PacketType::PubAck, 9),
            (PacketType::PubRec, 9),
            (PacketType::PubRel, 2),
            (PacketType::PubComp, 2),
            (PacketType::SubAck, 12),
            (PacketType::UnsubAck, 7),
            (PacketType::Disconnect, 30),
            (PacketType::Auth, 3),
            (PacketType::Publish, 0),
        ];
        for (packet_type, count) in table {
            let allowed = (0..=255).filter(|&value| decode(value, packet_type).is_ok()).count();
            assert_eq!(allowed, count, "{packet_type:?}");
        }
        assert_eq!(decode(0x03, PacketType::PubAck), Err(UNKNOWN));
        assert_eq!(decode(0x92, PacketType::PubAck), Err(WRONG_PACKET));
    }
}
