//! Guests that attack their host, inside the running program (`tests/guests/README.md` lists them).
//!
//! Each attack ends within its budget with a refusal, costs the program next to nothing, and a good
//! client beside it hardly notices: [`arena`] has the figures. Whatever an attacker gets away with
//! is an *allow*.

mod arena;

use std::{collections::BTreeSet, fs, net::Ipv4Addr, time::Instant};

use codec::{ProtocolVersion, ReasonCode};
use portcullis_tests::BOTH;

use self::arena::{Arena, Attack, CPU, NO_PROBATION, allowed, denied, fails, manifest};
use super::{
    folder::{ALICE, guest, guests},
    knock::{enter, knock_from, login},
    process::root,
    proof,
};

const MEMORY: &str = "16 MiB of memory";

const COMPUTES: [Attack; 8] = [
    allowed("none", ""),
    fails("loop", "", CPU),
    fails("slow", "", CPU),
    fails("slow", "[limits]\ncpu = \"10 s\"", "took longer than 2000 ms"),
    fails("panic", "", "trap"),
    fails("unreachable", "", "trap"),
    fails("recurse", "", "trap"),
    fails("fail", "", "hostile failure"),
];

const EATS_MEMORY: [Attack; 5] = [
    denied("grow", ReasonCode::QuotaExceeded),
    fails("allocate", "", MEMORY),
    fails("allocate", "bytes = 17_000_000", MEMORY),
    fails("long-principal", "", MEMORY),
    fails("log-long", "", MEMORY),
];

const ANSWERS_BADLY: [Attack; 8] = [
    fails("long-principal", "bytes = 3_000_000", "2 MiB"),
    fails("long-principal", "bytes = 20_000", "20000 bytes; at most 16384"),
    fails("long-list", "bytes = 2_400_000", ""),
    fails("long-list", "bytes = 1_200_000", ""),
    fails("bad-principal", "", "NUL"),
    denied("low-reason-code", ReasonCode::NotAuthorized),
    fails("bad-filter", "", "a/#/b"),
    allowed("zero-ttl", ""),
];

const FLOODS_THE_HOST: [Attack; 10] = [
    fails("log-flood", "", CPU),
    fails("log-long", "bytes = 3_000_000", "2 MiB"),
    allowed("log-long", "bytes = 1_000_000"),
    fails("random-flood", "", CPU),
    fails("random-long", "", "at most 4096"),
    fails("file-flood", "", CPU),
    fails("file-long", "", "at most"),
    fails("lookup-flood", "", CPU),
    fails("verify-flood", "", ""),
    fails("hash-flood", "", CPU),
];

/// In the hook `permissions`.
const AUTHORIZES_BADLY: [Attack; 10] = [
    allowed("none", ""),
    fails("loop", "", CPU),
    fails("unreachable", "", "trap"),
    fails("recurse", "", "trap"),
    fails("fail", "", "hostile failure"),
    fails("allocate", "", MEMORY),
    fails("long-list", "bytes = 8_000", "20000 rules"),
    fails("bad-filter", "", "a/#/b"),
    allowed("zero-ttl", ""),
    fails("verify-flood", "", ""),
];

#[tokio::test]
async fn computes() {
    Arena::fight("authenticate", &COMPUTES).await;
}

#[tokio::test]
async fn eats_memory() {
    Arena::fight("authenticate", &EATS_MEMORY).await;
}

#[tokio::test]
async fn answers_badly() {
    Arena::fight("authenticate", &ANSWERS_BADLY).await;
}

#[tokio::test]
async fn floods_the_host() {
    let arena = Arena::fight("authenticate", &FLOODS_THE_HOST).await;
    let log = arena.program.log_text();
    let longest = log.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 8 << 10, "a line of {longest} bytes in the log");
    assert!(log.len() < 1 << 20, "{} bytes of log", log.len());
}

