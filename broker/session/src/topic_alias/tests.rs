//! Tests of topic aliases, both ways.

use topic::TopicName;

use super::{Alias, InboundAliases, OutboundAliases};
use crate::Error;

fn name(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

/// Covers 5.0 [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-12].
#[test]
fn inbound_aliases_within_the_maximum() {
    for (maximum, alias, expect) in [
        (0, 0, Err(Error::TopicAliasInvalid)),
        (0, 1, Err(Error::TopicAliasInvalid)),
        (3, 0, Err(Error::TopicAliasInvalid)),
        (3, 4, Err(Error::TopicAliasInvalid)),
        (3, u16::MAX, Err(Error::TopicAliasInvalid)),
        (3, 1, Ok(())),
        (3, 3, Ok(())),
        (u16::MAX, u16::MAX, Ok(())),
    ] {
        let mut aliases = InboundAliases::new(maximum);
        let unset = expect.and(Err(Error::TopicAliasUnknown));
        assert_eq!(aliases.topic(alias), unset, "{alias} of {maximum} before");
        assert_eq!(aliases.set(alias, name("a/b")), expect, "{alias} of {maximum}");
        assert_eq!(aliases.topic(alias).cloned(), expect.map(|()| name("a/b")));
    }
}

#[test]
fn inbound_alias_is_replaced() {
    let mut aliases = InboundAliases::new(2);
    aliases.set(2, name("old")).unwrap();
    aliases.set(2, name("new")).unwrap();
    assert_eq!(aliases.topic(2), Ok(&name("new")));
    assert_eq!(aliases.topic(1), Err(Error::TopicAliasUnknown));
}

/// Covers 5.0 [MQTT-3.3.2-11].
#[test]
fn outbound_alias_is_used_only_once_confirmed() {
    let mut aliases = OutboundAliases::new(2);
    let (first, second, third) = (name("plant/1"), name("plant/2"), name("plant/3"));
    assert_eq!(aliases.resolve(&first), Alias::Set(1));
    assert_eq!(aliases.resolve(&second), Alias::Set(1), "the first was never written");
    aliases.confirm(&second, Alias::Set(1));
    assert_eq!(aliases.resolve(&second), Alias::Use(1));
    assert_eq!(aliases.resolve(&first), Alias::Set(2));
    aliases.confirm(&first, Alias::Set(2));
    assert_eq!(aliases.resolve(&third), Alias::None, "all are given");
    assert_eq!(aliases.resolve(&name("a/b")), Alias::None, "would gain nothing");
}
