//! What the admin API may ask of the loader. The answer comes after the swap or the rejection; an
//! order that has something built does not hold up those behind it.

use std::sync::Arc;

use access::{PluginError, PluginInfo, PluginState, UploadStage, UploadedPlugin};
use tokio::sync::oneshot;

use super::{Loader, NO_MANIFEST, UNSTABLE_READS_MAX, entry::Entry, jobs, jobs::Built};
use crate::{
    candidate::{Found, Reading, valid_name},
    capability::log::LogRate,
    chains::Plan,
    component,
    generation::Rejected,
    manifest::Manifest,
    remembered::Remembered,
    sources::Sources,
};

/// The answer to an order about one plugin.
pub(crate) type Answer = oneshot::Sender<Result<PluginInfo, PluginError>>;

/// An order.
pub(crate) enum Order {
    /// Store a component and load it.
    Upload(UploadedPlugin, Answer),
    /// Load from the files now.
    Reload(String, Answer),
    /// Store a component as a candidate in shadow mode.
    Shadow(UploadedPlugin, Answer),
    /// Put the candidate in the place of what is live.
    Promote(String, Answer),
    /// Remove the candidate.
    DropShadow(String, oneshot::Sender<Result<(), PluginError>>),
    /// Let go live what waits; only if it is this version, where one is named.
    Approve(String, Option<String>, Answer),
    /// Go back to the version before.
    Rollback(String, Answer),
    /// Take out of the default chain.
    Disable(String, Answer),
    /// Reverse that.
    Enable(String, Answer),
    /// Forget a plugin whose file is gone.
    Forget(String, oneshot::Sender<Result<(), PluginError>>),
    /// Only if the plugin has this tag by now.
    OnlyIf(String, Box<Self>),
    /// Other chains.
    Plan(Plan, oneshot::Sender<()>),
    /// Other secrets, keys and verifiers.
    Sources(Sources, oneshot::Sender<()>),
}

impl Order {
    /// The plugin that it is about.
    fn plugin(&self) -> Option<&str> {
        match self {
            Self::Upload(plugin, _) | Self::Shadow(plugin, _) => Some(&plugin.name),
            Self::Reload(name, _)
            | Self::Promote(name, _)
            | Self::DropShadow(name, _)
            | Self::Approve(name, ..)
            | Self::Rollback(name, _)
            | Self::Disable(name, _)
            | Self::Enable(name, _)
            | Self::Forget(name, _) => Some(name),
            Self::OnlyIf(_, order) => order.plugin(),
            Self::Plan(..) | Self::Sources(..) => None,
        }
    }

    /// The plugin is not what the order was meant for. An asker that went away misses nothing.
    fn refuse(self) {
        let changed = PluginError::Changed(self.plugin().unwrap_or_default().to_owned());
        match self {
            Self::Upload(_, answer)
            | Self::Reload(_, answer)
            | Self::Shadow(_, answer)
            | Self::Promote(_, answer)
            | Self::Approve(_, _, answer)
            | Self::Rollback(_, answer)
            | Self::Disable(_, answer)
            | Self::Enable(_, answer) => drop(answer.send(Err(changed))),
            Self::DropShadow(_, answer) | Self::Forget(_, answer) => {
                drop(answer.send(Err(changed)));
            }
            Self::OnlyIf(_, order) => order.refuse(),
            Self::Plan(_, answer) | Self::Sources(_, answer) => drop(answer),
        }
    }
}

