//! Components that import WASI, as ordinary toolchains make them: they load, and get nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    calls::{build_in, connection, credentials},
    guest::Guest,
};
use wasmtime_wasi::{
    WasiCtxView,
    p2::bindings::sockets::{
        instance_network, ip_name_lookup, network::IpAddressFamily, tcp_create_socket,
        udp_create_socket,
    },
    sockets::WasiSocketsCtxView,
};

use access::{Authenticator, Connection, Credentials, Outcome, Password};

use crate::{
    component,
    generation::Generation,
    hooks::Hook,
    manifest::Manifest,
    runtime::{Outside, Runtime},
    wasi::Wasi,
};

fn guest() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/prebuilt");
    fs::read(folder.join("wasi.wasm")).unwrap()
}

pub(super) async fn wasi() -> Arc<Generation> {
    let runtime = Arc::new(Runtime::new(None, Outside::default()).unwrap());
    let mut manifest = Manifest::default();
    manifest.limits.deadline = Duration::from_millis(400);
    build_in(&runtime, guest(), manifest).await.map_err(|it| it.sentence).unwrap()
}

async fn attempt(generation: &Arc<Generation>, what: &str, argument: &str) -> String {
    let connection = Connection { username: Some(what.to_owned()), ..connection() };
    let password = Some(Password::new(argument.as_bytes().to_vec()));
    let credentials = Credentials { password, ..credentials() };
    match Hook(Arc::clone(generation)).authenticate(&connection, &credentials).await {
        Ok(Outcome::Deny(denial)) => denial.reason.unwrap(),
        Ok(other) => panic!("{other:?}"),
        Err(failure) => format!("failed: {failure}"),
    }
}

#[test]
fn it_is_one_of_those_that_import_wasi() {
    let guest = guest();
    let prepared = component::prepare(&guest).unwrap();
    assert!(prepared.wasi);
    let of_wasi = prepared.imports.iter().any(|import| import.starts_with("wasi:"));
    assert!(!of_wasi, "what is linked of it is no capability: {:?}", prepared.imports);
}

#[tokio::test]
async fn there_is_nothing_behind_it() {
    let wasi = wasi().await;
    assert_eq!(attempt(&wasi, "environment", "").await, "0 0");
    assert_eq!(attempt(&wasi, "stdin", "").await, "ok: 0");
    for (what, argument) in [
        ("read", "/etc/passwd"),
        ("read", "Cargo.toml"),
        ("write", "/tmp/x"),
        ("folder", "/"),
        ("folder", "."),
    ] {
        let told = attempt(&wasi, what, argument).await;
        assert!(told.starts_with("error: "), "{what} {argument}: {told}");
    }
}

#[tokio::test]
async fn there_is_no_network() {
    let mut wasi = Wasi::new(wasi().await.lent());
    let WasiCtxView { ctx, table } = wasi.view();
    let mut sockets = WasiSocketsCtxView { ctx: ctx.sockets(), table };
    for family in [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6] {
        assert!(tcp_create_socket::Host::create_tcp_socket(&mut sockets, family).is_err());
        let udp = udp_create_socket::Host::create_udp_socket(&mut sockets, family).await;
        assert!(udp.is_err());
    }
    let network = instance_network::Host::instance_network(&mut sockets).unwrap();
    let name = "localhost".to_owned();
    let found = ip_name_lookup::Host::resolve_addresses(&mut sockets, network, name);
    assert!(found.is_err());
}

#[tokio::test]
async fn the_time_and_random_numbers_are_real() {
    let wasi = wasi().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let told = attempt(&wasi, "time", "").await;
    let told: u64 = told.strip_prefix("ok: ").unwrap().parse().unwrap();
    assert!((now..now + 60).contains(&told));
    // Each instance has its own seed.
    let first = attempt(&wasi, "random", "").await;
    let mut again = BTreeMap::new();
    for _ in 0..3 {
        let other = self::wasi().await;
        again.insert(attempt(&other, "random", "").await, ());
    }
    assert!(again.len() > 1 || !again.contains_key(&first));
}

#[tokio::test]
async fn waits_end_with_the_call() {
    let wasi = wasi().await;
    assert_eq!(attempt(&wasi, "sleep", "20").await, "slept");
    let started = Instant::now();
    let told = attempt(&wasi, "sleep", "3600000").await;
    assert!(told.starts_with("failed: deadline"), "{told}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(attempt(&wasi, "sleep", "1").await, "slept", "the next call works");
    let told = attempt(&wasi, "exit", "").await;
    assert!(told.starts_with("failed: trap"), "{told}");
    let told = attempt(&wasi, "panic", "oh").await;
    assert!(told.starts_with("failed: trap"), "{told}");
}

/// What it prints goes to the log, whole lines, escaped, and not more than others may log.
#[tokio::test]
async fn what_is_printed_is_logged_within_the_rate() {
    let runtime = Arc::new(Runtime::new(None, Outside::default()).unwrap());
    let wasi = build_in(&runtime, guest(), Manifest::default()).await.map_err(|it| it.sentence);
    let wasi = wasi.unwrap();
    let lines = super::log_lines::Lines::default();
    let _guard = lines.subscribe();
    assert_eq!(attempt(&wasi, "print", "hello \u{1b}[31m").await, "printed");
    let told = lines.taken();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("INFO") && told[1].starts_with("WARN"), "{told:?}");
    assert!(told.iter().all(|line| line.contains("\\u{1b}[31m")), "{told:?}");
    assert_eq!(attempt(&wasi, "flood", &"x".repeat(100)).await, "printed");
    assert!(lines.taken().len() < 200);
    assert!(runtime.stats.log_bytes_dropped() > 50_000);
}

#[tokio::test]
async fn only_who_imports_wasi_is_linked_with_it() {
    let guest = Guest::allow();
    let wasm = guest.component();
    assert!(!component::prepare(&wasm).unwrap().wasi);
}
