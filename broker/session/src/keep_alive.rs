//! When a silent client counts as gone. Knows nothing of timers: it names the moment.

use std::time::{Duration, Instant};

/// Keep Alive of a connection: its end is one and a half times the interval after the last packet
/// [MQTT-3.1.2-22].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    interval: Option<Duration>,
    last_packet: Instant,
}

impl KeepAlive {
    /// `seconds` = 0 turns it off.
    pub fn new(seconds: u16, now: Instant) -> Self {
        let interval = (seconds > 0).then(|| Duration::from_millis(u64::from(seconds) * 1500));
        Self { interval, last_packet: now }
    }

    /// A packet came.
    pub fn packet_received(&mut self, now: Instant) {
        self.last_packet = now;
    }

    /// When the last packet came.
    pub fn last_packet(&self) -> Instant {
        self.last_packet
    }

    /// When the connection must end if nothing more comes; `None` = never.
    pub fn deadline(&self) -> Option<Instant> {
        self.last_packet.checked_add(self.interval?)
    }
}

#[cfg(test)]
mod tests;
