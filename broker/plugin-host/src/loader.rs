//! One task that owns which generation of which plugin is live.
//!
//! Notices changes (watcher, rescan, orders of the admin API), waits until files are quiet, builds
//! a generation and swaps the whole chain in one step. Whatever fails before the swap leaves the
//! generation that is live alone; what vanishes fails closed.

mod entry;
mod orders;
mod scan;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use access::{Gate, PluginState};
use tokio::sync::{Notify, mpsc};

use self::{entry::Entry, scan::Scan};
pub(crate) use self::{
    entry::{Row, View},
    orders::Order,
};
use crate::{
    candidate::{Found, Places, Reading, Stamp},
    chains::{Chains, Plan},
    config::Config,
    generation::{Generation, Rejected},
    remembered::Remembered,
    runtime::Runtime,
    watch::FolderWatch,
};

/// Between two looks at files that are being written.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(10);
/// Events of one change come in bursts.
const BURST: Duration = Duration::from_millis(20);

/// The state of all plugins.
pub(crate) struct Loader {
    runtime: Arc<Runtime>,
    gate: Arc<Gate>,
    view: Arc<arc_swap::ArcSwap<View>>,
    places: Places,
    plan: Plan,
    require_manifest: bool,
    quiet_period: Duration,
    rescan_interval: Duration,
    entries: BTreeMap<String, Entry>,
    remembered: Remembered,
    deny_all: Option<Arc<Generation>>,
    deny_all_error: Option<String>,
    folder_error: Option<String>,
    /// Passing trouble of this process, such as no free file descriptors: nothing is concluded from
    /// it.
    scan_error: Option<String>,
    watch: FolderWatch,
    changed: Arc<Notify>,
    /// What lies there at the start is loaded at once; later changes must be quiet first.
    started: bool,
    /// Files that differ from what was loaded, and since when they look like this.
    unsettled: BTreeMap<String, (Stamp, Instant)>,
}

impl Loader {
    pub(crate) fn new(
        config: &Config,
        runtime: Arc<Runtime>,
        gate: Arc<Gate>,
        remembered: Remembered,
    ) -> Self {
        let changed = Arc::new(Notify::new());
        Self {
            runtime,
            gate,
            view: Arc::default(),
            places: Places { dir: config.dir.clone(), file_roots: config.file_roots.clone() },
            plan: Plan {
                chain: config.chain.clone(),
                listener_chains: config.listener_chains.clone(),
            },
            require_manifest: config.require_manifest,
            quiet_period: config.quiet_period,
            rescan_interval: config.rescan_interval,
            entries: BTreeMap::new(),
            remembered,
            deny_all: None,
            deny_all_error: None,
            folder_error: None,
            scan_error: None,
            watch: FolderWatch::new(Arc::clone(&changed)),
            changed,
            started: false,
            unsettled: BTreeMap::new(),
        }
    }

    /// What the admin API reads.
    pub(crate) fn view(&self) -> Arc<arc_swap::ArcSwap<View>> {
        Arc::clone(&self.view)
    }

    /// Loads everything that is there and puts the first chains into the gate.
    pub(crate) async fn load_all(&mut self, deny_all: &[u8]) {
        match entry::embedded(&self.runtime, deny_all).await {
            Ok(generation) => self.deny_all = Some(generation),
            Err(rejected) => {
                tracing::error!(error = rejected.sentence, "deny-all does not load");
                self.deny_all_error = Some(rejected.sentence);
            }
        }
        // Watching first: what changes while things are loaded is noticed afterwards.
        self.watch.set(BTreeSet::from([self.places.dir.clone()]), true);
        for name in self.scan().await {
            self.load(&name, true).await;
        }
        self.started = true;
        self.swap();
        // Only now it is known where the [files] are; what changed there meanwhile is looked at.
        self.watch.set(self.folders(), false);
        self.changed.notify_one();
    }

