//! Pair simulation: a session and a client written straight from the specification, joined by a
//! link that loses its tail at arbitrary bytes. Seeded; the clock is virtual; nothing waits.
//!
//! `SIM_SEEDS=200000 cargo test --release -p session --test pair` runs more of it,
//! `SIM_SEED=42` plays one run again and tells what happens in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that finds something says so by panicking"
)]

mod client;
mod ledger;
mod monitor;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs of a usual test run: a few seconds.
const SEEDS: u64 = 10_000;

/// Covers 5.0 [MQTT-2.2.1-4] [MQTT-3.3.1-1] [MQTT-3.3.4-9] [MQTT-4.3.3-10] [MQTT-4.4.0-1]
/// [MQTT-4.6.0-5] [MQTT-4.9.0-2], 3.1.1 [MQTT-2.3.1-4] [MQTT-3.3.1-1] [MQTT-4.3.3-2] [MQTT-4.4.0-1]
/// [MQTT-4.6.0-1] [MQTT-4.6.0-6].
#[test]
fn nothing_lost_nothing_twice_nothing_out_of_order() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SIM_SEED") {
        let summary = world::World::new(seed, true).run();
        println!("{summary:?}");
        return;
    }
    let mut total = world::Summary::default();
    for seed in 0..number("SIM_SEEDS").unwrap_or(SEEDS) {
        match catch_unwind(AssertUnwindSafe(|| world::World::new(seed, false).run())) {
            Ok(summary) => total.add(&summary),
            Err(cause) => {
                eprintln!("seed {seed} failed; play it again with SIM_SEED={seed}");
                std::panic::resume_unwind(cause);
            }
        }
    }
    println!("{total:?}");
    // A simulation in which nothing happens proves nothing.
    assert!(total.cuts > 0 && total.repeated_down > 0 && total.repeated_up > 0, "{total:?}");
    assert!(total.aliased > 0 && total.windows_full > 0 && total.refused > 0, "{total:?}");
    assert!(total.dropped > 0 && total.releases_repeated > 0, "{total:?}");
}
