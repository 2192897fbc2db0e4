//! What the loader knows of one plugin, and the picture of it that the admin API reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use access::{
    BreakerInfo, HeldBecause, HookCalls, KeptVersion, PluginInfo, PluginState, PoolInfo,
    ShadowReport, UploadProgress, VersionInfo, Waiting,
};

use super::{orders::Answer, shadow::Standby};
use crate::{
    candidate::{Contents, Reading, Stamp},
    capability::log::LogRate,
    chains::{DENY_ALL, Member, Standing},
    generation::{Generation, Rejected},
    manifest::Manifest,
    probation::Probation,
    remembered::{Held, Known, Predecessor},
    runtime::Runtime,
    shadow::Shadow,
    stats::FailureCounts,
};

/// Before a build whose failure may pass is tried again: first, doubled each time, at most.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);

/// State of one plugin.
pub(super) struct Entry {
    /// Nothing was decided about it yet: a plugin that is being built for the first time has no
    /// link, so that dropping one into the folder refuses nobody meanwhile.
    pub(super) fresh: bool,
    pub(super) state: PluginState,
    live: Option<Arc<Generation>>,
    generations: u64,
    pub(super) load_failures: u64,
    error: Option<String>,
    /// Of the last manifest that could be read.
    standing: Standing,
    /// `[files]` of the last manifest that could be read.
    pub(super) targets: Vec<PathBuf>,
    /// Files as they were when they were last judged; `None` = judge them again at the next look.
    pub(super) settled: Option<Stamp>,
    /// The last failure may pass by itself: judge the files again at the next rescan.
    pub(super) try_again: bool,
    /// The last build failed in a way that may pass: when to build again, and how long was waited.
    retry: Option<(Instant, Duration)>,
    /// What was tried last and failed.
    pub(super) rejected_id: Option<String>,
    pub(super) had_manifest: bool,
    /// An admin disabled it; says nothing in another state.
    pub(super) disabled_by_admin: bool,
    pub(super) log: Arc<LogRate>,
    /// An earlier version answers in place of the files in the folder.
    pub(super) held: Option<Held>,
    /// Nothing of it was live since the start, and it was always there.
    from_start: bool,
    /// Why an earlier version is wanted; the files in the folder do not load.
    fall_back: Option<String>,
    /// A candidate in shadow mode, and who waits for it.
    pub(super) standby: Option<Standby>,
    pub(super) shadow_answers: Vec<Answer>,
    /// Who wants to know how far the candidate is that was sent last.
    pub(super) shadow_progress: UploadProgress,
    /// What lies in the folder must be approved.
    pub(super) waiting: Option<Waiting>,
    predecessor: Option<Predecessor>,
    /// Kept versions that were no better.
    pub(super) tried: BTreeSet<String>,
    pub(super) probation: Option<Probation>,
    /// What is kept, newest first.
    pub(super) kept: Vec<KeptVersion>,
    rollbacks: BTreeMap<&'static str, u64>,
}

impl Entry {
    pub(super) fn new() -> Self {
        Self {
            fresh: true,
            state: PluginState::Failed,
            live: None,
            generations: 0,
            load_failures: 0,
            error: Some("it is not built yet".to_owned()),
            standing: standing(&Manifest::default()),
            targets: Vec::new(),
            settled: None,
            try_again: false,
            retry: None,
            rejected_id: None,
            had_manifest: false,
            disabled_by_admin: false,
            log: Arc::new(LogRate::new()),
            held: None,
            from_start: true,
            fall_back: None,
            standby: None,
            shadow_answers: Vec::new(),
            shadow_progress: UploadProgress::default(),
            waiting: None,
            predecessor: None,
            tried: BTreeSet::new(),
            probation: None,
            kept: Vec::new(),
            rollbacks: BTreeMap::new(),
        }
    }

    /// It was there before the restart; nothing answers for it until its files were seen.
    pub(super) fn remembered(known: &Known, held: Option<Held>) -> Self {
        let state = match known.disabled {
            true => PluginState::Disabled,
            false => PluginState::Removed,
        };
        let (standing, had_manifest) = (known.standing, known.has_manifest);
        let predecessor = known.predecessor.clone();
        Self { fresh: false, state, standing, had_manifest, held, predecessor, ..Self::new() }
    }

    /// What a restart must know.
    pub(super) fn known(&self) -> Known {
        Known {
            has_manifest: self.had_manifest,
            disabled: self.state == PluginState::Disabled,
            standing: self.standing,
            predecessor: self.predecessor.clone(),
        }
    }

