//! Owns how long a TLS handshake may take and how many there may be at once.
//!
//! Knows nothing of TLS: `server` waits, counts and gives up by these numbers.

use std::time::Duration;

use crate::range::{OutOfRange, Range, check, check_duration};

/// Bounds of TLS handshakes, of all listeners together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeConfig {
    /// From the first byte to the end of the handshake. 100 ms to 1 min; default 5 s.
    pub timeout: Duration,
    /// Handshakes whose ClientHello is complete and that are being computed. 1 to 100,000;
    /// default 256.
    pub in_flight: usize,
    /// Handshakes that wait for their client; when one more comes, the oldest goes. 1 to 1,000,000;
    /// default 1,024.
    pub waiting: usize,
}

impl HandshakeConfig {
    /// Whether each value is within its range.
    ///
    /// # Errors
    /// The first value that isn't.
    pub fn check(&self) -> Result<(), OutOfRange> {
        check_duration(TIMEOUT, self.timeout)?;
        check(IN_FLIGHT, self.in_flight as u64)?;
        check(WAITING, self.waiting as u64)
    }
}

impl Default for HandshakeConfig {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), in_flight: 256, waiting: 1_024 }
    }
}

const TIMEOUT: Range = ("handshake_timeout", 100, 60_000);
const IN_FLIGHT: Range = ("handshakes_in_flight", 1, 100_000);
const WAITING: Range = ("handshakes_waiting", 1, 1_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_a_range() {
        let good = HandshakeConfig::default();
        assert_eq!(good.check(), Ok(()));
        for (bad, key) in [
            (HandshakeConfig { timeout: Duration::from_millis(99), ..good }, "handshake_timeout"),
            (HandshakeConfig { in_flight: 0, ..good }, "handshakes_in_flight"),
            (HandshakeConfig { waiting: 0, ..good }, "handshakes_waiting"),
        ] {
            assert_eq!(bad.check().unwrap_err().key, key);
        }
    }
}
