//! What the admin API may ask of the loader. One order at a time; the answer comes after the swap
//! or the rejection.

use access::{PluginError, PluginInfo, PluginState, UploadedPlugin};
use tokio::sync::oneshot;

use super::Loader;
use crate::{candidate::valid_name, chains::Plan, component, remembered::write_private};

/// Looks at files that will not settle before an order gives up.
const UNSTABLE_READS_MAX: u32 = 20;

/// The answer to an order about one plugin.
pub(crate) type Answer = oneshot::Sender<Result<PluginInfo, PluginError>>;

/// An order.
pub(crate) enum Order {
    /// Store a component and load it.
    Upload(UploadedPlugin, Answer),
    /// Load from the files now.
    Reload(String, Answer),
    /// Take out of the default chain.
    Disable(String, Answer),
    /// Reverse that.
    Enable(String, Answer),
    /// Forget a plugin whose file is gone.
    Forget(String, oneshot::Sender<Result<(), PluginError>>),
    /// Other chains.
    Plan(Plan, oneshot::Sender<()>),
}

impl Loader {
    /// An asker that went away does not undo the order.
    pub(super) async fn obey(&mut self, order: Order) {
        match order {
            Order::Upload(plugin, answer) => {
                let _ = answer.send(self.upload(plugin).await);
            }
            Order::Reload(name, answer) => {
                let _ = answer.send(self.reload(&name).await);
            }
            Order::Disable(name, answer) => {
                let _ = answer.send(self.set_disabled(&name, true).await);
            }
            Order::Enable(name, answer) => {
                let _ = answer.send(self.set_disabled(&name, false).await);
            }
            Order::Forget(name, answer) => {
                let _ = answer.send(self.forget(&name).await);
            }
            Order::Plan(plan, answer) => {
                self.plan = plan;
                self.swap();
                let _ = answer.send(());
            }
        }
        self.watch.set(self.folders(), false);
    }

    async fn upload(&mut self, plugin: UploadedPlugin) -> Result<PluginInfo, PluginError> {
        let UploadedPlugin { name, wasm } = plugin;
        if !valid_name(&name) {
            return Err(PluginError::Invalid(format!(
                "name {name:?}: must be 1 to 64 letters, digits, '-' and '_'"
            )));
        }
        let path = self.places.wasm(&name);
        let stored = tokio::task::spawn_blocking(move || {
            // What cannot be a plugin at all must not replace one on disk.
            component::prepare(&wasm)
                .map_err(|error| PluginError::Invalid(format!("the component {error}")))?;
            write_private(&path, &wasm)
                .map_err(|error| PluginError::Internal(format!("{}: {error}", path.display())))
        });
        stored.await.unwrap_or_else(|error| {
            Err(PluginError::Invalid(format!("the component cannot be read: {error}")))
        })?;
        self.reload(&name).await
    }

    async fn reload(&mut self, name: &str) -> Result<PluginInfo, PluginError> {
        if !self.entries.contains_key(name) && !self.places.wasm(name).exists() {
            return Err(PluginError::NotFound(name.to_owned()));
        }
        for _ in 0..UNSTABLE_READS_MAX {
            self.unsettled.remove(name);
            self.load(name, true).await;
            if !self.unsettled.contains_key(name) {
                self.swap();
                return self.verdict(name);
            }
            tokio::time::sleep(self.quiet_period).await;
        }
        Err(PluginError::Rejected(format!("{name}: its files are still being written")))
    }

    fn verdict(&self, name: &str) -> Result<PluginInfo, PluginError> {
        let entry = self.entries.get(name);
        let info = entry.map(|entry| entry.row(name).info());
        let info = info.ok_or_else(|| PluginError::NotFound(name.to_owned()))?;
        match info.state {
            PluginState::Live | PluginState::Disabled => Ok(info),
            PluginState::LiveOld
            | PluginState::Failed
            | PluginState::WaitingForGrant
            | PluginState::Removed => {
                let error = info.error.as_deref().unwrap_or("no reason is known");
                Err(PluginError::Rejected(format!("{name}: {error}")))
            }
        }
    }

    async fn set_disabled(
        &mut self,
        name: &str,
        disabled: bool,
    ) -> Result<PluginInfo, PluginError> {
        if !self.entries.contains_key(name) {
            return Err(PluginError::NotFound(name.to_owned()));
        }
        self.remembered
            .set_disabled(name, disabled)
            .map_err(|error| PluginError::Internal(format!("plugins-state.json: {error}")))?;
        self.reload(name).await
    }

    async fn forget(&mut self, name: &str) -> Result<(), PluginError> {
        let Some(entry) = self.entries.get(name) else {
            return Err(PluginError::NotFound(name.to_owned()));
        };
        if entry.state != PluginState::Removed {
            return Err(PluginError::Invalid(format!(
                "{name}: only a plugin whose file is gone can be forgotten; disable it instead"
            )));
        }
        self.remembered
            .set_disabled(name, false)
            .map_err(|error| PluginError::Internal(format!("plugins-state.json: {error}")))?;
        self.entries.remove(name);
        // Where only the manifest was gone, the component is a new plugin without one.
        if self.places.wasm(name).exists() {
            self.load(name, true).await;
        }
        self.swap();
        Ok(())
    }
}