    /// The candidate that is asked the same.
    pub(super) fn shadow(&self) -> Option<Arc<Shadow>> {
        self.standby.as_ref()?.built.as_ref()?.as_ref().ok().cloned()
    }

    /// What was live last, also before a restart.
    pub(super) fn predecessor(&self) -> Option<&Predecessor> {
        self.predecessor.as_ref()
    }

    /// What an admin would have to approve.
    pub(super) fn waits_for(&mut self, version: &str, rejected: &Rejected) {
        self.waiting = (rejected.state == PluginState::WaitingForApproval)
            .then(|| Waiting { version: version.to_owned(), asks: rejected.asks.clone() });
    }

    /// What answers for it.
    pub(super) fn generation(&self) -> Option<&Arc<Generation>> {
        self.live.as_ref()
    }

    /// Once in a while.
    pub(super) fn rescan(&mut self) {
        if std::mem::take(&mut self.try_again) {
            self.settled = None;
        }
        if let Some(live) = &self.live {
            live.trim();
        }
    }

    /// Its files were read.
    pub(super) fn saw(&mut self, reading: &Reading) {
        if reading.manifest.is_some() {
            self.targets = reading.stamp.paths().skip(2).map(PathBuf::from).collect();
            self.settled = Some(reading.stamp.clone());
        } else {
            // Without its manifest only the old files of it are known: the next look compares with
            // those.
            let own: Vec<PathBuf> = reading.stamp.paths().skip(2).map(PathBuf::from).collect();
            let files = self.targets.iter().filter(|target| !own.contains(target)).cloned();
            self.targets = own.iter().cloned().chain(files.collect::<Vec<_>>()).collect();
            self.settled = Some(reading.stamp.with(&self.targets));
        }
    }

    /// It was stored by the admin API: the files are to be compared with that at the next look.
    pub(super) fn stored(&mut self) {
        self.settled = None;
        self.rejected_id = None;
        self.retry = None;
    }

    /// It was there at the first look: its link refuses until it is built.
    pub(super) fn there_at_start() -> Self {
        Self { fresh: false, ..Self::new() }
    }

    /// Its files could not be read as one picture. Whatever answered before still does.
    pub(super) fn unstable(&mut self) {
        if self.state == PluginState::Failed {
            self.error = Some("its files are being written".to_owned());
        }
    }

    /// Builds that failed may be tried again after a while, each time a longer one.
    pub(super) fn retry_later(&mut self, now: Instant) {
        let pause = self.retry.map_or(RETRY_FIRST, |(_, before)| (before * 2).min(RETRY_MAX));
        self.retry = now.checked_add(pause).map(|at| (at, pause));
    }

    /// A retry that begins is not due again until it failed or was given up.
    pub(super) fn retry_begins(&mut self, now: Instant) {
        if let (Some((at, _)), Some(later)) = (&mut self.retry, now.checked_add(RETRY_MAX)) {
            *at = later;
        }
    }

