//! What goes on beside the loader: reading files and building generations, one job a plugin.
//!
//! The loader itself never waits for one, so that removing or disabling a plugin does not wait for
//! another that compiles. Knows nothing of chains; what comes out of a job is judged by the loader.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use access::{PluginState, UploadedPlugin};
use tokio::{
    sync::{Notify, Semaphore},
    task::{self, JoinSet},
};

use super::{
    back::{self, Back, Want},
    orders::Answer,
};
use crate::{
    candidate::{Contents, Found, Places, Stamp},
    capability::log::LogRate,
    generation::{Generation, Rejected},
    kept::{KeptVersions, Told},
    manifest::Manifest,
    remembered::write_private,
    runtime::Runtime,
};

/// Generations that are built at once: one whose self-test takes its 30 s holds up three others at
/// most, and a folder full of new plugins does not take every core.
const BUILDS_MAX: usize = 4;

/// Every job in progress.
pub(super) struct Jobs {
    tasks: JoinSet<Done>,
    current: BTreeMap<String, Job>,
    places: Arc<Semaphore>,
    kept: KeptVersions,
    tickets: u64,
}

/// Where the files of a job come from.
pub(super) enum Source {
    /// The plugin folder.
    Folder,
    /// The API; the manifest is that of the folder.
    Upload(Arc<UploadedPlugin>),
    /// What was kept.
    Kept(Want),
}

/// The newest job of a plugin.
pub(super) struct Job {
    ticket: u64,
    task: task::Id,
    /// Also what was tried before with the same bytes.
    pub(super) force: bool,
    /// What was sent through the API and is not in the folder yet.
    pub(super) uploaded: Option<Arc<UploadedPlugin>>,
    /// It goes back to a version that was kept.
    pub(super) want: Option<Want>,
    /// What lies in the folder instead, and the files of the kept version.
    pub(super) over: Option<(String, Stamp)>,
    /// Its files are not known yet.
    pub(super) reading: bool,
    /// The plugin was removed or disabled meanwhile.
    pub(super) overtaken: bool,
    /// Who wants to know.
    pub(super) answers: Vec<Answer>,
    superseded: Arc<Notify>,
}

/// A step of a job came to its end.
pub(super) struct Done {
    pub(super) name: String,
    ticket: u64,
    pub(super) step: Step,
}

/// Which step.
pub(super) enum Step {
    /// The files were read; an error is one of ours.
    Read(Result<Found, String>),
    /// A version that was kept was read.
    Kept(Result<Box<Back>, String>),
    /// A generation was built, and stored if it was uploaded.
    Built(Box<Built>),
    /// A newer job took its place.
    Superseded,
}

/// What goes into a build.
pub(super) struct Plan {
    pub(super) contents: Contents,
    pub(super) manifest: Manifest,
    pub(super) log: Arc<LogRate>,
    /// A generation of these very contents, if there is one already.
    pub(super) same: Option<Arc<Generation>>,
    pub(super) has_manifest: bool,
}

/// What comes out.
pub(super) struct Built {
    pub(super) id: String,
    pub(super) version: String,
    pub(super) manifest: Manifest,
    pub(super) log: Arc<LogRate>,
    pub(super) has_manifest: bool,
    pub(super) generation: Result<Arc<Generation>, Rejected>,
}

/// How files are read.
pub(super) struct HowToRead {
    pub(super) places: Places,
    pub(super) engine: [u8; 32],
    /// How often, and how far apart, while the files change.
    pub(super) reads_max: u32,
    pub(super) pause: Duration,
}

impl Job {
    pub(super) fn is_upload(&self) -> bool {
        self.uploaded.is_some()
    }
}

impl Jobs {
    pub(super) fn new(kept: KeptVersions) -> Self {
        Self {
            tasks: JoinSet::new(),
            current: BTreeMap::new(),
            kept,
            places: Arc::new(Semaphore::new(BUILDS_MAX)),
            tickets: 0,
        }
    }

