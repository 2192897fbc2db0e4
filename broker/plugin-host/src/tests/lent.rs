//! What the host lends, as a guest sees it: `tests/guests/lent` calls what the client names.

mod databases;
mod http;
mod requests;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use access::{Authenticator, Connection, Credentials, Outcome, Password, PluginState};
use telemetry::Metrics;

use super::calls::{connection, credentials};
use crate::{
    Aead, KeyRing, Secret, Sources,
    candidate::Contents,
    capability::log::LogRate,
    generation::{Generation, Rejected},
    hooks::Hook,
    manifest::Manifest,
    runtime::{Outside, Runtime},
};

fn sources() -> Sources {
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    let ring = KeyRing::new(Aead::Aes256Gcm, vec![(2, vec![2; 32]), (1, vec![1; 32])]).unwrap();
    Sources {
        secrets: BTreeMap::from([
            ("shown".to_owned(), secret("open sesame")),
            ("used".to_owned(), secret("hush")),
            ("other".to_owned(), secret("not granted")),
        ]),
        keys: BTreeMap::from([("box".to_owned(), ring)]),
        ..Sources::default()
    }
}

/// Everything that [`GRANTS`] names.
pub(super) fn all_sources() -> Sources {
    let mut sources = sources();
    sources.jwt.insert("idp".to_owned(), crate::capability::jwt::tests::rsa());
    sources.sql.insert("users".to_owned(), databases::absent_database());
    sources.ldap.insert("corp".to_owned(), databases::absent_directory());
    sources
}

/// Every grant that the guest needs to go live.
pub(super) const GRANTS: &str = r#"
[grants]
secrets = ["shown", "used"]
reveal = ["shown"]
keys = ["box"]
jwt = ["idp"]
state = "64 KiB"
http = ["http://127.0.0.1:1/"]
sql = ["users"]
ldap = ["corp"]
cache_control = true
broker = ["publish", "disconnect", "subscriptions"]
publish_topics = ["plant/+/alarm"]
"#;

struct Lent {
    runtime: Arc<Runtime>,
    generation: Arc<Generation>,
    metrics: Arc<Metrics>,
}

impl Lent {
    async fn new() -> Self {
        Self::with(GRANTS, None).await
    }

    async fn with(manifest: &str, data_dir: Option<&Path>) -> Self {
        let metrics = Metrics::new();
        let outside = Outside {
            sources: all_sources(),
            plugin_metrics: metrics.plugins.clone(),
            ..Outside::default()
        };
        let runtime = Arc::new(Runtime::new(data_dir, outside).unwrap());
        let generation = build(&runtime, manifest).await.map_err(|it| it.sentence).unwrap();
        Self { runtime, generation, metrics }
    }

    /// The same as a candidate that only sees what others are asked.
    async fn in_shadow(mut self, manifest: &str) -> Self {
        let contents = Contents { in_shadow: true, ..contents() };
        self.generation = build_of(&self.runtime, manifest, contents).await.ok().unwrap();
        self
    }

    /// What the guest says that the host said.
    async fn call(&self, function: &str, arguments: &str) -> String {
        call(&self.generation, function, arguments).await
    }

    async fn check(&self, function: &str, arguments: &str, expected: &str) {
        let told = self.call(function, arguments).await;
        assert!(told.contains(expected), "{function} {arguments}: {told}, wanted {expected}");
    }
}

async fn call(generation: &Arc<Generation>, function: &str, arguments: &str) -> String {
    let connection = Connection { username: Some(function.to_owned()), ..connection() };
    let password = Some(Password::new(arguments.as_bytes().to_vec()));
    let credentials = Credentials { password, ..credentials() };
    let hook = Hook(Arc::clone(generation));
    match hook.authenticate(&connection, &credentials).await {
        Ok(Outcome::Deny(denial)) => denial.reason.unwrap(),
        Ok(other) => panic!("{other:?}"),
        Err(failure) => format!("failed: {failure}"),
    }
}

/// The guest with all its grants.
pub(super) async fn generation() -> Arc<Generation> {
    Lent::new().await.generation
}

fn guest() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests/prebuilt");
    fs::read(folder.join("lent.wasm")).unwrap()
}

fn contents() -> Contents {
    Contents::alone(guest(), "0123456789abcdef".to_owned())
}

async fn build(runtime: &Arc<Runtime>, manifest: &str) -> Result<Arc<Generation>, Rejected> {
    build_of(runtime, manifest, contents()).await
}

