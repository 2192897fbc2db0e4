//! A store in memory that loses at a crash what was not committed.

use codec::{PacketId, QoS};

#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) text: String,
    pub(crate) qos: QoS,
}

#[derive(Clone, Debug)]
pub(crate) enum Record {
    Message(Kept),
    Owed {
        number: u64,
        place: u64,
        qos: QoS,
    },
    Done(u64),
    Received(u64),
    /// A QoS 2 message of the client was taken over, with its identifier.
    Accepted(PacketId, String),
    /// A QoS 1 message of the client was taken over.
    Taken(String),
    Released(PacketId),
    /// The connection ended: what was sent has a smaller number.
    Away(u64),
    /// A connection began.
    Here,
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) log: Vec<Record>,
    /// Records that no crash can take.
    pub(crate) durable: usize,
}

impl Disk {
    /// Appends; returns the place, and the ticket: durable once so many records are.
    pub(crate) fn append(&mut self, record: Record) -> (u64, u64) {
        self.log.push(record);
        (self.log.len() as u64 - 1, self.log.len() as u64)
    }

    /// Commits as far as this record.
    pub(crate) fn commit(&mut self, records: usize) {
        self.durable = self.durable.max(records.min(self.log.len()));
    }

    pub(crate) fn crash(&mut self) {
        self.log.truncate(self.durable);
    }

    /// A message, if it was committed.
    pub(crate) fn read(&self, place: u64) -> Option<Kept> {
        let place = usize::try_from(place).unwrap();
        match self.log.get(place).filter(|_| place < self.durable)? {
            Record::Message(kept) => Some(kept.clone()),
            other => panic!("{other:?} at {place}"),
        }
    }
}