    /// The next step that ends. `None` = nothing is in progress. May be cancelled.
    pub(super) async fn next(&mut self) -> Option<Done> {
        loop {
            match self.tasks.join_next().await? {
                Ok(done) if self.is_newest(&done) => return Some(done),
                Ok(_) => {}
                // A panic of ours; those of parsers and compilers are caught inside.
                Err(error) => {
                    tracing::error!(%error, "a job of the plugin loader failed");
                    let failed = self.current.iter().find(|(_, job)| job.task == error.id());
                    let Some((name, job)) = failed else { continue };
                    let step = Step::Read(Err(error.to_string()));
                    return Some(Done { name: name.clone(), ticket: job.ticket, step });
                }
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn get(&mut self, name: &str) -> Option<&mut Job> {
        self.current.get_mut(name)
    }

    /// The job is over, however it ended.
    pub(super) fn take(&mut self, name: &str) -> Option<Job> {
        let job = self.current.remove(name)?;
        job.superseded.notify_one();
        Some(job)
    }

    /// A new job for a plugin, beginning with a read. Whoever waits for the one before waits for
    /// this one.
    pub(super) fn read(&mut self, name: &str, force: bool, source: Source, how: HowToRead) {
        let before = self.take(name);
        self.tickets += 1;
        let (ticket, owned, kept) = (self.tickets, name.to_owned(), self.kept.clone());
        let (uploaded, want) = match source {
            Source::Folder => (None, None),
            Source::Upload(uploaded) => (Some(uploaded), None),
            Source::Kept(want) => (None, Some(want)),
        };
        let (bytes, which) = (uploaded.clone(), want.as_ref().map(|want| want.which.clone()));
        let task = self.tasks.spawn(async move {
            let step = match which {
                None => Step::Read(read(&owned, bytes, how).await),
                Some(which) => Step::Kept(back::find(&owned, which, kept, how).await),
            };
            Done { name: owned, ticket, step }
        });
        let job = Job {
            ticket,
            task: task.id(),
            force: force || before.as_ref().is_some_and(|before| before.force),
            uploaded,
            want,
            over: None,
            reading: true,
            overtaken: false,
            answers: before.map(|before| before.answers).unwrap_or_default(),
            superseded: Arc::new(Notify::new()),
        };
        self.current.insert(name.to_owned(), job);
    }

    /// The job goes on with a build.
    pub(super) fn build(&mut self, name: &str, plan: Plan, runtime: Arc<Runtime>, folder: &Places) {
        let Some(job) = self.current.get_mut(name) else {
            return;
        };
        job.reading = false;
        let (ticket, superseded) = (job.ticket, Arc::clone(&job.superseded));
        let store = job.uploaded.clone().map(|uploaded| (folder.clone(), uploaded));
        let (name, places, kept) = (name.to_owned(), Arc::clone(&self.places), self.kept.clone());
        let task = self.tasks.spawn(async move {
            let place = tokio::select! {
                place = places.acquire_owned() => place,
                () = superseded.notified() => {
                    return Done { name, ticket, step: Step::Superseded };
                }
            };
            let version = plan.contents.version.clone();
            let files = plan.contents.file_hashes.clone();
            let mut built = build(&name, plan, &runtime).await;
            if let Ok(generation) = &built.generation {
                let described = generation.described.clone();
                let told = Told { described, files };
                let plugin = name.clone();
                keep(move || kept.keep(&plugin, &version, told), &name).await;
            }
            let waits = |rejected: &Rejected| rejected.state == PluginState::WaitingForApproval;
            // Who approves it finds it in the folder, also after a restart.
            if built.generation.as_ref().err().is_none_or(waits)
                && let Some((folder, uploaded)) = store
                && let Err(error) = stored(folder, uploaded).await
            {
                built.generation = Err(Rejected::failed(error));
            }
            drop(place);
            Done { name, ticket, step: Step::Built(Box::new(built)) }
        });
        job.task = task.id();
    }

    /// Every place for builds, as when four plugins take long over their self-tests.
    #[cfg(test)]
    pub(super) fn take_places(&self) -> tokio::sync::OwnedSemaphorePermit {
        let places = Arc::clone(&self.places);
        places.try_acquire_many_owned(BUILDS_MAX.try_into().unwrap()).unwrap()
    }

    fn is_newest(&self, done: &Done) -> bool {
        self.current.get(&done.name).is_some_and(|job| job.ticket == done.ticket)
    }
}

async fn read(
    name: &str,
    uploaded: Option<Arc<UploadedPlugin>>,
    how: HowToRead,
) -> Result<Found, String> {
    let HowToRead { places, engine, reads_max, pause } = how;
    for read in 1.. {
        let (places, name, uploaded) = (places.clone(), name.to_owned(), uploaded.clone());
        let look = move || places.read(&name, &engine, uploaded.as_deref());
        let found = task::spawn_blocking(look).await.map_err(|error| error.to_string())?;
        if read >= reads_max || !matches!(found, Found::Unstable) {
            return Ok(found);
        }
        tokio::time::sleep(pause).await;
    }
    Ok(Found::Unstable)
}

async fn build(name: &str, plan: Plan, runtime: &Arc<Runtime>) -> Built {
    let Plan { contents, manifest, log, same, has_manifest } = plan;
    let (id, version) = (contents.id.clone(), contents.version.hash.clone());
    let generation = match same {
        Some(generation) => Ok(generation),
        None => {
            let log = Arc::clone(&log);
            Generation::build(runtime, name, contents, manifest.clone(), log).await
        }
    };
    Built { id, version, manifest, log, has_manifest, generation }
}

/// What cannot be kept is live all the same: it cannot be gone back to.
async fn keep(work: impl FnOnce() -> std::io::Result<()> + Send + 'static, plugin: &str) {
    let kept = task::spawn_blocking(work).await.map_err(std::io::Error::other).flatten();
    if let Err(error) = kept {
        tracing::warn!(plugin, %error, "this version cannot be kept for a rollback");
    }
}

/// The signature first: a component without the one it came with would not be loaded.
async fn stored(folder: Places, uploaded: Arc<UploadedPlugin>) -> Result<(), String> {
    let store = move || {
        let UploadedPlugin { name, wasm, signature, .. } = &*uploaded;
        let signature = signature.as_ref().map(|text| (folder.signature(name), text.as_bytes()));
        for (path, bytes) in signature.into_iter().chain([(folder.wasm(name), wasm.as_slice())]) {
            write_private(&path, bytes)
                .map_err(|error| format!("{}: cannot be stored: {error}", path.display()))?;
        }
        Ok(())
    };
    task::spawn_blocking(store).await.unwrap_or_else(|error| Err(error.to_string()))
}
