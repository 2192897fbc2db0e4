//! A kept session against a disk that forgets: the broker crashes at any moment, the connection breaks at any packet,
//! and what was promised must hold. All of it by a seed: `PORTCULLIS_SEED=n` plays one run again and tells it.
//!
//! `world` does what `server` does with a session and a store, in one thread and without either.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a broken expectation ends the test"
)]

mod client;
mod disk;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::{Summary, World};

#[test]
fn what_was_promised_holds_over_crashes() {
    if let Ok(seed) = std::env::var("PORTCULLIS_SEED") {
        World::new(seed.parse().expect("a number"), true).run();
        return;
    }
    let proof = std::env::var_os("PORTCULLIS_PROOF").is_some_and(|value| value == "1");
    let seeds = if proof { 50_000 } else { 3_000 };
    let mut sum = Summary::default();
    for seed in 0..seeds {
        let run = catch_unwind(AssertUnwindSafe(|| World::new(seed, false).run()));
        sum.add(&run.unwrap_or_else(|_| panic!("PORTCULLIS_SEED={seed} plays it again")));
    }
    println!("{seeds} seeds: {sum:?}");
    // A simulation in which nothing happens proves nothing.
    let Summary { published, received, crashes, cuts, lost, repeated, paged } = sum;
    for count in [published, received, crashes, cuts, lost, repeated, paged] {
        assert!(count > seeds, "{sum:?}");
    }
}
