//! One task that owns which generation of which plugin is live.
//!
//! Notices changes (watcher, rescan, orders of the admin API), waits until files are quiet, has a
//! generation built and swaps the whole chain in one step. Whatever fails before the swap leaves
//! the generation that is live alone; what vanishes fails closed. It never waits for a build: those
//! are jobs beside it (`loader/jobs.rs`), and the newest of a plugin wins. What their results mean
//! for a plugin is decided in `loader/judge.rs`.

mod approval;
mod back;
mod entry;
mod jobs;
mod judge;
mod orders;
mod scan;
mod shadow;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use access::{Gate, HeldBecause, PluginError, PluginInfo, PluginState};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

use self::{
    entry::Entry,
    jobs::{HowToRead, Jobs, Source},
    orders::Answer,
    scan::{Scan, Seen},
};
pub(crate) use self::{
    entry::{Row, View},
    orders::Order,
};
use crate::{
    background::Background,
    candidate::{Places, Stamp},
    chains::{Chains, InForce, Member, Plan},
    config::Config,
    generation::Generation,
    kept::{Came, KeptVersions},
    remembered::Remembered,
    runtime::Runtime,
    sources::Revisions,
    watch::FolderWatch,
};

/// Between two looks at files that are being written.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(10);
/// Events of one change come in bursts.
const BURST: Duration = Duration::from_millis(20);
/// Between two looks at candidates that may go live by themselves.
const SHADOW_LOOK: Duration = Duration::from_secs(1);
/// Between two looks at versions on probation.
const PROBATION_LOOK: Duration = Duration::from_millis(200);
/// Looks at files that will not settle before an order gives up.
const UNSTABLE_READS_MAX: u32 = 20;

const NO_WASM: &str = "its file was removed";
const NO_MANIFEST: &str = "its manifest was removed";

/// The state of all plugins.
pub(crate) struct Loader {
    runtime: Arc<Runtime>,
    gate: Arc<Gate>,
    view: Arc<arc_swap::ArcSwap<View>>,
    places: Places,
    plan: Plan,
    require_manifest: bool,
    require_approval: bool,
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
    /// Decisions of today that a restart would not know.
    memory_error: Option<String>,
    /// Locked off the async threads only.
    watch: Arc<Mutex<FolderWatch>>,
    watch_error: Option<String>,
    changed: Arc<Notify>,
    /// What lies there at the start is loaded at once; later changes must be quiet first.
    started: bool,
    /// The folder could be looked at once.
    looked: bool,
    /// Files that differ from what was loaded, and since when they look like this.
    unsettled: BTreeMap<String, (Stamp, Instant)>,
    jobs: Jobs,
    /// Candidates in shadow mode that are being built.
    shadows: JoinSet<shadow::Built>,
    /// Timers and events of what is live.
    background: Background,
    /// What stands in the gate; `None` = nothing of ours yet.
    in_force: Option<InForce>,
    /// Answers that are given when the chains that they speak of are in force.
    verdicts: Vec<(Answer, Result<PluginInfo, PluginError>)>,
    /// Versions on disk.
    kept: KeptVersions,
    /// How far versions came, to be written: plugin, version.
    came: Vec<(String, String, Came)>,
}

