//! Looking at a plugin without a broker: for the command line.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use access::{Event, EventKinds, Hooks, PluginFailure};

use crate::{
    candidate::{Found, Places, absent, valid_name},
    capability::{self, log::LogRate},
    component,
    generation::Generation,
    hooks::{self, events::OnEvents, timer::OnTimer},
    remembered::Remembered,
    runtime::{Outside, Runtime},
    sources::{Revisions, Sources},
    trust::Trust,
};

/// What a component is, seen from outside, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The component (made from the core module, if it was one).
    pub component: Vec<u8>,
    /// Size of the component in bytes.
    pub size_bytes: usize,
    /// Hooks that it exports.
    pub hooks: Vec<String>,
    /// Interfaces that it imports: what it asks the operator for.
    pub imports: Vec<String>,
    /// Lines that its manifest must have for them.
    pub grants: Vec<&'static str>,
    /// Name and version that it tells, once it was run.
    pub described: Option<(String, String)>,
}

/// Makes a component from a core module that was built with wit-bindgen (wasm32-unknown-unknown).
/// Errors are sentences.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    component::componentize(module)
}

/// Reads a component or core module, compiles and links it, and asks it for name and version.
/// Neither `init` nor `self-test` run, so no manifest is needed. Needs a tokio runtime with time.
pub async fn inspect(wasm: &[u8]) -> Result<Inspection, String> {
    let mut inspection = outside(wasm)?;
    let runtime = Arc::new(Runtime::new(None, Outside::default())?);
    let described = Generation::describe_only(&runtime, inspection.component.clone()).await;
    inspection.described = Some(described.map_err(|rejected| rejected.sentence)?);
    Ok(inspection)
}

/// A plugin as it would go live, outside of every chain: to be asked directly.
pub struct Loaded {
    /// What it is.
    pub inspection: Inspection,
    /// Its hooks that have a part in chains, with the budgets of its manifest.
    pub hooks: Hooks,
    generation: Arc<Generation>,
}

impl Loaded {
    /// The kinds of events that it wants; `None` where it does not export the hook.
    pub fn wanted_events(&self) -> Option<EventKinds> {
        self.generation.claims.events
    }

    /// Whether it has a timer.
    pub fn has_timer(&self) -> bool {
        self.generation.claims.timer.is_some()
    }

    /// Hook `events`: a batch with its times in milliseconds since 1970, and how many were lost
    /// before it.
    pub async fn tell(&self, batch: Vec<(u64, Event)>, dropped: u64) -> Result<(), PluginFailure> {
        self.generation.ask(OnEvents::new(batch, dropped)).await
    }

    /// Hook `timer`.
    pub async fn ring(&self) -> Result<(), PluginFailure> {
        self.generation.ask(OnTimer).await
    }

    /// Bytes of memory that an instance has taken so far, and how many it may take. `None` where no
    /// instance is kept after a call.
    pub fn memory_bytes(&self) -> Option<(usize, usize)> {
        self.generation.memory_bytes()
    }
}