impl Loader {
    pub(super) async fn obey(&mut self, order: Order) {
        let order = match order {
            Order::OnlyIf(tag, order) if self.has_tag(&order, &tag) => *order,
            Order::OnlyIf(_, order) => return order.refuse(),
            order => order,
        };
        match order {
            // An order has one condition at most.
            Order::OnlyIf(_, order) => order.refuse(),
            Order::Upload(plugin, answer) => self.upload(plugin, answer).await,
            Order::Reload(name, answer) => self.reload(&name, answer),
            Order::Shadow(plugin, answer) => self.upload_shadow(plugin, answer).await,
            Order::Promote(name, answer) => self.promote(&name, Some(answer)).await,
            Order::DropShadow(name, answer) => self.drop_shadow(&name, answer).await,
            Order::Approve(name, version, answer) => self.approve(&name, version, answer).await,
            Order::Rollback(name, answer) => self.rollback(&name, answer),
            Order::Disable(name, answer) => self.disable(&name, answer).await,
            Order::Enable(name, answer) => self.enable(&name, answer).await,
            Order::Forget(name, answer) => {
                let _ = answer.send(self.forget(&name).await);
            }
            Order::Plan(plan, answer) => {
                self.plan = plan;
                self.publish().await;
                let _ = answer.send(());
            }
            Order::Sources(sources, answer) => {
                self.use_sources(sources);
                let _ = answer.send(());
            }
        }
        self.publish().await;
        self.watch(self.folders(), false).await;
    }

    fn has_tag(&self, order: &Order, tag: &str) -> bool {
        let info = order.plugin().and_then(|name| self.info(name).ok());
        info.is_some_and(|info| info.tag() == tag)
    }

    /// Everything is looked at again: who was granted what changed has another identity now, and
    /// whom the configuration had nothing for may find it.
    fn use_sources(&mut self, sources: Sources) {
        if !self.runtime.sources.replace(sources) {
            return;
        }
        self.places.revisions = self.runtime.sources.revisions();
        let names: Vec<String> = self.entries.keys().cloned().collect();
        for name in names {
            if !self.is_uploading(&name) {
                self.load(&name, true, None);
            }
        }
    }

    pub(super) fn answer(&mut self, answer: Answer, verdict: Result<PluginInfo, PluginError>) {
        self.verdicts.push((answer, verdict));
    }

    /// Built from the bytes that were sent and the manifest that is there; stored only when that
    /// worked, so that a restart finds what is live.
    async fn upload(&mut self, plugin: UploadedPlugin, answer: Answer) {
        let name = plugin.name.clone();
        if !valid_name(&name) {
            let error = format!("name {name:?}: must be 1 to 64 letters, digits, '-' and '_'");
            return self.answer(answer, Err(PluginError::Invalid(error)));
        }
        if self.is_uploading(&name) {
            return self.answer(answer, Err(uploading(&name)));
        }
        plugin.progress.reached(UploadStage::Checking);
        let uploaded = Arc::new(plugin);
        let plugin = Arc::clone(&uploaded);
        let look = move || component::prepare(&plugin.wasm).map(drop);
        let looked = tokio::task::spawn_blocking(look);
        let looked = looked.await.unwrap_or_else(|error| Err(format!("cannot be read: {error}")));
        if let Err(error) = looked {
            let error = PluginError::Invalid(format!("the component {error}"));
            return self.answer(answer, Err(error));
        }
        let how = self.how_to_read(UNSTABLE_READS_MAX);
        self.jobs.read(&name, true, jobs::Source::Upload(uploaded), how);
        if let Some(job) = self.jobs.get(&name) {
            job.answers.push(answer);
        }
    }

    pub(super) fn upload_was_read(&mut self, name: &str, found: Result<Found, String>) {
        let reading = match found {
            Ok(Found::Reading(reading)) => Ok(*reading),
            Ok(Found::Unstable | Found::Missing(_)) => {
                Err(Rejected::failed("its files are being written"))
            }
            Err(error) => Err(Rejected::failed(error)),
        };
        let admitted = reading.and_then(|reading| self.admit_upload(name, reading));
        match admitted {
            Ok(plan) => self.jobs.build(name, plan, Arc::clone(&self.runtime), &self.places),
            Err(rejected) => self.upload_rejected(name, &rejected),
        }
    }

