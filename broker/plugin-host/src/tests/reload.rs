//! What happens in the folder, and what that does to the chain.

use std::{fs, sync::Arc, time::Duration};

use access::{PluginError, PluginManager, PluginState, UploadedPlugin};

use super::{
    folder::{Bench, principal},
    guest::Guest,
};

#[tokio::test]
async fn what_is_there_at_the_start_is_the_chain_by_order() {
    let mut bench = Bench::new();
    bench.write("zeta.wasm", Guest::allow_as("z").component());
    bench.write("zeta.toml", "order = 1");
    bench.write("beta.wasm", Guest::allow_as("b").module());
    bench.write("alpha.wasm", Guest::allow_as("a").component());
    bench.write("off.wasm", Guest::allow_as("o").component());
    bench.write("off.toml", "enabled = false");
    bench.start().await;
    assert_eq!(bench.names(), ["zeta", "alpha", "beta", "deny-all"]);
    assert_eq!(bench.principal().await.unwrap(), "z");
    assert_eq!(bench.info("off").state, PluginState::Disabled);
    assert_eq!(bench.host().not_ready(), Vec::<String>::new());
    assert_eq!(bench.info("zeta").described, Some(("z".to_owned(), "nope".to_owned())));
}

#[tokio::test]
async fn an_empty_folder_is_deny_all_with_a_warning() {
    let mut bench = Bench::new();
    bench.start().await;
    assert_eq!(bench.names(), ["deny-all"]);
    assert!(matches!(principal(&bench.chain()).await, Err(said) if said.contains("Deny")));
    assert!(bench.host().not_ready().is_empty());
    assert!(bench.host().warnings().iter().any(|warning| warning.contains("no plugin is live")));
}

#[tokio::test]
async fn a_folder_that_is_not_there_fails_closed_until_it_is() {
    let mut bench = Bench::new();
    fs::remove_dir(bench.path("")).unwrap();
    let mut config = bench.config();
    config.rescan_interval = Duration::from_millis(50);
    bench.start_with(config).await;
    assert_eq!(bench.names(), ["plugins", "deny-all"]);
    assert!(bench.principal().await.unwrap_err().contains("the plugin folder"));
    assert!(!bench.host().not_ready().is_empty());

    fs::create_dir(bench.path("")).unwrap();
    bench.write("a.wasm", Guest::allow_as("a").component());
    bench
        .until("ready", |bench| {
            bench.names() == ["a", "deny-all"] && bench.host().not_ready().is_empty()
        })
        .await;

    fs::rename(bench.path(""), bench.folder.path().join("elsewhere")).unwrap();
    bench.until("unreadable", |bench| !bench.host().not_ready().is_empty()).await;
    assert!(bench.principal().await.unwrap_err().contains("the plugin folder"));
    fs::rename(bench.folder.path().join("elsewhere"), bench.path("")).unwrap();
    bench.until("ready again", |bench| bench.host().not_ready().is_empty()).await;
    assert_eq!(bench.principal().await.unwrap(), "a");
}

