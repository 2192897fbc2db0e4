//! Decisions of the gate on their way to the list of the latest, with their name in the refusal.

use std::{net::IpAddr, sync::Arc, time::Duration};

use super::{Approaching, Authenticated, Gate, Progress};
use crate::{
    About, Connection, DecisionId, DecisionRecord, LinkReport, LinkWord, Making, NotAuthorized,
    Refusal,
};

/// What a decision was about.
pub(super) struct Decided {
    pub(super) about: About,
    pub(super) client_id: Arc<str>,
    pub(super) principal: Option<Arc<str>>,
    pub(super) listener: Arc<str>,
    pub(super) remote: IpAddr,
    pub(super) generation: u64,
}

impl Decided {
    /// `admitted` = who it turned out to be.
    pub(super) fn of(
        about: About,
        connection: &Connection,
        admitted: Option<&Authenticated>,
        generation: u64,
    ) -> Self {
        let subject = admitted.map(Authenticated::subject);
        Self {
            about,
            client_id: Arc::clone(
                subject.map_or(&connection.client_id, |subject| &subject.client_id),
            ),
            principal: subject.map(|subject| Arc::clone(&subject.identity.principal)),
            listener: Arc::clone(&connection.listener),
            remote: connection.remote.ip(),
            generation,
        }
    }
}

impl Gate {
    /// Keeps a decision, and puts its name into the refusal. One that permitted in a second that was full is not kept.
    /// Returns its name if it was.
    pub(super) fn note(
        &self,
        (making, begun, at_unix): (&Making, Duration, u64),
        decided: Decided,
        refusal: Option<&mut Refusal>,
        walk: &[LinkReport],
    ) -> Option<DecisionId> {
        let said = refusal.map(|refusal| {
            refusal.decision = Some(making.id());
            refusal.to_string()
        });
        if !self.decisions.are_kept() || (said.is_none() && !making.is_recorded()) {
            return None;
        }
        self.decisions.note(DecisionRecord {
            id: making.id(),
            at_unix,
            about: decided.about,
            client_id: decided.client_id,
            principal: decided.principal,
            listener: decided.listener,
            remote: decided.remote,
            generation: decided.generation,
            refusal: said,
            links: walk.to_vec(),
            rules: Vec::new(),
            elapsed: (self.clock)().saturating_sub(begun),
            recordings: making.take_recordings(),
        });
        Some(making.id())
    }

    /// A step of an exchange that did not come to a decision is kept as one that permitted: the client may
    /// answer.
    pub(super) fn note_step(
        &self,
        (making, begun): (&Making, Duration),
        (client, again): (Approaching<'_>, bool),
        (progress, generation): (&mut Progress, u64),
        walk: &[LinkReport],
    ) {
        let about = if again { About::Again } else { About::Connect };
        let (admitted, refusal) = match progress {
            Progress::Challenge(..) => (None, None),
            Progress::Decided(Ok((authenticated, _))) => (Some(&*authenticated), None),
            Progress::Decided(Err(refusal)) => (None, Some(refusal)),
        };
        let decided = Decided::of(about, client.connection, admitted, generation);
        let kept = self.note((making, begun, client.now_unix), decided, refusal, walk);
        if let Progress::Decided(Ok((authenticated, _))) = progress {
            authenticated.decision = kept;
        }
    }

    /// Keeps what was decided on an operation of a client: by rules, whose words are `rules`, or by plugins
    /// in the course of `making`.
    pub fn note_operation(
        &self,
        making: &Making,
        client: &Authenticated,
        about: About,
        (refusal, rules): (Option<&NotAuthorized>, Vec<LinkWord>),
        at_unix: u64,
    ) {
        if !self.decisions.are_kept() {
            return;
        }
        let subject = client.subject();
        self.decisions.note(DecisionRecord {
            id: making.id(),
            at_unix,
            about,
            client_id: Arc::clone(&subject.client_id),
            principal: Some(Arc::clone(&subject.identity.principal)),
            listener: Arc::clone(&subject.listener),
            remote: subject.remote,
            generation: client.generation(),
            refusal: refusal.map(ToString::to_string),
            links: Vec::new(),
            rules,
            elapsed: Duration::ZERO,
            recordings: making.take_recordings(),
        });
    }
}
