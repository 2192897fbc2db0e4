//! Owns how fast one client may publish: messages and bytes a second. What comes faster is read later;
//! nothing is refused.
//!
//! Knows nothing of sockets: whoever reads asks when to go on.

use std::time::Instant;

use crate::{Rate, TokenBucket};

/// The rates of one connection.
#[derive(Clone, Debug)]
pub struct ClientRate {
    messages: Option<TokenBucket>,
    bytes: Option<TokenBucket>,
    resumes: Option<Instant>,
}

impl ClientRate {
    /// Full buckets; `None` = no bound on either.
    pub fn new(messages: Option<Rate>, bytes: Option<Rate>, now: Instant) -> Option<Self> {
        let bucket = |rate: Option<Rate>| rate.map(|rate| TokenBucket::new(rate, now));
        let (messages, bytes) = (bucket(messages), bucket(bytes));
        let bounded = messages.is_some() || bytes.is_some();
        bounded.then_some(Self { messages, bytes, resumes: None })
    }

    /// The same with other rates: what is owed stays owed.
    #[must_use]
    pub fn with(
        mut self,
        messages: Option<Rate>,
        bytes: Option<Rate>,
        now: Instant,
    ) -> Option<Self> {
        for (bucket, rate) in [(&mut self.messages, messages), (&mut self.bytes, bytes)] {
            *bucket = match (bucket.take(), rate) {
                (Some(mut bucket), Some(rate)) => {
                    bucket.set_rate(rate, now);
                    Some(bucket)
                }
                (_, rate) => rate.map(|rate| TokenBucket::new(rate, now)),
            };
        }
        // Of the new rates.
        self.resumes = None;
        self.spend(0, 0, now);
        (self.messages.is_some() || self.bytes.is_some()).then_some(self)
    }

    /// Packets were read, `messages` PUBLISH among them: they are paid for, if need be on credit.
    pub fn spend(&mut self, bytes: usize, messages: u64, now: Instant) {
        let parts = [(&mut self.messages, messages), (&mut self.bytes, bytes as u64)];
        for (bucket, count) in parts {
            let Some(bucket) = bucket else { continue };
            let resumes = bucket.spend(count, now);
            self.resumes = self.resumes.max(resumes);
        }
    }

    /// When the next packet may be read; `None` = now.
    pub fn resumes(&self, now: Instant) -> Option<Instant> {
        self.resumes.filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Reads as fast as it may for `seconds`; returns how many messages that were.
    fn run(rate: &mut ClientRate, seconds: u64, bytes: usize, start: Instant) -> u64 {
        let mut now = start;
        let mut count = 0;
        while now < start + Duration::from_secs(seconds) {
            match rate.resumes(now) {
                Some(at) => now = at,
                None => {
                    rate.spend(bytes, 1, now);
                    count += 1;
                }
            }
        }
        count
    }

    #[test]
    fn the_rate_holds() {
        let now = Instant::now();
        let mut rate = ClientRate::new(Rate::new(50, 10).ok(), None, now).unwrap();
        let count = run(&mut rate, 100, 20, now);
        assert!((5_000..=5_011).contains(&count), "{count}");
    }

    #[test]
    fn the_stricter_of_both_counts() {
        let now = Instant::now();
        let rates = (Rate::new(50, 50).ok(), Rate::new(1_000, 1_000).ok());
        let mut rate = ClientRate::new(rates.0, rates.1, now).unwrap();
        let count = run(&mut rate, 100, 100, now);
        assert!((1_000..=1_011).contains(&count), "{count}");
    }

    #[test]
    fn a_packet_larger_than_the_burst_is_read_and_paid_for() {
        let now = Instant::now();
        let mut rate = ClientRate::new(None, Rate::new(1_000, 1_000).ok(), now).unwrap();
        assert_eq!(rate.resumes(now), None);
        rate.spend(11_000, 0, now);
        assert_eq!(rate.resumes(now), Some(now + Duration::from_secs(10)));
        assert_eq!(rate.resumes(now + Duration::from_secs(10)), None);
    }

    #[test]
    fn other_rates_keep_the_debt() {
        let now = Instant::now();
        let mut rate = ClientRate::new(None, Rate::new(1_000, 1_000).ok(), now).unwrap();
        rate.spend(11_000, 0, now);
        let rate = rate.with(Rate::new(1, 1).ok(), Rate::new(5_000, 1).ok(), now).unwrap();
        assert_eq!(rate.resumes(now), Some(now + Duration::from_secs(2)));
        assert!(rate.with(None, None, now).is_none());
    }

    #[test]
    fn without_bounds_there_is_nothing_to_count() {
        assert!(ClientRate::new(None, None, Instant::now()).is_none());
    }
}