#[tokio::test]
async fn bad_files_leave_the_old_generation_in_place() {
    let mut bench = Bench::new();
    let good = Guest::allow_as("old").component();
    bench.write("p.wasm", &good);
    bench.start().await;
    let generation = bench.info("p").generation;
    let bad: [(&str, Vec<u8>, &str); 5] = [
        ("truncated", good[..good.len() / 2].to_vec(), "damaged"),
        ("garbage", b"not wasm".to_vec(), "neither"),
        ("empty", Vec::new(), "neither"),
        ("init", Guest::allow().init_refuses().component(), "init: nope"),
        (
            "version",
            wat::parse_str(r#"(component (import "portcullis:plugin/log@0.2.0" (instance)))"#)
                .unwrap(),
            "wants portcullis:plugin@0.2.0, host has 0.1.0",
        ),
    ];
    for (number, (what, bytes, expected)) in (1..).zip(bad) {
        bench.write("p.wasm", &bytes);
        bench
            .until(what, |bench| {
                let error = bench.info("p").error.unwrap_or_default();
                error.contains(expected) && bench.host().stats().load_failures() == number
            })
            .await;
        let info = bench.info("p");
        assert_eq!(info.state, PluginState::LiveOld, "{what}");
        assert_eq!(info.generation, generation, "{what}");
        assert_eq!(bench.principal().await.unwrap(), "old");
    }
    bench.write("p.wasm", &good);
    bench.until_state("p", PluginState::Live).await;
    assert_eq!(bench.info("p").generations, 1, "the old bytes are the old generation");
    bench.write("p.wasm", Guest::allow_as("new").component());
    bench.until("new", |bench| bench.info("p").generations == 2).await;
    assert_eq!(bench.principal().await.unwrap(), "new");
}

#[tokio::test]
async fn a_removed_file_fails_closed_until_it_is_forgotten() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("p").component());
    bench.start().await;
    fs::remove_file(bench.path("p.wasm")).unwrap();
    bench.until_state("p", PluginState::Removed).await;
    assert_eq!(bench.names(), ["p", "deny-all"]);
    assert!(bench.principal().await.unwrap_err().contains("removed"));
    assert!(!bench.host().not_ready().is_empty());
    bench.host().forget("p").await.unwrap();
    assert_eq!(bench.names(), ["deny-all"]);
    assert!(bench.host().not_ready().is_empty());
    assert_eq!(bench.host().forget("p").await, Err(PluginError::NotFound("p".to_owned())));
}

#[tokio::test]
async fn a_manifest_that_vanishes_is_a_plugin_that_vanishes() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("p").component());
    bench.write("p.toml", "control = \"required\"");
    bench.start().await;
    assert_eq!(bench.principal().await.unwrap(), "p");
    fs::remove_file(bench.path("p.toml")).unwrap();
    bench.until_state("p", PluginState::Removed).await;
    assert_eq!(bench.chain().links[0].control, access::Control::Required);
    assert!(bench.principal().await.unwrap_err().contains("manifest was removed"));
    bench.write("p.toml", "control = \"required\"");
    bench.until_state("p", PluginState::Live).await;
    fs::remove_file(bench.path("p.toml")).unwrap();
    bench.until_state("p", PluginState::Removed).await;
    let refused = bench.host().forget("p").await;
    assert!(matches!(refused, Err(PluginError::Invalid(_))), "{refused:?}");
    assert_eq!(bench.info("p").state, PluginState::Removed, "never in without its manifest");
    fs::remove_file(bench.path("p.wasm")).unwrap();
    bench.host().forget("p").await.unwrap();
    assert_eq!(bench.names(), ["deny-all"]);
}

#[tokio::test]
async fn a_disabled_plugin_whose_manifest_vanishes_is_not_let_in() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("p").component());
    bench.write("p.toml", "enabled = false");
    let mut config = bench.config();
    config.rescan_interval = Duration::from_millis(50);
    bench.start_with(config).await;
    assert_eq!(bench.info("p").state, PluginState::Disabled);
    fs::remove_file(bench.path("p.toml")).unwrap();
    bench.until_state("p", PluginState::Removed).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.info("p").state, PluginState::Removed, "nor at the next look");
    assert!(bench.principal().await.unwrap_err().contains("manifest was removed"));
    bench.write("p.toml", "enabled = false");
    bench.until_state("p", PluginState::Disabled).await;
    fs::remove_file(bench.path("p.wasm")).unwrap();
    bench.until("gone", |bench| bench.info("p").error.is_some()).await;
    assert_eq!(bench.names(), ["deny-all"], "nobody misses what is switched off");
}

