//! Guests that take what is not theirs: CPU time between waits, a second deadline, instances and
//! tables without end, others' places.

use std::{process::Command, sync::Arc, time::Duration};

use access::{Authorizer, PluginFailureKind};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    calls::{authenticate, build, build_in, build_with},
    guest::{Guest, crowd},
    shipped::subject,
};
use crate::{
    hooks::Hook,
    manifest::{Isolation, Manifest},
    runtime::{Outside, Runtime},
};

const VERIFY: &str = r#"(import "portcullis:plugin/crypto@0.1.0" "verify-password"
    (func $verify (param i32 i32 i32 i32 i32)))"#;

#[tokio::test]
async fn cpu_time_between_waits_is_charged() {
    let stored = format!("$7$1${}${}", STANDARD.encode([7; 12]), STANDARD.encode([7; 64]));
    // 6,000 times much less than a tick, and then a wait: ticks alone would see a small part of it.
    let slices = format!(
        "(local $round i32) (local $i i32)
        (loop $rounds
            (local.set $i (i32.const 0))
            (loop $spin
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $spin (i32.lt_u (local.get $i) (i32.const 40000))))
            (call $verify (i32.const 7000) (i32.const {}) (i32.const 4160) (i32.const 4)
                (i32.const 6000))
            (if (i32.load8_u (i32.const 6000)) (then unreachable))
            (local.set $round (i32.add (local.get $round) (i32.const 1)))
            (br_if $rounds (i32.lt_u (local.get $round) (i32.const 6000))))",
        stored.len()
    );
    let guest = Guest::allow().imports(VERIFY).data(7000, stored.as_bytes()).authenticate(&slices);
    let mut manifest = Manifest::default();
    manifest.limits.deadline = Duration::from_secs(30);
    let generation = build_with(&guest, manifest).await.unwrap();
    let failure = authenticate(&generation).await.unwrap_err();
    assert_eq!(failure.kind, PluginFailureKind::CpuBudget, "{failure}");
}

#[tokio::test]
async fn a_call_has_one_deadline_with_a_fresh_instance_too() {
    let clock =
        r#"(import "portcullis:plugin/clock@0.1.0" "monotonic-ns" (func $clock (result i64)))"#;
    let wait = "(local $start i64) (local.set $start (call $clock))
        (loop $wait (br_if $wait (i64.lt_u
            (i64.sub (call $clock) (local.get $start)) (i64.const 600000000))))";
    let mut manifest = Manifest { isolation: Isolation::PerCall, ..Manifest::default() };
    manifest.limits.cpu = Duration::from_secs(10);
    manifest.limits.deadline = Duration::from_secs(1);
    let guest = Guest::allow().imports(clock).init(wait).authenticate(wait);
    let generation = build_with(&guest, manifest).await.unwrap();
    let failure = authenticate(&generation).await.unwrap_err();
    assert_eq!(failure.kind, PluginFailureKind::Deadline, "{failure}");
}

#[tokio::test]
async fn a_crowd_of_core_instances_does_not_go_live() {
    let rejected = |module: &'static str, count| async move {
        let runtime = Arc::new(Runtime::new(None, Outside::default()).unwrap());
        let wasm = crowd(&Guest::allow().component(), module, count);
        build_in(&runtime, wasm, Manifest::default()).await.err().map(|rejected| rejected.sentence)
    };
    assert_eq!(rejected("(module)", 8).await, None, "a few are fine");
    assert!(rejected("(module)", 200).await.is_some_and(|text| text.contains("instances")));
    assert!(rejected("(module (table 1 funcref))", 8).await.is_none());
    let tables = rejected("(module (table 5001 funcref))", 2).await;
    assert!(tables.is_some_and(|text| text.contains("table")));
    let memories = rejected("(module (memory 0))", 4).await;
    assert!(memories.is_some_and(|text| text.contains("memories")));
}

#[tokio::test]
async fn permissions_do_not_queue_behind_logins() {
    let verify = "(call $verify (i32.const 4160) (i32.const 4) (i32.const 4160) (i32.const 4)
        (i32.const 6000))";
    let generation = build(&Guest::allow().imports(VERIFY).authenticate(verify)).await;
    let mut held = Vec::new();
    while let Some(admission) = generation.admit_at_once() {
        held.push(admission);
    }
    assert!(!held.is_empty());
    let failure = Hook(Arc::clone(&generation)).permissions(&subject()).await.unwrap_err();
    assert_eq!(failure.kind, PluginFailureKind::Missing, "it went in, and has no such hook");
}

#[tokio::test]
async fn an_answer_that_is_not_taken_counts_as_a_failure() {
    let many_groups = "(i32.store (i32.const 1052) (i32.const 16384))
        (i32.store (i32.const 1056) (i32.const 257))";
    let runtime = Arc::new(Runtime::new(None, Outside::default()).unwrap());
    let wasm = Guest::allow().authenticate(many_groups).component();
    let generation = build_in(&runtime, wasm, Manifest::default()).await.unwrap();
    let failure = authenticate(&generation).await.unwrap_err();
    assert_eq!(failure.kind, PluginFailureKind::TooLarge, "{failure}");
    let counted: Vec<_> = runtime.stats.failures().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(PluginFailureKind::TooLarge, 1)]);
}

/// The engine's instances belong to the whole process, so this one gets a process of its own.
#[test]
fn instances_that_wait_make_room_for_calls() {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::limits::alone_in_its_process", "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
#[ignore = "takes every instance of the engine; instances_that_wait_make_room_for_calls runs it"]
async fn alone_in_its_process() {
    let runtime = Arc::new(Runtime::new(None, Outside::default()).unwrap());
    let build = || async {
        let wasm = Guest::allow().component();
        build_in(&runtime, wasm, Manifest::default()).await.unwrap()
    };
    let (greedy, working, late) = (build().await, build().await, build().await);
    let cold = Manifest { isolation: Isolation::PerCall, ..Manifest::default() };
    let cold = build_in(&runtime, Guest::allow().component(), cold).await.unwrap();
    for _ in 0..600 {
        greedy.park(greedy.fresh().await.unwrap());
    }
    assert_eq!(greedy.idle(), 510, "half of all, with one of each other");
    assert_eq!((working.idle(), late.idle()), (1, 1), "one may always stay");
    let mut at_work = Vec::new();
    while greedy.idle() > 0 {
        at_work.push(working.fresh().await.unwrap());
    }
    assert_eq!(at_work.len(), 1024 - 512 + 1, "the next one needed the room");
    authenticate(&cold).await.unwrap();
    authenticate(&late).await.unwrap();
}
