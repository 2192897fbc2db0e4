//! Going back to an earlier version: by an admin, after a probation, at a start.

use std::{fs, sync::Arc, time::Duration};

use access::{HeldBecause, PluginError, PluginManager, PluginState, UploadedPlugin};

use super::{folder::Bench, guest::Guest};
use crate::Trust;

/// Allows as `principal` if file `f` is there.
fn reads_file(principal: &str) -> Guest {
    let import =
        r#"(import "portcullis:plugin/files@0.1.0" "size" (func $size (param i32 i32 i32)))"#;
    let call = "(call $size (i32.const 4160) (i32.const 4) (i32.const 6000))
        (if (i32.load8_u (i32.const 6000)) (then unreachable))";
    Guest::allow_as(principal).imports(import).authenticate(call)
}

impl Bench {
    /// Writes a component and waits until it is live.
    async fn replace(&self, guest: Guest) {
        let before = self.info("p").generations;
        self.write("p.wasm", guest.component());
        self.until("live", |bench| {
            let info = bench.info("p");
            info.generations == before + 1 && info.state == PluginState::Live
        })
        .await;
    }

    fn held(&self) -> Option<HeldBecause> {
        self.info("p").versions.held.map(|held| held.because)
    }

    fn rolled_back(&self, because: HeldBecause) -> u64 {
        let info = self.info("p");
        let found = info.versions.rollbacks.iter().find(|(known, _)| *known == because);
        found.map_or(0, |(_, count)| *count)
    }
}

#[tokio::test]
async fn an_admin_goes_back_until_the_files_change() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("one").component());
    bench.write("p.toml", "[reload]\nprobation = \"0 s\"");
    bench.start().await;
    let error = bench.host().rollback("p").await.unwrap_err();
    assert_eq!(error, PluginError::Rejected("p: no earlier version of it is kept".to_owned()));
    bench.replace(Guest::allow_as("two")).await;
    bench.replace(Guest::allow_as("three")).await;
    assert_eq!(bench.info("p").versions.kept.len(), 3);

    let info = bench.host().rollback("p").await.unwrap();
    assert_eq!((info.state, bench.held()), (PluginState::LiveOld, Some(HeldBecause::Asked)));
    assert!(info.error.unwrap().contains("an admin rolled it back"));
    assert_eq!(bench.principal().await.unwrap(), "two", "in force when it returns");
    assert!(bench.host().not_ready().is_empty());
    assert!(bench.host().warnings().iter().any(|warning| warning.contains("rolled it back")));

    bench.restart().await;
    assert_eq!(bench.principal().await.unwrap(), "two", "a restart changes nothing");
    assert_eq!(bench.held(), Some(HeldBecause::Asked));

    bench.host().rollback("p").await.unwrap();
    assert_eq!(bench.principal().await.unwrap(), "one", "and further back");
    bench.host().rollback("p").await.unwrap_err();
    assert_eq!(bench.principal().await.unwrap(), "one");

    assert_eq!(bench.host().reload("p").await.unwrap().state, PluginState::Live);
    assert_eq!((bench.principal().await.unwrap().as_str(), bench.held()), ("three", None));
    bench.host().rollback("p").await.unwrap();
    bench.replace(Guest::allow_as("four")).await;
    assert_eq!(bench.principal().await.unwrap(), "four");
    assert_eq!(bench.held(), None);
    let unknown = bench.host().rollback("q").await.unwrap_err();
    assert_eq!(unknown, PluginError::NotFound("q".to_owned()));
}

#[tokio::test]
async fn an_earlier_version_reads_the_files_of_today() {
    let mut bench = Bench::new();
    bench.write("p.wasm", reads_file("one").component());
    bench.write("p.toml", "[files]\nnope = \"data.txt\"\n[reload]\nprobation = \"0 s\"");
    bench.write("data.txt", "1");
    bench.start().await;
    bench.replace(reads_file("two")).await;
    bench.write("data.txt", "2");
    bench.until("second", |bench| bench.info("p").generations == 3).await;
    let generation = bench.host().rollback("p").await.unwrap().generation;
    assert_eq!(bench.principal().await.unwrap(), "one");
    bench.write("data.txt", "3");
    bench.until("new files", |bench| bench.info("p").generation != generation).await;
    assert_eq!(bench.principal().await.unwrap(), "one", "its version stays");
    assert_eq!(bench.held(), Some(HeldBecause::Asked));
    assert_eq!(bench.rolled_back(HeldBecause::Asked), 1);
}