async fn build_of(
    runtime: &Arc<Runtime>,
    manifest: &str,
    contents: Contents,
) -> Result<Arc<Generation>, Rejected> {
    let manifest = Manifest::parse(Path::new("lent.toml"), manifest).unwrap();
    Generation::build(runtime, "lent", contents, manifest, Arc::new(LogRate::new())).await
}

#[tokio::test]
async fn nothing_is_lent_without_a_grant() {
    let runtime = Arc::new(Runtime::new(None, Outside::default()).unwrap());
    let rejected = build(&runtime, "").await.err().unwrap();
    assert_eq!(rejected.state, PluginState::WaitingForGrant);
    for line in [
        "imports secrets, which its manifest does not grant: add [grants] secrets = [\"NAME\"]",
        "[grants] keys = ",
        "[grants] jwt = ",
        "[grants] state = \"1 MiB\"",
        "[grants] http = ",
        "[grants] sql = ",
        "[grants] ldap = ",
        "[grants] cache_control = true",
        "[grants] broker = ",
    ] {
        assert!(rejected.sentence.contains(line), "{line}: {}", rejected.sentence);
    }
    let some = GRANTS.replace("state = \"64 KiB\"\n", "");
    let rejected = build(&runtime, &some).await.err().unwrap();
    assert_eq!(rejected.state, PluginState::WaitingForGrant);
    assert!(rejected.sentence.starts_with("imports state, "), "{}", rejected.sentence);
    assert!(!rejected.sentence.contains("imports keys"), "{}", rejected.sentence);
}

#[tokio::test]
async fn what_the_configuration_does_not_have_is_told() {
    let runtime = Arc::new(Runtime::new(None, Outside::default()).unwrap());
    let rejected = build(&runtime, GRANTS).await.err().unwrap();
    assert_eq!(rejected.state, PluginState::Failed);
    let sentence = rejected.sentence;
    let expected = "[grants] secrets names \"shown\", but the broker's configuration has no \
                    [secrets.shown]";
    assert_eq!(sentence, expected);
}

