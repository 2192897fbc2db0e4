//! Candidates in shadow mode.

use std::{fs, path::Path, time::Duration};

use access::{
    Connection, Credentials, LinkState, Password, PluginError, PluginManager, PluginState,
    ShadowReport, UploadedPlugin,
};

use super::{
    calls::{connection, credentials},
    folder::Bench,
    guest::Guest,
    lent,
};
use crate::Config;

impl Bench {
    fn shadow(&self) -> ShadowReport {
        self.host().shadow_report("p").unwrap()
    }

    async fn asked(&self, calls: u64) -> ShadowReport {
        self.until("asked", |bench| bench.shadow().calls == calls).await;
        self.shadow()
    }
}

async fn started() -> Bench {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("one").component());
    bench.start().await;
    bench
}

fn candidate(guest: &Guest) -> UploadedPlugin {
    UploadedPlugin::new("p", guest.component())
}

#[tokio::test]
async fn a_candidate_is_compared_has_no_say_and_is_promoted() {
    let bench = started().await;
    let two = candidate(&Guest::allow_as("two"));
    let info = bench.host().shadow(two.clone()).await.unwrap();
    assert_eq!((info.state, info.generations), (PluginState::Live, 1));
    assert_eq!(bench.names(), ["p", "deny-all"], "it is no plugin of its own");
    for _ in 0..3 {
        assert_eq!(bench.principal().await.unwrap(), "one");
    }
    let report = bench.asked(3).await;
    assert_eq!((report.differences, report.dropped), (3, 0));
    assert_eq!(report.by_hook, [("authenticate".to_owned(), 3)]);
    assert_eq!(report.last[0].lines, ["principal: expected \"one\", answered \"two\""]);
    assert_eq!(report.last[0].client_id, "c");
    assert!(!format!("{report:?}").contains("secret"), "no password is told");

    let info = bench.host().promote("p").await.unwrap();
    assert_eq!((info.state, info.generations), (PluginState::Live, 2));
    assert_eq!(bench.principal().await.unwrap(), "two");
    assert_eq!(fs::read(bench.path("p.wasm")).unwrap(), two.wasm);
    assert!(!bench.path("p.shadow.wasm").exists());
    bench.until("gone", |bench| bench.host().shadow_report("p").is_err()).await;
    let error = bench.host().promote("p").await.unwrap_err();
    assert!(matches!(error, PluginError::Invalid(_)), "{error}");
}

/// Two who saw the same: the second order is for a plugin that is not that any more when its turn comes.
#[tokio::test]
async fn an_order_for_another_state_is_not_obeyed() {
    let bench = started().await;
    let tag = bench.info("p").tag();
    let only_if = bench.host().only_if(tag.clone());
    let (first, second) = tokio::join!(only_if.disable("p"), only_if.reload("p"));
    assert_eq!(first.unwrap().state, PluginState::Disabled);
    assert_eq!(second.map(drop), Err(PluginError::Changed("p".to_owned())));
    let upload = only_if.upload(candidate(&Guest::allow_as("two"))).await;
    assert_eq!(upload.map(drop), Err(PluginError::Changed("p".to_owned())));
    assert_eq!(only_if.forget("p").await, Err(PluginError::Changed("p".to_owned())));
    let enabled = bench.host().only_if(bench.info("p").tag()).enable("p").await.unwrap();
    assert_eq!((enabled.state, enabled.tag()), (PluginState::Live, bench.info("p").tag()));
    // A candidate beside it is a change as well.
    let shadowed = bench.host().shadow(candidate(&Guest::allow_as("three"))).await.unwrap();
    assert_ne!(shadowed.tag(), enabled.tag());
    let stale = bench.host().only_if(enabled.tag());
    assert_eq!(stale.promote("p").await.map(drop), Err(PluginError::Changed("p".to_owned())));
    bench.host().only_if(shadowed.tag()).promote("p").await.unwrap();
    let nothing = bench.host().only_if(tag).reload("q").await;
    assert_eq!(nothing.map(drop), Err(PluginError::Changed("q".to_owned())));
}

