//! How a candidate becomes a generation: parsed, within its grants, compiled, linked, and rehearsed in
//! a shadow instance. What fails here never answers anybody.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use access::{PluginFailure, PluginState, UploadProgress, UploadStage};
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use telemetry::Cache;
use wasmtime::component::{Component, types::ComponentItem};

use super::{Counters, Generation, Rejected, factory::Factory, sha256};

use crate::{
    breaker::Breaker,
    budget::{self, Budget},
    candidate::Contents,
    capability::{self, Lent, broker::CallRate, files::FileSet, log::LogRate, state::PluginStore},
    claims::{Claims, Told},
    component,
    exports::Indices,
    golden,
    guarded::Guarded,
    instance::Instance,
    manifest::{Grants, Manifest},
    pool::Pool,
    runtime::Runtime,
    sources::Granted,
};

/// A call that may try for others has ended so long after its deadline.
const PROBE_GRACE: Duration = Duration::from_secs(1);
/// `describe`: reads two constants.
const DESCRIBE: Budget = Budget { cpu: Duration::from_millis(100), wall: Duration::from_secs(5) };
/// `self-test`: the place for checks that cost time.
pub(super) const SELF_TEST: Budget =
    Budget { cpu: Duration::from_secs(5), wall: Duration::from_secs(30) };
/// `init` in the shadow instance may use this many times the CPU of a call.
const INIT_CPU_FACTOR: u32 = 10;
/// Later ones, which run inside somebody's call, may use this many times what it used there.
const INIT_AGAIN_FACTOR: u32 = 3;

/// What the blocking part of a build finds out.
pub(super) struct Compiled {
    component: Component,
    hook_names: Vec<String>,
    imports: Vec<String>,
    wasi: bool,
    state_transfer: bool,
}

impl Generation {
    /// Parses, checks grants, compiles, links, and runs `describe`, `init` and `self-test` in a
    /// shadow instance.
    pub(crate) async fn build(
        runtime: &Arc<Runtime>,
        name: &str,
        contents: Contents,
        manifest: Manifest,
        log: Arc<LogRate>,
    ) -> Result<Arc<Self>, Rejected> {
        let Contents { version, files, id, predecessor, heir_of, in_shadow, progress, .. } =
            contents;
        let wasm = Arc::clone(&version.wasm);
        let component_sha256 = sha256(&wasm).into();
        let manifest_hash = version.manifest_hash();
        let (granting, told) = (manifest.clone(), progress.clone());
        let allowed = Allowed { manifest: granting, predecessor, progress: told };
        let compiled = compile(runtime, wasm, Some(allowed)).await?;
        let name: Arc<str> = name.into();
        let short: Arc<str> = id.get(..12).unwrap_or(&id).into();
        let mut lent = lent(runtime, Arc::clone(&name), Arc::clone(&short), &manifest);
        lent.passwords =
            imports_verify_password(&compiled.component).then(|| runtime.passwords.share());
        lent.files = FileSet::new(files);
        lent.granted = Granted::find(&runtime.sources.current(), &manifest.grants)
            .map_err(Rejected::failed)?;
        lent.state = open_state(runtime, &name, &manifest.grants).await?;
        lent.log = log;
        lent.shadow = in_shadow;
        let mut factory = link(runtime, &compiled, &manifest, Arc::new(lent))
            .map_err(|error| Rejected::failed(format!("does not fit this host: {error:#}")))?;
        if compiled.state_transfer
            && let Some(before) = heir_of
        {
            factory.handed = before.hand_over().await.map(Arc::new);
        }
        progress.reached(UploadStage::Testing);
        let shadow = Guarded::new(rehearse(factory.clone()));
        let Rehearsed { described, told, instance, making_cpu } =
            shadow.await.map_err(|failure| Rejected::rehearsal(&failure))?;
        let claims =
            Claims::new(told, &manifest).map_err(|failure| Rejected::rehearsal(&failure))?;
        factory.making_cpu = making_cpu_again(manifest.limits.cpu, making_cpu);
        let deadline = manifest.limits.deadline;
        let pool = Pool::new(&manifest.limits, manifest.isolation, &runtime.pools);
        pool.park(instance);
        let times = runtime.plugin_metrics.hook_times(&name, &compiled.hook_names);
        let generation = Arc::new(Self {
            name,
            id,
            component_sha256,
            version: version.hash,
            manifest_hash,
            short,
            hook_names: compiled.hook_names,
            imports: compiled.imports,
            claims,
            described,
            manifest,
            counters: Counters::default(),
            times,
            is_shadowed: AtomicBool::new(false),
            shadow: ArcSwapOption::empty(),
            breaker: Breaker::new(deadline.saturating_add(PROBE_GRACE)),
            factory,
            pool,
            runtime: Arc::clone(runtime),
        });
        golden::check(&generation).await?;
        Ok(generation)
    }