impl Loader {
    pub(crate) fn new(
        config: &Config,
        runtime: Arc<Runtime>,
        gate: Arc<Gate>,
        remembered: Remembered,
    ) -> Self {
        let changed = Arc::new(Notify::new());
        let background = Background::new();
        gate.set_event_sink(background.sink());
        // Whoever is not found again is missing, not forgotten.
        let known = remembered.known().iter();
        let entries = known.map(|(name, known)| {
            let held = remembered.held().get(name).cloned();
            (name.clone(), Entry::remembered(known, held))
        });
        let entries = entries.collect();
        let kept = KeptVersions::new(&config.data_dir);
        Self {
            runtime,
            gate,
            view: Arc::default(),
            places: Places {
                dir: config.dir.clone(),
                file_roots: config.file_roots.clone(),
                trust: Arc::clone(&config.trust),
                revisions: Revisions::default(),
                given: BTreeMap::new(),
            },
            plan: Plan {
                chain: config.chain.clone(),
                listener_chains: config.listener_chains.clone(),
                admin_chain: config.admin_chain.clone(),
            },
            require_manifest: config.require_manifest,
            require_approval: config.require_approval,
            quiet_period: config.quiet_period,
            rescan_interval: config.rescan_interval,
            entries,
            remembered,
            deny_all: None,
            deny_all_error: None,
            folder_error: None,
            scan_error: None,
            memory_error: None,
            watch: Arc::new(Mutex::new(FolderWatch::new(Arc::clone(&changed)))),
            watch_error: None,
            changed,
            started: false,
            looked: false,
            unsettled: BTreeMap::new(),
            jobs: Jobs::new(kept.clone()),
            shadows: JoinSet::new(),
            background,
            in_force: None,
            verdicts: Vec::new(),
            kept,
            came: Vec::new(),
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
        self.watch(BTreeSet::from([self.places.dir.clone()]), true).await;
        let there = self.scan().await;
        self.read_versions(self.entries.keys().cloned().collect()).await;
        for name in there {
            self.load(&name, true, None);
        }
        while let Some(done) = self.jobs.next().await {
            self.done(done);
        }
        self.started = true;
        self.publish().await;
        // Only now it is known where their `[files]` lie; what changed there meanwhile is looked
        // for once.
        self.watch(self.folders(), false).await;
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
            let retry = self.next_retry();
            let (on_probation, has_rule) = (self.has_probation(), self.has_rule());
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                Some(done) = self.jobs.next(), if !self.jobs.is_idle() => {
                    self.done(done);
                    self.publish().await;
                    self.watch(self.folders(), false).await;
                }
                () = changed.notified() => {
                    tokio::time::sleep(BURST).await;
                    self.look().await;
                }
                _ = rescan.tick() => {
                    self.watch(self.folders(), true).await;
                    self.entries.values_mut().for_each(Entry::rescan);
                    self.look().await;
                }
                () = tokio::time::sleep(look_every), if unsettled => self.look().await,
                Some(built) = self.shadows.join_next(), if !self.shadows.is_empty() => {
                    match built {
                        Ok(built) => self.shadow_was_built(built),
                        Err(error) => tracing::error!(%error, "a candidate was not built"),
                    }
                    self.publish().await;
                }
                () = tokio::time::sleep(SHADOW_LOOK), if has_rule => {
                    for name in self.due_shadows(Instant::now()) {
                        tracing::info!(plugin = name, "its candidate goes live, as [shadow] says");
                        self.promote(&name, None).await;
                    }
                }
                () = tokio::time::sleep(PROBATION_LOOK), if on_probation => {
                    if self.judge_probations(Instant::now()) {
                        self.publish().await;
                    }
                }
                () = tokio::time::sleep(retry.unwrap_or_default()), if retry.is_some() => {
                    self.retry();
                }
            }
        }
    }

    /// Closes the links of what vanished, and has loaded what changed and has been quiet for long
    /// enough.
    async fn look(&mut self) {
        let changed = self.scan().await;
        // Also when nothing changed: the folder may have become unreadable.
        self.publish().await;
        for name in changed {
            self.load(&name, false, None);
        }
        self.watch(self.folders(), false).await;
    }

    /// Names whose files differ from what was loaded and are quiet. What vanished is dealt with on
    /// the way; the caller publishes.
    async fn scan(&mut self) -> Vec<String> {
        let known = self
            .entries
            .iter()
            .map(|(name, entry)| (name.clone(), entry.targets.clone()))
            .collect();
        let seen = match scan::scan(self.places.clone(), known).await {
            Scan::Seen(seen) => {
                self.folder_error = None;
                self.scan_error = None;
                self.first_look(&seen);
                seen
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
        let quiet = self.quiet(seen);
        quiet.into_iter().filter_map(|(name, seen)| self.still_there(name, seen)).collect()
    }

    /// Whoever is there at the first look that succeeds has its link at once: a chain without it
    /// might let in whom it refuses.
    fn first_look(&mut self, seen: &BTreeMap<String, Seen>) {
        if std::mem::replace(&mut self.looked, true) {
            return;
        }
        for name in seen.keys() {
            self.entries.entry(name.clone()).or_insert_with(Entry::there_at_start);
        }
    }

    fn quiet(&mut self, seen: BTreeMap<String, Seen>) -> Vec<(String, Seen)> {
        let now = Instant::now();
        let mut quiet = Vec::new();
        let mut unsettled = BTreeMap::new();
        for (name, seen) in seen {
            let settled = self.entries.get(&name).and_then(|entry| entry.settled.as_ref());
            if settled == Some(&seen.stamp) {
                continue;
            }
            let since = match self.unsettled.remove(&name) {
                Some((before, since)) if before == seen.stamp => since,
                _ => now,
            };
            let is_quiet = !self.started || now.duration_since(since) >= self.quiet_period;
            // What is being read is judged first, and what was uploaded is not in the folder yet.
            let vanished = self.vanished_why(&name, &seen).is_some();
            let busy = self.jobs.get(&name).is_some_and(|job| job.reading || job.is_upload());
            if is_quiet && (vanished || !busy) {
                quiet.push((name, seen));
            } else {
                unsettled.insert(name, (seen.stamp, since));
            }
        }
        self.unsettled = unsettled;
        quiet
    }

    fn still_there(&mut self, name: String, seen: Seen) -> Option<String> {
        match self.vanished_why(&name, &seen) {
            None => Some(name),
            Some(why) => {
                self.vanished(&name, why, seen.stamp, seen.no_wasm);
                None
            }
        }
    }

    fn vanished_why(&self, name: &str, seen: &Seen) -> Option<&'static str> {
        let entry = self.entries.get(name)?;
        if seen.no_wasm {
            return Some(NO_WASM);
        }
        (seen.no_manifest && entry.had_manifest).then_some(NO_MANIFEST)
    }

    /// Reads, checks and builds one plugin beside the loader. With `force`, also what was tried
    /// before with the same bytes, and files that change are waited for.
    fn load(&mut self, name: &str, force: bool, answer: Option<Answer>) {
        self.unsettled.remove(name);
        // At the start nobody waits for writers: their links are closed until they are done.
        let reads_max = if force && self.started { UNSTABLE_READS_MAX } else { 1 };
        let how = self.how_to_read(reads_max);
        self.jobs.read(name, force, Source::Folder, how);
        if let Some(job) = self.jobs.get(name) {
            job.answers.extend(answer);
        }
    }

    fn how_to_read(&self, reads_max: u32) -> HowToRead {
        let (engine, pause) = (self.runtime.engine.hash, self.quiet_period);
        HowToRead { places: self.places.clone(), engine, reads_max, pause }
    }

    /// Builds that failed in a way that may pass.
    fn retry(&mut self) {
        let now = Instant::now();
        let due = self.entries.iter_mut().filter_map(|(name, entry)| {
            entry.retry_at().filter(|at| *at <= now)?;
            entry.retry_begins(now);
            Some(name.clone())
        });
        let due: Vec<String> = due.collect();
        for name in due {
            if self.jobs.get(&name).is_none() {
                self.load(&name, false, None);
            }
        }
    }

    fn next_retry(&self) -> Option<Duration> {
        let next = self.entries.values().filter_map(Entry::retry_at).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Puts the chains in force, tells the admin API, and answers. Called after every change of
    /// entries; a change that no client can notice swaps nothing.
    async fn publish(&mut self) {
        // The disk first: what was live once fails closed from then on.
        self.save_versions().await;
        self.remember().await;
        self.swap();
        for (answer, verdict) in self.verdicts.drain(..) {
            // An asker that went away does not undo the order.
            let _ = answer.send(verdict);
        }
    }

    fn swap(&mut self) {
        let members = self.entries.iter().map(|(name, entry)| (name.clone(), entry.member()));
        let members = members.collect();
        let chains = Chains {
            members: &members,
            deny_all: self.deny_all.as_ref(),
            folder_error: self.folder_error.as_deref(),
        };
        let (default, by_listener) = chains.build(&self.plan);
        self.gate.set_admin_chain(chains.admin(&self.plan));
        // The view first: who sees the new chain also sees what is in it.
        self.view.store(Arc::new(self.snapshot()));
        let in_force = chains.in_force(&default, &by_listener);
        if self.in_force.as_ref() != Some(&in_force) {
            self.gate.swap(default, by_listener);
            self.in_force = Some(in_force);
        }
        let is_in_use = |member: &&Member| member.state != PluginState::Disabled && !member.fresh;
        for entry in self.entries.values() {
            if let Some(live) = entry.generation() {
                live.attach(entry.shadow());
            }
        }
        let live = members.values().filter(is_in_use).filter_map(|member| member.live.clone());
        self.background.set(&live.collect::<Vec<_>>());
    }

    async fn remember(&mut self) {
        let decided = self.entries.iter().filter(|(_, entry)| !entry.fresh);
        let known = decided.map(|(name, entry)| (name.clone(), entry.known()));
        self.remembered.set_known(known.collect());
        let held = self.entries.iter().filter_map(|(name, entry)| {
            let held = entry.held.clone()?;
            (held.because != HeldBecause::Start).then(|| (name.clone(), held))
        });
        self.remembered.set_held(held.collect());
        let error = self.remembered.save().await.err();
        let error = error.map(|error| format!("{}: cannot be written: {error}", Remembered::FILE));
        if let Some(error) =
            error.as_ref().filter(|error| self.memory_error.as_ref() != Some(error))
        {
            tracing::error!("{error}");
        }
        self.memory_error = error;
    }

    /// Which folders are watched from now on. Talks to the watcher's thread, so off the async
    /// threads.
    async fn watch(&mut self, folders: BTreeSet<PathBuf>, again: bool) {
        let watch = Arc::clone(&self.watch);
        let set = tokio::task::spawn_blocking(move || {
            let mut watch = watch.lock();
            watch.set(folders, again);
            watch.error().map(str::to_owned)
        });
        self.watch_error = set.await.unwrap_or_else(|error| Some(error.to_string()));
    }

    fn snapshot(&self) -> View {
        let plan = &self.plan;
        let named = plan.chain.iter().chain(plan.listener_chains.values()).flatten();
        let named: BTreeSet<&String> = named.collect();
        let is_named = |name: &String| named.contains(name) || plan.admin_chain.contains(name);
        let decided = self.entries.iter().filter(|(_, entry)| !entry.fresh);
        let row = |name: &String, entry: &Entry| entry.row(name).named(is_named(name));
        let rows: BTreeMap<String, Row> =
            decided.map(|(name, entry)| (name.clone(), row(name, entry))).collect();
        let mut not_ready: Vec<String> = self.folder_error.iter().cloned().collect();
        not_ready.extend(rows.iter().filter_map(|(name, row)| row.not_ready(name)));
        for name in named {
            match rows.get(name) {
                Some(row) => not_ready.extend(row.not_ready_when_named(name)),
                None if name == crate::chains::DENY_ALL => {}
                None => {
                    not_ready.push(format!("a chain names {name:?}, but no plugin has this name"));
                }
            }
        }
        let mut warnings: Vec<String> = rows.iter().filter_map(|(n, row)| row.warning(n)).collect();
        warnings.extend(self.deny_all_error.iter().map(|error| format!("deny-all: {error}")));
        warnings.extend(self.scan_error.iter().cloned());
        warnings.extend(self.memory_error.iter().cloned());
        warnings.extend(self.watch_error.iter().cloned());
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

#[cfg(test)]
mod tests;
