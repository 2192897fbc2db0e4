//! The rules, checked: what happens to the payloads of a topic.

use portcullis_plugin::{Client, Scope};

use crate::{bound::Stamp, filter::Filter};

/// All rules, in their order, by direction. The first that fits decides.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) inbound: Vec<Inbound>,
    pub(crate) outbound: Vec<Outbound>,
}

/// With which key, and bound to whom.
#[derive(Debug, PartialEq)]
pub(crate) struct Seal {
    /// `[keys.NAME]`.
    pub(crate) ring: String,
    /// Whose name is bound.
    pub(crate) client: Option<Named>,
    /// Whether the key is made for that name.
    pub(crate) client_key: bool,
    pub(crate) stamp: Stamp,
}

/// Whose name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    ClientId,
    Principal,
    /// A level of the topic, counted from 1.
    Level(usize),
}

/// What happens to what clients publish.
#[derive(Debug, PartialEq)]
pub(crate) struct Inbound {
    pub(crate) filter: Filter,
    /// Only from these listeners; none = from everywhere.
    pub(crate) listeners: Option<Vec<String>>,
    pub(crate) seal: Seal,
    pub(crate) what: InboundWork,
    /// Reason Code of a refusal.
    pub(crate) reject: u8,
}

#[derive(Debug, PartialEq)]
pub(crate) enum InboundWork {
    /// The payload is stored and passed on in clear.
    Open(Option<Fresh>),
    /// It is looked at and passed on as it came.
    Verify(Option<Fresh>),
    /// It is stored and passed on sealed.
    Seal,
}

/// When a stamp is a new one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fresh {
    /// How far a timestamp may be from the clock.
    pub(crate) window_seconds: Option<u32>,
    /// How many stamps are remembered.
    pub(crate) remember: usize,
    /// How long; none = for ever.
    pub(crate) memory_seconds: Option<u32>,
}

/// Whether the broker's clock has a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    Matters,
    /// A Will Message is as old as its connection.
    DoesNot,
}

/// What happens to what subscribers get.
#[derive(Debug, PartialEq)]
pub(crate) struct Outbound {
    pub(crate) filter: Filter,
    pub(crate) seal: Seal,
    pub(crate) what: OutboundWork,
    /// Who gets it in clear; none = nothing is said.
    pub(crate) clear_for: Option<Circle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutboundWork {
    /// Stored sealed, goes out in clear. Others get it sealed, or nothing.
    Open { others_get_it_sealed: bool },
    /// Stored in clear, goes out sealed.
    Seal,
}

/// Some clients: who is in one of the groups, or has one of the attributes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Circle {
    pub(crate) groups: Vec<String>,
    pub(crate) attributes: Vec<(String, String)>,
}

impl Rules {
    pub(crate) fn of_publisher(&self, topic: &str, listener: &str) -> Option<&Inbound> {
        self.inbound.iter().find(|rule| {
            let from_there = |listeners: &Vec<String>| listeners.iter().any(|it| it == listener);
            rule.filter.matches(topic) && rule.listeners.as_ref().is_none_or(from_there)
        })
    }

    pub(crate) fn of_subscribers(&self, topic: &str) -> Option<&Outbound> {
        self.outbound.iter().find(|rule| rule.filter.matches(topic))
    }

    /// What the result of the outbound rules depends on.
    pub(crate) fn scope(&self) -> Scope {
        if self.outbound.iter().any(Outbound::asks_who) {
            Scope::Subscriber
        } else {
            Scope::Message
        }
    }

    /// What is remembered of a name is the same for all rules of a ring: as long as the most patient one needs it.
    pub(crate) fn share_memories(&mut self) {
        let windows: Vec<_> = self
            .inbound
            .iter()
            .filter_map(|rule| Some((rule.seal.ring.clone(), rule.fresh()?.window_seconds?)))
            .collect();
        for rule in &mut self.inbound {
            let of_ring = windows.iter().filter(|(ring, _)| *ring == rule.seal.ring);
            let longest = of_ring.map(|(_, window)| *window).max();
            if let InboundWork::Open(Some(fresh)) | InboundWork::Verify(Some(fresh)) =
                &mut rule.what
            {
                let window = longest.filter(|_| fresh.window_seconds.is_some());
                // From one end of the window to the other, and a little for clocks that are moved.
                fresh.memory_seconds = window.map(|it| it.saturating_mul(2).saturating_add(60));
            }
        }
    }