    fn admit_upload(&mut self, name: &str, reading: Reading) -> Result<jobs::Plan, Rejected> {
        let entry = self.entries.get(name);
        if !reading.has_manifest && entry.is_some_and(|entry| entry.had_manifest) {
            return Err(Rejected::failed(NO_MANIFEST));
        }
        if let Some(rejected) = self.problem(name, &reading) {
            return Err(rejected);
        }
        let contents = reading.contents;
        let mut contents = contents.map_err(|unusable| Rejected::failed(unusable.sentence))?;
        contents.predecessor = self.bound_of(name, &contents.version);
        let manifest: Manifest = reading.manifest.unwrap_or_default();
        let live = entry.and_then(Entry::generation);
        contents.heir_of = live.cloned();
        Ok(jobs::Plan {
            same: live.filter(|live| live.id == contents.id).map(Arc::clone),
            log: entry.map_or_else(|| Arc::new(LogRate::new()), |entry| Arc::clone(&entry.log)),
            has_manifest: reading.has_manifest,
            contents,
            manifest,
        })
    }

    pub(super) fn upload_was_built(&mut self, name: &str, built: Built) {
        let generation = match built.generation {
            Ok(generation) => generation,
            Err(rejected) if rejected.state == PluginState::WaitingForApproval => {
                return self.upload_waits(name, &built.version, &rejected);
            }
            Err(rejected) => return self.upload_rejected(name, &rejected),
        };
        let entry = self.entries.entry(name.to_owned()).or_insert_with(Entry::new);
        entry.stored();
        if self.jobs.get(name).is_some_and(|job| job.overtaken) {
            // What it was built with is not what is there now: from the files once more.
            let answers = self.jobs.take(name).map(|job| job.answers).unwrap_or_default();
            self.load(name, true, None);
            if let Some(job) = self.jobs.get(name) {
                job.answers = answers;
            }
            return;
        }
        entry.had_manifest = built.has_manifest;
        entry.log = built.log;
        let by_admin = self.remembered.is_disabled(name);
        if by_admin || !built.manifest.enabled {
            entry.disable(Some(&built.manifest), by_admin);
        } else if entry.generation().is_some_and(|live| Arc::ptr_eq(live, &generation)) {
            entry.back_to_live();
        } else {
            self.went_live(name, &generation);
        }
        self.finish(name);
    }

    /// Nothing was stored: the files in the folder and what answers are as before.
    fn upload_rejected(&mut self, name: &str, rejected: &Rejected) {
        self.runtime.stats.load_failed();
        if let Some(entry) = self.entries.get_mut(name) {
            entry.load_failures += 1;
            // The upload may have taken the place of a load.
            entry.settled = None;
            self.changed.notify_one();
        }
        let error = &rejected.sentence;
        tracing::warn!(plugin = name, error, "an uploaded plugin did not go live");
        let answers = self.jobs.take(name).map(|job| job.answers).unwrap_or_default();
        for answer in answers {
            self.answer(answer, Err(PluginError::Rejected(format!("{name}: {error}"))));
        }
    }

    pub(super) fn is_uploading(&mut self, name: &str) -> bool {
        self.jobs.get(name).is_some_and(|job| job.is_upload())
    }

    fn reload(&mut self, name: &str, answer: Answer) {
        if !valid_name(name) && !self.entries.contains_key(name) {
            return self.answer(answer, Err(PluginError::NotFound(name.to_owned())));
        }
        if self.is_uploading(name) {
            return self.answer(answer, Err(uploading(name)));
        }
        if let Some(entry) = self.entries.get_mut(name) {
            entry.held = None;
        }
        self.load(name, true, Some(answer));
    }

    pub(super) fn info(&self, name: &str) -> Result<PluginInfo, PluginError> {
        let entry = self.entries.get(name);
        let info = entry.map(|entry| entry.row(name).info());
        info.ok_or_else(|| PluginError::NotFound(name.to_owned()))
    }

