//! The failure of a hook. Knows nothing of refusals: those are answers, not errors.

/// The hook could not come to a decision. The broker treats it as a refusal, never as an allow.
pub use crate::bindings::portcullis::plugin::types::PluginError as Error;

impl Error {
    /// The plugin's configuration or one of its files is wrong; the text tells the operator what to
    /// change.
    pub fn misconfigured(text: impl Into<String>) -> Self {
        Self::Misconfigured(text.into())
    }

    /// A system that the plugin needs does not answer.
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::Unavailable(text.into())
    }

    /// Anything that should not have happened.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::Internal(text.into())
    }
}
