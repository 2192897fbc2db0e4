//! Seals and opens payloads by topic, for devices that cannot do TLS and for topics whose content is not everybody's.
//!
//! - *Owns* the rules of `[config]` (`settings`, `rules`), what is bound to a sealed payload (`bound`), what was seen
//!   already (`replay`), topics that say nothing (`pseudonym`).
//! - *Knows nothing of* keys: the host has them, and seals and opens.
//! - *Start reading at* [`InboundTransform::transform`] in `inbound`, then `outbound`.
//! - *Invariant*: what is not authentic goes no further. A payload that a rule wants sealed is never passed on in clear,
//!   whatever fails.

mod bound;
mod filter;
mod inbound;
mod outbound;
mod pseudonym;
mod replay;
mod rules;
mod settings;
mod vault;

use portcullis_plugin::{Config, Error, Plugin, export};

use pseudonym::Pseudonyms;
use rules::Rules;

/// The plugin.
#[derive(Debug)]
pub struct PayloadCrypto {
    rules: Rules,
    pseudonyms: Option<Pseudonyms>,
}

impl Plugin for PayloadCrypto {
    fn init(config: &Config) -> Result<Self, Error> {
        let settings: settings::Settings = config.parse()?;
        let (rules, pseudonyms) = settings.checked().map_err(Error::misconfigured)?;
        Ok(Self { rules, pseudonyms })
    }

    fn self_test(&self) -> Result<(), Error> {
        vault::try_out(&self.rules, self.pseudonyms.as_ref())
    }
}

export!(PayloadCrypto with inbound_transform, outbound_transform);
