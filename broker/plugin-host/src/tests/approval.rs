//! Versions that ask for more than their predecessor.

use access::{HeldBecause, PluginError, PluginManager, PluginState, UploadedPlugin};

use super::{folder::Bench, guest::Guest};

const MANIFEST: &str = "[files]\nnope = \"data.txt\"";

/// Imports `files`.
fn asks_for_files(principal: &str) -> Guest {
    let import =
        r#"(import "portcullis:plugin/files@0.1.0" "size" (func $size (param i32 i32 i32)))"#;
    Guest::allow_as(principal).imports(import)
}

/// The first version does not use what the manifest grants.
async fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("one").component());
    bench.write("p.toml", MANIFEST);
    bench.write("data.txt", "data");
    bench.start().await;
    bench
}

#[tokio::test]
async fn a_component_that_asks_for_more_waits_over_a_restart_until_it_is_approved() {
    let mut bench = bench().await;
    bench.write("p.wasm", asks_for_files("two").component());
    bench.until_state("p", PluginState::WaitingForApproval).await;
    let info = bench.info("p");
    assert!(info.error.unwrap().contains("imports files, which the version before it did not"));
    let waiting = info.versions.waiting.unwrap();
    assert_eq!((waiting.asks, info.load_failures), (vec!["files".to_owned()], 0));
    assert_eq!(bench.principal().await.unwrap(), "one");
    assert!(bench.host().not_ready().is_empty());
    assert!(bench.host().warnings().iter().any(|warning| warning.contains("must approve")));
    let reloaded = bench.host().reload("p").await.unwrap();
    assert_eq!(reloaded.state, PluginState::WaitingForApproval, "a reload approves nothing");

    bench.restart().await;
    assert_eq!(bench.info("p").state, PluginState::WaitingForApproval);
    assert_eq!(bench.principal().await.unwrap(), "one", "the last good version answers");
    assert_eq!(bench.info("p").versions.held.unwrap().because, HeldBecause::Start);

    let error = bench.host().approve("p", Some("00".to_owned())).await.unwrap_err();
    assert!(matches!(error, PluginError::Invalid(_)), "{error}");
    let info = bench.host().approve("p", Some(waiting.version)).await.unwrap();
    assert_eq!((info.state, info.versions.waiting), (PluginState::Live, None));
    assert_eq!(bench.principal().await.unwrap(), "two");
    bench.restart().await;
    assert_eq!(bench.info("p").state, PluginState::Live);
    assert_eq!(bench.principal().await.unwrap(), "two", "approved is approved");
    let error = bench.host().approve("p", None).await.unwrap_err();
    assert_eq!(error, PluginError::Invalid("p: nothing of it waits for approval".to_owned()));

    bench.write("p.wasm", asks_for_files("three").component());
    bench.until("three", |bench| bench.info("p").described.is_some_and(|d| d.0 == "three")).await;
}

#[tokio::test]
async fn an_upload_that_asks_for_more_is_stored_and_waits() {
    let mut bench = bench().await;
    let wasm = asks_for_files("two").component();
    let upload = UploadedPlugin::new("p", wasm.clone());
    let info = bench.host().upload(upload).await.unwrap();
    assert_eq!(info.state, PluginState::WaitingForApproval);
    assert_eq!(std::fs::read(bench.path("p.wasm")).unwrap(), wasm);
    assert_eq!(bench.principal().await.unwrap(), "one");
    bench.restart().await;
    assert_eq!(bench.principal().await.unwrap(), "one");
    assert_eq!(bench.host().approve("p", None).await.unwrap().state, PluginState::Live);
    assert_eq!(bench.principal().await.unwrap(), "two");
}

#[tokio::test]
async fn who_changes_the_manifest_with_it_has_approved() {
    let bench = bench().await;
    bench.write("p.toml", format!("order = 7\n{MANIFEST}"));
    bench.write("p.wasm", asks_for_files("two").component());
    bench.until("two", |bench| bench.info("p").described.is_some_and(|d| d.0 == "two")).await;
    assert_eq!(bench.info("p").state, PluginState::Live);
}

#[tokio::test]
async fn approval_can_be_switched_off() {
    let mut bench = bench().await;
    let mut config = bench.config();
    config.require_approval = false;
    bench.host = None;
    bench.start_with(config).await;
    bench.write("p.wasm", asks_for_files("two").component());
    bench.until("two", |bench| bench.info("p").described.is_some_and(|d| d.0 == "two")).await;
    assert_eq!(bench.info("p").state, PluginState::Live);
}
