//! Tests of what is written to a client: its limits, and topic aliases.

use codec::{Decoded, Packet, ProtocolVersion, PublishHead, QoS, decode};
use topic::TopicName;

use super::{Link, TooLarge};
use crate::{Attachment, QueueFull, QueueLimits, SessionLimits};

fn link(version: ProtocolVersion, packet: Option<u32>, aliases: (u16, u16)) -> Link {
    let queue = QueueLimits { messages: 1, bytes: 1, when_full: QueueFull::DropOldest };
    let limits = SessionLimits {
        queue,
        window_max: 10,
        receive_maximum: 10,
        topic_alias_maximum: aliases.0,
    };
    let attachment = Attachment {
        version,
        receive_maximum: 7,
        maximum_packet_size: packet,
        topic_alias_maximum: aliases.1,
    };
    Link::new(&attachment, &limits)
}

/// Writes a message of ten bytes of topic and `payload` bytes: the topic and alias that went out.
fn write(link: &mut Link, topic: &str, payload: usize) -> Result<(String, Option<u16>), TooLarge> {
    let (topic, payload) = (TopicName::new(topic).unwrap(), vec![0; payload]);
    let head = PublishHead {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: topic.as_str(),
        packet_id: None,
        topic_alias: None,
        message_expiry_interval: None,
        subscription_identifiers: &[],
        forwarded: &[],
        payload: &payload,
    };
    let mut out = Vec::new();
    let written = link.write(&mut out, &topic, &head);
    assert_eq!(written.is_err(), out.is_empty());
    written?;
    assert!(out.len() <= link.packet_bytes_max);
    match decode(&out, link.version, usize::MAX) {
        Ok(Decoded::Packet(Packet::Publish(publish), _)) => {
            Ok((publish.topic.to_owned(), publish.topic_alias))
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn expect(link: &mut Link, (topic, payload): (&str, usize), name: &str, alias: Option<u16>) {
    assert_eq!(write(link, topic, payload), Ok((name.to_owned(), alias)));
}

#[test]
fn the_smaller_of_both_sides_limits_holds() {
    use ProtocolVersion::{V5, V311};
    for (version, aliases, sets) in [
        (V5, (0, 0), false),
        (V5, (5, 0), false),
        (V5, (0, 5), false),
        (V5, (5, 5), true),
        (V311, (5, 5), false),
    ] {
        assert_eq!(link(version, None, aliases).sets_aliases(), sets, "{version:?} {aliases:?}");
    }
    assert_eq!(link(V5, None, (0, 0)).window, 7);
    assert_eq!(link(V5, None, (0, 0)).packet_bytes_max, codec::PACKET_BYTES_MAX);
    assert_eq!(link(V5, Some(u32::MAX), (0, 0)).packet_bytes_max, codec::PACKET_BYTES_MAX);
    assert_eq!(link(V5, Some(9), (0, 0)).packet_bytes_max, 9);
}

#[test]
fn aliases_are_set_then_used_then_all_given() {
    let mut link = link(ProtocolVersion::V5, None, (9, 2));
    expect(&mut link, ("plant/one", 1), "plant/one", Some(1));
    expect(&mut link, ("plant/two", 1), "plant/two", Some(2));
    expect(&mut link, ("plant/one", 1), "", Some(1));
    expect(&mut link, ("plant/two", 1), "", Some(2));
    expect(&mut link, ("plant/six", 1), "plant/six", None);
}

#[test]
fn an_alias_is_not_set_by_a_packet_that_does_not_carry_it() {
    // Fixed header 2, topic 2 + 9, property length 1: 14 and the payload; an alias is 3 more.
    let mut link = link(ProtocolVersion::V5, Some(20), (9, 9));
    assert_eq!(write(&mut link, "plant/one", 7), Err(TooLarge));
    expect(&mut link, ("plant/one", 6), "plant/one", None);
    expect(&mut link, ("plant/one", 4), "plant/one", None);
    expect(&mut link, ("plant/one", 3), "plant/one", Some(1));
    expect(&mut link, ("plant/one", 12), "", Some(1));
    assert_eq!(write(&mut link, "plant/one", 13), Err(TooLarge));
}

#[test]
fn frames_and_plain_packets_within_the_maximum() {
    let link = link(ProtocolVersion::V5, Some(20), (0, 0));
    let mut out = Vec::new();
    assert_eq!(link.write_frame(&mut out, &[0; 21]), Err(TooLarge));
    assert_eq!(link.write_frame(&mut out, &[0; 20]), Ok(()));
    assert_eq!(out.len(), 20);
}
