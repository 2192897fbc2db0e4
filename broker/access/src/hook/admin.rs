//! Hook `admin-authenticator`: who logs in to the admin API?

use std::net::IpAddr;

use crate::{BoxFuture, Outcome, Password, PluginFailure};

/// A login. WIT record `login`.
#[derive(Clone, Debug)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Password,
    /// Address of the browser or tool.
    pub remote: IpAddr,
}

/// Hook `admin-authenticator`. Must end within its own deadline.
pub trait AdminAuthenticator: Send + Sync {
    /// Judges one login. Of a grant the principal is the user, the groups are roles.
    fn authenticate_admin<'a>(
        &'a self,
        login: &'a Login,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>>;
}