    pub(super) fn verdict(&self, name: &str) -> Result<PluginInfo, PluginError> {
        let info = self.info(name)?;
        match info.state {
            PluginState::Live | PluginState::WaitingForApproval | PluginState::Disabled => Ok(info),
            PluginState::LiveOld
            | PluginState::Failed
            | PluginState::WaitingForGrant
            | PluginState::Removed => {
                let error = info.error.as_deref().unwrap_or("no reason is known");
                Err(PluginError::Rejected(format!("{name}: {error}")))
            }
        }
    }

    /// In force before anything is read or written: whoever disables a plugin may be in a hurry.
    async fn disable(&mut self, name: &str, answer: Answer) {
        let Some(entry) = self.entries.get_mut(name) else {
            return self.answer(answer, Err(PluginError::NotFound(name.to_owned())));
        };
        entry.disable(None, true);
        self.overtake(name);
        self.remembered.set_disabled(name, true);
        self.swap();
        let verdict = match self.remembered.save().await {
            Ok(()) => self.verdict(name),
            Err(error) => Err(PluginError::Internal(format!(
                "{name} is disabled, but a restart would not know: {}: {error}",
                Remembered::FILE
            ))),
        };
        self.answer(answer, verdict);
    }

    async fn enable(&mut self, name: &str, answer: Answer) {
        if !self.entries.contains_key(name) {
            return self.answer(answer, Err(PluginError::NotFound(name.to_owned())));
        }
        if self.is_uploading(name) {
            return self.answer(answer, Err(uploading(name)));
        }
        let before = self.remembered.is_disabled(name);
        self.remembered.set_disabled(name, false);
        if let Err(error) = self.remembered.save().await {
            self.remembered.set_disabled(name, before);
            let error = format!("{}: {error}", Remembered::FILE);
            return self.answer(answer, Err(PluginError::Internal(error)));
        }
        self.load(name, true, Some(answer));
    }

    async fn forget(&mut self, name: &str) -> Result<(), PluginError> {
        let Some(entry) = self.entries.get(name) else {
            return Err(PluginError::NotFound(name.to_owned()));
        };
        let gone = matches!(entry.state, PluginState::Removed | PluginState::Disabled);
        if self.is_uploading(name) {
            return Err(uploading(name));
        }
        let path = self.places.wasm(name);
        // Where only the manifest is gone, forgetting would let the component in without one.
        let absent = tokio::task::spawn_blocking(move || crate::candidate::absent(&path)).await;
        if !gone || !absent.unwrap_or(false) {
            return Err(PluginError::Invalid(format!(
                "{name}: only a plugin whose {name}.wasm is gone can be forgotten; disable it \
                 instead, or remove the file"
            )));
        }
        let before = self.remembered.is_disabled(name);
        let entry = self.entries.remove(name);
        self.remembered.set_disabled(name, false);
        self.remembered.set_approved(name, None);
        self.remember().await;
        if let Some(error) = &self.memory_error {
            // It would be back after a restart.
            let error = PluginError::Internal(error.clone());
            self.remembered.set_disabled(name, before);
            self.entries.extend(entry.map(|entry| (name.to_owned(), entry)));
            return Err(error);
        }
        self.finish(name);
        self.publish().await;
        self.runtime.plugin_metrics.forget(name);
        let (runtime, plugin) = (Arc::clone(&self.runtime), name.to_owned());
        let kept = self.kept.clone();
        let forget = move || runtime.state.forget(&plugin).and_then(|()| kept.forget(&plugin));
        let forgotten = tokio::task::spawn_blocking(forget).await;
        forgotten.map_err(std::io::Error::other).flatten().map_err(|error| {
            let error = format!("{name} is forgotten, but not its state or versions: {error}");
            PluginError::Internal(error)
        })
    }
}

pub(super) fn uploading(name: &str) -> PluginError {
    PluginError::Invalid(format!("{name}: another upload of it is in progress; try again"))
}
