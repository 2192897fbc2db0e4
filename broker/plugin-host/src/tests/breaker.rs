//! Clients whose calls break the plugin, and everybody else meanwhile.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Instant};

use access::{Connection, LinkState, Outcome, PluginFailure, PluginFailureKind};

use super::{
    calls::{connection, credentials},
    folder::Bench,
};

/// Panics for clients whose identifier begins with `evil`, and says `next` to others.
fn write_hostile(bench: &Bench) {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/prebuilt");
    bench.write("p.wasm", fs::read(guests.join("hostile.wasm")).unwrap());
    bench.write("data.txt", "");
    let config = "[config]\nbehaviour = \"panic\"\nclient_prefix = \"evil\"\n";
    bench.write("p.toml", format!("{config}[files]\ndata = \"data.txt\"\n"));
}

async fn ask(bench: &Bench, client: &str, address: &str) -> Result<Outcome, PluginFailure> {
    let chain = bench.chain();
    let LinkState::Live(hooks) = &chain.links[0].state else { panic!("it does not answer") };
    let remote = SocketAddr::new(address.parse().unwrap(), 1);
    let connection = Connection { client_id: Arc::from(client), remote, ..connection() };
    hooks.authenticator.as_ref().unwrap().authenticate(&connection, &credentials()).await
}

#[tokio::test]
async fn who_breaks_it_is_answered_without_it_and_others_are_served() {
    let mut bench = Bench::new();
    write_hostile(&bench);
    bench.start().await;
    for _ in 0..5 {
        let failure = ask(&bench, "evil", "192.0.2.1").await.unwrap_err();
        assert_eq!(failure.kind, PluginFailureKind::Trap);
    }
    let calls = bench.info("p").calls;
    for client in ["evil", "good"] {
        let failure = ask(&bench, client, "192.0.2.1").await.unwrap_err();
        assert_eq!(failure.kind, PluginFailureKind::Unavailable, "{failure}");
        assert!(failure.message.contains("asked again in"), "{failure}");
    }
    let info = bench.info("p");
    assert_eq!(info.calls, calls, "it was not asked");
    assert_eq!((info.breaker.open_addresses, info.breaker.opened), (1, 1));
    assert_eq!((info.breaker.refused, info.breaker.open), (2, false));
    for address in ["192.0.2.2", "2001:db8::1", "127.0.0.1"] {
        assert_eq!(ask(&bench, "good", address).await.unwrap(), Outcome::Next);
    }
}

#[tokio::test]
async fn a_flood_of_traps_costs_little_more_than_its_answers() {
    let mut bench = Bench::new();
    write_hostile(&bench);
    bench.start().await;
    let flood = async |client: &str, address: &str, count: u32| {
        let started = Instant::now();
        for _ in 0..count {
            let answer = ask(&bench, client, address).await;
            assert_eq!(answer.is_err(), client == "evil");
        }
        started.elapsed() / count
    };
    let trap = flood("evil", "192.0.2.1", 5).await;
    let good = flood("good", "192.0.2.2", 2_000).await;
    let refused = flood("evil", "192.0.2.1", 2_000).await;
    println!("one trap {trap:?}, one answer {good:?}, one refusal {refused:?}");
    assert!(refused < trap / 4, "{refused:?} {trap:?}");
    assert!(bench.info("p").breaker.refused > 1_900);
}
