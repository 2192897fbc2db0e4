//! Bounds for clients by group, user and listener: rates, queues, Keep Alive, sessions.
//!
//! - *Owns* which bounds are whose (`settings`).
//! - *Knows nothing of* proof: the links before it say who the client is, and what they granted is
//!   what it looks at, never the User Name of CONNECT.
//! - *Invariant*: it names no principal, and whom nobody before it named it does not allow.

mod settings;

use portcullis_plugin::{
    Authenticator, Config, Connection, Credentials, Error, Outcome, Plugin, export, host,
};

use settings::{Settings, Whom};

/// The plugin.
#[derive(Debug)]
pub struct RatePolicy(Settings);

impl Plugin for RatePolicy {
    fn init(config: &Config) -> Result<Self, Error> {
        let settings: Settings = config.parse()?;
        settings.check().map_err(Error::misconfigured)?;
        Ok(Self(settings))
    }

    fn self_test(&self) -> Result<(), Error> {
        host::log::info(&format!("{} classes and the default", self.0.class.len()));
        Ok(())
    }
}

impl Authenticator for RatePolicy {
    fn authenticate(&self, connection: &Connection, _: &Credentials) -> Result<Outcome, Error> {
        Ok(self.judge(connection))
    }
}

export!(RatePolicy with authenticator);

impl RatePolicy {
    fn judge(&self, connection: &Connection) -> Outcome {
        let granted = |wanted: &str| {
            let attributes = connection.attributes.iter().filter(move |one| one.name == wanted);
            attributes.map(|one| one.value.as_str()).collect::<Vec<_>>()
        };
        let principals = granted(PRINCIPAL);
        let Some(principal) = principals.first() else {
            return Outcome::Next;
        };
        let groups = granted(GROUP);
        let whom = Whom { principal, groups: &groups, listener: &connection.listener };
        Outcome::Allow(self.0.limits(&whom).grant())
    }
}

/// Attributes of a connection: what the links before this one granted.
const PRINCIPAL: &str = "granted-principal";
const GROUP: &str = "granted-group";

#[cfg(test)]
mod tests;
