//! What the configuration and the admin API can do with plugins.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use access::{
    PluginError, PluginManager, PluginState, UploadProgress, UploadStage, UploadedPlugin,
};
use parking_lot::Mutex;

use super::{folder::Bench, guest::Guest};
use crate::{Signed, Trust};

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

/// The signature that is sent with a component stands for the one in the folder.
#[tokio::test]
async fn uploads_are_judged_by_the_signature_they_bring() {
    let (private, public) = crate::new_key().unwrap();
    let mut bench = Bench::new();
    let mut config = bench.config();
    config.trust = Arc::new(Trust::new(&[public], true, BTreeMap::new()).unwrap());
    bench.start_with(config).await;
    let signature = |name: &str, wasm: &[u8]| {
        crate::sign(&private, Signed { name, wasm, manifest: None }).unwrap()
    };
    let wasm = Guest::allow_as("p").component();
    let upload = async |name: &str, signature: Option<String>| {
        let plugin = UploadedPlugin { signature, ..UploadedPlugin::new(name, wasm.clone()) };
        bench.host().upload(plugin).await
    };
    let error = upload("p", None).await.unwrap_err().to_string();
    assert!(error.contains("has no p.sig"), "{error}");
    let of_another = Some(signature("q", &wasm));
    let error = upload("p", of_another).await.unwrap_err().to_string();
    assert!(error.contains("is not one of this component"), "{error}");
    assert!(!bench.path("p.sig").exists() && !bench.path("p.wasm").exists());
    let good = signature("p", &wasm);
    assert_eq!(upload("p", Some(good.clone())).await.unwrap().state, PluginState::Live);
    assert_eq!(fs::read_to_string(bench.path("p.sig")).unwrap(), good);
    assert_eq!(upload("p", None).await.unwrap().state, PluginState::Live, "it lies there now");
    // The one of the next version takes its place.
    let wasm = Guest::allow_as("next").component();
    let next = Some(signature("p", &wasm));
    let plugin = UploadedPlugin { signature: next.clone(), ..UploadedPlugin::new("p", wasm) };
    assert_eq!(bench.host().upload(plugin).await.unwrap().state, PluginState::Live);
    assert_eq!(fs::read_to_string(bench.path("p.sig")).ok(), next);
    assert_eq!(bench.principal().await.unwrap(), "next");
}

/// Whoever sent a component is told how far it is, and nothing behind the stage that refused it.
#[tokio::test]
async fn an_upload_says_how_far_it_is() {
    let mut bench = Bench::new();
    bench.start().await;
    let upload = async |guest: &Guest, shadow: bool| {
        let stages = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&stages);
        let progress = UploadProgress::new(move |stage| seen.lock().push(stage));
        let plugin = UploadedPlugin { progress, ..UploadedPlugin::new("p", guest.component()) };
        let ended = match shadow {
            true => bench.host().shadow(plugin).await,
            false => bench.host().upload(plugin).await,
        };
        (ended.is_ok(), std::mem::take(&mut *stages.lock()))
    };
    let all = [UploadStage::Checking, UploadStage::Compiling, UploadStage::Testing];
    assert_eq!(upload(&Guest::allow_as("one"), false).await, (true, all.to_vec()));
    assert_eq!(upload(&Guest::allow_as("two"), true).await, (true, all.to_vec()));
    assert_eq!(upload(&Guest::allow().init_refuses(), false).await, (false, all.to_vec()));
    let plugin = UploadedPlugin::new("p", b"junk".to_vec());
    let stages = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&stages);
    let progress = UploadProgress::new(move |stage| seen.lock().push(stage));
    bench.host().upload(UploadedPlugin { progress, ..plugin }).await.unwrap_err();
    assert_eq!(*stages.lock(), [UploadStage::Checking]);
}

/// A chain that names a plugin does not go on without it: whoever manages it must know.
#[tokio::test]
async fn what_chains_name_is_known() {
    let mut bench = Bench::new();
    for name in ["a", "b", "staff"] {
        bench.write(&format!("{name}.wasm"), Guest::allow_as(name).component());
    }
    bench.start().await;
    let named = || ["a", "b", "staff"].map(|name| bench.info(name).is_named);
    assert_eq!(named(), [false; 3], "the default chain takes whoever is there");
    let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let inner = BTreeMap::from([("inner".into(), of(&["b"]))]);
    bench.host().set_chains(None, inner, of(&["staff"])).await;
    assert_eq!(named(), [false, true, true]);
    bench.host().disable("b").await.unwrap();
    assert_eq!(named(), [false, true, true], "disabled or not");
    bench.host().set_chains(Some(of(&["a"])), BTreeMap::new(), Vec::new()).await;
    assert_eq!(named(), [true, false, false]);
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
    bench.host().set_chains(Some(vec!["b".to_owned()]), Default::default(), Vec::new()).await;
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
    let upload = |name: &str, wasm: Vec<u8>| UploadedPlugin::new(name, wasm);
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
    assert_eq!(bench.info("p").state, PluginState::Live, "nothing was stored");
    assert_eq!(bench.info("p").load_failures, 1);
    assert_eq!(bench.principal().await.unwrap(), "p");
    assert_eq!(host.reload("q").await.unwrap_err(), PluginError::NotFound("q".to_owned()));
    assert_eq!(fs::read_dir(bench.path("")).unwrap().count(), 1, "no temporary is left");
}

