use super::*;
use crate::QoS;

/// All properties of table 2-4 with their bytes.
fn table() -> Vec<(Property<'static>, &'static [u8])> {
    use Property as P;
    vec![
        (P::PayloadFormatIndicator(true), b"\x01\x01"),
        (P::MessageExpiryInterval(0x01020304), b"\x02\x01\x02\x03\x04"),
        (P::ContentType("text"), b"\x03\0\x04text"),
        (P::ResponseTopic("r/1"), b"\x08\0\x03r/1"),
        (P::CorrelationData(b"\0\xFF"), b"\x09\0\x02\0\xFF"),
        (P::SubscriptionIdentifier(268_435_455), b"\x0B\xFF\xFF\xFF\x7F"),
        (P::SessionExpiryInterval(u32::MAX), b"\x11\xFF\xFF\xFF\xFF"),
        (P::AssignedClientIdentifier("id"), b"\x12\0\x02id"),
        (P::ServerKeepAlive(30), b"\x13\0\x1E"),
        (P::AuthenticationMethod(""), b"\x15\0\0"),
        (P::AuthenticationData(b""), b"\x16\0\0"),
        (P::RequestProblemInformation(false), b"\x17\0"),
        (P::WillDelayInterval(5), b"\x18\0\0\0\x05"),
        (P::RequestResponseInformation(true), b"\x19\x01"),
        (P::ResponseInformation("i"), b"\x1A\0\x01i"),
        (P::ServerReference("s"), b"\x1C\0\x01s"),
        (P::ReasonString("why"), b"\x1F\0\x03why"),
        (P::ReceiveMaximum(1), b"\x21\0\x01"),
        (P::TopicAliasMaximum(0), b"\x22\0\0"),
        (P::TopicAlias(9), b"\x23\0\x09"),
        (P::MaximumQoS(QoS::AtLeastOnce), b"\x24\x01"),
        (P::RetainAvailable(false), b"\x25\0"),
        (P::User("k", "v"), b"\x26\0\x01k\0\x01v"),
        (P::MaximumPacketSize(256), b"\x27\0\0\x01\0"),
        (P::WildcardSubscriptionAvailable(true), b"\x28\x01"),
        (P::SubscriptionIdentifiersAvailable(false), b"\x29\0"),
        (P::SharedSubscriptionAvailable(true), b"\x2A\x01"),
    ]
}

fn walk(section: &[u8]) -> Result<Vec<Property<'_>>, Error> {
    let mut walk = PropertyWalk::new(section);
    let mut found = Vec::new();
    while let Some(property) = walk.next_property()? {
        found.push(property);
    }
    Ok(found)
}

#[test]
fn all_properties_both_ways() {
    assert_eq!(table().len(), 27);
    let mut everything = Vec::new();
    for (property, bytes) in table() {
        let mut out = Vec::new();
        property.encode(&mut out);
        assert_eq!(out, bytes, "{property:?}");
        assert_eq!(walk(bytes), Ok(vec![property]));
        for cut in 1..bytes.len() {
            assert!(walk(&bytes[..cut]).is_err(), "{property:?} cut at {cut}");
        }
        everything.extend_from_slice(bytes);
    }
    let properties: Vec<_> = table().into_iter().map(|(property, _)| property).collect();
    assert_eq!(walk(&everything), Ok(properties));
}

#[test]
fn only_user_properties_may_come_twice() {
    for (property, bytes) in table() {
        let twice = [bytes, bytes].concat();
        match property {
            Property::User(..) => assert_eq!(walk(&twice).unwrap().len(), 2),
            _ => assert_eq!(walk(&twice), Err(DUPLICATE), "{property:?}"),
        }
    }
}

#[test]
fn unknown_identifiers_are_malformed() {
    let known: Vec<u8> = table().iter().map(|(_, bytes)| bytes[0]).collect();
    for identifier in 0..=255_u8 {
        let bytes = [identifier, 0, 1, 0, 0, 0, 0, 0];
        let unknown = walk(&bytes).is_err_and(|error| error.what.contains("none of MQTT 5.0"));
        // With zeros behind them, known identifiers may fail for other reasons.
        if !known.contains(&identifier) {
            assert!(unknown, "{identifier:#04x}");
        } else {
            let alone = Property::decode(identifier, &mut Reader::new(&bytes[1..]));
            assert!(!alone.is_err_and(|error| error.what.contains("none of MQTT 5.0")));
        }
    }
}

#[test]
fn values_out_of_range_are_protocol_errors() {
    let table: [(&[u8], &str); 12] = [
        (b"\x01\x02", "section 2.2"),
        (b"\x17\x02", "section 2.2"),
        (b"\x19\xFF", "section 2.2"),
        (b"\x25\x02", "section 2.2"),
        (b"\x28\x02", "section 2.2"),
        (b"\x29\x02", "section 2.2"),
        (b"\x2A\x02", "section 2.2"),
        (b"\x24\x02", "section 3.2.2.3.4"),
        (b"\x21\0\0", "section 3.1.2.11.3"),
        (b"\x27\0\0\0\0", "section 3.1.2.11.4"),
        (b"\x0B\0", "section 3.8.2.1.2"),
        (b"\x08\0\x03a/#", "MQTT-3.3.2-14"),
    ];
    for (bytes, statement) in table {
        let error = walk(bytes).unwrap_err();
        assert_eq!(error.kind, crate::ErrorKind::ProtocolError, "{bytes:02X?}");
        assert_eq!(error.statement, statement, "{bytes:02X?}");
    }
}

#[test]
fn integers_without_end_are_malformed() {
    for bytes in [&b"\x0B\xFF\xFF\xFF\xFF\x7F"[..], b"\x0B\x80\x80\x80\x80\x01"] {
        assert_eq!(walk(bytes).unwrap_err().statement, "section 1.5.5");
    }
    assert_eq!(walk(b"\x0B\x81\x00").unwrap_err().statement, "MQTT-1.5.5-1");
}

#[test]
fn user_properties_skip_what_stands_between() {
    let section = b"\x01\x01\x26\0\x01a\0\x011\x03\0\x01t\x26\0\x01a\0\0";
    let user_properties = UserProperties { section, count: 2 };
    let pairs: Vec<_> = user_properties.iter().collect();
    assert_eq!(pairs, [("a", "1"), ("a", "")]);
    assert_eq!((user_properties.len(), user_properties.is_empty()), (2, false));
    assert_eq!(
        user_properties.to_buf(),
        [("a".to_owned(), "1".to_owned()), ("a".to_owned(), String::new())]
    );
    let alone = UserProperties { section: b"\x26\0\x01a\0\x011\x26\0\x01a\0\0", count: 2 };
    assert_eq!(user_properties, alone);
    assert_ne!(user_properties, UserProperties { count: 1, ..alone });
    assert_eq!(format!("{alone:?}"), r#"[("a", "1"), ("a", "")]"#);
    assert!(UserProperties::default().is_empty());
    assert_eq!(UserProperties::default().iter().count(), 0);
}

/// The iterator must also get past Subscription Identifiers, which PUBLISH may repeat.
#[test]
fn user_properties_behind_repeated_subscription_identifiers() {
    let section = b"\x0B\x01\x0B\x02\x26\0\x01k\0\x01v";
    let user_properties = UserProperties { section, count: 1 };
    assert_eq!(user_properties.iter().collect::<Vec<_>>(), [("k", "v")]);
}