    /// Compiles, links and asks for name and version; nothing else runs.
    pub(crate) async fn describe_only(
        runtime: &Arc<Runtime>,
        wasm: Vec<u8>,
    ) -> Result<(String, String), Rejected> {
        let manifest = Manifest::default();
        let compiled = compile(runtime, Arc::new(wasm), None).await?;
        let lent = lent(runtime, DESCRIBED.into(), DESCRIBED.into(), &manifest);
        let factory = link(runtime, &compiled, &manifest, Arc::new(lent))
            .map_err(|error| Rejected::failed(format!("does not fit this host: {error:#}")))?;
        let described = Guarded::new(async move {
            factory.raw(DESCRIBE.starting_now()).await?.describe(DESCRIBE.starting_now()).await
        });
        described.await.map_err(|failure| Rejected::failed(format!("describe: {failure}")))
    }
}

/// CPU time of making an instance inside a call: what went live must be able to be made again, and
/// may not cost calls much more than it did at first.
fn making_cpu_again(call: Duration, used: Duration) -> Duration {
    used.saturating_mul(INIT_AGAIN_FACTOR).clamp(call, call.saturating_mul(INIT_CPU_FACTOR))
}

/// Stands in the log for a component that is only looked at.
pub(super) const DESCRIBED: &str = "inspected";

/// Without files, with a log rate of its own.
pub(super) fn lent(
    runtime: &Arc<Runtime>,
    plugin: Arc<str>,
    generation: Arc<str>,
    manifest: &Manifest,
) -> Lent {
    Lent {
        plugin,
        shadow: false,
        generation,
        config_json: serde_json::Value::Object(manifest.config.clone()).to_string(),
        config: manifest.config.clone(),
        files: FileSet::default(),
        log: Arc::new(LogRate::new()),
        passwords: None,
        grants: manifest.grants.clone(),
        granted: Granted::default(),
        state: None,
        revealed: Mutex::default(),
        broker_calls: CallRate::default(),
        runtime: Arc::clone(runtime),
    }
}

/// The state of a plugin that was granted some, from its file.
async fn open_state(
    runtime: &Arc<Runtime>,
    plugin: &Arc<str>,
    grants: &Grants,
) -> Result<Option<Arc<PluginStore>>, Rejected> {
    let Some(quota) = grants.state_bytes else { return Ok(None) };
    let (runtime, plugin) = (Arc::clone(runtime), Arc::clone(plugin));
    let opened = tokio::task::spawn_blocking(move || runtime.state.open(&plugin, quota)).await;
    opened
        .unwrap_or_else(|error| Err(format!("its state cannot be read: {error}")))
        .map(Some)
        .map_err(|sentence| Rejected { passing: true, ..Rejected::failed(sentence) })
}

/// What a component may be before it is compiled.
pub(super) struct Allowed {
    /// What must grant what it imports.
    manifest: Manifest,
    /// What it may import without being approved, if that has a bound.
    predecessor: Option<Vec<String>>,
    /// Who is told when the compiler begins.
    progress: UploadProgress,
}

/// Without `allowed` it is only looked at.
pub(super) async fn compile(
    runtime: &Arc<Runtime>,
    wasm: Arc<Vec<u8>>,
    allowed: Option<Allowed>,
) -> Result<Compiled, Rejected> {
    let runtime = Arc::clone(runtime);
    let work = move || {
        let prepared = component::prepare(&wasm).map_err(Rejected::failed)?;
        if let Some(Allowed { manifest, predecessor, progress }) = allowed {
            acceptable(&prepared.imports, &manifest, predecessor.as_deref())?;
            progress.reached(UploadStage::Compiling);
        }
        let loaded = runtime.aot.load(runtime.engine, &prepared.bytes);
        let (component, was_there) = loaded.map_err(Rejected::failed)?;
        runtime.plugin_metrics.caches.note(Cache::MachineCode, was_there);
        Ok(Compiled {
            component,
            hook_names: prepared.hooks,
            imports: prepared.imports,
            wasi: prepared.wasi,
            state_transfer: prepared.state_transfer,
        })
    };
    // A panic of a parser or the compiler ends as a rejection, not in the broker.
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Rejected::failed(format!("the compiler failed: {error}"))))
}

