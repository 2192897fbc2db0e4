//! What the records of a log add up to: which session is owed what. Kept small: a store may hold
//! millions of claims, and all of them are put together before the first is handed on.
//!
//! Threads append side by side, so records of one claim may stand in another order than things
//! happened: what was completed never comes back, and of two places of a claim the later one counts.

use std::collections::{BTreeMap, HashMap};

use codec::PacketId;

use super::{FoundSession, Recovered, claims::Claims, notes::Notes, record::Record};
use crate::{KeptSession, KeptSubscription, Origin, Owed, Position, Retained, SessionKey};

mod list;
mod numbers;

pub use self::list::FoundClaims;
use self::{list::Size, numbers::Numbers};

/// What was found so far.
#[derive(Default)]
pub(super) struct Found {
    sessions: HashMap<SessionKey, Session>,
    retained: Vec<Retained>,
    last_session: u64,
    /// QoS 2 messages whose claims have not come, by position. The identifier is in use once they have: a
    /// crash between the two left a message that nobody is owed, and that is still to come.
    unclaimed: HashMap<u64, Origin>,
    /// Where each segment begins.
    segments: Vec<u64>,
}

/// What is known of a session.
#[derive(Default)]
struct Session {
    kept: Option<KeptSession>,
    subscriptions: Vec<KeptSubscription>,
    owed: FoundClaims,
    /// What it is done with.
    completed: Numbers,
    /// PUBREC came, and where that stands.
    received: BTreeMap<u64, u64>,
    /// Not released, and where that stands.
    accepted: BTreeMap<PacketId, u64>,
    /// The highest number of a message.
    last_number: u64,
}

/// What it comes to.
pub(super) struct Total {
    pub(super) recovered: Recovered,
    pub(super) last_session: u64,
    pub(super) claims: Claims,
    pub(super) notes: Notes,
}

impl Found {
    /// A session that is kept. All of them come before the first record.
    pub(super) fn session(&mut self, key: SessionKey, kept: KeptSession) {
        self.entry(key).kept = Some(kept);
    }

    pub(super) fn subscription(&mut self, key: SessionKey, kept: KeptSubscription) {
        self.entry(key).subscriptions.push(kept);
    }

    pub(super) fn retained(&mut self, retained: Retained) {
        self.retained.push(retained);
    }

    fn entry(&mut self, key: SessionKey) -> &mut Session {
        self.last_session = self.last_session.max(key.0);
        self.sessions.entry(key).or_default()
    }

    /// A session that is not over: what others were owed is nobody's any more.
    fn living(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.last_session = self.last_session.max(key.0);
        self.sessions.get_mut(&key)
    }

    /// The records of a segment follow.
    pub(super) fn segment(&mut self, first: u64) {
        self.segments.push(first);
    }

    /// A record at a position. The error says what of it cannot be.
    pub(super) fn record(&mut self, position: u64, record: &Record<'_>) -> Result<(), String> {
        match record {
            Record::Message { origin: Some(origin), .. } => {
                self.unclaimed.insert(position, *origin);
            }
            Record::Accepted(origin) => self.accepted(*origin, position),
            Record::Message { origin: None, .. } => {}
            Record::Owed { position: of, bytes, expires_at_unix, owed } => {
                if of.0 >= position {
                    return Err("a claim on a message that is not written yet".to_owned());
                }
                self.owed(*of, Size::new(*bytes, *expires_at_unix), owed)?;
                if let Some(origin) = self.unclaimed.remove(&of.0) {
                    self.accepted(origin, of.0);
                }
            }
            Record::Completed { session, numbers } => {
                let Some(session) = self.living(*session) else { return Ok(()) };
                for number in numbers.iter() {
                    session.last_number = session.last_number.max(*number);
                    session.completed.insert(*number);
                    session.received.remove(number);
                    session.owed.remove(*number);
                }
            }
            Record::Received { session, number } => {
                let Some(session) = self.living(*session) else { return Ok(()) };
                session.last_number = session.last_number.max(*number);
                if !session.completed.contains(*number) {
                    session.received.insert(*number, position);
                }
            }
            Record::Released(origin) => {
                if let Some(session) = self.living(origin.session) {
                    session.accepted.remove(&origin.packet_id);
                }
            }
        }
        Ok(())
    }

    fn accepted(&mut self, origin: Origin, position: u64) {
        if let Some(session) = self.living(origin.session) {
            session.accepted.insert(origin.packet_id, position);
        }
    }

    fn owed(&mut self, position: Position, size: Size, owed: &[Owed]) -> Result<(), String> {
        let is_there = self.segments.first().is_some_and(|first| *first <= position.0);
        for owed in owed {
            let Some(session) = self.living(owed.session) else { continue };
            session.last_number = session.last_number.max(owed.number);
            // A segment goes away only when every claim on its messages is settled.
            if is_there && !session.completed.contains(owed.number) {
                session.owed.insert(position, size, owed)?;
            }
        }
        Ok(())
    }

    /// Counts the claims, segment by segment, and hands everything over.
    pub(super) fn total(self) -> Total {
        let mut total = Total {
            recovered: Recovered { retained: self.retained, ..Recovered::default() },
            last_session: self.last_session,
            claims: Claims::new(&self.segments),
            notes: Notes::default(),
        };
        for (key, session) in self.sessions {
            // Subscriptions of a session that is over would be a change that was half applied.
            let Some(kept) = session.kept else { continue };
            let mut owed = session.owed;
            owed.finish();
            for (number, position) in &session.received {
                if owed.receive(*number) {
                    total.notes.receive(key, *number, *position);
                }
            }
            for (packet_id, position) in &session.accepted {
                total.notes.accept(Origin { session: key, packet_id: *packet_id }, *position);
            }
            owed.positions().for_each(|position| total.claims.found(position));
            let sent = kept.sent_below.unwrap_or_default().saturating_sub(1);
            total.recovered.sessions.push(FoundSession {
                key,
                kept,
                subscriptions: session.subscriptions,
                owed,
                unreleased: session.accepted.into_keys().collect(),
                last_number: session.last_number.max(sent),
            });
        }
        total
    }
}

#[cfg(test)]
mod tests;
