//! What the configuration and the admin API can do with plugins.

use std::{fs, path::Path};

use access::{PluginError, PluginManager, PluginState, UploadedPlugin};

use super::{folder::Bench, guest::Guest};

#[tokio::test]
async fn require_manifest() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("p").component());
    let mut config = bench.config();
    config.require_manifest = true;
    bench.start_with(config).await;
    assert_eq!(bench.info("p").state, PluginState::WaitingForGrant);
    assert!(bench.principal().await.is_err());
    bench.write("p.toml", "");
    bench.until_state("p", PluginState::Live).await;
}

#[tokio::test]
async fn explicit_chains() {
    let mut bench = Bench::new();
    bench.write("a.wasm", Guest::allow_as("a").component());
    bench.write("b.wasm", Guest::allow_as("b").component());
    let mut config = bench.config();
    config.chain = Some(vec!["ghost".to_owned(), "b".to_owned()]);
    config.listener_chains.insert("inner".into(), vec!["a".to_owned(), "deny-all".to_owned()]);
    bench.start_with(config).await;
    assert_eq!(bench.names(), ["ghost", "b", "deny-all"]);
    assert!(bench.principal().await.unwrap_err().contains("no plugin is named"));
    assert!(bench.host().not_ready().iter().any(|reason| reason.contains("ghost")));
    let inner = bench.gate.chain("inner");
    let names: Vec<_> = inner.links.iter().map(|link| &*link.name).collect();
    assert_eq!(names, ["a", "deny-all", "deny-all"]);
    bench.host().set_chains(Some(vec!["b".to_owned()]), Default::default()).await;
    assert_eq!(bench.names(), ["b", "deny-all"]);
    assert!(bench.host().not_ready().is_empty());
}

#[tokio::test]
async fn disabling_outlives_a_restart() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("p").component());
    bench.start().await;
    assert_eq!(bench.host().disable("p").await.unwrap().state, PluginState::Disabled);
    assert_eq!(bench.names(), ["deny-all"]);
    bench.host = None;
    bench.start().await;
    assert_eq!(bench.info("p").state, PluginState::Disabled);
    assert_eq!(bench.names(), ["deny-all"]);
    assert_eq!(bench.host().enable("p").await.unwrap().state, PluginState::Live);
    assert_eq!(bench.names(), ["p", "deny-all"]);
}

#[tokio::test]
async fn uploads() {
    let mut bench = Bench::new();
    bench.start().await;
    let upload = |name: &str, wasm: Vec<u8>| UploadedPlugin { name: name.to_owned(), wasm };
    let host = bench.host();
    let info = host.upload(upload("p", Guest::allow_as("p").module())).await.unwrap();
    assert_eq!((info.state, info.generations), (PluginState::Live, 1));
    assert_eq!(bench.principal().await.unwrap(), "p");
    assert_mode(&bench.path("p.wasm"), 0o600);

    for name in ["../p", "", "a b", ".p", &"x".repeat(65)] {
        let error = host.upload(upload(name, Guest::allow().component())).await.unwrap_err();
        assert!(matches!(error, PluginError::Invalid(_)), "{name}: {error}");
    }
    let error = host.upload(upload("p", b"garbage".to_vec())).await.unwrap_err();
    assert!(matches!(error, PluginError::Invalid(_)), "{error}");
    assert_eq!(host.reload("p").await.unwrap().generations, 1, "garbage was not stored");

    let bad = Guest::allow().init_refuses().component();
    let error = host.upload(upload("p", bad)).await.unwrap_err();
    assert_eq!(error, PluginError::Rejected("p: misconfigured: init: nope".to_owned()));
    assert_eq!(bench.info("p").state, PluginState::LiveOld);
    assert_eq!(bench.principal().await.unwrap(), "p");
    assert_eq!(host.reload("q").await.unwrap_err(), PluginError::NotFound("q".to_owned()));
    assert_eq!(fs::read_dir(bench.path("")).unwrap().count(), 1, "no temporary is left");
}

#[track_caller]
fn assert_mode(path: &Path, expected: u32) {
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, expected);
}