fn acceptable(
    imports: &[String],
    manifest: &Manifest,
    predecessor: Option<&[String]>,
) -> Result<(), Rejected> {
    if let Some(sentence) = capability::missing_grant(imports, manifest) {
        let state = PluginState::WaitingForGrant;
        return Err(Rejected { state, ..Rejected::failed(sentence) });
    }
    let asks = predecessor.map(|had| capability::beyond(imports, had)).unwrap_or_default();
    if asks.is_empty() {
        return Ok(());
    }
    let named = asks.join(", ");
    let sentence =
        format!("imports {named}, which the version before it did not: an admin must approve it");
    let state = PluginState::WaitingForApproval;
    Err(Rejected { state, asks, ..Rejected::failed(sentence) })
}

pub(super) fn link(
    runtime: &Runtime,
    compiled: &Compiled,
    manifest: &Manifest,
    lent: Arc<Lent>,
) -> wasmtime::Result<Factory> {
    let linker = if compiled.wasi { &runtime.linker_with_wasi } else { &runtime.linker };
    let pre = linker.instantiate_pre(&compiled.component)?;
    let beside = compiled.state_transfer.then(|| component::STATE_TRANSFER.to_owned());
    let exports: Vec<String> = compiled.hook_names.iter().cloned().chain(beside).collect();
    Ok(Factory {
        indices: Indices::find(&pre, &exports)?,
        pre,
        lent,
        memory_bytes: manifest.limits.memory_bytes,
        call: Budget { cpu: manifest.limits.cpu, wall: manifest.limits.deadline },
        message: manifest.transform.budget,
        making_cpu: manifest.limits.cpu.saturating_mul(INIT_CPU_FACTOR),
        state_transfer: compiled.state_transfer,
        handed: None,
    })
}

fn imports_verify_password(component: &Component) -> bool {
    let engine = component.engine();
    let imports = component.component_type();
    imports.imports(engine).any(|(name, item)| match item.ty {
        ComponentItem::ComponentInstance(instance) => {
            name.starts_with("portcullis:plugin/crypto@")
                && instance.exports(engine).any(|(function, _)| function == "verify-password")
        }
        _ => false,
    })
}

/// What the shadow instance showed.
struct Rehearsed {
    described: (String, String),
    told: Told,
    instance: Instance,
    making_cpu: Duration,
}

/// The shadow instance: what fails here never goes live.
async fn rehearse(factory: Factory) -> Result<Rehearsed, PluginFailure> {
    let named = |step: &'static str| {
        move |error: PluginFailure| PluginFailure {
            kind: error.kind,
            message: format!("{step}: {}", error.message),
        }
    };
    let making = Budget { cpu: factory.making_cpu, wall: factory.call.wall };
    let mut instance = factory.raw(making.starting_now()).await.map_err(named("instantiate"))?;
    let (name, version) =
        instance.describe(DESCRIBE.starting_now()).await.map_err(named("describe"))?;
    budget::charge_from_here();
    instance.arm(making.starting_now());
    let mut making_cpu = instance.init().await.map_err(named("init"))?;
    if let Some(handed) = &factory.handed {
        making_cpu = instance.import_state(handed).await.map_err(named("import-state"))?;
    }
    let told = instance.claims(DESCRIBE.starting_now()).await.map_err(named("claims"))?;
    instance.self_test(SELF_TEST.starting_now()).await.map_err(named("self-test"))?;
    let printable = crate::failure::printable;
    let described = (printable(&name), printable(&version));
    Ok(Rehearsed { described, told, instance, making_cpu })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn making_an_instance_again_may_cost_what_it_did() {
        let check = |used, expected| {
            let again = making_cpu_again(Duration::from_millis(50), Duration::from_millis(used));
            assert_eq!(again, Duration::from_millis(expected));
        };
        check(0, 50);
        check(20, 60);
        check(499, 500);
    }
}
