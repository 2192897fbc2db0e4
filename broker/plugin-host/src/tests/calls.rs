//! Calls into good and hostile guests: every bad end is a failure of the right kind, and the next
//! call works.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access::{
    Authenticator, Connection, Credentials, Outcome, Password, PluginFailure, PluginFailureKind,
    PluginState,
};
use codec::ProtocolVersion;

use super::guest::Guest;
use crate::{
    candidate::Contents,
    capability::log::LogRate,
    generation::{Generation, Rejected},
    hooks::Hook,
    manifest::{Isolation, Manifest},
    runtime::{Outside, Runtime},
};

pub(super) async fn build_with(
    guest: &Guest,
    manifest: Manifest,
) -> Result<Arc<Generation>, Rejected> {
    let runtime = Arc::new(Runtime::new(None, Outside::default()).unwrap());
    build_in(&runtime, guest.component(), manifest).await
}

pub(super) async fn build_in(
    runtime: &Arc<Runtime>,
    wasm: Vec<u8>,
    manifest: Manifest,
) -> Result<Arc<Generation>, Rejected> {
    let id = "0123456789abcdef".to_owned();
    let contents = Contents::alone(wasm, id);
    Generation::build(runtime, "guest", contents, manifest, Arc::new(LogRate::new())).await
}

pub(crate) async fn build(guest: &Guest) -> Arc<Generation> {
    build_with(guest, Manifest::default()).await.unwrap()
}

pub(crate) fn connection() -> Connection {
    Connection {
        connection_id: 1,
        client_id: "c".into(),
        username: Some("alice".to_owned()),
        listener: "mqtt".into(),
        remote: "127.0.0.1:1883".parse().unwrap(),
        protocol: ProtocolVersion::V5,
        tls: None,
        attributes: Vec::new(),
    }
}

pub(crate) fn credentials() -> Credentials {
    Credentials {
        password: Some(Password::new(b"secret".to_vec())),
        clean_start: true,
        keep_alive_seconds: 60,
        user_properties: Vec::new(),
        will: None,
    }
}

pub(super) async fn authenticate(generation: &Arc<Generation>) -> Result<Outcome, PluginFailure> {
    Hook(Arc::clone(generation)).authenticate(&connection(), &credentials()).await
}

pub(super) fn allowed_as(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Allow(grant) => grant.principal.as_deref(),
        Outcome::Deny(_) | Outcome::Next => None,
    }
}

/// Calls a guest that misbehaves, then again: the host must still be whole.
async fn ends_as(guest: Guest, kind: PluginFailureKind, message: &str) {
    let generation = build(&guest).await;
    for _ in 0..2 {
        let started = Instant::now();
        let failure = authenticate(&generation).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(message), "{failure}");
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(generation.idle(), 0, "an instance is lost after a trap");
    }
}

#[tokio::test]
async fn a_good_guest_answers_and_is_used_again() {
    let generation = build(&Guest::allow_as("alice")).await;
    assert_eq!(generation.described, ("alice".to_owned(), "nope".to_owned()));
    for _ in 0..100 {
        let outcome = authenticate(&generation).await.unwrap();
        assert_eq!(allowed_as(&outcome), Some("alice"));
        assert_eq!(generation.idle(), 1);
    }
    assert_eq!(authenticate(&build(&Guest::next()).await).await.unwrap(), Outcome::Next);
}

#[tokio::test]
async fn per_call_isolation_keeps_nothing() {
    let manifest = Manifest { isolation: Isolation::PerCall, ..Manifest::default() };
    let generation = build_with(&Guest::allow(), manifest).await.unwrap();
    for _ in 0..3 {
        assert!(authenticate(&generation).await.is_ok());
        assert_eq!(generation.idle(), 0);
    }
}

#[tokio::test]
async fn an_endless_loop_ends_by_its_cpu_budget() {
    let guest = Guest::allow().authenticate("(loop $l (br $l))");
    ends_as(guest, PluginFailureKind::CpuBudget, "more than 50 ms of CPU").await;
}

