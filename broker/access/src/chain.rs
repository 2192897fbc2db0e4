//! The ordered plugins of a listener. How their words become one decision (DESIGN section 6):
//! [`walk`] is the state machine of the control flags, [`merge`] unites the grants,
//! [`authenticate`] and [`authorize`] ask the hooks.
//!
//! Knows nothing of who makes chains and when they are swapped: that is `gate.rs`.

use std::{sync::Arc, time::Duration};

use crate::{
    Authenticator, Authorizer, Hook, Hooks, LinkReport, PluginFailure, PluginFailureKind, Verdict,
};

pub(crate) mod admin;
pub(crate) mod answers;
pub(crate) mod authenticate;
pub(crate) mod authorize;
pub(crate) mod exchange;
mod merge;
pub(crate) mod stopwatch;
mod walk;

/// Control flag of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Control {
    /// Its allow skips the remaining sufficient and optional links; its deny ends the chain as a
    /// refusal; its next falls through.
    #[default]
    Sufficient,
    /// Must allow wherever it stands; the chain goes on but can only refuse.
    Required,
    /// Must allow; anything else ends the chain at once as a refusal.
    Requisite,
    /// Never decides; its grant data count if the chain accepts. The control of `deny-all`: the end
    /// of a chain refuses by itself, and any other flag there would also refuse a client whom a
    /// required or requisite link allowed.
    Optional,
}

/// What a failure of the link means for authentication. Authorizers have no such choice: their
/// failure is always a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnError {
    /// A refusal.
    #[default]
    Deny,
    /// As if it had said `next`. Never the default. A required or requisite link that says `next`
    /// has still not allowed.
    Next,
}

/// One place in a chain.
#[derive(Clone)]
pub struct Link {
    /// Name of the plugin.
    pub name: Arc<str>,
    /// Its generation as a short hex hash; empty when there is none.
    pub generation: Arc<str>,
    /// Control flag.
    pub control: Control,
    /// Meaning of a failure.
    pub on_error: OnError,
    /// What stands behind it.
    pub state: LinkState,
}

/// What stands behind a link.
#[derive(Clone)]
pub enum LinkState {
    /// A complete generation with these hooks; one without any counts as [`LinkState::Missing`].
    Live(Box<Hooks>),
    /// No plugin can answer: removed, failed to load, waiting for grants. Asked for either hook, it
    /// is a failure of kind `Missing` with this sentence: it might have been the one that denies.
    Missing(String),
}

/// The ordered plugins of a listener. `Default` is empty and refuses everybody.
#[derive(Clone, Default)]
pub struct Chain {
    /// In order. The last one is `deny-all`, as [`Control::Optional`].
    pub links: Vec<Link>,
}

/// What a link has for one hook.
enum Place<'a, H: ?Sized> {
    /// The hook.
    Asked(&'a H),
    /// Nothing that could be asked: the failure stands for its answer.
    Failed(PluginFailure),
    /// The plugin does another job and has no part in this one.
    Elsewhere,
}

impl Link {
    fn authenticator(&self) -> Place<'_, dyn Authenticator> {
        match &self.state {
            LinkState::Live(hooks) => match &hooks.authenticator {
                Some(hook) => Place::Asked(hook.as_ref()),
                // Who must allow but cannot was put there to decide: leaving it out would let in
                // whom it was to keep out.
                None if self.must_allow() => Place::Failed(PluginFailure {
                    kind: PluginFailureKind::Missing,
                    message: "the link must allow, but its plugin exports no authenticator"
                        .to_owned(),
                }),
                None => self.elsewhere(hooks),
            },
            LinkState::Missing(sentence) => Place::Failed(missing(sentence.clone())),
        }
    }

    /// A plugin that does another job has no part in this one; one that does none should have.
    fn elsewhere<H: ?Sized>(&self, hooks: &Hooks) -> Place<'_, H> {
        match hooks.is_empty() {
            true => Place::Failed(missing("the plugin exports no hook of a chain".to_owned())),
            false => Place::Elsewhere,
        }
    }

    fn must_allow(&self) -> bool {
        match self.control {
            Control::Required | Control::Requisite => true,
            Control::Sufficient | Control::Optional => false,
        }
    }

    fn authorizer(&self) -> Place<'_, Arc<dyn Authorizer>> {
        match &self.state {
            LinkState::Live(hooks) => match &hooks.authorizer {
                Some(hook) => Place::Asked(hook),
                None => self.elsewhere(hooks),
            },
            LinkState::Missing(sentence) => Place::Failed(missing(sentence.clone())),
        }
    }

    fn report(&self, hook: Hook, verdict: Verdict, elapsed: Duration) -> LinkReport {
        LinkReport {
            plugin: self.name.clone(),
            generation: self.generation.clone(),
            hook,
            verdict,
            cached: false,
            elapsed,
        }
    }
}

fn missing(message: String) -> PluginFailure {
    PluginFailure { kind: PluginFailureKind::Missing, message }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
