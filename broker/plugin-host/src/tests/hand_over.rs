//! What an instance keeps in memory goes over to the next generation.

use access::PluginState;

use super::{folder::Bench, guest::Guest};

async fn started(first: &Guest, manifest: &str) -> Bench {
    let mut bench = Bench::new();
    bench.write("p.wasm", first.component());
    bench.write("p.toml", manifest);
    bench.start().await;
    assert_eq!(bench.info("p").state, PluginState::Live, "{:?}", bench.info("p").error);
    assert_eq!(bench.principal().await.unwrap(), "first", "nobody handed it anything");
    bench
}

impl Bench {
    async fn next(&self, guest: &Guest) {
        self.write("p.wasm", guest.component());
        self.until("judged", |bench| {
            let info = bench.info("p");
            info.generations == 2 || info.state == PluginState::LiveOld
        })
        .await;
    }
}

#[tokio::test]
async fn every_instance_of_the_next_generation_is_given_it() {
    let transfers = |name: &str| Guest::allow_as(name).transfers("", "");
    for manifest in ["", "isolation = \"per-call\""] {
        let bench = started(&transfers("first"), manifest).await;
        bench.next(&transfers("second")).await;
        assert_eq!(bench.info("p").generations, 2);
        for _ in 0..3 {
            assert_eq!(bench.principal().await.unwrap(), "first", "{manifest}");
        }
        assert_eq!(bench.info("p").described.unwrap().0, "second");
    }
}

#[tokio::test]
async fn who_hands_nothing_over_or_takes_nothing_begins_anew() {
    let plain = Guest::allow_as;
    let transfers = |name: &str| Guest::allow_as(name).transfers("", "");
    for (first, second) in
        [(plain("first"), transfers("second")), (transfers("first"), plain("second"))]
    {
        let bench = started(&first, "").await;
        bench.next(&second).await;
        assert_eq!(bench.principal().await.unwrap(), "second");
    }
}

#[tokio::test]
async fn a_state_that_is_not_taken_keeps_the_new_generation_out() {
    let bench = started(&Guest::allow_as("first").transfers("", ""), "").await;
    let refuses = "(return (i32.const 2112))";
    bench.next(&Guest::allow_as("second").transfers("", refuses)).await;
    let error = bench.info("p").error.unwrap();
    assert!(error.contains("import-state: nope"), "{error}");
    assert_eq!(bench.principal().await.unwrap(), "first");
}

#[tokio::test]
async fn a_generation_that_cannot_tell_its_state_is_replaced_all_the_same() {
    let too_large = "(drop (memory.grow (i32.const 40)))
        (i32.store (i32.const 2312) (i32.const 1048577))";
    for export in ["unreachable", "(loop $l (br $l))", too_large] {
        let bench = started(&Guest::allow_as("first").transfers(export, ""), "").await;
        bench.next(&Guest::allow_as("second").transfers("", "")).await;
        assert_eq!(bench.principal().await.unwrap(), "second", "{export}");
    }
}