#[tokio::test]
async fn a_loop_that_may_use_cpu_ends_by_its_deadline() {
    let mut manifest = Manifest::default();
    manifest.limits.cpu = Duration::from_secs(10);
    manifest.limits.deadline = Duration::from_millis(40);
    let guest = Guest::allow().authenticate("(loop $l (br $l))");
    let generation = build_with(&guest, manifest).await.unwrap();
    let failure = authenticate(&generation).await.unwrap_err();
    assert_eq!(failure.kind, PluginFailureKind::Deadline);
}

#[tokio::test]
async fn a_trap_and_a_deep_recursion() {
    ends_as(Guest::allow().authenticate("unreachable"), PluginFailureKind::Trap, "unreachable")
        .await;
    let deep = "(drop (call $deep (i64.const 0)))";
    ends_as(Guest::allow().authenticate(deep), PluginFailureKind::Trap, "stack").await;
}

#[tokio::test]
async fn four_gibibytes_are_not_had() {
    // 65,534 more pages; -1 comes back, and the guest gives up.
    let grow = "(if (i32.eq (memory.grow (i32.const 65534)) (i32.const -1)) (then unreachable))";
    ends_as(Guest::allow().authenticate(grow), PluginFailureKind::Memory, "16 MiB").await;
}

#[tokio::test]
async fn an_instance_that_grew_is_not_kept() {
    let grow = "(drop (memory.grow (i32.const 200)))";
    let generation = build(&Guest::allow().authenticate(grow)).await;
    assert!(authenticate(&generation).await.is_ok());
    assert_eq!(generation.idle(), 0);
}

#[tokio::test]
async fn lies_about_lengths() {
    // The principal claims 100 MB, then 2 GiB, then bytes outside of the memory's end.
    for (pointer, length) in [(0, 100_000_000_u32), (0, 0x7fff_ffff), (131_070, 64)] {
        let lie = format!(
            "(i32.store (i32.const 1044) (i32.const {pointer}))
             (i32.store (i32.const 1048) (i32.const {length}))"
        );
        ends_as(Guest::allow().authenticate(&lie), PluginFailureKind::Trap, "").await;
    }
    // Two million groups of nothing: more than may cross.
    let many = "(drop (memory.grow (i32.const 200)))
        (i32.store (i32.const 1052) (i32.const 131072))
        (i32.store (i32.const 1056) (i32.const 1000000))";
    ends_as(Guest::allow().authenticate(many), PluginFailureKind::TooLarge, "2 MiB").await;
    let bad_tag = "(i32.store8 (i32.const 1024) (i32.const 9))";
    ends_as(Guest::allow().authenticate(bad_tag), PluginFailureKind::Trap, "").await;
    let not_utf8 = "(i32.store8 (i32.const 8192) (i32.const 255))";
    ends_as(Guest::allow().authenticate(not_utf8), PluginFailureKind::Trap, "").await;
}

#[tokio::test]
async fn a_flood_of_host_calls_ends() {
    let import =
        r#"(import "portcullis:plugin/clock@0.1.0" "now-unix-ms" (func $now (result i64)))"#;
    let flood = "(loop $l (drop (call $now)) (br $l))";
    let guest = Guest::allow().imports(import).authenticate(flood);
    ends_as(guest, PluginFailureKind::CpuBudget, "CPU").await;
}

#[tokio::test]
async fn too_many_random_bytes_are_a_trap() {
    let import =
        r#"(import "portcullis:plugin/random@0.1.0" "bytes" (func $random (param i32 i32)))"#;
    let ask = "(call $random (i32.const 4097) (i32.const 6000))";
    let guest = Guest::allow().imports(import).authenticate(ask);
    ends_as(guest, PluginFailureKind::Trap, "at most 4096").await;
}

#[tokio::test]
async fn a_large_question_is_not_asked() {
    let generation = build(&Guest::allow()).await;
    let mut credentials = credentials();
    credentials.password = Some(Password::new(vec![0; (1 << 20) + 1]));
    let hook = Hook(Arc::clone(&generation));
    let failure = hook.authenticate(&connection(), &credentials).await.unwrap_err();
    assert_eq!(failure.kind, PluginFailureKind::TooLarge);
    assert_eq!(generation.idle(), 1, "no instance was touched");
}

