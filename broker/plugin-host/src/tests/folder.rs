//! A plugin folder with a host over it, for tests.

use std::{fs, sync::Arc, time::Duration};

use access::{Chain, Gate, LinkState, Outcome, PluginInfo, PluginManager, PluginState};

use super::calls::{connection, credentials};
use crate::{Config, PluginHost};

pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    pub(super) gate: Arc<Gate>,
    pub(super) host: Option<Arc<PluginHost>>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let gate = Arc::new(Gate::new(|| Duration::ZERO));
        Self { folder, gate, host: None }
    }

    pub(super) fn config(&self) -> Config {
        let path = self.folder.path();
        let mut config = Config::new(path.join("plugins"), path.join("data"));
        config.quiet_period = Duration::from_millis(30);
        config
    }

    pub(super) async fn start(&mut self) {
        self.start_with(self.config()).await;
    }

    pub(super) async fn start_with(&mut self, config: Config) {
        self.host = Some(PluginHost::start(config, Arc::clone(&self.gate)).await.unwrap());
    }

    /// Ends the host and starts another over the same folders.
    pub(super) async fn restart(&mut self) {
        self.host = None;
        self.gate = Arc::new(Gate::new(|| Duration::ZERO));
        self.start().await;
    }

    pub(super) fn host(&self) -> &PluginHost {
        self.host.as_ref().unwrap()
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("plugins").join(name)
    }

    pub(super) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    pub(super) fn chain(&self) -> Arc<Chain> {
        self.gate.chain("mqtt")
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.chain().links.iter().map(|link| link.name.to_string()).collect()
    }

    pub(super) fn info(&self, name: &str) -> PluginInfo {
        self.host().get(name).unwrap()
    }

    /// Waits until the watcher and the loader have done something.
    pub(super) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .unwrap_or_else(|_| panic!("never: {what}; {:?}", self.host().list()));
    }

    pub(super) async fn until_state(&self, name: &str, state: PluginState) {
        self.until(&format!("{name} {state:?}"), |bench| {
            bench.host().get(name).is_some_and(|info| info.state == state)
        })
        .await;
    }

    /// Who the first link says the client is; `Err` = the link's sentence.
    pub(super) async fn principal(&self) -> Result<String, String> {
        principal(&self.chain()).await
    }
}

pub(super) async fn principal(chain: &Chain) -> Result<String, String> {
    match &chain.links[0].state {
        LinkState::Missing(sentence) => Err(sentence.clone()),
        LinkState::Live(hooks) => {
            let hook = hooks.authenticator.as_ref().unwrap();
            match hook.authenticate(&connection(), &credentials()).await {
                Ok(Outcome::Allow(grant)) => Ok(grant.principal.unwrap()),
                other => Err(format!("{other:?}")),
            }
        }
    }
}
