//! What was published in one direction and what came of it: nothing lost, nothing twice, in order.

use std::collections::HashMap;

use codec::QoS;

/// A message by its number: the first four bytes of its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) topic: u8,
    pub(crate) qos: QoS,
    /// Revoked, expiring, or too large for some client: may be lost, nothing else.
    pub(crate) may_be_lost: bool,
    received: u32,
    refused: bool,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) messages: Vec<Published>,
    newest: HashMap<(u8, QoS), u32>,
}

pub(crate) fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().expect("four bytes"))
}

pub(crate) fn payload(number: u32, bytes: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(4 + bytes, b'x');
    payload
}

impl Ledger {
    pub(crate) fn publish(&mut self, topic: u8, qos: QoS, may_be_lost: bool) -> u32 {
        let number = u32::try_from(self.messages.len()).expect("few");
        self.messages.push(Published { topic, qos, may_be_lost, received: 0, refused: false });
        number
    }

    /// The application at the far end got it.
    pub(crate) fn receive(&mut self, topic: &str, qos: QoS, number: u32) {
        let message = &mut self.messages[number as usize];
        assert_eq!((topic, qos), (&*topic_name(message.topic), message.qos), "message {number}");
        message.received += 1;
        let again = message.received > 1;
        assert!(!again || qos == QoS::AtLeastOnce, "message {number} came twice with {qos:?}");
        if again || message.may_be_lost || message.refused {
            return;
        }
        let newest = self.newest.entry((message.topic, qos)).or_default();
        assert!(number >= *newest, "message {number} came first after {newest}: {message:?}");
        *newest = number;
    }

    /// The application at the far end refused it with a failing PUBACK or PUBREC.
    pub(crate) fn refuse(&mut self, number: u32) {
        self.messages[number as usize].refused = true;
    }

    /// Nothing more will come.
    pub(crate) fn settle(&self) {
        for (number, message) in self.messages.iter().enumerate() {
            let excused = message.qos == QoS::AtMostOnce || message.may_be_lost || message.refused;
            assert!(excused || message.received > 0, "message {number} was lost: {message:?}");
        }
    }
}

pub(crate) fn topic_name(topic: u8) -> String {
    format!("plant/{topic}")
}