#[tokio::test]
async fn a_full_pool_is_busy_after_a_short_wait() {
    let mut manifest = Manifest::default();
    manifest.limits.concurrency = 1;
    manifest.limits.cpu = Duration::from_secs(10);
    let guest = Guest::allow().authenticate("(loop $l (br $l))");
    let generation = build_with(&guest, manifest).await.unwrap();
    let (first, second) = tokio::join!(authenticate(&generation), authenticate(&generation));
    assert_eq!(first.unwrap_err().kind, PluginFailureKind::Deadline);
    assert_eq!(second.unwrap_err().kind, PluginFailureKind::Busy);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_cancel_the_guest() {
    let spin = "(local $i i64) (loop $l (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br_if $l (i64.lt_u (local.get $i) (i64.const 200000000))))";
    let mut manifest = Manifest::default();
    manifest.limits.cpu = Duration::from_secs(10);
    manifest.limits.deadline = Duration::from_secs(30);
    let generation = build_with(&Guest::allow().authenticate(spin), manifest).await.unwrap();
    {
        let hook = Hook(Arc::clone(&generation));
        let (connection, credentials) = (connection(), credentials());
        let mut call = hook.authenticate(&connection, &credentials);
        let first = std::future::poll_fn(|context| {
            std::task::Poll::Ready(call.as_mut().poll(context).is_pending())
        });
        assert!(first.await, "the guest gives way at a tick");
    }
    assert_eq!(generation.idle(), 0, "it is still in the call");
    let parked = async {
        while generation.idle() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), parked).await.expect("the call ended well");
}

#[tokio::test]
async fn failing_rehearsals_do_not_go_live() {
    let rejected = |guest: Guest| async move {
        let rejected = build_with(&guest, Manifest::default()).await.err().expect("rejected");
        assert_eq!(rejected.state, PluginState::Failed);
        rejected.sentence
    };
    assert_eq!(rejected(Guest::allow().init_refuses()).await, "misconfigured: init: nope");
    let sentence = rejected(Guest::allow().self_test_traps()).await;
    assert!(sentence.starts_with("trap: self-test: "), "{sentence}");
}

#[tokio::test]
async fn files_need_a_grant() {
    let import =
        r#"(import "portcullis:plugin/files@0.1.0" "size" (func $size (param i32 i32 i32)))"#;
    let call = "(call $size (i32.const 4096) (i32.const 1) (i32.const 6000))";
    let guest = Guest::allow().imports(import).authenticate(call);
    let rejected = build_with(&guest, Manifest::default()).await.err().expect("rejected");
    assert_eq!(rejected.state, PluginState::WaitingForGrant);
    assert!(rejected.sentence.contains("[files]"));
}

#[tokio::test]
async fn only_who_verifies_passwords_is_admitted_by_the_password_threads() {
    let import = r#"(import "portcullis:plugin/crypto@0.1.0" "verify-password"
        (func $verify (param i32 i32 i32 i32 i32)))"#;
    // The stored hash is four bytes of a name: unsupported, which is an answer and no trap.
    let call = "(call $verify (i32.const 4160) (i32.const 4) (i32.const 4160) (i32.const 4)
        (i32.const 6000))
        (if (i32.ne (i32.load8_u (i32.const 6000)) (i32.const 1)) (then unreachable))
        (if (i32.ne (i32.load8_u (i32.const 6004)) (i32.const 1)) (then unreachable))";
    let verifies = build(&Guest::allow().imports(import).authenticate(call)).await;
    assert!(verifies.verifies_passwords());
    assert!(authenticate(&verifies).await.is_ok());
    let import =
        r#"(import "portcullis:plugin/crypto@0.1.0" "sha256" (func $sha (param i32 i32 i32)))"#;
    let call = "(call $sha (i32.const 4160) (i32.const 4) (i32.const 6000))";
    let hashes = build(&Guest::allow().imports(import).authenticate(call)).await;
    assert!(!hashes.verifies_passwords());
    assert!(authenticate(&hashes).await.is_ok());
}