    /// Runs until the host is dropped.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut rescan = tokio::time::interval(self.rescan_interval);
        rescan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        rescan.tick().await;
        let look_every = (self.quiet_period / 3).max(LOOK_EVERY_MIN);
        let changed = Arc::clone(&self.changed);
        loop {
            let unsettled = !self.unsettled.is_empty();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                () = changed.notified() => {
                    tokio::time::sleep(BURST).await;
                    self.look().await;
                }
                _ = rescan.tick() => {
                    self.watch.set(self.folders(), true);
                    self.entries.values_mut().for_each(Entry::rescan);
                    self.look().await;
                }
                () = tokio::time::sleep(look_every), if unsettled => self.look().await,
            }
        }
    }

    /// Loads what changed and has been quiet for long enough.
    async fn look(&mut self) {
        let folder_error = self.folder_error.clone();
        for name in self.scan().await {
            self.load(&name, false).await;
            self.swap();
        }
        if self.folder_error != folder_error {
            self.swap();
        }
        self.watch.set(self.folders(), false);
    }

    /// Names whose files differ from what was loaded and are quiet.
    async fn scan(&mut self) -> Vec<String> {
        let known = self
            .entries
            .iter()
            .map(|(name, entry)| (name.clone(), entry.targets.clone()))
            .collect();
        let stamps = match scan::scan(self.places.clone(), known).await {
            Scan::Stamps(stamps) => {
                self.folder_error = None;
                self.scan_error = None;
                stamps
            }
            Scan::Unreadable(error) => {
                if self.folder_error.as_deref() != Some(&error) {
                    tracing::error!("{error}");
                }
                self.folder_error = Some(error);
                return Vec::new();
            }
            Scan::NoResources(error) => {
                tracing::warn!("{error}");
                self.scan_error = Some(error);
                return Vec::new();
            }
        };
        self.quiet(stamps)
    }

    fn quiet(&mut self, stamps: BTreeMap<String, Stamp>) -> Vec<String> {
        let now = Instant::now();
        let mut quiet = Vec::new();
        let mut unsettled = BTreeMap::new();
        for (name, stamp) in stamps {
            let settled = self.entries.get(&name).and_then(|entry| entry.settled.as_ref());
            if settled == Some(&stamp) {
                continue;
            }
            let since = match self.unsettled.remove(&name) {
                Some((before, since)) if before == stamp => since,
                _ => now,
            };
            if !self.started || now.duration_since(since) >= self.quiet_period {
                quiet.push(name);
            } else {
                unsettled.insert(name, (stamp, since));
            }
        }
        self.unsettled = unsettled;
        quiet
    }

    /// Reads, checks and builds one plugin. With `force`, also what was tried before with the same
    /// bytes. Changes the entry only; the caller swaps.
    async fn load(&mut self, name: &str, force: bool) {
        let places = self.places.clone();
        let (engine, owned) = (self.runtime.engine.hash, name.to_owned());
        let reading = tokio::task::spawn_blocking(move || places.read(&owned, &engine)).await;
        let reading = match reading {
            Ok(Found::Reading(reading)) => *reading,
            Ok(Found::Missing) => return self.vanished(name, "its file was removed"),
            Ok(Found::Unstable) => {
                // Seen again at the next look.
                let stamp = Stamp::of(std::iter::empty());
                self.unsettled.insert(name.to_owned(), (stamp, Instant::now()));
                return;
            }
            Err(error) => {
                tracing::error!(plugin = name, %error, "reading a plugin failed");
                return;
            }
        };
        if let Some(place) = self.admit(name, &reading) {
            self.build(name, reading, place, force).await;
        }
    }

    /// Everything that is decided before a component is compiled. `None` = it ends here.
    fn admit(&mut self, name: &str, reading: &Reading) -> Option<crate::manifest::Manifest> {
        let require_manifest = self.require_manifest;
        let disabled = self.remembered.is_disabled(name);
        let entry = self.entries.entry(name.to_owned()).or_insert_with(Entry::new);
        entry.saw(reading);
        if !reading.has_manifest && entry.had_manifest {
            self.vanished(name, "its manifest was removed");
            return None;
        }
        entry.had_manifest = reading.has_manifest;
        if disabled || reading.manifest.as_ref().is_some_and(|manifest| !manifest.enabled) {
            entry.disable(reading);
            return None;
        }
        let problem = if !crate::candidate::valid_name(name) {
            Some("a plugin's name is 1 to 64 letters, digits, '-' and '_'".to_owned())
        } else if let Err(unusable) = &reading.contents {
            entry.try_again = unusable.passing;
            Some(unusable.sentence.clone())
        } else {
            None
        };
        if let Some(problem) = problem {
            self.rejected(name, reading, &Rejected::failed(problem));
            return None;
        }
        if require_manifest && !reading.has_manifest {
            let sentence = "has no manifest, and require_manifest is set".to_owned();
            let state = PluginState::WaitingForGrant;
            self.rejected(name, reading, &Rejected { state, sentence });
            return None;
        }
        reading.manifest.clone()
    }

    async fn build(
        &mut self,
        name: &str,
        mut reading: Reading,
        manifest: crate::manifest::Manifest,
        force: bool,
    ) {
        let unread = Err(crate::candidate::Unusable { sentence: String::new(), passing: true });
        let Ok(contents) = std::mem::replace(&mut reading.contents, unread) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let id = contents.id.clone();
        if entry.generation().is_some_and(|live| live.id == id) {
            entry.back_to_live();
            return;
        }
        if !force && entry.rejected_id.as_deref() == Some(&id) {
            return;
        }
        let log = Arc::clone(&entry.log);
        match Generation::build(&self.runtime, name, contents, manifest, log).await {
            Ok(generation) => {
                self.runtime.stats.loaded();
                tracing::info!(plugin = name, generation = &*generation.short, "plugin is live");
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.live(generation);
                }
            }
            Err(rejected) => {
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.rejected_id = Some(id);
                }
                self.rejected(name, &reading, &rejected);
            }
        }
    }

    fn rejected(&mut self, name: &str, reading: &Reading, rejected: &Rejected) {
        self.runtime.stats.load_failed();
        if let Some(entry) = self.entries.get_mut(name) {
            let stays = entry.rejected(reading, rejected);
            let error = &rejected.sentence;
            tracing::warn!(plugin = name, error, stays, "plugin did not go live");
        }
    }

    fn vanished(&mut self, name: &str, why: &str) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.state == PluginState::Disabled {
            self.entries.remove(name);
            return;
        }
        let targets = entry.targets.clone();
        entry.removed(why);
        entry.settled = Some(scan::stamp(&self.places, name, &targets));
        tracing::warn!(plugin = name, why, "plugin is gone; its link fails closed");
    }

    /// Puts the chains in force and tells the admin API. Called after every change of entries.
    fn swap(&mut self) {
        let members = self.entries.iter().map(|(name, entry)| (name.clone(), entry.member()));
        let members = members.collect();
        let chains = Chains {
            members: &members,
            deny_all: self.deny_all.as_ref(),
            folder_error: self.folder_error.as_deref(),
        };
        let (default, by_listener) = chains.build(&self.plan);
        // The view first: who sees the new chain also sees what is in it.
        self.view.store(Arc::new(self.snapshot()));
        self.gate.swap(default, by_listener);
    }

    fn snapshot(&self) -> View {
        let rows: BTreeMap<String, Row> =
            self.entries.iter().map(|(name, entry)| (name.clone(), entry.row(name))).collect();
        let mut not_ready: Vec<String> = self.folder_error.iter().cloned().collect();
        not_ready.extend(rows.iter().filter_map(|(name, row)| row.not_ready(name)));
        let named = self.plan.chain.iter().chain(self.plan.listener_chains.values()).flatten();
        let named: BTreeSet<&String> = named.collect();
        for name in named {
            if !rows.contains_key(name) && name != crate::chains::DENY_ALL {
                not_ready.push(format!("a chain names {name:?}, but no plugin has this name"));
            }
        }
        let mut warnings: Vec<String> = rows.iter().filter_map(|(n, row)| row.warning(n)).collect();
        warnings.extend(self.deny_all_error.iter().map(|error| format!("deny-all: {error}")));
        warnings.extend(self.scan_error.iter().cloned());
        warnings.extend(self.watch.error().map(str::to_owned));
        if self.entries.values().all(|entry| entry.generation().is_none()) {
            warnings.push("no plugin is live: every client is refused".to_owned());
        }
        View { rows, not_ready, warnings }
    }

    /// Folders in which changes matter.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let targets = self.entries.values().flat_map(|entry| &entry.targets);
        let parents = targets.filter_map(|target| target.parent()).map(Path::to_owned);
        parents.chain([self.places.dir.clone()]).collect()
    }
}