/// Who promotes has read how one candidate answers, and no other goes live for it.
#[tokio::test]
async fn a_candidate_that_was_replaced_on_disk_is_not_promoted() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("one").component());
    // What is written into the folder is not looked at meanwhile.
    let config = Config { quiet_period: Duration::from_secs(600), ..bench.config() };
    bench.start_with(config).await;
    let two = candidate(&Guest::allow_as("two"));
    let shadowed = bench.host().shadow(two.clone()).await.unwrap();
    bench.write("p.shadow.wasm", Guest::allow_as("evil").component());
    let bound = bench.host().only_if(shadowed.tag());
    for host in [bench.host() as &dyn PluginManager, &*bound] {
        let refused = host.promote("p").await.map(drop);
        assert_eq!(refused, Err(PluginError::Changed("p".to_owned())));
    }
    assert_eq!(bench.principal().await.unwrap(), "one");
    assert!(bench.path("p.shadow.wasm").exists());
    bench.write("p.shadow.wasm", two.wasm);
    bound.promote("p").await.unwrap();
    assert_eq!(bench.principal().await.unwrap(), "two");
}

#[tokio::test]
async fn a_file_beside_the_live_one_is_a_candidate_over_a_restart() {
    let mut bench = started().await;
    bench.write("p.shadow.wasm", Guest::allow_as("one").data(7000, b"x").component());
    bench.until("seen", |bench| bench.host().shadow_report("p").is_ok()).await;
    bench.principal().await.unwrap();
    assert_eq!(bench.asked(1).await.differences, 0, "it answers the same");
    bench.restart().await;
    bench.until("seen", |bench| bench.host().shadow_report("p").is_ok()).await;
    bench.host().drop_shadow("p").await.unwrap();
    assert!(!bench.path("p.shadow.wasm").exists());
    bench.host().shadow_report("p").unwrap_err();
    let error = bench.host().drop_shadow("p").await.unwrap_err();
    assert!(matches!(error, PluginError::NotFound(_)), "{error}");
}

#[tokio::test]
async fn a_candidate_that_fails_harms_nobody() {
    let bench = started().await;
    let refuses = candidate(&Guest::allow().init_refuses());
    let error = bench.host().shadow(refuses).await.unwrap_err();
    assert!(error.to_string().contains("init: nope"), "{error}");
    let traps = candidate(&Guest::allow().authenticate("unreachable"));
    bench.host().shadow(traps).await.unwrap();
    for _ in 0..8 {
        assert_eq!(bench.principal().await.unwrap(), "one");
    }
    let report = bench.asked(8).await;
    assert_eq!(report.differences, 8);
    assert!(report.last[0].lines.iter().any(|line| line.contains("\"trap\"")), "{report:?}");
    let info = bench.info("p");
    assert_eq!((info.failures, info.breaker.opened), (0, 0));
    let unknown = UploadedPlugin::new("q", Guest::allow().component());
    let error = bench.host().shadow(unknown).await.unwrap_err();
    assert_eq!(error, PluginError::NotFound("q".to_owned()));
}

#[tokio::test]
async fn the_manifest_may_promote() {
    let mut bench = Bench::new();
    bench.write("p.wasm", Guest::allow_as("one").component());
    bench.write("p.toml", "[shadow]\npromote_after = \"1 s\"\nmin_calls = 1\nmax_differences = 1");
    bench.start().await;
    bench.host().shadow(candidate(&Guest::allow_as("two"))).await.unwrap();
    bench.principal().await.unwrap();
    bench.until("promoted", |bench| bench.info("p").generations == 2).await;
    assert_eq!(bench.principal().await.unwrap(), "two");
}

#[tokio::test]
async fn what_a_candidate_does_has_no_effect() {
    let mut bench = Bench::new();
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/prebuilt");
    let wasm = fs::read(guests.join("lent.wasm")).unwrap();
    bench.write("p.wasm", &wasm);
    bench.write("p.toml", lent::GRANTS);
    let mut config = bench.config();
    config.sources = lent::all_sources();
    bench.start_with(config).await;
    assert_eq!(bench.info("p").state, PluginState::Live, "{:?}", bench.info("p").error);
    let mut other = wasm.clone();
    other.extend([0, 3, 1, b'x', 0]);
    bench.write("p.shadow.wasm", other);
    bench.until("seen", |bench| bench.host().shadow_report("p").is_ok()).await;
    for _ in 0..2 {
        let chain = bench.chain();
        let LinkState::Live(hooks) = &chain.links[0].state else { panic!("it does not answer") };
        let username = Some("state.increment".to_owned());
        let connection = Connection { username, ..connection() };
        let password = Some(Password::new(b"n\n1".to_vec()));
        let credentials = Credentials { password, ..credentials() };
        let hook = hooks.authenticator.as_ref().unwrap();
        hook.authenticate(&connection, &credentials).await.unwrap();
    }
    let report = bench.asked(2).await;
    assert_eq!(report.differences, 2);
    let lines = &report.last[1].lines;
    assert!(lines[0].contains("ok: 2") && lines[0].contains("shadow mode"), "{lines:?}");
}
