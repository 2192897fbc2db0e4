//! Owns how fast clients may send, each of them and all together.
//!
//! Knows nothing of who asks: `ClientRate` counts, `server` reads.

use crate::range::{OutOfRange, Range, check};
use crate::token_bucket::Rate;

/// Rates of what is read from clients; `None` = no bound. What comes faster is read later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RatesConfig {
    /// PUBLISH packets of one client. Default none.
    pub messages: Option<Rate>,
    /// Bytes of one client. Default none.
    pub bytes: Option<Rate>,
    /// PUBLISH packets of all clients together. Default none.
    pub messages_total: Option<Rate>,
    /// Bytes of all clients together. Default none.
    pub bytes_total: Option<Rate>,
}

impl RatesConfig {
    /// Whether each value is within its range.
    ///
    /// # Errors
    /// The first value that isn't.
    pub fn check(&self) -> Result<(), OutOfRange> {
        for (rate, range) in [
            (self.messages, MESSAGES),
            (self.bytes, BYTES),
            (self.messages_total, MESSAGES_TOTAL),
            (self.bytes_total, BYTES_TOTAL),
        ] {
            let Some(rate) = rate else { continue };
            check(range, rate.per_second())?;
            check((range.0, 1, range.2), rate.burst())?;
        }
        Ok(())
    }
}

const MESSAGES: Range = ("messages_per_second", 1, 10_000_000);
const BYTES: Range = ("bytes_per_second", 1_024, 1 << 40);
const MESSAGES_TOTAL: Range = ("messages_per_second_total", 1, 1_000_000_000);
const BYTES_TOTAL: Range = ("bytes_per_second_total", 1_024, 1 << 40);

/// (key of a rate, key of its burst, smallest and largest rate); a burst is at least 1.
pub const RATE_RANGES: &[(&str, &str, u64, u64)] = &[
    (MESSAGES.0, "messages_burst", MESSAGES.1, MESSAGES.2),
    (BYTES.0, "bytes_burst", BYTES.1, BYTES.2),
    (MESSAGES_TOTAL.0, "messages_burst_total", MESSAGES_TOTAL.1, MESSAGES_TOTAL.2),
    (BYTES_TOTAL.0, "bytes_burst_total", BYTES_TOTAL.1, BYTES_TOTAL.2),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(RatesConfig::default().check(), Ok(()));
        let rates = RatesConfig { bytes: Rate::new(1, 1).ok(), ..RatesConfig::default() };
        assert_eq!(rates.check().unwrap_err().key, "bytes_per_second");
        let most = Rate::new(1 << 40, 1).ok();
        let rates = RatesConfig { bytes_total: most, ..RatesConfig::default() };
        assert_eq!(rates.check(), Ok(()));
        let rates = RatesConfig { messages: most, ..RatesConfig::default() };
        assert_eq!(rates.check().unwrap_err().key, "messages_per_second");
    }
}
