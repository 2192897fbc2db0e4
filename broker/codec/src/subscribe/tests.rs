use super::*;
use crate::ErrorKind::{Malformed, ProtocolError};
use crate::Packet;
use crate::ProtocolVersion::{V5, V311};
use crate::test_support::{BOTH, check_golden, check_refused, encoded, filter, id, with_length};

fn request(text: &str, qos: QoS) -> SubscriptionRequest {
    SubscriptionRequest { filter: filter(text), options: SubscriptionOptions::new(qos) }
}

#[test]
fn golden_bytes() {
    let requests = vec![request("a/+", QoS::AtMostOnce), request("#", QoS::ExactlyOnce)];
    let packet = Packet::Subscribe(Subscribe::new(id(10), requests));
    check_golden(V311, &packet, b"\x82\x0C\0\x0A\0\x03a/+\0\0\x01#\x02");
    check_golden(V5, &packet, b"\x82\x0D\0\x0A\0\0\x03a/+\0\0\x01#\x02");
}

#[test]
fn golden_bytes_with_all_that_5_0_has() {
    let options = SubscriptionOptions {
        maximum_qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let new_only = SubscriptionOptions {
        retain_handling: RetainHandling::SendIfNew,
        ..SubscriptionOptions::new(QoS::AtMostOnce)
    };
    let subscribe = Subscribe {
        subscription_identifier: Some(128),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
        ..Subscribe::new(
            id(1),
            vec![
                SubscriptionRequest { filter: filter("a"), options },
                SubscriptionRequest { filter: filter("$share/g/a"), options: new_only },
            ],
        )
    };
    let packet = Packet::Subscribe(subscribe);
    let bytes = b"\x82\x1E\0\x01\x0A\x0B\x80\x01\x26\0\x01k\0\x01v\0\x01a\x2D\0\x0A$share/g/a\x10";
    check_golden(V5, &packet, bytes);
    assert_eq!(encoded(V311, &packet), b"\x82\x13\0\x01\0\x01a\x01\0\x0A$share/g/a\0");
}

/// That they end the connection is for the server to say; the format of the packet is fine.
#[test]
fn invalid_filters_are_kept_as_text() {
    for text in ["", "a#", "#/a", "a+/b", "$share/g", "$share//a", "$share/+/a", "$share/g/"] {
        let request = SubscriptionRequest {
            filter: Err(text.to_owned()),
            options: SubscriptionOptions::new(QoS::AtLeastOnce),
        };
        let packet = Packet::Subscribe(Subscribe::new(id(1), vec![request]));
        let mut body = vec![0, 1, 0, text.len() as u8];
        body.extend_from_slice(text.as_bytes());
        body.push(1);
        check_golden(V311, &packet, &with_length(0x82, &body));
    }
}

#[test]
fn all_option_bytes() {
    for value in 0..=255_u8 {
        let old = SubscriptionOptions::decode(value, V311);
        assert_eq!(old.is_ok(), value <= 2, "{value:#04x}");
        let new = SubscriptionOptions::decode(value, V5);
        let allowed = value & 0xC0 == 0 && value & 0x30 != 0x30 && value & 3 != 3;
        assert_eq!(new.is_ok(), allowed, "{value:#04x}");
        if let Ok(options) = new {
            assert_eq!(options.encode(V5), value);
            assert_eq!(options.encode(V311), value & 3);
        }
    }
}

#[test]
fn refusals() {
    check_refused(V311, b"\x82\x02\0\x01", ProtocolError, "MQTT-3.8.3-2");
    check_refused(V5, b"\x82\x03\0\x01\0", ProtocolError, "MQTT-3.8.3-2");
    check_refused(V311, b"\x82\x06\0\x01\0\x01a\x03", Malformed, "3.1.1 MQTT-3.8.3-4");
    check_refused(V311, b"\x82\x06\0\x01\0\x01a\x04", Malformed, "3.1.1 MQTT-3.8.3-4");
    check_refused(V5, b"\x82\x07\0\x01\0\0\x01a\x03", ProtocolError, "section 3.8.3.1");
    check_refused(V5, b"\x82\x07\0\x01\0\0\x01a\x30", ProtocolError, "section 3.8.3.1");
    check_refused(V5, b"\x82\x07\0\x01\0\0\x01a\x40", Malformed, "MQTT-3.8.3-5");
    check_refused(V5, b"\x82\x07\0\x01\0\0\x01a\x80", Malformed, "MQTT-3.8.3-5");
    let shared = b"\x82\x10\0\x01\0\0\x0A$share/g/a\x04";
    check_refused(V5, shared, ProtocolError, "MQTT-3.8.3-4");
    for version in BOTH {
        check_refused(version, b"\x82\x08\0\0\0\0\x01a\0\0", ProtocolError, "MQTT-2.2.1-3");
        check_refused(version, b"\x82\x01\0", Malformed, "section 2.1.4");
        check_refused(version, b"\x80\x06\0\x01\0\x01a\0", Malformed, "MQTT-2.1.3-1");
    }
    check_refused(V311, b"\x82\x05\0\x01\0\x01a", Malformed, "section 2.1.4");
    check_refused(V311, b"\x82\x07\0\x01\0\x01a\0\0", Malformed, "section 2.1.4");
    check_refused(V311, b"\x82\x06\0\x01\0\x01\xFF\0", Malformed, "MQTT-1.5.4-1");
    check_refused(V311, b"\x82\x06\0\x01\0\x01\0\0", Malformed, "MQTT-1.5.4-2");
}

#[test]
fn refusals_of_properties() {
    let refused = |section: &[u8], kind, statement| {
        let mut body = vec![0, 1, section.len() as u8];
        body.extend_from_slice(section);
        body.extend_from_slice(b"\0\x01a\0");
        check_refused(V5, &with_length(0x82, &body), kind, statement);
    };
    refused(b"\x0B\0", ProtocolError, "section 3.8.2.1.2");
    refused(b"\x0B\x01\x0B\x01", ProtocolError, "section 2.2.2.2");
    refused(b"\x0B\x80\x80\x80\x80\x01", Malformed, "section 1.5.5");
    refused(b"\x0B\x80", Malformed, "section 2.1.4");
    refused(b"\x0B\x81\0", Malformed, "MQTT-1.5.5-1");
    refused(b"\x1F\0\0", Malformed, "section 2.2.2.2");
    check_refused(V5, b"\x82\x09\0\x01\x80\x80\x80\x80\x01\0\0", Malformed, "section 1.5.5");
}
