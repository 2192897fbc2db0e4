//! The directory hangs, dies, is slow, and comes back: nobody gets in who should not, nobody else notices,
//! and the next login after its return is answered.

use std::time::{Duration, Instant};

use codec::ReasonCode;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    BAD, GOOD, PATIENT, code, manifest, may_publish,
    people::{ANN, entries},
};
use crate::program::{
    eventually::eventually,
    folder::{ALICE, Folder, bundled},
    knock::{enter, knock, login},
    process::Program,
    proof,
    round_trips::{RoundTrips, p99},
    servers::{OpenLdap, Relay},
};

/// How long the directory says nothing.
const HANGS: Duration = Duration::from_secs(10);
/// Within which it counts again.
const RECOVERY: Duration = Duration::from_secs(2);
/// What 99 of 100 round trips of a good client take at most.
const NEIGHBOUR_MAX: Duration = Duration::from_millis(100);

/// As the issue says, or with room for a machine that does other things beside.
fn of_issue(bound: Duration) -> Duration {
    if proof() { bound } else { bound * 5 }
}

/// Users of a file, then those of the directory.
fn folder(source: &str) -> Folder {
    let folder = Folder::bundled();
    folder.configure_more(source);
    folder.configure_more(PATIENT);
    folder.write(
        "plugins/password-file.toml",
        "order = 50\n[files]\npasswords = \"../passwords\"\n[config]\nunknown_user = \"next\"\n",
    );
    folder.write("acl.toml", "[[rules]]\nallow = \"all\"\ntopic = \"round-trips\"\n");
    folder.install_with("ldap", &bundled("ldap"), &manifest(""));
    folder
}

/// Right and wrong passwords and unknown users, all at once.
async fn knock_at_once(program: &Program) -> Vec<ReasonCode> {
    let mut knocks = JoinSet::new();
    for number in 0..24 {
        let client_id = format!("at-once-{number}");
        let user = [ANN, (ANN.0, "wrong"), ("nobody", "x"), ANN][number % 4];
        let (address, connect) = (program.mqtt(), login(&client_id, user));
        knocks.spawn(async move { knock(address, connect).await.0 });
    }
    knocks.join_all().await
}

/// No verdict: neither an allow, nor a failed login that somebody would have to wait for.
async fn nobody_is_judged(program: &Program, what: &str) {
    let codes = knock_at_once(program).await;
    let is_failure =
        |code: &ReasonCode| matches!(code, ReasonCode::ServerUnavailable | ReasonCode::ServerBusy);
    assert!(codes.iter().all(is_failure), "{what}: {codes:?}");
}

/// How long until the right password is enough; a wrong one never is.
async fn back(program: &Program, what: &str) {
    let began = Instant::now();
    eventually(what, async || match code(program, ANN.0, ANN.1).await {
        GOOD => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let took = began.elapsed();
    println!("{what}: a login after {took:?}");
    assert!(took <= of_issue(RECOVERY), "{what}: {took:?}");
    assert_eq!(code(program, ANN.0, "wrong").await, BAD, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_and_nobody_else_notices() {
    let mut server = OpenLdap::start_with(&entries()).await;
    let relay = Relay::start(server.port).await;
    let source = server.source(&format!("ldap://127.0.0.1:{}", relay.port));
    let folder = folder(&format!("{source}starttls = false\n"));
    let program = Program::start(&folder.config()).await;
    let good = RoundTrips::start(program.mqtt(), login("good", ALICE)).await;
    let mut ann = enter(program.mqtt(), login("ann", ANN)).await;
    back(&program, "at the start").await;

    server.freeze(true).await;
    let began = Instant::now();
    while began.elapsed() < HANGS {
        nobody_is_judged(&program, "it hangs").await;
        // What was known of her still holds.
        may_publish(&mut ann, &[("plant/a", GOOD)]).await;
    }
    server.freeze(false).await;
    back(&program, "it goes on").await;

    server.stop();
    nobody_is_judged(&program, "it is dead").await;
    server.start_again().await;
    back(&program, "it lives again").await;

    relay.delay(Duration::from_millis(200));
    let codes = knock_at_once(&program).await;
    let right = codes.iter().filter(|code| **code == GOOD).count();
    let is_answer = |code: &ReasonCode| {
        matches!(*code, GOOD | BAD | ReasonCode::ServerUnavailable | ReasonCode::ServerBusy)
    };
    assert!(right > 0 && right <= 12 && codes.iter().all(is_answer), "slow: {codes:?}");
    relay.delay(Duration::ZERO);
    back(&program, "it is quick again").await;

    let plugin = program.plugin("ldap", |plugin| plugin["breaker"] != Value::Null).await;
    assert_eq!(plugin["breaker"]["opened"], 0, "a breaker keeps clients out: {plugin}");
    let took = good.finish().await;
    println!("{} round trips, 99 % within {:?}", took.len(), p99(&took));
    assert!(took.len() > 100 && p99(&took) < of_issue(NEIGHBOUR_MAX), "{:?}", p99(&took));
}

/// A deadline that is shorter than the patience with the directory: the directory is silent, the plugin
/// is not broken, and its breakers keep nobody out afterwards.
#[tokio::test]
async fn a_short_deadline_is_no_broken_plugin() {
    let server = OpenLdap::start_with(&entries()).await;
    let more = "timeout = \"10s\"\nconnect_timeout = \"10s\"\n";
    let manifest = manifest("").replace("deadline = \"5s\"", "deadline = \"1s\"");
    let (_folder, program) = super::started(&format!("{}{more}", server.plain()), &manifest).await;
    back(&program, "at the start").await;
    server.freeze(true).await;
    for _ in 0..6 {
        assert_eq!(code(&program, ANN.0, ANN.1).await, ReasonCode::ServerUnavailable);
    }
    server.freeze(false).await;
    back(&program, "it goes on").await;
    let plugin = program.plugin("ldap", |_| true).await;
    assert_eq!(plugin["breaker"]["opened"], 0, "{plugin}");
}
