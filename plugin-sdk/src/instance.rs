//! Holds the one value of the plugin's type in a component instance and forwards the host's calls
//! to it.

use std::cell::OnceCell;

use crate::{
    Answer, Authenticator, Authorizer, Config, Connection, Credentials, Error, Outcome, Plugin,
    Subject, panic_hook,
};

/// The plugin of this component instance, empty until the host called `init`.
#[derive(Debug)]
pub struct Instance<P>(OnceCell<P>);

impl<P: Plugin> Instance<P> {
    /// An instance before `init`.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// Makes the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a second call.
    pub fn init(&self) -> Result<(), Error> {
        panic_hook::install();
        let plugin = P::init(&Config)?;
        self.0.set(plugin).map_err(|_| Error::internal("init was called twice"))
    }

    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn self_test(&self) -> Result<(), Error> {
        self.plugin()?.self_test()
    }

    fn plugin(&self) -> Result<&P, Error> {
        self.0.get().ok_or_else(|| Error::internal("called before init"))
    }
}

impl<P: Authenticator> Instance<P> {
    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        self.plugin()?.authenticate(connection, credentials)
    }
}

impl<P: Authorizer> Instance<P> {
    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn permissions(&self, subject: &Subject) -> Result<Answer, Error> {
        self.plugin()?.permissions(subject)
    }
}

impl<P: Plugin> Default for Instance<P> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
