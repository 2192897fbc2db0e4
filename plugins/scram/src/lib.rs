//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677) as enhanced authentication of MQTT 5.0: the
//! password never goes over the wire, the server does not keep it, and proves that it knows it.
//!
//! - *Owns* the messages (`message`), what is stored of a password (`credential`), the proofs
//!   (`method`), and the two steps of an exchange (`exchange`).
//! - *Knows nothing of* where credentials are, but that there is a file or a database (`store`).
//! - *Start reading at* `exchange`.
//! - *Invariant*: an unknown user is led through the same exchange as a known one, with a salt that
//!   is always the same, and is refused at its end with the same words.

mod base64;
mod credential;
mod exchange;
mod message;
mod method;
mod settings;
mod store;

use portcullis_plugin::{
    Config, Connection, Continuation, EnhancedAuthenticator, Error, Opening, Plugin, Step, export,
};

use exchange::Exchange;
use method::METHODS;
use settings::Settings;
use store::Broker;

/// The plugin.
#[derive(Debug)]
pub struct Scram(Exchange<Broker>);

impl Plugin for Scram {
    fn init(config: &Config) -> Result<Self, Error> {
        let settings = config.parse::<Settings>()?.checked()?;
        Ok(Self(Exchange::new(Broker::new(&settings), settings)))
    }

    fn self_test(&self) -> Result<(), Error> {
        self.0.check()
    }
}

impl EnhancedAuthenticator for Scram {
    fn methods(&self) -> Vec<String> {
        METHODS.iter().map(|method| method.name().to_owned()).collect()
    }

    fn begin(&self, _: &Connection, opening: &Opening) -> Result<Step, Error> {
        self.0.begin(&opening.method, opening.data.as_deref())
    }

    fn proceed(&self, _: &Connection, answer: &Continuation) -> Result<Step, Error> {
        self.0.proceed(&answer.method, answer.data.as_deref(), &answer.state)
    }
}

export!(Scram with enhanced_authenticator);