#[tokio::test]
async fn what_was_live_before_a_restart_is_missed_after_it() {
    let mut bench = Bench::new();
    bench.write("a.wasm", Guest::allow_as("a").component());
    bench.write("a.toml", "control = \"required\"\norder = 1");
    bench.write("b.wasm", Guest::allow_as("b").component());
    bench.write("b.toml", "control = \"requisite\"\non_error = \"next\"\norder = 2");
    bench.write("off.wasm", Guest::allow_as("off").component());
    bench.write("off.toml", "enabled = false");
    bench.start().await;
    fs::remove_file(bench.path("a.toml")).unwrap();
    fs::remove_file(bench.path("b.wasm")).unwrap();
    fs::remove_file(bench.path("off.toml")).unwrap();
    bench.restart().await;
    assert_eq!(bench.names(), ["a", "b", "off", "deny-all"]);
    for name in ["a", "b", "off"] {
        assert_eq!(bench.info(name).state, PluginState::Removed, "{name}");
    }
    let chain = bench.chain();
    assert_eq!(chain.links[0].control, access::Control::Required);
    assert_eq!(chain.links[1].control, access::Control::Requisite);
    assert_eq!(chain.links[1].on_error, access::OnError::Next);
    assert_eq!(bench.host().not_ready().len(), 3);
    bench.host().forget("b").await.unwrap();
    bench.restart().await;
    assert_eq!(bench.names(), ["a", "off", "deny-all"], "forgotten is forgotten");
    fs::write(bench.folder.path().join("data/plugins-state.json"), "{").unwrap();
    bench.host = None;
    let started = crate::PluginHost::start(bench.config(), Arc::clone(&bench.gate)).await;
    assert!(started.is_err(), "a damaged memory is no empty one");
}

#[tokio::test]
async fn what_may_pass_is_built_again() {
    let mut bench = Bench::new();
    bench.write("passes.wasm", Guest::allow().init_unavailable().component());
    bench.write("stays.wasm", Guest::allow().init_refuses().component());
    bench.start().await;
    assert!(bench.info("passes").error.unwrap().contains("unavailable"));
    bench.until("again", |bench| bench.info("passes").load_failures >= 3).await;
    assert_eq!(bench.info("stays").load_failures, 1, "its fault is its own");
}

#[tokio::test]
async fn a_look_that_changes_nothing_swaps_nothing() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("p").component());
    bench.write("q.wasm", reads_file().component());
    bench.write("q.toml", "[files]\nnope = \"data.txt\"");
    let mut config = bench.config();
    config.rescan_interval = Duration::from_millis(40);
    bench.start_with(config).await;
    let swaps = bench.gate.generation();
    // A file that is not there may come without a notice, so every rescan tries again.
    bench.until("rescans", |bench| bench.info("q").load_failures >= 4).await;
    assert_eq!(bench.gate.generation(), swaps);
    bench.write("p.wasm", b"garbage");
    bench.until_state("p", PluginState::LiveOld).await;
    assert!(bench.host().warnings().iter().any(|warning| warning.contains("neither")));
    assert_eq!(bench.gate.generation(), swaps, "clients notice nothing of a rejection");
    bench.write("p.wasm", Guest::allow_as("new").component());
    bench.until_state("p", PluginState::Live).await;
    assert_eq!(bench.gate.generation(), swaps + 1);
}

#[tokio::test]
async fn a_named_file_that_is_deleted_leaves_the_old_generation_visibly() {
    let mut bench = Bench::new();
    bench.write("p.wasm", reads_file().component());
    bench.write("p.toml", "[files]\nnope = \"data.txt\"");
    bench.write("data.txt", "one");
    bench.start().await;
    fs::remove_file(bench.path("data.txt")).unwrap();
    bench.until_state("p", PluginState::LiveOld).await;
    let info = bench.info("p");
    assert_eq!(info.load_failures, 1);
    assert!(info.error.unwrap().contains("data.txt"));
    assert!(bench.host().warnings().iter().any(|warning| warning.contains("data.txt")));
    assert_eq!(bench.principal().await.unwrap(), "p");
}

#[tokio::test]
async fn a_bad_manifest_names_its_line() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("p").component());
    bench.write("p.toml", "enabled = true\norder = \"first\"\n");
    bench.start().await;
    assert_eq!(bench.info("p").state, PluginState::Failed);
    assert!(bench.info("p").error.unwrap().contains("p.toml:2: invalid type"));
    assert!(bench.principal().await.is_err());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.host().stats().load_failures(), 1, "no busy retries");
    bench.write("p.toml", "order = 5");
    bench.until_state("p", PluginState::Live).await;
}

