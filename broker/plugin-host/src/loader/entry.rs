//! What the loader knows of one plugin, and the picture of it that the admin API reads.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use access::{PluginInfo, PluginState};

use crate::{
    candidate::{Contents, Reading, Stamp},
    capability::log::LogRate,
    chains::{DENY_ALL, Member, Standing},
    generation::{Generation, Rejected},
    manifest::Manifest,
    remembered::Known,
    runtime::Runtime,
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
        }
    }

    /// It was there before the restart; nothing answers for it until its files were seen.
    pub(super) fn remembered(known: &Known) -> Self {
        let state = match known.disabled {
            true => PluginState::Disabled,
            false => PluginState::Removed,
        };
        let (standing, had_manifest) = (known.standing, known.has_manifest);
        Self { fresh: false, state, standing, had_manifest, ..Self::new() }
    }

    /// What a restart must know.
    pub(super) fn known(&self) -> Known {
        Known {
            has_manifest: self.had_manifest,
            disabled: self.state == PluginState::Disabled,
            standing: self.standing,
        }
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
            // Without its manifest only the old targets are known: the next look compares with
            // those.
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
        self.live = Some(generation);
        self.generations += 1;
        self.rejected_id = None;
        self.back_to_live();
    }

    /// The files are those of the live generation (again).
    pub(super) fn back_to_live(&mut self) {
        self.fresh = false;
        self.state = PluginState::Live;
        self.error = None;
        self.rejected_id = None;
        self.retry = None;
    }

    /// Returns whether an earlier generation stays live.
    pub(super) fn rejected(&mut self, manifest: Option<&Manifest>, rejected: &Rejected) -> bool {
        self.fresh = false;
        self.load_failures += 1;
        if !rejected.passing {
            self.retry = None;
        }
        self.error = Some(rejected.sentence.clone());
        let stays = self.live.is_some();
        if stays {
            self.state = PluginState::LiveOld;
        } else {
            self.state = rejected.state;
            if let Some(manifest) = manifest {
                self.standing = standing(manifest);
            }
        }
        stays
    }

    /// `by_admin` = not by its manifest alone.
    pub(super) fn disable(&mut self, manifest: Option<&Manifest>, by_admin: bool) {
        self.fresh = false;
        self.state = PluginState::Disabled;
        self.disabled_by_admin = by_admin;
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
            },
            live: self.live.clone(),
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
    let contents =
        Contents { wasm: wasm.to_vec(), files: BTreeMap::new(), id: "embedded".to_owned() };
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
}

impl Row {
    /// With the counters of this moment.
    pub(crate) fn info(&self) -> PluginInfo {
        let mut info = self.info.clone();
        if let Some(live) = &self.live {
            info.calls = live.counters.calls.load(Ordering::Relaxed);
            info.failures = live.counters.failures.load(Ordering::Relaxed);
            info.failure_kinds = live.counters.kinds.by_kind().collect();
            info.call_microseconds = live.counters.microseconds.load(Ordering::Relaxed);
        }
        info
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
            PluginState::Live | PluginState::LiveOld | PluginState::Disabled => None,
        }
    }

    pub(super) fn warning(&self, name: &str) -> Option<String> {
        (self.info.state == PluginState::LiveOld).then(|| {
            format!("plugin {name}: an earlier generation answers, because: {}", self.error())
        })
    }

    fn error(&self) -> &str {
        self.info.error.as_deref().unwrap_or("no reason is known")
    }
}
