//! A broker that keeps the sessions of a large fleet: what those see who look at it from outside is there at once.
//!
//! `PORTCULLIS_PROOF=1` for 100,000 sessions and the bound of the issue; a few hundred and no bound otherwise.

use std::time::{Duration, Instant};

use codec::Connect;
use tokio::task::JoinSet;

use super::{
    folder::{Folder, bundled},
    knock::{enter, login},
    process::Program,
    proof,
};

/// Longest time for a page.
const PAGE_MAX: Duration = Duration::from_millis(100);
/// Looks at each page; the median counts: the machine has other things to do.
const LOOKS: usize = 9;
/// Clients that come at a time.
const AT_A_TIME: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_fleet_is_listed_at_once() {
    let sessions = if proof() { 100_000 } else { 500 };
    let folder = Folder::new();
    folder.install("allow-loopback", &bundled("allow-loopback"));
    // They are all one principal, as a fleet with one password is.
    folder.configure_more(&format!("[limits]\nsessions_per_principal = {sessions}\n"));
    let program = Program::start(&folder.config()).await;
    for start in (0..sessions).step_by(AT_A_TIME) {
        let mut coming = JoinSet::new();
        for number in start..sessions.min(start + AT_A_TIME) {
            let address = program.mqtt();
            coming.spawn(async move {
                let connect = Connect {
                    clean_start: false,
                    session_expiry_interval: 86_400,
                    ..login(&format!("device-{number:06}"), ("device", ""))
                };
                enter(address, connect).await.leave().await;
            });
        }
        coming.join_all().await;
    }
    program.stop().await;
    // From the store: nothing of it is warm.
    let program = Program::start(&folder.config()).await;
    let api = program.api();
    let status = api.get("/api/v1/status").await.expect(200).json();
    assert_eq!(status["sessions"], sessions, "{status}");
    let last = format!("device-{:06}", sessions - 1);
    let first = api.get("/api/v1/clients?limit=1000").await.expect(200).json();
    let next = first["next"].as_str().map(str::to_owned);
    let further = next.map(|next| format!("/api/v1/clients?limit=1000&after={next}"));
    for path in [
        "/clients".to_owned(),
        format!("/clients?prefix={last}"),
        "/api/v1/clients".to_owned(),
        "/api/v1/clients?limit=1000".to_owned(),
        format!("/api/v1/clients?prefix={last}"),
        "/api/v1/clients?connected=true".to_owned(),
        format!("/api/v1/clients/{last}"),
        "/api/v1/overview".to_owned(),
    ]
    .into_iter()
    .chain(further)
    {
        let mut times = Vec::new();
        for _ in 0..LOOKS {
            let begun = Instant::now();
            let answer = api.get(&path).await.expect(200);
            times.push(begun.elapsed());
            assert!(!path.contains(&last) || answer.body.contains(&last), "{path}: {answer:?}");
        }
        times.sort_unstable();
        let median = times[LOOKS / 2];
        println!("{sessions} sessions, GET {path}: {median:?}");
        assert!(!proof() || median < PAGE_MAX, "{path}: {times:?}");
    }
    program.stop().await;
}
