//! How much a warm call costs. Ignored: a measurement is no test on a machine that others use.

use std::{sync::Arc, time::Duration};

use access::{Authenticator, InboundTransform, Publisher, Source};

use super::{
    calls::{build, connection, credentials},
    guest::Guest,
};
use crate::hooks::Hook;

const CALLS: u32 = 20_000;

/// `cargo test --release -p plugin-host speed -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn a_warm_call_costs_less_than_three_microseconds_of_cpu() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let hook = Hook(build(&Guest::allow()).await);
        let (connection, credentials) = (connection(), credentials());
        let mut best = Duration::MAX;
        for _ in 0..20 {
            let started = thread_cpu();
            for _ in 0..CALLS {
                hook.authenticate(&connection, &credentials).await.unwrap();
            }
            best = best.min((thread_cpu() - started) / CALLS);
        }
        println!("warm authenticate: {best:?} of CPU");
        assert!(best < Duration::from_micros(3), "{best:?}");
        assert_eq!(Arc::strong_count(&hook.0), 1);
    });
}

/// What a message pays for being worked on: 256 bytes, capitals (`tests/guests/meddler`).
#[test]
#[ignore = "a measurement"]
fn a_transform_of_256_bytes_costs_less_than_three_microseconds_of_cpu() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let hook = Hook(super::meddler::build("").await);
        let subject = super::meddler::subject();
        let message =
            access::Application { payload: vec![b'x'; 256], ..super::meddler::message("up/x") };
        let mut best = Duration::MAX;
        for _ in 0..20 {
            let started = thread_cpu();
            for _ in 0..CALLS {
                let publisher = Publisher::Client(&subject);
                hook.transform(Source::Publish, publisher, &message).await.unwrap();
            }
            best = best.min((thread_cpu() - started) / CALLS);
        }
        println!("transform of 256 bytes: {best:?} of CPU");
        assert!(best < Duration::from_micros(3), "{best:?}");
    });
}

fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// What WASI costs an instance: that of a component which imports it beside one that does not.
#[tokio::test]
#[ignore = "a measurement"]
async fn instances_with_and_without_wasi() {
    for (name, generation) in
        [("with", super::wasi::wasi().await), ("without", super::lent::generation().await)]
    {
        let mut best = Duration::MAX;
        for _ in 0..20 {
            let started = thread_cpu();
            for _ in 0..100 {
                drop(generation.fresh().await.unwrap());
            }
            best = best.min((thread_cpu() - started) / 100);
        }
        println!("an instance {name} WASI, init included: {best:?} of CPU");
    }
}
