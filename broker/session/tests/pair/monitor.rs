//! Watches what the session writes, before any of it can get lost: packet identifiers, DUP, the
//! window, order, and the limits of the client.

use std::collections::{HashMap, HashSet};

use codec::{Packet, PacketId, Publish, QoS};

use crate::ledger::number;

/// What the client of the present connection allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) window: usize,
    pub(crate) packet_bytes_max: usize,
    pub(crate) alias_maximum: u16,
}

pub(crate) struct Monitor {
    allowed: Allowed,
    /// Messages by identifier, over all connections, until the session has seen their end.
    in_use: HashMap<PacketId, u32>,
    /// Messages ever written.
    written: HashSet<u32>,
    /// Identifiers whose PUBLISH was written on this connection and is not acknowledged.
    unacknowledged: HashSet<PacketId>,
    /// Newest message on this connection.
    newest: HashMap<(String, QoS), u32>,
    aliases: HashMap<u16, String>,
    pub(crate) repeated: u64,
    pub(crate) aliased: u64,
    pub(crate) windows_full: u64,
}

impl Monitor {
    pub(crate) fn new(allowed: Allowed) -> Self {
        Self {
            allowed,
            in_use: HashMap::new(),
            written: HashSet::new(),
            unacknowledged: HashSet::new(),
            newest: HashMap::new(),
            aliases: HashMap::new(),
            repeated: 0,
            aliased: 0,
            windows_full: 0,
        }
    }

    pub(crate) fn connect(&mut self, allowed: Allowed) {
        self.allowed = allowed;
        self.unacknowledged.clear();
        self.newest.clear();
        self.aliases.clear();
    }

    pub(crate) fn watch(&mut self, packet: &Packet<'_>, bytes: usize) {
        assert!(bytes <= self.allowed.packet_bytes_max, "{bytes} bytes: {packet:?}");
        match packet {
            Packet::Publish(publish) => self.watch_publish(publish),
            Packet::PubRel(release) => {
                let known = self.in_use.contains_key(&release.packet_id);
                assert!(
                    known || release.reason_code.is_failure(),
                    "PUBREL of nothing: {release:?}"
                );
            }
            other => panic!("not a packet of a session: {other:?}"),
        }
    }

    fn watch_publish(&mut self, publish: &Publish<'_>) {
        let number = number(publish.payload);
        let topic = self.topic(publish);
        let key = (topic, publish.qos);
        if let Some(newest) = self.newest.insert(key, number) {
            assert!(number > newest, "{number} after {newest} on one connection");
        }
        let first = self.written.insert(number);
        let Some(packet_id) = publish.packet_id else {
            assert!(first, "{number} twice with QoS 0");
            return;
        };
        if publish.dup {
            assert!(!first, "DUP at the first sending of {number}");
            assert_eq!(self.in_use.get(&packet_id), Some(&number), "another message's identifier");
            self.repeated += 1;
        } else {
            assert!(first, "{number} sent again without DUP [MQTT-3.3.1-1]");
            let other = self.in_use.insert(packet_id, number);
            assert_eq!(other, None, "{packet_id:?} is in use [MQTT-2.2.1-4]");
        }
        self.unacknowledged.insert(packet_id);
        let (now, most) = (self.unacknowledged.len(), self.allowed.window);
        assert!(now <= most, "{now} in flight, allowed are {most} [MQTT-3.3.4-9]");
        self.windows_full += u64::from(now == most);
    }

    fn topic(&mut self, publish: &Publish<'_>) -> String {
        let Some(alias) = publish.topic_alias else {
            return publish.topic.to_owned();
        };
        assert!((1..=self.allowed.alias_maximum).contains(&alias), "alias {alias}");
        if publish.topic.is_empty() {
            self.aliased += 1;
            return self.aliases.get(&alias).expect("an alias that was set").clone();
        }
        self.aliases.insert(alias, publish.topic.to_owned());
        publish.topic.to_owned()
    }

    /// The session has seen PUBACK, PUBCOMP or a failing PUBREC.
    pub(crate) fn complete(&mut self, packet_id: PacketId) {
        self.in_use.remove(&packet_id);
        self.unacknowledged.remove(&packet_id);
    }
}