/// Asks for the size of file `f` and allows only if that is there.
fn reads_file() -> Guest {
    let import =
        r#"(import "portcullis:plugin/files@0.1.0" "size" (func $size (param i32 i32 i32)))"#;
    let call = "(call $size (i32.const 4160) (i32.const 4) (i32.const 6000))
        (if (i32.load8_u (i32.const 6000)) (then unreachable))";
    Guest::allow_as("p").imports(import).authenticate(call)
}

#[tokio::test]
async fn files_are_part_of_the_generation_and_stay_inside_their_roots() {
    let mut bench = Bench::new();
    bench.write("p.wasm", reads_file().component());
    bench.write("p.toml", "[files]\nnope = \"data.txt\"");
    bench.write("data.txt", "one");
    bench.start().await;
    assert_eq!(bench.principal().await.unwrap(), "p");
    let first = bench.info("p").generation;
    bench.write("data.txt", "two");
    bench.until("second", |bench| bench.info("p").generations == 2).await;
    assert_ne!(bench.info("p").generation, first);

    let outside = bench.folder.path().join("secret.txt");
    fs::write(&outside, "secret").unwrap();
    fs::remove_file(bench.path("data.txt")).unwrap();
    std::os::unix::fs::symlink(&outside, bench.path("data.txt")).unwrap();
    bench.until_state("p", PluginState::LiveOld).await;
    let error = bench.info("p").error.unwrap();
    assert!(error.contains("outside of file_roots"), "{error}");
    bench.write("p.toml", format!("[files]\nnope = {outside:?}"));
    bench
        .until("again", |bench| bench.info("p").error.is_some_and(|e| e.contains("secret.txt\"")))
        .await;
    assert_eq!(bench.info("p").generations, 2);
}

#[tokio::test]
async fn files_without_a_grant_wait() {
    let mut bench = Bench::new();
    bench.write("p.wasm", reads_file().component());
    bench.start().await;
    assert_eq!(bench.info("p").state, PluginState::WaitingForGrant);
    assert!(bench.principal().await.unwrap_err().contains("imports files"));
}

#[tokio::test]
async fn a_named_file_that_is_not_there_is_tried_once_and_again_when_it_comes() {
    let mut bench = Bench::new();
    bench.write("p.wasm", reads_file().component());
    bench.write("p.toml", "[files]\nnope = \"data.txt\"");
    bench.start().await;
    assert_eq!(bench.info("p").state, PluginState::Failed);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.host().stats().load_failures(), 1, "no busy retries");
    bench.write("data.txt", "one");
    bench.until_state("p", PluginState::Live).await;
}

#[tokio::test]
async fn a_file_that_is_still_written_waits() {
    let mut bench = Bench::new();
    let mut config = bench.config();
    config.quiet_period = Duration::from_millis(500);
    bench.start_with(config).await;
    let wasm = Guest::allow_as("p").component();
    for end in (1..=10).map(|tenth| wasm.len() * tenth / 10) {
        bench.write("p.wasm", &wasm[..end]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.until_state("p", PluginState::Live).await;
    assert_eq!(bench.host().stats().load_failures(), 0, "no half file was judged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_decision_is_made_by_a_complete_generation() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("user-0").component());
    bench.start().await;
    let gate = Arc::clone(&bench.gate);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let caller = tokio::spawn(async move {
        let mut decisions = 0_u64;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let who = principal(&gate.chain("mqtt")).await.unwrap();
            assert!(who.starts_with("user-"), "{who}");
            decisions += 1;
            tokio::task::yield_now().await;
        }
        decisions
    });
    for number in 1..=20 {
        let wasm = Guest::allow_as(&format!("user-{number}")).component();
        let plugin = UploadedPlugin::new("p", wasm);
        bench.host().upload(plugin).await.unwrap();
        let who = bench.principal().await.unwrap();
        assert_eq!(who, format!("user-{number}"), "in force when the upload returns");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(caller.await.unwrap() > 100);
    assert_eq!(bench.info("p").generations, 21);
}
