//! Holds the one value of the plugin's type in a component instance and forwards the host's calls
//! to it.

use std::cell::OnceCell;

use crate::{
    AdminAuthenticator, AdminOutcome, Answer, Authenticator, Authorizer, Claim, Client, Config,
    Connection, Continuation, Credentials, EnhancedAuthenticator, Error, Events, Inbound,
    InboundTransform, Kinds, Login, Message, Opening, Operation, OperationAuthorizer, Outbound,
    OutboundTransform, Outcome, Plugin, Ruling, Scope, Source, Stamped, StateTransfer, Step,
    Subject, Timer, panic_hook,
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

impl<P: EnhancedAuthenticator> Instance<P> {
    /// Forwards to the plugin; nothing before `init`.
    pub fn methods(&self) -> Vec<String> {
        self.0.get().map_or_else(Vec::new, P::methods)
    }

    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn begin(&self, connection: &Connection, opening: &Opening) -> Result<Step, Error> {
        self.plugin()?.begin(connection, opening)
    }

    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn proceed(&self, connection: &Connection, answer: &Continuation) -> Result<Step, Error> {
        self.plugin()?.proceed(connection, answer)
    }
}

impl<P: OperationAuthorizer> Instance<P> {
    /// Forwards to the plugin; nothing before `init`.
    pub fn operation_topics(&self) -> Vec<String> {
        self.0.get().map_or_else(Vec::new, P::topics)
    }

    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn authorize(&self, subject: &Subject, operation: &Operation) -> Result<Ruling, Error> {
        self.plugin()?.authorize(subject, operation)
    }
}

impl<P: InboundTransform> Instance<P> {
    /// Forwards to the plugin; nothing before `init`.
    pub fn inbound_topics(&self) -> Vec<String> {
        self.0.get().map_or_else(Vec::new, P::topics)
    }

    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn transform_inbound(
        &self,
        source: Source,
        publisher: &Client,
        message: Message,
    ) -> Result<Inbound, Error> {
        self.plugin()?.transform(source, publisher, message)
    }
}

impl<P: OutboundTransform> Instance<P> {
    /// Forwards to the plugin; nothing before `init`.
    pub fn claims(&self) -> Claim {
        let none = || Claim { topics: Vec::new(), scope: Scope::Message };
        self.0.get().map_or_else(none, P::claims)
    }

    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn transform_outbound(
        &self,
        subscriber: Option<&Client>,
        message: Message,
    ) -> Result<Outbound, Error> {
        self.plugin()?.transform(subscriber, message)
    }
}

impl<P: Events> Instance<P> {
    /// Forwards to the plugin; nothing before `init`.
    pub fn wanted(&self) -> Kinds {
        self.0.get().map_or_else(Kinds::empty, P::wanted)
    }

    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn on_events(&self, batch: &[Stamped], dropped: u64) -> Result<(), Error> {
        self.plugin()?.on_events(batch, dropped)
    }
}

impl<P: Timer> Instance<P> {
    /// Forwards to the plugin; 0, which no timer may have, before `init`.
    pub fn interval_seconds(&self) -> u32 {
        self.0.get().map_or(0, P::interval_seconds)
    }

    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn on_timer(&self) -> Result<(), Error> {
        self.plugin()?.on_timer()
    }
}

impl<P: AdminAuthenticator> Instance<P> {
    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn authenticate_admin(&self, login: &Login) -> Result<AdminOutcome, Error> {
        self.plugin()?.authenticate_admin(login)
    }
}

impl<P: StateTransfer> Instance<P> {
    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn export_state(&self) -> Result<Vec<u8>, Error> {
        self.plugin()?.export_state()
    }

    /// Forwards to the plugin.
    ///
    /// # Errors
    /// The plugin's own, or a call before `init`.
    pub fn import_state(&self, version: &str, state: &[u8]) -> Result<(), Error> {
        self.plugin()?.import_state(version, state)
    }
}

impl<P: Plugin> Default for Instance<P> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
