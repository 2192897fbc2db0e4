//! A guest of the tests that tries to harm its host in the way that `[config]` names; whatever the
//! host lets through ends in an allow, so that a test sees when a harm was not stopped and had no
//! consequence.
//!
//! Keys: `behaviour` (see `behaviour`), `hook` = `init`, `self-test`, `authenticate` (default) or
//! `permissions`; `client_prefix`: only clients whose identifier starts so are attacked, others get
//! `next`; `bytes`, `milliseconds`: sizes of some behaviours.

mod behaviour;

use portcullis_plugin::{
    Answer, Authenticator, Authorizer, Config, Connection, Credentials, Error, Outcome, Plugin,
    Subject, export,
};
use serde::Deserialize;

use behaviour::Behaviour;

/// The guest.
#[derive(Debug)]
pub struct Hostile(Settings);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    behaviour: Behaviour,
    #[serde(default)]
    hook: Hook,
    #[serde(default)]
    client_prefix: String,
    #[serde(default = "hundred_megabytes")]
    bytes: usize,
    #[serde(default = "one_minute")]
    milliseconds: u64,
}

#[derive(Debug, Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Hook {
    Init,
    SelfTest,
    #[default]
    Authenticate,
    Permissions,
}

impl Plugin for Hostile {
    fn init(config: &Config) -> Result<Self, Error> {
        let guest = Self(config.parse()?);
        guest.attack(Hook::Init)?;
        Ok(guest)
    }

    fn self_test(&self) -> Result<(), Error> {
        self.attack(Hook::SelfTest).map(drop)
    }
}

impl Authenticator for Hostile {
    fn authenticate(&self, connection: &Connection, _: &Credentials) -> Result<Outcome, Error> {
        if !connection.client_id.starts_with(&self.0.client_prefix) {
            return Ok(Outcome::Next);
        }
        Ok(self.attack(Hook::Authenticate)?.unwrap_or_else(|| Outcome::allow("hostile")))
    }
}

impl Authorizer for Hostile {
    fn permissions(&self, subject: &Subject) -> Result<Answer, Error> {
        if !subject.client_id.starts_with(&self.0.client_prefix) {
            return Ok(Answer::Next);
        }
        self.attack(Hook::Permissions)?;
        Ok(self.0.behaviour.answer())
    }
}

export!(Hostile with authenticator, authorizer);

impl Hostile {
    /// Attacks if this is the configured hook; some attacks are an outcome of their own.
    fn attack(&self, hook: Hook) -> Result<Option<Outcome>, Error> {
        if hook != self.0.hook {
            return Ok(None);
        }
        self.0.behaviour.run(self.0.bytes, self.0.milliseconds)
    }
}

const fn hundred_megabytes() -> usize {
    100_000_000
}

const fn one_minute() -> u64 {
    60_000
}

#[cfg(test)]
mod tests;
