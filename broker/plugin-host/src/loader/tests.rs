use access::{LinkState, PluginState, UploadedPlugin};
use tokio::sync::oneshot;

use super::*;
use crate::{runtime::Outside, tests::guest::Guest};

fn loader(folder: &Path) -> (Loader, Arc<Gate>) {
    let gate = Arc::new(Gate::new(|| Duration::ZERO));
    let mut config = Config::new(folder, folder.join("data"));
    config.quiet_period = Duration::from_millis(30);
    let runtime = Arc::new(Runtime::new(None, Outside::default()).unwrap());
    std::fs::create_dir(&config.data_dir).unwrap();
    let remembered = Remembered::open(&config.data_dir).unwrap();
    (Loader::new(&config, runtime, Arc::clone(&gate), remembered), gate)
}

#[tokio::test]
async fn a_plugin_that_is_written_at_the_start_has_its_link() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.wasm"), "half").unwrap();
    let (mut loader, gate) = loader(folder.path());
    assert_eq!(loader.scan().await, ["p"]);
    loader.was_read("p", Ok(crate::candidate::Found::Unstable));
    loader.publish().await;
    let chain = gate.chain("mqtt");
    let LinkState::Missing(sentence) = &chain.links[0].state else {
        panic!("it answers");
    };
    assert_eq!(sentence, "p: its files are being written");
    assert!(loader.unsettled.contains_key("p"), "and is looked at again");
}

#[tokio::test]
async fn a_new_plugin_has_no_link_before_it_was_judged() {
    let folder = tempfile::tempdir().unwrap();
    let (mut loader, gate) = loader(folder.path());
    loader.scan().await;
    loader.started = true;
    loader.was_read("p", Ok(crate::candidate::Found::Unstable));
    loader.publish().await;
    assert!(gate.chain("mqtt").links.is_empty());
    assert!(loader.view.load().rows.is_empty());
}

#[tokio::test]
async fn what_goes_wrong_in_a_job_closes_the_link_of_its_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let (mut loader, gate) = loader(folder.path());
    loader.was_read("p", Err("panicked".to_owned()));
    loader.publish().await;
    assert!(loader.view.load().not_ready[0].contains("cannot be read: panicked"));
    assert!(matches!(gate.chain("mqtt").links[0].state, LinkState::Missing(_)));
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn nobody_waits_for_builds_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, guest: Guest| {
        std::fs::write(folder.path().join(name), guest.component()).unwrap();
    };
    write("gone.wasm", Guest::allow());
    write("off.wasm", Guest::allow());
    let (mut loader, gate) = loader(folder.path());
    loader.load_all(&[]).await;
    let places = loader.jobs.take_places();
    let view = loader.view();
    let state = |name: &str| view.load().rows.get(name).map(Row::state);
    let (orders, inbox) = mpsc::channel(8);
    tokio::spawn(loader.run(inbox));
    let (answer, mut uploaded) = oneshot::channel();
    let plugin = UploadedPlugin::new("slow", Guest::allow().component());
    orders.send(Order::Upload(plugin, answer)).await.unwrap();
    let (answer, disabled) = oneshot::channel();
    orders.send(Order::Disable("off".to_owned(), answer)).await.unwrap();
    assert_eq!(disabled.await.unwrap().unwrap().state, PluginState::Disabled);
    std::fs::remove_file(folder.path().join("gone.wasm")).unwrap();
    until("gone", || state("gone") == Some(PluginState::Removed)).await;
    assert!(matches!(gate.chain("mqtt").links[0].state, LinkState::Missing(_)));
    assert!(uploaded.try_recv().is_err(), "still not built");
    assert!(!folder.path().join("slow.wasm").exists(), "nor stored");
    drop(places);
    assert_eq!(uploaded.await.unwrap().unwrap().state, PluginState::Live);
    assert!(folder.path().join("slow.wasm").exists());
}

#[tokio::test]
async fn the_newest_files_of_a_plugin_win() {
    let folder = tempfile::tempdir().unwrap();
    let write = |guest: Guest| {
        std::fs::write(folder.path().join("p.wasm"), guest.component()).unwrap();
    };
    write(Guest::allow_as("old"));
    let (mut loader, _gate) = loader(folder.path());
    loader.load_all(&[]).await;
    let places = loader.jobs.take_places();
    for principal in ["older", "newer"] {
        write(Guest::allow_as(principal));
        loader.load("p", false, None);
        let done = loader.jobs.next().await.unwrap();
        loader.done(done);
        assert!(loader.jobs.get("p").is_some_and(|job| !job.reading), "it waits for a place");
    }
    drop(places);
    while let Some(done) = loader.jobs.next().await {
        loader.done(done);
    }
    let info = loader.verdict("p").unwrap();
    assert_eq!(info.generations, 2, "the one in the middle never went live");
    assert_eq!(info.described.unwrap().0, "newer");
}