/// A component that does not load must not freeze a list from which somebody was struck.
#[tokio::test]
async fn what_answers_reads_its_files_again_while_a_newer_component_is_bad() {
    let mut bench = Bench::new();
    bench.write("p.wasm", reads_file("one").component());
    bench.write("p.toml", "[files]\nnope = \"data.txt\"\n");
    bench.write("data.txt", "1");
    bench.start().await;
    bench.write("p.wasm", "nonsense");
    bench.until_state("p", PluginState::LiveOld).await;
    let first = bench.info("p");
    assert_eq!((first.generations, bench.held()), (1, None));
    bench.write("data.txt", "2");
    bench.until("new files", |bench| bench.info("p").generation != first.generation).await;
    let info = bench.info("p");
    assert_eq!((info.state, info.generations), (PluginState::LiveOld, 2));
    assert_eq!((bench.held(), bench.rolled_back(HeldBecause::Start)), (None, 0));
    assert_eq!(bench.principal().await.unwrap(), "one");
    // So does one that is too bad to be read, and a manifest that is.
    bench.write("p.toml", "nonsense");
    bench
        .until("noticed", |bench| bench.info("p").error.is_some_and(|it| it.contains("p.toml")))
        .await;
    assert_eq!(bench.principal().await.unwrap(), "one");
    bench.write("p.toml", "[files]\nnope = \"data.txt\"\n");
    bench.write("p.wasm", reads_file("two").component());
    bench.until_state("p", PluginState::Live).await;
    assert_eq!(bench.principal().await.unwrap(), "two");
}

#[tokio::test]
async fn an_earlier_version_gets_no_more_than_todays_manifest_grants() {
    let mut bench = Bench::new();
    bench.write("p.wasm", reads_file("one").component());
    bench.write("p.toml", "order = 5\n[files]\nnope = \"data.txt\"");
    bench.write("data.txt", "1");
    bench.start().await;
    let wasm = Guest::allow_as("two").component();
    bench.write("p.toml", "order = 7");
    bench.write("p.wasm", wasm);
    bench.until("two", |bench| bench.info("p").described.is_some_and(|d| d.0 == "two")).await;
    let error = bench.host().rollback("p").await.unwrap_err().to_string();
    assert!(error.ends_with("grants files, which today's does not"), "{error}");
    bench.write("p.toml", "order = 7\n[files]\nnope = \"data.txt\"");
    bench.until("new manifest", |bench| bench.info("p").generations == 3).await;
    bench.host().rollback("p").await.unwrap();
    assert_eq!(bench.principal().await.unwrap(), "one", "the last one that is proven");
    assert_eq!(bench.info("p").order, 7, "where it stands is today's word");
}

fn traps() -> Guest {
    Guest::allow_as("new").authenticate("unreachable")
}

#[tokio::test]
async fn a_version_that_traps_in_its_probation_is_replaced_once() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("old").component());
    bench.start().await;
    assert!(!bench.info("p").versions.on_probation, "there is nothing to go back to");
    bench.replace(traps()).await;
    assert!(bench.info("p").versions.on_probation);
    for _ in 0..4 {
        bench.principal().await.unwrap_err();
    }
    assert_eq!(bench.held(), None);
    bench.principal().await.unwrap_err();
    bench.until("replaced", |bench| bench.held().is_some()).await;
    let info = bench.info("p");
    assert_eq!((info.state, bench.held()), (PluginState::LiveOld, Some(HeldBecause::Probation)));
    assert!(info.error.unwrap().contains("5 of 5 calls broke in its probation"));
    assert_eq!(bench.rolled_back(HeldBecause::Probation), 1);
    assert_eq!(bench.principal().await.unwrap(), "old");
    bench.restart().await;
    assert_eq!(bench.principal().await.unwrap(), "old", "nor does a restart bring it back");
    assert_eq!(bench.held(), Some(HeldBecause::Probation));
}

#[tokio::test]
async fn a_version_that_passed_has_no_second_probation() {
    let mut bench = Bench::new();
    bench.write("p.toml", "[reload]\nprobation = \"10 ms\"");
    bench.write("p.wasm", Guest::allow_as("old").component());
    bench.start().await;
    bench.replace(Guest::allow_as("new")).await;
    let proven = |bench: &Bench| {
        let versions = bench.info("p").versions;
        !versions.on_probation && versions.kept.iter().all(|kept| kept.proven)
    };
    bench.until("passed", proven).await;
    bench.restart().await;
    assert!(proven(&bench));
    assert_eq!(bench.info("p").versions.kept.len(), 2);
}