    /// When it is to be built again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry.map(|(at, _)| at)
    }

    pub(super) fn live(&mut self, generation: Arc<Generation>) {
        self.standing = standing(&generation.manifest);
        self.takes_over(generation);
        self.rejected_id = None;
        self.back_to_live();
    }

    fn takes_over(&mut self, generation: Arc<Generation>) {
        self.predecessor = Some(Predecessor {
            imports: generation.imports.clone(),
            manifest: generation.manifest_hash.clone(),
        });
        self.live = Some(generation);
        self.generations += 1;
    }

    /// The version that stays though these files lie in the folder.
    pub(super) fn holds(&self, over: &str) -> Option<Held> {
        let held = self.held.as_ref()?;
        (held.because != HeldBecause::Start && held.over == over).then(|| held.clone())
    }

    /// What its error says since an earlier version answers.
    pub(super) fn held_why(&self) -> Option<String> {
        let answers = self.held.is_some() && self.live.is_some();
        self.error.clone().filter(|_| answers)
    }

    /// Why the last version that was good is wanted, once.
    pub(super) fn falls_back(&mut self) -> Option<String> {
        self.fall_back.take()
    }

    /// An earlier version answers from now on. `files` = those that it names. Returns whether it is
    /// another one than before.
    pub(super) fn goes_back(
        &mut self,
        generation: Arc<Generation>,
        held: Held,
        why: String,
        files: &Stamp,
    ) -> bool {
        let is_new = self.live.as_ref().is_none_or(|live| !Arc::ptr_eq(live, &generation));
        if self.held.as_ref().is_none_or(|before| before.version != held.version) {
            *self.rollbacks.entry(held.because.word()).or_default() += 1;
        }
        if is_new {
            self.standing = standing(&generation.manifest);
            self.takes_over(generation);
        }
        self.fresh = false;
        self.from_start = false;
        self.probation = None;
        self.state = match self.waiting {
            Some(_) => PluginState::WaitingForApproval,
            None => PluginState::LiveOld,
        };
        self.error = Some(why);
        if held.because != HeldBecause::Start {
            self.retry = None;
        }
        self.held = Some(held);
        self.names(files);
        is_new
    }

    /// What answers stays, and was built again with what its files are now.
    pub(super) fn stays_with(&mut self, generation: Arc<Generation>, files: &Stamp) {
        self.takes_over(generation);
        self.names(files);
    }

    /// Files beside those that the manifest in the folder names.
    fn names(&mut self, files: &Stamp) {
        let more = files.paths().filter(|path| !self.targets.iter().any(|known| known == path));
        let more: Vec<PathBuf> = more.map(PathBuf::from).collect();
        self.targets.extend(more);
        self.settled = self.settled.as_ref().map(|settled| settled.and(files));
    }

    /// The files are those of the live generation (again).
    pub(super) fn back_to_live(&mut self) {
        self.fresh = false;
        self.from_start = false;
        self.held = None;
        self.waiting = None;
        self.state = PluginState::Live;
        self.error = None;
        self.rejected_id = None;
        self.retry = None;
    }

    /// Returns whether an earlier generation stays live.
    pub(super) fn rejected(&mut self, manifest: Option<&Manifest>, rejected: &Rejected) -> bool {
        self.fresh = false;
        let waits = rejected.state == PluginState::WaitingForApproval;
        self.load_failures += u64::from(!waits);
        if !waits {
            self.waiting = None;
        }
        if !rejected.passing {
            self.retry = None;
        }
        self.error = Some(rejected.sentence.clone());
        let stays = self.live.is_some();
        if stays {
            self.state = if waits { rejected.state } else { PluginState::LiveOld };
        } else {
            self.state = rejected.state;
            if let Some(manifest) = manifest {
                self.standing = standing(manifest);
            }
            if std::mem::take(&mut self.from_start) && self.held.is_none() {
                self.fall_back = Some(rejected.sentence.clone());
            }
        }
        stays
    }

    /// `by_admin` = not by its manifest alone.
    pub(super) fn disable(&mut self, manifest: Option<&Manifest>, by_admin: bool) {
        self.fresh = false;
        self.state = PluginState::Disabled;
        self.disabled_by_admin = by_admin;
        self.standby = None;
        self.waiting = None;
        self.from_start = false;
        self.probation = None;
        self.live = None;
        self.error = None;
        self.rejected_id = None;
        self.retry = None;
        if let Some(manifest) = manifest {
            self.standing = standing(manifest);
        }
    }

    /// Its files are gone, and nobody misses them as long as it is disabled.
    pub(super) fn removed_while_disabled(&mut self, why: &str, by_admin: bool) {
        self.disable(None, by_admin);
        self.error = Some(why.to_owned());
    }

    pub(super) fn removed(&mut self, why: &str) {
        self.fresh = false;
        self.state = PluginState::Removed;
        self.standby = None;
        self.waiting = None;
        self.from_start = false;
        self.held = None;
        self.probation = None;
        self.live = None;
        self.rejected_id = None;
        self.retry = None;
        self.error = Some(why.to_owned());
    }

    pub(super) fn member(&self) -> Member {
        Member {
            fresh: self.fresh,
            state: self.state,
            live: self.live.clone(),
            standing: self.standing,
            error: self.error.clone(),
        }
    }

    fn versions(&self) -> VersionInfo {
        let held = self.held.as_ref().filter(|_| self.live.is_some());
        let count = |because: HeldBecause| {
            (because, self.rollbacks.get(because.word()).copied().unwrap_or_default())
        };
        VersionInfo {
            live: self.live.as_ref().map(|live| live.version.clone()),
            on_probation: self.probation.is_some(),
            waiting: self.waiting.clone(),
            held: held
                .map(|held| access::Held { version: held.version.clone(), because: held.because }),
            candidate: self.standby.as_ref().map(|standby| standby.id.clone()),
            kept: self.kept.clone(),
            rollbacks: HeldBecause::ALL.map(count).to_vec(),
        }
    }

    pub(super) fn row(&self, name: &str) -> Row {
        let live = self.live.as_ref();
        Row {
            info: PluginInfo {
                name: name.to_owned(),
                state: self.state,
                generation: live.map(|live| live.id.clone()),
                generations: self.generations,
                load_failures: self.load_failures,
                described: live.map(|live| live.described.clone()),
                hooks: live.map(|live| live.hook_names.clone()).unwrap_or_default(),
                imports: live.map(|live| live.imports.clone()).unwrap_or_default(),
                order: self.standing.order,
                control: self.standing.control,
                error: self.error.clone(),
                calls: 0,
                failures: 0,
                failure_kinds: FailureCounts::default().by_kind().collect(),
                call_microseconds: 0,
                hook_calls: Vec::new(),
                pool: PoolInfo::default(),
                grants: live.map(|live| live.manifest.grants.listed()).unwrap_or_default(),
                versions: self.versions(),
                breaker: BreakerInfo::default(),
                is_named: false,
            },
            live: self.live.clone(),
            shadow: self.standby.as_ref().and_then(|standby| standby.built.clone()),
        }
    }
}

