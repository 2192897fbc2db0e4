//! Tests of the keep alive deadline.

use std::time::{Duration, Instant};

use super::KeepAlive;

/// Covers 5.0 [MQTT-3.1.2-22], 3.1.1 [MQTT-3.1.2-24].
#[test]
fn one_and_a_half_intervals_after_the_last_packet() {
    let start = Instant::now();
    for (seconds, expect_ms) in
        [(0, None), (1, Some(1_500)), (10, Some(15_000)), (u16::MAX, Some(98_302_500))]
    {
        let mut keep_alive = KeepAlive::new(seconds, start);
        let expect = |from: Instant| expect_ms.map(|ms| from + Duration::from_millis(ms));
        assert_eq!(keep_alive.deadline(), expect(start));
        let later = start + Duration::from_secs(7);
        keep_alive.packet_received(later);
        assert_eq!((keep_alive.deadline(), keep_alive.last_packet()), (expect(later), later));
    }
}