#[tokio::test]
async fn a_start_falls_back_on_the_last_good_version() {
    let mut bench = Bench::new();
    let good = Guest::allow_as("good").component();
    bench.write("p.wasm", &good);
    bench.write("p.toml", "control = \"required\"");
    bench.start().await;
    let newer = Guest::allow_as("newer").self_test_traps().component();
    for bad in [good[..good.len() / 2].to_vec(), b"nonsense".to_vec(), newer] {
        bench.write("p.wasm", bad);
        bench.restart().await;
        assert_eq!(bench.principal().await.unwrap(), "good");
        let info = bench.info("p");
        assert_eq!((info.state, bench.held()), (PluginState::LiveOld, Some(HeldBecause::Start)));
        assert!(info.error.is_some());
        assert_eq!(bench.rolled_back(HeldBecause::Start), 1);
        assert!(bench.host().not_ready().is_empty());
        assert!(!bench.host().warnings().is_empty());
    }
    bench.replace(Guest::allow_as("repaired")).await;
    assert_eq!((bench.principal().await.unwrap().as_str(), bench.held()), ("repaired", None));
}

#[tokio::test]
async fn a_start_falls_back_on_nothing_that_is_not_allowed_any_more() {
    let mut bench = Bench::new();
    let wasm = Guest::allow_as("good").component();
    bench.write("p.wasm", &wasm);
    bench.start().await;
    bench.write("p.wasm", "nonsense");

    bench.write("p.toml", "order = 7");
    bench.restart().await;
    assert_eq!(bench.info("p").state, PluginState::Failed, "another manifest");
    assert!(bench.principal().await.is_err());
    fs::remove_file(bench.path("p.toml")).unwrap();

    // The manifest was seen, so its absence is a plugin that vanished.
    bench.restart().await;
    assert_eq!(bench.info("p").state, PluginState::Removed);

    let mut bench = Bench::new();
    bench.write("p.wasm", &wasm);
    bench.start().await;
    bench.write("p.wasm", "nonsense");
    let pins = [("p".to_owned(), "0".repeat(64))].into();
    let mut config = bench.config();
    config.trust = Arc::new(Trust::new(&[], false, pins).unwrap());
    bench.host = None;
    bench.start_with(config).await;
    assert_eq!(bench.info("p").state, PluginState::Failed, "pinned otherwise");

    bench.restart().await;
    assert_eq!(bench.principal().await.unwrap(), "good");
    bench.host().disable("p").await.unwrap();
    bench.restart().await;
    assert_eq!(bench.info("p").state, PluginState::Disabled);
    assert_eq!(bench.names(), ["deny-all"]);
    bench.host().enable("p").await.unwrap_err();
    fs::remove_file(bench.path("p.wasm")).unwrap();
    bench.restart().await;
    assert_eq!(bench.info("p").state, PluginState::Removed);
    assert!(bench.principal().await.is_err());
}

#[tokio::test]
async fn damage_on_disk_is_noticed_and_forgetting_leaves_nothing() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("good").component());
    bench.start().await;
    let versions = bench.folder.path().join("data/plugin-versions/p");
    let version = fs::read_dir(&versions).unwrap().next().unwrap().unwrap().path();
    fs::write(version.join("plugin.wasm"), Guest::allow_as("evil").component()).unwrap();
    bench.write("p.wasm", "nonsense");
    bench.restart().await;
    assert_eq!(bench.info("p").state, PluginState::Failed);
    assert!(bench.principal().await.is_err());
    fs::remove_file(bench.path("p.wasm")).unwrap();
    bench.until_state("p", PluginState::Removed).await;
    bench.host().forget("p").await.unwrap();
    assert!(!versions.exists());
}

#[tokio::test]
async fn an_upload_ends_a_hold() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("one").component());
    bench.start().await;
    let upload = |name: &str| UploadedPlugin::new("p", Guest::allow_as(name).component());
    bench.host().upload(upload("two")).await.unwrap();
    bench.host().rollback("p").await.unwrap();
    assert_eq!(bench.principal().await.unwrap(), "one");
    bench.host().upload(upload("three")).await.unwrap();
    assert_eq!((bench.principal().await.unwrap().as_str(), bench.held()), ("three", None));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.principal().await.unwrap(), "three", "nor does a look at the folder");
}
