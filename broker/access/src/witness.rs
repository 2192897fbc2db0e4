//! Who is told what each plugin says on operations and messages, e.g. for a trace.
//!
//! Nobody usually: then the clock is not looked at. Knows nothing of what is done with it.

use std::{future::Future, time::Duration};

use crate::{Hook, PluginFailure};

/// Hears every word. Returns at once.
pub trait Witness: Send + Sync {
    /// A clock that never goes back.
    fn clock(&self) -> Duration;

    /// A plugin answered, or failed to.
    fn heard(&self, word: &Heard<'_>);
}

/// What one plugin said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard<'a> {
    /// The link.
    pub plugin: &'a str,
    /// What it was asked for.
    pub hook: Hook,
    /// Its word, or `failure`.
    pub word: &'static str,
    /// Topic Name or Topic Filter that it was about.
    pub topic: &'a str,
    /// How long it took.
    pub elapsed: Duration,
}

/// Waits for an answer and tells the witness.
pub(crate) async fn heard<T>(
    witness: Option<&dyn Witness>,
    (plugin, hook, topic): (&str, Hook, &str),
    asking: impl Future<Output = Result<T, PluginFailure>>,
    word: impl Fn(&T) -> &'static str,
) -> Result<T, PluginFailure> {
    let Some(witness) = witness else { return asking.await };
    let begun = witness.clock();
    let answer = asking.await;
    let elapsed = witness.clock().saturating_sub(begun);
    let word = answer.as_ref().map_or("failure", word);
    witness.heard(&Heard { plugin, hook, word, topic, elapsed });
    answer
}
