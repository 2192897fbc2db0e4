//! Owns the sum of all limits that configuration can change.
//!
//! Knows nothing of files: the program reads them and fills this in.

use crate::connection_rate::ConnectionRateConfig;
use crate::flapping::FlappingConfig;
use crate::handshake::HandshakeConfig;
use crate::login_backoff::LoginBackoffConfig;
use crate::overload::OverloadConfig;
use crate::range::OutOfRange;
use crate::rates::RatesConfig;
use crate::sizes::Sizes;

/// All limits of this crate. `Default` is valid and is what the documentation promises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Who may connect how often, and how many connections there may be.
    pub connection_rate: ConnectionRateConfig,
    /// How long and how many the parts of packets may be.
    pub sizes: Sizes,
    /// How long a peer waits after failed logins.
    pub login_backoff: LoginBackoffConfig,
    /// When a client that connects again and again is banned.
    pub flapping: FlappingConfig,
    /// How fast clients may send.
    pub rates: RatesConfig,
    /// When the broker counts as overloaded.
    pub overload: OverloadConfig,
    /// How long and how many TLS handshakes may be.
    pub handshake: HandshakeConfig,
}

impl Config {
    /// Whether each value is within its range.
    ///
    /// # Errors
    /// The first value that isn't.
    pub fn check(&self) -> Result<(), OutOfRange> {
        self.connection_rate.check()?;
        self.sizes.check()?;
        self.login_backoff.check()?;
        self.flapping.check()?;
        self.rates.check()?;
        self.overload.check()?;
        self.handshake.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_ranges() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn each_part_is_checked() {
        let mut config = Config::default();
        config.sizes.topic_levels = 0;
        assert_eq!(config.check().unwrap_err().key, "topic_levels");
        let mut config = Config::default();
        config.connection_rate.connections = 0;
        assert_eq!(config.check().unwrap_err().key, "connections");
        let mut config = Config::default();
        config.login_backoff.pairs = 0;
        assert_eq!(config.check().unwrap_err().key, "login_backoff.pairs");
        let mut config = Config::default();
        config.flapping.connects = 1;
        assert_eq!(config.check().unwrap_err().key, "flapping.connects");
        let mut config = Config::default();
        config.overload.memory = 0;
        assert_eq!(config.check().unwrap_err().key, "memory");
        let mut config = Config::default();
        config.handshake.in_flight = 0;
        assert_eq!(config.check().unwrap_err().key, "handshakes_in_flight");
    }
}