/// What stands for the broker's part where there is no broker.
#[derive(Clone, Debug, Default)]
pub struct Lending {
    /// What manifests may name in `[grants]`.
    pub sources: Sources,
    /// Contents of `[files]`, by name, that stand for what the manifest points at.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Does everything that the broker would do before `NAME.wasm` of `dir` goes live, `init` and
/// `self-test` included. Errors are sentences, one per problem. Needs a tokio runtime with time.
pub async fn check_plugin(
    dir: &Path,
    name: &str,
    file_roots: &[PathBuf],
    sources: &Sources,
    trust: &Arc<Trust>,
) -> Result<Inspection, Vec<String>> {
    let lending = Lending { sources: sources.clone(), ..Lending::default() };
    load_plugin(dir, name, file_roots, lending, trust).await.map(|loaded| loaded.inspection)
}

/// The same, and keeps it to be asked.
pub async fn load_plugin(
    dir: &Path,
    name: &str,
    file_roots: &[PathBuf],
    lending: Lending,
    trust: &Arc<Trust>,
) -> Result<Loaded, Vec<String>> {
    if !valid_name(name) {
        return Err(vec![format!("{name:?}: must be 1 to 64 letters, digits, '-' and '_'")]);
    }
    let lent = Outside { sources: lending.sources, ..Outside::default() };
    let runtime = Arc::new(Runtime::new(None, lent).map_err(|error| vec![error])?);
    let places = Places {
        dir: dir.to_owned(),
        file_roots: file_roots.to_vec(),
        trust: Arc::clone(trust),
        revisions: Revisions::default(),
        given: lending.files,
    };
    let reading = match places.read(name, &runtime.engine.hash, None) {
        Found::Reading(reading) => reading,
        Found::Missing(_) => {
            return Err(vec![format!("{}: is not there", places.wasm(name).display())]);
        }
        Found::Unstable => return Err(vec![format!("{name}: its files are being written")]),
    };
    let mut problems = Vec::new();
    let contents = match reading.contents {
        Ok(contents) => Some(contents),
        Err(unusable) => {
            problems.push(unusable.sentence);
            None
        }
    };
    let (Some(contents), Some(manifest)) = (contents, reading.manifest) else {
        // A bad manifest hides nothing: the component is looked at as well.
        if let Ok(wasm) = std::fs::read(places.wasm(name))
            && let Err(error) = outside(&wasm)
        {
            problems.push(error);
        }
        return Err(problems);
    };
    let unknown = places.given.keys().filter(|file| !manifest.files.contains_key(*file));
    let unknown: Vec<_> = unknown
        .map(|file| format!("{name}: its manifest has no [files] {file}, which is given"))
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let mut inspection =
        outside(&contents.version.wasm).map_err(|error| vec![format!("{name} {error}")])?;
    let log = Arc::new(LogRate::new());
    let generation = Generation::build(&runtime, name, contents, manifest, log).await;
    let generation =
        generation.map_err(|rejected| vec![format!("{name}: {}", rejected.sentence)])?;
    // What breaks it is what its author wants to see.
    generation.breaker.watch(false);
    inspection.described = Some(generation.described.clone());
    Ok(Loaded { inspection, hooks: hooks::of(&generation), generation })
}

/// Why plugins would refuse everybody although each for itself is in order: a chain names one that
/// is switched off, or one that the broker knows from before is gone. `named` = what chains name.
/// Blocking; writes nothing. Each sentence begins with a file.
pub fn check_standing(dir: &Path, data_dir: &Path, named: &BTreeSet<String>) -> Vec<String> {
    let state = data_dir.join(Remembered::FILE);
    let remembered = match Remembered::open(data_dir) {
        Ok(remembered) => remembered,
        Err(error) => return vec![format!("{}: {error}", state.display())],
    };
    let places = Places {
        dir: dir.to_owned(),
        file_roots: Vec::new(),
        trust: Arc::default(),
        revisions: Revisions::default(),
        given: BTreeMap::new(),
    };
    let mut problems = Vec::new();
    for name in named {
        if remembered.is_disabled(name) {
            let state = state.display();
            problems.push(format!("{state}: an admin disabled {name}, but a chain names it"));
        }
        // A manifest that cannot be read is told of by `check_plugin`.
        if places.manifest_of(name).is_ok_and(|(_, manifest)| !manifest.enabled) {
            let file = places.manifest(name);
            let file = file.display();
            problems.push(format!("{file}: enabled = false, but a chain names {name}"));
        }
    }
    for (name, known) in remembered.known().iter().filter(|(_, known)| !known.disabled) {
        let gone = if absent(&places.wasm(name)) {
            places.wasm(name)
        } else if known.has_manifest && absent(&places.manifest(name)) {
            places.manifest(name)
        } else {
            continue;
        };
        let gone = gone.display();
        problems.push(format!("{gone}: is gone, so the link of {name} refuses until it is back"));
    }
    problems
}

fn outside(wasm: &[u8]) -> Result<Inspection, String> {
    let prepared = component::prepare(wasm)?;
    Ok(Inspection {
        size_bytes: prepared.bytes.len(),
        component: prepared.bytes.into_owned(),
        hooks: prepared.hooks,
        grants: capability::grants_needed(&prepared.imports),
        imports: prepared.imports,
        described: None,
    })
}
