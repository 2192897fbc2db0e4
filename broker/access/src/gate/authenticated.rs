//! A client that the chain accepted. Only the gate makes one.

use std::{sync::Arc, time::Duration};

use crate::{DecisionId, Identity, MessageHooks, Permissions, Subject};

/// Proof of an accepted CONNECT: the only way to a connected client. Only [`Gate::admit`] makes
/// one.
#[derive(Clone, Debug)]
pub struct Authenticated {
    pub(super) subject: Subject,
    pub(super) permissions: Arc<Permissions>,
    pub(super) usable_for: Duration,
    pub(super) generation: u64,
    pub(super) hooks: Arc<MessageHooks>,
    /// How many times permissions had been taken back before these were asked for.
    pub(super) taken_back: u64,
    pub(super) decision: Option<DecisionId>,
}

/// How long permissions are used for which an operation authorizer failed.
const RETRY_FAILED: Duration = Duration::from_secs(5);

impl Authenticated {
    /// Who it is.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.subject.identity
    }

    /// Reduced form, as the authorizers saw it.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What it may do.
    pub fn permissions(&self) -> &Arc<Permissions> {
        &self.permissions
    }

    /// The plugins that see its operations and messages.
    pub fn hooks(&self) -> &Arc<MessageHooks> {
        &self.hooks
    }

    /// The same client with other permissions: those of now with more rulings.
    #[must_use]
    pub fn with_permissions(&self, permissions: Arc<Permissions>) -> Self {
        Self { permissions, ..self.clone() }
    }

    /// The same with what operation authorizers said on its subscriptions. When one of them failed
    /// (`failed`), it is to be asked again soon.
    #[must_use]
    pub fn with_rulings(&self, permissions: Arc<Permissions>, failed: bool) -> Self {
        let most = if failed { RETRY_FAILED } else { Duration::MAX };
        let usable_for = self.usable_for.min(most);
        Self { usable_for, ..self.with_permissions(permissions) }
    }

    /// How long the permissions may be used from when they were given: at most
    /// [`Permissions::ttl`], less when the answer had been given before.
    pub fn usable_for(&self) -> Duration {
        self.usable_for
    }

    /// [`Gate::generation`] that the permissions came from.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// [`Gate::taken_back`] from before the permissions were asked for.
    pub fn taken_back(&self) -> u64 {
        self.taken_back
    }

    /// The decision that let it in, where that was kept.
    pub fn decision(&self) -> Option<DecisionId> {
        self.decision
    }

    /// Who a session belongs to that an earlier process left: proved then, and no permission at all.
    /// For [`Gate::refresh`]; nobody is let in by it.
    pub fn remembered(subject: Subject) -> Self {
        let (permissions, usable_for) = (Arc::default(), Duration::ZERO);
        let hooks = Arc::default();
        let (generation, taken_back, decision) = (0, 0, None);
        Self { subject, permissions, usable_for, generation, hooks, taken_back, decision }
    }

    /// The same client with no permission at all: for when they cannot be learned again.
    #[must_use]
    pub fn without_permissions(&self) -> Self {
        Self { permissions: Arc::default(), ..self.clone() }
    }
}
