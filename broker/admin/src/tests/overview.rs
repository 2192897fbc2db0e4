//! Samples of the overview: rates between two moments, and how many are kept.

use std::time::{Duration, Instant};

use super::{ask, fakes::Fakes, request, send, shared};
use crate::routes;
use axum::body::Body;

#[tokio::test]
async fn rates_are_over_the_time_between_two_samples() {
    let fakes = Fakes::new();
    let shared = shared(&fakes);
    let start = Instant::now();
    shared.samples.take(&shared.state, start, 1_700_000_000);
    fakes.metrics.bytes_received.inc_by(5_000);
    fakes.metrics.publish_denied.inc_by(10);
    fakes.metrics.connections_opened.of("mqtt").inc_by(20);
    let later = start + Duration::from_secs(5);
    shared.samples.take(&shared.state, later, 1_700_000_005);
    let router = routes::router(shared.into());
    let asked = request("GET", "/api/v1/overview").body(Body::empty()).unwrap();
    let overview = send(&router, asked).await.json();
    assert_eq!(overview["interval_seconds"], 5);
    let samples = overview["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 1, "{overview}");
    for (member, value) in [
        ("at", 1_700_000_005.0),
        ("bytes_in", 1_000.0),
        ("operations_denied", 2.0),
        ("connects_accepted", 4.0),
        ("connects_refused", 0.0),
    ] {
        assert_eq!(samples[0][member].as_f64(), Some(value), "{member}");
    }
}

#[tokio::test]
async fn before_the_first_sample_there_is_none() {
    let overview = ask(&Fakes::new(), "GET", "/api/v1/overview").await.json();
    assert_eq!(overview["samples"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn a_quarter_of_an_hour_is_kept() {
    let fakes = Fakes::new();
    let shared = shared(&fakes);
    let start = Instant::now();
    for second in 0..1_000_u32 {
        let now = start + Duration::from_secs(5) * second;
        shared.samples.take(&shared.state, now, u64::from(second));
    }
    let router = routes::router(shared.into());
    let asked = request("GET", "/api/v1/overview").body(Body::empty()).unwrap();
    let overview = send(&router, asked).await.json();
    let samples = overview["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 180);
    assert_eq!((&samples[0]["at"], &samples[179]["at"]), (&820.into(), &999.into()));
}
