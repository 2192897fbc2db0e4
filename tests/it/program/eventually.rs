//! Waiting for what has no signal of its own: look, and look again, until a deadline.
//!
//! The only place where these tests wait for something; traffic keeps its own pace.

use std::time::{Duration, Instant};

/// Longest wait for anything that a broker does on its own: a reload needs its quiet period, and the
/// compiler needs half a minute for a component with an interpreter in it where others compile too.
/// Only what fails waits as long.
pub(super) const WAIT: Duration = Duration::from_secs(180);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The first `Some` of `look`; fails with `what` and the last thing seen after [`WAIT`].
pub(super) async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
    within(WAIT, what, look).await
}

/// The same for what takes longer.
pub(super) async fn within<T>(
    wait: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(began.elapsed() < wait, "{what}: {seen} after {wait:?}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// As [`eventually`] for something that is so or not.
pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    eventually(what, async || if is_so().await { Ok(()) } else { Err("not so".to_owned()) }).await;
}