#[tokio::test]
async fn an_upload_that_fails_leaves_the_folder_as_it_was() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("good").component());
    bench.start().await;
    let bad = |name: &str| UploadedPlugin::new(name, Guest::allow().init_refuses().component());
    for name in ["p", "new"] {
        let error = bench.host().upload(bad(name)).await.unwrap_err();
        assert_eq!(error, PluginError::Rejected(format!("{name}: misconfigured: init: nope")));
    }
    assert!(bench.host().get("new").is_none());
    assert_eq!(bench.names(), ["p", "deny-all"]);
    assert!(bench.host().not_ready().is_empty());
    bench.restart().await;
    assert_eq!(bench.names(), ["p", "deny-all"]);
    assert_eq!(bench.principal().await.unwrap(), "good", "the last good file is still on disk");
}

#[tokio::test]
async fn an_upload_does_not_undo_what_happened_meanwhile() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("old").component());
    bench.start().await;
    let wasm = Guest::allow_as("new").component();
    let upload = UploadedPlugin::new("p", wasm);
    let (uploaded, disabled) = tokio::join!(bench.host().upload(upload), bench.host().disable("p"));
    assert_eq!(disabled.unwrap().state, PluginState::Disabled);
    assert_eq!(uploaded.unwrap().state, PluginState::Disabled);
    assert_eq!(bench.names(), ["deny-all"]);
    assert_eq!(bench.host().enable("p").await.unwrap().state, PluginState::Live);
    assert_eq!(bench.principal().await.unwrap(), "new");
}

#[tokio::test]
async fn enabling_does_not_let_in_what_lost_its_manifest() {
    let mut bench = Bench::new();
    for name in ["p", "q"] {
        bench.write(&format!("{name}.wasm"), Guest::allow_as(name).component());
        bench.write(&format!("{name}.toml"), "control = \"required\"");
    }
    bench.start().await;
    for name in ["p", "q"] {
        bench.host().disable(name).await.unwrap();
    }
    fs::remove_file(bench.path("p.toml")).unwrap();
    fs::remove_file(bench.path("q.wasm")).unwrap();
    for name in ["p", "q"] {
        bench.until("noticed", |bench| bench.info(name).error.is_some()).await;
        assert_eq!(bench.info(name).state, PluginState::Disabled);
    }
    for name in ["p", "q"] {
        let error = bench.host().enable(name).await.unwrap_err();
        assert!(matches!(error, PluginError::Rejected(_)), "{error}");
        assert_eq!(bench.info(name).state, PluginState::Removed);
    }
    assert_eq!(bench.names(), ["p", "q", "deny-all"]);
    assert!(bench.principal().await.is_err());
}

#[tokio::test]
async fn a_chain_that_names_a_disabled_plugin_is_not_ready() {
    let mut bench = Bench::new();
    for name in ["a", "b", "c"] {
        bench.write(&format!("{name}.wasm"), Guest::allow_as(name).component());
    }
    bench.write("b.toml", "enabled = false");
    let mut config = bench.config();
    config.chain = Some(vec!["a".to_owned(), "b".to_owned()]);
    bench.start_with(config).await;
    let reasons = bench.host().not_ready();
    assert_eq!(reasons, ["a chain names \"b\", but this plugin is disabled"]);
    bench.host().disable("a").await.unwrap();
    assert_eq!(bench.host().not_ready().len(), 2);
    bench.host().disable("c").await.unwrap();
    assert_eq!(bench.host().not_ready().len(), 2, "no chain names it");

    let named = ["a", "b"].map(str::to_owned).into();
    let data = bench.folder.path().join("data");
    let problems = crate::check_standing(&bench.path(""), &data, &named);
    assert!(
        problems[0].ends_with("json: an admin disabled a, but a chain names it"),
        "{problems:?}"
    );
    assert!(problems[1].ends_with("b.toml: enabled = false, but a chain names b"), "{problems:?}");
    assert_eq!(problems.len(), 2);
    bench.host().enable("a").await.unwrap();
    fs::remove_file(bench.path("a.wasm")).unwrap();
    let problems = crate::check_standing(&bench.path(""), &data, &Default::default());
    assert!(problems[0].contains("a.wasm: is gone"), "{problems:?}");
    assert_eq!(problems.len(), 1);
}

#[track_caller]
fn assert_mode(path: &Path, expected: u32) {
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, expected);
}