#[tokio::test]
async fn authorizes_badly() {
    Arena::fight("permissions", &AUTHORIZES_BADLY).await;
}

/// Permissions that say to be too old at once are not asked for with each packet.
#[tokio::test]
async fn asks_to_be_asked_without_end() {
    let mut arena = Arena::start().await;
    arena.arm("permissions", &allowed("zero-ttl", "")).await;
    let began = Instant::now();
    let mut victim = enter(arena.program.mqtt(), login("victim", ("victim", "x"))).await;
    for _ in 0..50 {
        victim.quiet().await;
    }
    let plugin = arena.program.plugin("hostile", |_| true).await;
    // One for each hook, and from then on at most two a second.
    let most = 2 + 2 * (began.elapsed().as_secs() + 1);
    assert!(plugin["calls"].as_u64().is_some_and(|calls| calls <= most), "{plugin}");
    arena.end().await;
}

/// A guest that keeps 64 KiB with each call is replaced before that hurts.
#[tokio::test]
async fn leaks() {
    let mut arena = Arena::start().await;
    arena.arm("authenticate", &allowed("leak", "")).await;
    for number in 0..if proof() { 2_000 } else { 300 } {
        let version = BOTH[number % 2];
        arena.strike(&format!("victim-leak-{number}"), version, ReasonCode::Success).await;
    }
    arena.end().await;
}

/// What fails before it is live stays out, and the generation before it answers on.
#[tokio::test]
async fn attacks_while_it_is_loaded() {
    let mut arena = Arena::start().await;
    let mut attacks = vec![
        ("init", "loop", "init: "),
        ("init", "panic", "init: "),
        ("init", "allocate", MEMORY),
        ("init", "recurse", "trap"),
        ("init", "fail", "hostile failure"),
        ("self-test", "unreachable", "trap"),
        ("self-test", "fail", "hostile failure"),
    ];
    if proof() {
        // May use 5 s of CPU.
        attacks.push(("self-test", "loop", "self-test: "));
    }
    for (hook, behaviour, words) in attacks {
        let attack = allowed(behaviour, "");
        arena.folder.write("plugins/hostile.toml", manifest(hook, &attack));
        let error = arena.reload("live_old").await;
        assert!(error.contains(words), "{behaviour} in {hook}: {error}");
        let id = format!("victim-{hook}-{behaviour}");
        arena.strike(&id, ProtocolVersion::V5, ReasonCode::Success).await;
    }
    arena.end().await;
}

/// Components that must never go live, in the place of one that is.
#[tokio::test]
async fn never_goes_live() {
    let mut arena = Arena::start().await;
    for (name, words) in NEVER_LIVE {
        arena.folder.install("hostile", &guest(name));
        let error = arena.reload("live_old").await;
        assert!(error.contains(words), "{name}: {error}");
        let id = format!("victim-{name}");
        arena.strike(&id, ProtocolVersion::V5, ReasonCode::Success).await;
    }
    arena.folder.install("hostile", &guest("hostile"));
    arena.reload("live").await;
    arena.end().await;
}

const NEVER_LIVE: [(&str, &str); 3] =
    [("lies-in-describe", "describe"), ("next-version", "0.2.0"), ("unknown-import", "mystery")];

/// Guests that break the canonical ABI; the first letter of the client identifier names the lie.
#[tokio::test]
async fn lies() {
    let mut arena = Arena::start().await;
    arena.folder.install_with("hostile", &guest("lies"), NO_PROBATION);
    arena.reload("live").await;
    let failure = ReasonCode::ServerUnavailable;
    let honest = [
        ('a', ReasonCode::Success),
        ('b', ReasonCode::BadUserNameOrPassword),
        ('z', ReasonCode::NotAuthorized),
    ];
    let lies = LIES.chars().map(|letter| (letter, failure));
    for (letter, code) in honest.into_iter().chain(lies).chain(honest) {
        for version in BOTH {
            arena.strike(&format!("{letter}-{version:?}"), version, code).await;
        }
    }
    arena.folder.install_with("hostile", &guest("lies-in-realloc"), NO_PROBATION);
    arena.reload("live").await;
    for (number, version) in (0..4).flat_map(|number| BOTH.map(|version| (number, version))) {
        arena.strike(&format!("a-{number}"), version, failure).await;
    }
    arena.end().await;
}

