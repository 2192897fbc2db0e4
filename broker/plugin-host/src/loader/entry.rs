//! What the loader knows of one plugin, and the picture of it that the admin API reads.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use access::{PluginInfo, PluginState};

use crate::{
    candidate::{Contents, Reading, Stamp},
    capability::log::LogRate,
    chains::{DENY_ALL, Member, Standing},
    generation::{Generation, Rejected},
    manifest::Manifest,
    runtime::Runtime,
};

/// State of one plugin.
pub(super) struct Entry {
    pub(super) state: PluginState,
    live: Option<Arc<Generation>>,
    generations: u64,
    error: Option<String>,
    /// Of the last manifest that could be read.
    standing: Standing,
    /// `[files]` of the last manifest that could be read.
    pub(super) targets: Vec<PathBuf>,
    /// Files as they were when they were last judged; `None` = judge them again at the next look.
    pub(super) settled: Option<Stamp>,
    /// The last failure may pass by itself: judge the files again at the next rescan.
    pub(super) try_again: bool,
    /// What was tried last and failed.
    pub(super) rejected_id: Option<String>,
    pub(super) had_manifest: bool,
    pub(super) log: Arc<LogRate>,
}

impl Entry {
    pub(super) fn new() -> Self {
        Self {
            state: PluginState::Failed,
            live: None,
            generations: 0,
            error: None,
            standing: standing(&Manifest::default()),
            targets: Vec::new(),
            settled: None,
            try_again: false,
            rejected_id: None,
            had_manifest: false,
            log: Arc::new(LogRate::new()),
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

    pub(super) fn live(&mut self, generation: Arc<Generation>) {
        self.standing = standing(&generation.manifest);
        self.live = Some(generation);
        self.generations += 1;
        self.rejected_id = None;
        self.back_to_live();
    }

    /// The files are those of the live generation (again).
    pub(super) fn back_to_live(&mut self) {
        self.state = PluginState::Live;
        self.error = None;
        self.rejected_id = None;
    }

    /// Returns whether an earlier generation stays live.
    pub(super) fn rejected(&mut self, reading: &Reading, rejected: &Rejected) -> bool {
        self.error = Some(rejected.sentence.clone());
        let stays = self.live.is_some();
        if stays {
            self.state = PluginState::LiveOld;
        } else {
            self.state = rejected.state;
            if let Some(manifest) = &reading.manifest {
                self.standing = standing(manifest);
            }
        }
        stays
    }

    pub(super) fn disable(&mut self, reading: &Reading) {
        self.state = PluginState::Disabled;
        self.live = None;
        self.error = None;
        self.rejected_id = None;
        if let Some(manifest) = &reading.manifest {
            self.standing = standing(manifest);
        }
    }

    pub(super) fn removed(&mut self, why: &str) {
        self.state = PluginState::Removed;
        self.live = None;
        self.rejected_id = None;
        self.error = Some(why.to_owned());
    }

    pub(super) fn member(&self) -> Member {
        Member {
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
                described: live.map(|live| live.described.clone()),
                hooks: live.map(|live| live.hook_names.clone()).unwrap_or_default(),
                imports: live.map(|live| live.imports.clone()).unwrap_or_default(),
                order: self.standing.order,
                control: self.standing.control,
                error: self.error.clone(),
                calls: 0,
                failures: 0,
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
            info.call_microseconds = live.counters.microseconds.load(Ordering::Relaxed);
        }
        info
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