#[tokio::test]
async fn secrets_are_used_by_name_and_read_only_where_that_is_granted() {
    let lent = Lent::new().await;
    lent.check("secrets.names", "", r#"ok: ["shown", "used"]"#).await;
    lent.check("secrets.reveal", "shown", "ok: \"open sesame\"").await;
    lent.check("secrets.reveal", "used", "NotRevealed(\"used\")").await;
    lent.check("secrets.reveal", "other", "Unknown(\"other\")").await;
    // Of `printf data | openssl dgst -sha256 -hmac hush`.
    let expected = "608a7a14281de5e43753aeacca2e53d1ab73d6953622da53562a15ecf1010e79";
    lent.check("keys.hmac", "used\ndata", expected).await;
    lent.check("keys.hmac", "other\ndata", "Unknown(\"other\")").await;
}

#[tokio::test]
async fn what_is_sealed_opens_only_as_it_was_sealed() {
    let lent = Lent::new().await;
    let sealed = lent.call("keys.seal", "box\nplain\ndata").await;
    assert_eq!(&sealed[..10], "0100000002", "version and the newest key");
    lent.check("keys.open", &format!("box\n{sealed}\ndata"), "ok: \"plain\"").await;
    lent.check("keys.open", &format!("box\n{sealed}\nother"), "NotAuthentic").await;
    lent.check("keys.open", &format!("box\n{}\ndata", &sealed[..60]), "NotAuthentic").await;
    lent.check("keys.open", "box\n\ndata", "NotAuthentic").await;
    lent.check("keys.seal", "none\nplain\ndata", "Unknown(\"none\")").await;
    lent.check("keys.seal", &format!("box\n\n{}", "x".repeat(60_000)), "01").await;
}

#[tokio::test]
async fn what_is_sealed_for_one_opens_for_no_other() {
    let lent = Lent::new().await;
    let sealed = lent.call("keys.seal-for", "box\na\nplain\ndata").await;
    assert_eq!(&sealed[..10], "0100000002", "version and the newest key");
    lent.check("keys.open-for", &format!("box\na\n{sealed}\ndata"), "ok: \"plain\"").await;
    lent.check("keys.open-for", &format!("box\nb\n{sealed}\ndata"), "NotAuthentic").await;
    lent.check("keys.open-for", &format!("box\na\n{sealed}\nother"), "NotAuthentic").await;
    lent.check("keys.open", &format!("box\n{sealed}\ndata"), "NotAuthentic").await;
    lent.check("keys.open-for", &format!("box\n\n{sealed}\ndata"), "Unsuitable(").await;
    lent.check("keys.seal-for", &format!("box\n{}\nx\n", "a".repeat(1_025)), "1025 bytes").await;
    lent.check("keys.seal-for", "none\na\nplain\ndata", "Unknown(\"none\")").await;
}

#[tokio::test]
async fn tokens_are_judged_by_the_host() {
    let lent = Lent::new().await;
    let token = crate::capability::jwt::tests::token();
    lent.check("jwt.verify", &format!("idp\n{token}"), "alice").await;
    lent.check("jwt.verify", &format!("idp\n{token}x"), "Refused").await;
    lent.check("jwt.verify", &format!("none\n{token}"), "Unknown(\"none\")").await;
}

#[tokio::test]
async fn metrics_are_told_with_the_name_of_the_plugin() {
    let lent = Lent::new().await;
    for _ in 0..2 {
        lent.check("metrics.add", "logins", "ok").await;
    }
    lent.check("metrics.set", "users", "ok").await;
    lent.check("metrics.observe", "seconds", "ok").await;
    lent.check("metrics.add", "no name", "ok").await;
    let text = lent.metrics.encode();
    for line in [
        "portcullis_plugin_custom_counter_total{plugin=\"lent\",name=\"logins\"} 2",
        "portcullis_plugin_custom_gauge{plugin=\"lent\",name=\"users\"} 1.5",
        "portcullis_plugin_custom_histogram_count{plugin=\"lent\",name=\"seconds\"} 1",
        "portcullis_plugin_custom_dropped_total{plugin=\"lent\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn state_outlives_instances_generations_and_the_host() {
    let data = tempfile::tempdir().unwrap();
    let lent = Lent::with(GRANTS, Some(data.path())).await;
    lent.check("state.get", "a", "ok: None").await;
    lent.check("state.set", "a\none", "ok: 1").await;
    lent.check("state.cas", "a\n7\ntwo", "ok: None").await;
    lent.check("state.cas", "a\n1\ntwo", "ok: Some(2)").await;
    lent.check("state.cas", "a\n\nthree", "ok: None").await;
    lent.check("state.cas", "b\n\nfour", "ok: Some(3)").await;
    lent.check("state.increment", "n\n5\n60", "ok: 5").await;
    lent.check("state.increment", "n\n-2", "ok: 3").await;
    lent.check("state.delete", "b", "ok: true").await;
    lent.check("state.delete", "b", "ok: false").await;
    lent.check("state.large", "l\n60000", "ok: ").await;
    lent.check("state.large", "m\n60000", "Quota(\"the quota of 65536 bytes is used up\")").await;
    lent.check("state.large", "l\n65537", "Quota(\"a value has at most 65536 bytes").await;
    let again = build(&lent.runtime, GRANTS).await.map_err(|it| it.sentence).unwrap();
    assert_eq!(call(&again, "state.get", "a").await, "ok: Some(\"two\")");
    drop((lent, again));
    let lent = Lent::with(GRANTS, Some(data.path())).await;
    lent.check("state.get", "a", "two").await;
    lent.check("state.get", "n", "3").await;
    lent.check("state.get", "b", "ok: None").await;
    lent.check("state.set", "b\nfive", "ok: 7").await;
}

#[tokio::test]
async fn a_damaged_state_keeps_the_plugin_from_going_live() {
    let data = tempfile::tempdir().unwrap();
    let lent = Lent::with(GRANTS, Some(data.path())).await;
    lent.check("state.set", "a\none", "ok").await;
    lent.check("state.set", "b\ntwo", "ok").await;
    let path = data.path().join("plugin-state/lent.state");
    let mut file = fs::read(&path).unwrap();
    let at = file.windows(3).position(|bytes| bytes == b"one").unwrap();
    file[at] = b'x';
    fs::write(&path, file).unwrap();
    let outside =
        Outside { sources: (*lent.runtime.sources.current()).clone(), ..Outside::default() };
    let runtime = Arc::new(Runtime::new(Some(data.path()), outside).unwrap());
    let rejected = build(&runtime, GRANTS).await.err().unwrap();
    assert!(rejected.sentence.contains("lent.state: is damaged"), "{}", rejected.sentence);
}