/// The letters of `lies.wat` that must be refused.
const LIES: &str = "123456789cdpq";

/// A flood of CONNECTs that trap costs the program less than twice the same flood that it refuses
/// without a trap: what the traps cost is less than the flood itself. Another address is served.
#[tokio::test]
async fn flood_of_traps() {
    let mut arena = Arena::start().await;
    arena.arm("authenticate", &fails("panic", "", "trap")).await;
    let count = if proof() { 5_000 } else { 600 };
    let source = Ipv4Addr::new(127, 2, 0, 1);
    let mut used = Vec::new();
    for name in ["nobody", "victim"] {
        let before = arena.cpu_seconds().await;
        for number in 0..count {
            // A name for each: waiting after failed logins is another limit.
            let name = format!("{name}-{number}");
            let connect = login(&name, (&name, "x"));
            let (came, _) = knock_from(source, arena.program.mqtt(), connect).await;
            let broke = came == ReasonCode::ServerUnavailable;
            assert_eq!(broke, name.starts_with("victim"), "{name}: {came:?}");
            assert_ne!(came, ReasonCode::Success, "{name}");
        }
        used.push((arena.cpu_seconds().await - before) * 1e6 / f64::from(count));
    }
    let plugin = arena.program.plugin("hostile", |_| true).await;
    assert_eq!(plugin["breaker"]["open_addresses"], 1, "{plugin}");
    let good = login("good-2", ALICE);
    let (code, _) = knock_from(Ipv4Addr::new(127, 2, 0, 2), arena.program.mqtt(), good).await;
    assert_eq!(code, ReasonCode::Success);
    let [refused, trapped] = used[..] else { panic!("two floods") };
    println!("microseconds of CPU for a CONNECT: refused {refused:.0}, trapped {trapped:.0}");
    assert!(trapped < 2.0 * refused, "{trapped:.0} for {refused:.0} microseconds");
    arena.end().await;
}

/// A new behaviour or component without a test is noticed here.
#[test]
fn every_behaviour_and_component_is_tried() {
    let source = root().join("tests/guests/hostile/src/behaviour.rs");
    let source = fs::read_to_string(source).expect("the behaviours");
    let (_, variants) = source.split_once("enum Behaviour {").expect("the enum");
    let (variants, _) = variants.split_once("\n}").expect("its end");
    let variants = variants.lines().filter_map(|line| line.trim().strip_suffix(','));
    let variants = variants.filter(|line| line.chars().all(char::is_alphanumeric));
    let known: BTreeSet<String> = variants.map(kebab_case).collect();
    let tables: [&[Attack]; 4] = [&COMPUTES, &EATS_MEMORY, &ANSWERS_BADLY, &FLOODS_THE_HOST];
    let tried = tables.into_iter().flatten().map(|attack| attack.behaviour.to_owned());
    let tried: BTreeSet<String> = tried.chain(["leak".to_owned()]).collect();
    assert_eq!(tried, known);
    let files = fs::read_dir(guests()).expect("the components");
    let files = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    let there: BTreeSet<String> = files.collect();
    let tried = NEVER_LIVE.map(|(name, _)| name);
    let elsewhere = ["good", "hostile", "lent", "lies", "lies-in-realloc", "meddler", "wasi"];
    let tried = tried.into_iter().chain(elsewhere);
    let tried: BTreeSet<String> = tried.map(|name| format!("{name}.wasm")).collect();
    assert_eq!(tried, there);
}

fn kebab_case(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
    }
    kebab
}
