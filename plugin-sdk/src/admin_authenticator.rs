//! Hook *admin-authenticator*: who logs in to the admin API? The types come from the contract.

pub use crate::bindings::admin_authenticator::hook::{AdminGrant, Login, Outcome as AdminOutcome};
use crate::{Error, Plugin};

/// Judges logins of the admin API and the control center.
pub trait AdminAuthenticator: Plugin {
    /// Judges one login.
    ///
    /// # Errors
    /// The plugin could not come to a decision. The login is refused.
    fn authenticate_admin(&self, login: &Login) -> Result<AdminOutcome, Error>;
}