fn standing(manifest: &Manifest) -> Standing {
    Standing { order: manifest.order, control: manifest.control, on_error: manifest.on_error }
}

/// The embedded `deny-all`, built like any other plugin.
pub(super) async fn embedded(
    runtime: &Arc<Runtime>,
    wasm: &[u8],
) -> Result<Arc<Generation>, Rejected> {
    if wasm.is_empty() {
        return Err(Rejected::failed("this program was built without it"));
    }
    let contents = Contents::alone(wasm.to_vec(), "embedded".to_owned());
    let log = Arc::new(LogRate::new());
    Generation::build(runtime, DENY_ALL, contents, Manifest::default(), log).await
}

/// What the admin API reads.
#[derive(Default)]
pub(crate) struct View {
    /// By name.
    pub(crate) rows: BTreeMap<String, Row>,
    /// Why the broker is not ready.
    pub(crate) not_ready: Vec<String>,
    /// What an operator should know.
    pub(crate) warnings: Vec<String>,
}

/// One plugin.
#[derive(Clone)]
pub(crate) struct Row {
    info: PluginInfo,
    live: Option<Arc<Generation>>,
    shadow: Option<Result<Arc<Shadow>, String>>,
}

impl Row {
    /// The same, for a plugin that a chain of the configuration names or does not.
    pub(super) fn named(mut self, is_named: bool) -> Self {
        self.info.is_named = is_named;
        self
    }

    /// With the counters of this moment.
    pub(crate) fn info(&self) -> PluginInfo {
        let mut info = self.info.clone();
        if let Some(live) = &self.live {
            info.calls = live.counters.calls.load(Ordering::Relaxed);
            info.failures = live.counters.failures.load(Ordering::Relaxed);
            info.failure_kinds = live.counters.kinds.by_kind().collect();
            info.breaker = live.breaker.info(Instant::now());
            info.call_microseconds = live.counters.microseconds.load(Ordering::Relaxed);
            let by_hook = live.times.by_hook();
            info.hook_calls =
                by_hook.map(|(hook, calls, time)| HookCalls { hook, calls, time }).collect();
            info.pool = live.pool_info();
        }
        info
    }

    /// Of its candidate; the error is why that is not asked.
    pub(crate) fn shadow_report(&self) -> Option<Result<ShadowReport, &str>> {
        let shadow = self.shadow.as_ref()?.as_ref();
        Some(shadow.map(|shadow| shadow.report(Instant::now())).map_err(String::as_str))
    }

    /// Why a chain that names it is not whole though the plugin itself is in order.
    pub(super) fn not_ready_when_named(&self, name: &str) -> Option<String> {
        (self.info.state == PluginState::Disabled)
            .then(|| format!("a chain names {name:?}, but this plugin is disabled"))
    }

    /// Its state.
    pub(crate) fn state(&self) -> PluginState {
        self.info.state
    }

    pub(super) fn not_ready(&self, name: &str) -> Option<String> {
        match self.info.state {
            PluginState::Failed | PluginState::WaitingForGrant | PluginState::Removed => {
                Some(format!("plugin {name}: {}", self.error()))
            }
            PluginState::WaitingForApproval if self.live.is_none() => {
                Some(format!("plugin {name}: {}", self.error()))
            }
            PluginState::Live
            | PluginState::LiveOld
            | PluginState::WaitingForApproval
            | PluginState::Disabled => None,
        }
    }

    pub(super) fn warning(&self, name: &str) -> Option<String> {
        let is_old =
            matches!(self.info.state, PluginState::LiveOld | PluginState::WaitingForApproval);
        (is_old && self.live.is_some()).then(|| {
            format!("plugin {name}: an earlier generation answers, because: {}", self.error())
        })
    }

    fn error(&self) -> &str {
        self.info.error.as_deref().unwrap_or("no reason is known")
    }
}