    /// Every ring that a rule names.
    pub(crate) fn seals(&self) -> impl Iterator<Item = &Seal> {
        let inbound = self.inbound.iter().map(|rule| &rule.seal);
        inbound.chain(self.outbound.iter().map(|rule| &rule.seal))
    }
}

impl Inbound {
    fn fresh(&self) -> Option<&Fresh> {
        match &self.what {
            InboundWork::Open(fresh) | InboundWork::Verify(fresh) => fresh.as_ref(),
            InboundWork::Seal => None,
        }
    }
}

impl Outbound {
    fn asks_who(&self) -> bool {
        let named = matches!(self.seal.client, Some(Named::ClientId | Named::Principal));
        named || self.clear_for.is_some()
    }
}

impl Seal {
    /// Whose name is bound to a message on `topic` that `client` sent or gets: empty where nobody's is; none where there
    /// should be one and is none.
    pub(crate) fn name<'a>(&self, topic: &'a str, client: Option<&'a Client>) -> Option<&'a str> {
        let name = match self.client {
            None => return Some(""),
            Some(Named::ClientId) => client?.client_id.as_str(),
            Some(Named::Principal) => client?.principal.as_str(),
            Some(Named::Level(number)) => topic.split('/').nth(number.checked_sub(1)?)?,
        };
        (!name.is_empty()).then_some(name)
    }
}

impl Circle {
    pub(crate) fn has(&self, client: &Client) -> bool {
        let of_groups = self.groups.iter().any(|group| client.groups.contains(group));
        of_groups
            || client.attributes.iter().any(|of| {
                self.attributes.iter().any(|(name, value)| (name, value) == (&of.name, &of.value))
            })
    }
}

#[cfg(test)]
mod tests {
    use portcullis_plugin::Attribute;

    use super::*;

    fn seal(client: Option<Named>) -> Seal {
        Seal { ring: "k".to_owned(), client, client_key: true, stamp: Stamp::None }
    }

    #[test]
    fn whose_name_is_bound() {
        let client = Client { principal: "alice".to_owned(), ..Client::default() };
        for (named, expected) in [
            (None, Some("")),
            (Some(Named::ClientId), Some("client")),
            (Some(Named::Principal), Some("alice")),
            (Some(Named::Level(2)), Some("b")),
            (Some(Named::Level(3)), None),
            (Some(Named::Level(4)), None),
        ] {
            assert_eq!(seal(named).name("a/b/", Some(&client)), expected, "{named:?}");
        }
        assert_eq!(seal(Some(Named::ClientId)).name("a", None), None);
        // What the admin API publishes has no client.
        let api = Client { client_id: String::new(), ..client };
        assert_eq!(seal(Some(Named::ClientId)).name("a", Some(&api)), None);
    }

    #[test]
    fn a_circle_is_of_groups_and_attributes() {
        let circle = Circle {
            groups: vec!["operators".to_owned()],
            attributes: vec![("clearance".to_owned(), "high".to_owned())],
        };
        let with = |groups: &[&str], attributes: &[(&str, &str)]| Client {
            groups: groups.iter().map(|it| (*it).to_owned()).collect(),
            attributes: attributes
                .iter()
                .map(|(name, value)| Attribute { name: (*name).into(), value: (*value).into() })
                .collect(),
            ..Client::default()
        };
        assert!(circle.has(&with(&["x", "operators"], &[])));
        assert!(circle.has(&with(&[], &[("clearance", "low"), ("clearance", "high")])));
        assert!(!circle.has(&with(&["operator"], &[("clearance", "low"), ("high", "clearance")])));
        assert!(!Circle::default().has(&with(&["operators"], &[])));
    }
}
