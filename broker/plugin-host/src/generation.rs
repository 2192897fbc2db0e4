//! A generation: one component with one manifest and one set of files, identified by their hash,
//! ready to answer.
//!
//! [`Generation::build`] is the way in: whatever fails there leaves the generation that is live
//! alone. [`Generation::ask`] is one call from admission to answer.

use std::{
    future::Future,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use access::{PluginFailure, PluginFailureKind, PluginState};
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use telemetry::Escaped;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{Component, InstancePre, types::ComponentItem};

use crate::{
    breaker::{Breaker, Client},
    budget::{self, Allowance, Budget},
    candidate::Contents,
    capability::{self, Lent, broker::CallRate, files::FileSet, log::LogRate, state::PluginStore},
    claims::{Claims, Told},
    component,
    exports::Indices,
    failure::failure,
    golden,
    guarded::Guarded,
    instance::{Call, Handed, Instance, State, Work},
    manifest::{Grants, Manifest},
    pool::Pool,
    probation::is_error,
    runtime::Runtime,
    shadow::{Asked, Shadow},
    sources::Granted,
    stats::FailureCounts,
};

mod recorded;
mod replayer;

pub(crate) use replayer::Replayer;

/// Largest argument of a call, and its share of the guest's memory.
const REQUEST_BYTES_MAX: usize = 1 << 20;
const REQUEST_MEMORY_SHARE: usize = 4;

/// What a generation may hand over to the next.
const STATE_BYTES_MAX: usize = 1 << 20;

/// `describe`: reads two constants.
const DESCRIBE: Budget = Budget { cpu: Duration::from_millis(100), wall: Duration::from_secs(5) };
/// `self-test`: the place for checks that cost time.
const SELF_TEST: Budget = Budget { cpu: Duration::from_secs(5), wall: Duration::from_secs(30) };
/// `init` in the shadow instance may use this many times the CPU of a call.
const INIT_CPU_FACTOR: u32 = 10;
/// What nobody waits for may use this many times the CPU of a call, and this much time.
const BACKGROUND_CPU_FACTOR: u32 = 10;
const BACKGROUND_WALL: Duration = Duration::from_secs(30);
/// A call that may try for others has ended so long after its deadline.
const PROBE_GRACE: Duration = Duration::from_secs(1);
/// Later ones, which run inside somebody's call, may use this many times what it used there.
const INIT_AGAIN_FACTOR: u32 = 3;

/// A generation that went through all checks.
pub(crate) struct Generation {
    /// Name of the plugin.
    pub(crate) name: Arc<str>,
    /// Its hash, hexadecimal.
    pub(crate) id: String,
    /// SHA-256 of the component alone, hexadecimal.
    pub(crate) component_sha256: Arc<str>,
    /// Hash of component and manifest alone.
    pub(crate) version: String,
    /// Of the manifest alone; empty = it has none.
    pub(crate) manifest_hash: String,
    /// The first characters of `id`.
    pub(crate) short: Arc<str>,
    /// Hooks that it exports.
    pub(crate) hook_names: Vec<String>,
    /// Interfaces that it imports.
    pub(crate) imports: Vec<String>,
    /// What it is for.
    pub(crate) claims: Claims,
    /// What the component says of itself.
    pub(crate) described: (String, String),
    /// The operator's settings.
    pub(crate) manifest: Manifest,
    /// Calls since it went live.
    pub(crate) counters: Counters,
    /// Who is not asked for now.
    pub(crate) breaker: Breaker,
    /// Who is asked the same: looked at only where there is one.
    is_shadowed: AtomicBool,
    shadow: ArcSwapOption<Shadow>,
    factory: Factory,
    pool: Arc<Pool>,
    runtime: Arc<Runtime>,
}

/// Counts of one generation.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Calls.
    pub(crate) calls: AtomicU64,
    /// Calls that came to no decision.
    pub(crate) failures: AtomicU64,
    /// The failed ones by kind.
    pub(crate) kinds: FailureCounts,
    /// Microseconds of wall time in calls.
    pub(crate) microseconds: AtomicU64,
}

impl Counters {
    /// As if nothing had been asked.
    pub(crate) fn reset(&self) {
        for count in [&self.calls, &self.failures, &self.microseconds] {
            count.store(0, Ordering::Relaxed);
        }
        self.kinds.reset();
    }
}

/// Why a candidate did not become a generation.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    /// [`PluginState::Failed`], [`PluginState::WaitingForGrant`] or
    /// [`PluginState::WaitingForApproval`].
    pub(crate) state: PluginState,
    /// For the operator.
    pub(crate) sentence: String,
    /// The same files may do another time.
    pub(crate) passing: bool,
    /// What must be approved.
    pub(crate) asks: Vec<String>,
}

impl Rejected {
    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        let (state, sentence) = (PluginState::Failed, sentence.into());
        Self { state, sentence, passing: false, asks: Vec::new() }
    }

    /// The rehearsal failed. What a busy host or a peer of the plugin can cause passes.
    fn rehearsal(failure: &PluginFailure) -> Self {
        let passing = Self::may_pass(failure.kind);
        Self { passing, ..Self::failed(failure.to_string()) }
    }

    pub(crate) fn may_pass(kind: PluginFailureKind) -> bool {
        matches!(
            kind,
            PluginFailureKind::Busy
                | PluginFailureKind::Deadline
                | PluginFailureKind::CpuBudget
                | PluginFailureKind::Unavailable
                | PluginFailureKind::Timeout
        )
    }
}

/// Makes instances.
#[derive(Clone)]
struct Factory {
    pre: InstancePre<State>,
    indices: Indices,
    lent: Arc<Lent>,
    memory_bytes: usize,
    call: Budget,
    /// A message on its way.
    message: Budget,
    /// CPU time of making an instance, `init` included.
    making_cpu: Duration,
    /// It can hand its state over.
    state_transfer: bool,
    /// What every instance is given after `init`.
    handed: Option<Arc<Handed>>,
}

impl Factory {
    fn budget(&self, work: Work) -> Budget {
        match work {
            Work::Decision => self.call,
            Work::Message => self.message,
            Work::Background => Budget {
                cpu: self.call.cpu.saturating_mul(BACKGROUND_CPU_FACTOR),
                wall: BACKGROUND_WALL.max(self.call.wall),
            },
        }
    }

    /// An instance for a call, inside the call's deadline.
    async fn make(&self, call: Allowance) -> Result<Instance, PluginFailure> {
        let mut instance = self.raw(call.with_cpu(self.making_cpu)).await?;
        instance.init().await?;
        if let Some(handed) = &self.handed {
            instance.import_state(handed).await?;
        }
        // What it used so far is not the call's.
        budget::charge_from_here();
        Ok(instance)
    }

    /// Before `init`. When the engine is full of instances that wait for calls, they make room.
    async fn raw(&self, allowance: Allowance) -> Result<Instance, PluginFailure> {
        let limits = (self.memory_bytes, allowance);
        let attempt = || Instance::new(&self.pre, &self.indices, Arc::clone(&self.lent), limits);
        match attempt().await {
            Err(failure) if failure.kind == PluginFailureKind::Busy => {
                self.lent.runtime.pools.free_idle();
                attempt().await
            }
            made => made,
        }
    }
}

/// What the blocking part of a build finds out.
struct Compiled {
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
        let Contents { version, files, id, predecessor, heir_of, in_shadow, .. } = contents;
        let wasm = Arc::clone(&version.wasm);
        let component_sha256 = sha256(&wasm).into();
        let manifest_hash = version.manifest_hash();
        let allowed = (manifest.clone(), predecessor);
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
        let shadow = Guarded::new(rehearse(factory.clone()));
        let Rehearsed { described, told, instance, making_cpu } =
            shadow.await.map_err(|failure| Rejected::rehearsal(&failure))?;
        let claims =
            Claims::new(told, &manifest).map_err(|failure| Rejected::rehearsal(&failure))?;
        factory.making_cpu = making_cpu_again(manifest.limits.cpu, making_cpu);
        let deadline = manifest.limits.deadline;
        let pool = Pool::new(&manifest.limits, manifest.isolation, &runtime.pools);
        pool.park(instance);
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

    /// One call that no client caused: admission, a place, an instance, the guest, the answer.
    /// Every way out but an answer is a failure.
    pub(crate) async fn ask<C: Call>(self: &Arc<Self>, call: C) -> Result<C::Reply, PluginFailure> {
        self.counted(self.ask_uncounted(None, call)).await
    }

    /// The same on behalf of a client. One whose calls broke is answered at once for a while.
    pub(crate) async fn ask_for<C: Call>(
        self: &Arc<Self>,
        address: IpAddr,
        call: C,
    ) -> Result<C::Reply, PluginFailure> {
        let client = self.admit_client(address)?;
        self.counted(self.ask_uncounted(Some(client), call)).await
    }

    /// Whoever is admitted settles how the call ended.
    fn admit_client(&self, address: IpAddr) -> Result<Client, PluginFailure> {
        let client = Client::of(address);
        if self.breaker.has_trouble() {
            self.breaker.admit(client, Instant::now())?;
        }
        Ok(client)
    }

    async fn counted<T>(
        &self,
        asking: impl Future<Output = Result<T, PluginFailure>>,
    ) -> Result<T, PluginFailure> {
        let started = Instant::now();
        let answer = asking.await;
        let elapsed = started.elapsed();
        let counters = &self.counters;
        counters.calls.fetch_add(1, Ordering::Relaxed);
        let microseconds = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        counters.microseconds.fetch_add(microseconds, Ordering::Relaxed);
        self.runtime.stats.called(elapsed);
        if let Err(error) = &answer {
            self.refused(error);
        }
        answer
    }

    /// Another one is asked the same from now on, or no longer.
    pub(crate) fn attach(&self, shadow: Option<Arc<Shadow>>) {
        self.is_shadowed.store(shadow.is_some(), Ordering::Relaxed);
        self.shadow.store(shadow);
    }

    /// A question was decided.
    pub(crate) fn tell_shadow(&self, copy: impl FnOnce() -> Asked) {
        if self.is_shadowed.load(Ordering::Relaxed)
            && let Some(shadow) = &*self.shadow.load()
        {
            shadow.tell(copy);
        }
    }

    /// Tells the breakers how a call ended.
    fn settle<T>(&self, client: Client, answer: &Result<T, PluginFailure>) {
        match answer {
            Ok(_) => return self.breaker.succeeded(client),
            Err(error) if !is_error(error.kind) => return self.breaker.undecided(client),
            Err(_) => {}
        }
        let now = Instant::now();
        let Some(whose) = self.breaker.failed(client, now) else { return };
        if !self.breaker.may_tell(now) {
            return;
        }
        tracing::warn!(
            event = "plugin_breaker",
            plugin = &*self.name,
            generation = &*self.short,
            whose,
            opened = self.breaker.info(now).opened,
            "calls on behalf of clients break: it is not asked for them for a while"
        );
    }

    /// Counts a call that failed, also one whose answer is not taken.
    pub(crate) fn refused(&self, error: &PluginFailure) {
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
        self.counters.kinds.add(error.kind);
        self.runtime.stats.failed(error.kind);
        let (kind, error) = (error.kind, Escaped(&error.message));
        let (plugin, generation) = (&*self.name, &*self.short);
        tracing::debug!(plugin, generation, ?kind, %error, "call failed");
    }

    async fn ask_uncounted<C: Call>(
        self: &Arc<Self>,
        client: Option<Client>,
        call: C,
    ) -> Result<C::Reply, PluginFailure> {
        let held = self.admit(&call).await?;
        let generation = Arc::clone(self);
        Guarded::new(async move {
            let _held = held;
            let answer = generation.enter(&call).await;
            // In here: whoever sends what breaks it may be gone by now.
            if let Some(client) = client {
                generation.settle(client, &answer);
            }
            answer
        })
        .await
    }

    /// What a call holds while it runs: its turn among those who verify passwords, and a place.
    async fn admit<C: Call>(
        &self,
        call: &C,
    ) -> Result<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit), PluginFailure> {
        let bytes = call.bytes();
        let bytes_max = REQUEST_BYTES_MAX.min(self.factory.memory_bytes / REQUEST_MEMORY_SHARE);
        if bytes > bytes_max {
            let message = format!("the question is {bytes} bytes; at most {bytes_max} are asked");
            return Err(failure(PluginFailureKind::TooLarge, message));
        }
        // Before the deadline clock starts: a wait for others' passwords is not this call's fault.
        // Only logins wait: what a client may do is asked for clients that are connected already.
        let admission = match &self.factory.lent.passwords {
            Some(passwords) if C::VERIFIES_PASSWORDS => {
                Some(passwords.admit().await.map_err(|_| {
                    failure(PluginFailureKind::Busy, "too many passwords wait to be verified")
                })?)
            }
            _ => None,
        };
        let place = self.pool.enter().await.map_err(|_| {
            let places = self.manifest.limits.concurrency;
            let message = format!("all {places} places are taken");
            failure(PluginFailureKind::Busy, message)
        })?;
        Ok((admission, place))
    }

    /// The instance is out of the pool while it runs: whatever ends the call other than well loses
    /// it.
    async fn enter<C: Call>(&self, call: &C) -> Result<C::Reply, PluginFailure> {
        let allowance = self.factory.budget(C::WORK).starting_now();
        let mut instance = match self.pool.take() {
            Some(instance) => instance,
            // Boxed: rare, and what it needs must not be room in the future of every call.
            None => Box::pin(self.factory.make(allowance)).await?,
        };
        let answer = instance.ask(call, allowance).await?;
        self.pool.park(instance);
        answer
    }

    /// What one of its instances keeps in memory, for the generation after it. One that does not
    /// tell costs its successor what it had, and no more: it may be why there is a successor.
    async fn hand_over(self: &Arc<Self>) -> Option<Handed> {
        if !self.factory.state_transfer {
            return None;
        }
        let generation = Arc::clone(self);
        let exported = Guarded::new(async move { generation.export_state().await }).await;
        match exported {
            Ok(state) => Some(Handed { version: self.described.1.clone(), state }),
            Err(failure) => {
                let (plugin, error) = (&*self.name, failure.to_string());
                tracing::warn!(plugin, error, "export-state failed: its successor begins anew");
                None
            }
        }
    }

    async fn export_state(&self) -> Result<Vec<u8>, PluginFailure> {
        let allowance = self.factory.budget(Work::Background).starting_now();
        let mut instance = match self.pool.take() {
            Some(instance) => instance,
            None => Box::pin(self.factory.make(allowance)).await?,
        };
        let state = instance.export_state(allowance).await?;
        self.pool.park(instance);
        let state = state?;
        if state.len() > STATE_BYTES_MAX {
            let message = format!("{} bytes of state; at most {STATE_BYTES_MAX}", state.len());
            return Err(failure(PluginFailureKind::TooLarge, message));
        }
        Ok(state)
    }

    /// Bytes that a warm instance has taken, and its cap; `None` when no instance is warm.
    pub(crate) fn memory_bytes(&self) -> Option<(usize, usize)> {
        let instance = self.pool.take()?;
        let bytes = instance.memory_bytes();
        self.pool.park(instance);
        Some((bytes, self.factory.memory_bytes))
    }

    /// Drops instances that were not needed for a while.
    pub(crate) fn trim(&self) {
        self.pool.trim();
    }

    /// An instance outside of the pool.
    #[cfg(test)]
    pub(crate) async fn fresh(&self) -> Result<Instance, PluginFailure> {
        self.factory.make(self.factory.call.starting_now()).await
    }

    /// As after a call.
    #[cfg(test)]
    pub(crate) fn park(&self, instance: Instance) {
        self.pool.park(instance);
    }

    /// Takes what a login needs, without a wait.
    #[cfg(test)]
    pub(crate) fn admit_at_once(&self) -> Option<OwnedSemaphorePermit> {
        self.factory.lent.passwords.as_ref()?.admit_at_once()
    }

    /// Whether its calls are admitted by the password threads first.
    #[cfg(test)]
    pub(crate) fn verifies_passwords(&self) -> bool {
        self.factory.lent.passwords.is_some()
    }

    /// What it may use.
    #[cfg(test)]
    pub(crate) fn lent(&self) -> &Arc<Lent> {
        &self.factory.lent
    }

    /// Instances that wait for a call.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.pool.idle()
    }
}

/// CPU time of making an instance inside a call: what went live must be able to be made again, and
/// may not cost calls much more than it did at first.
fn making_cpu_again(call: Duration, used: Duration) -> Duration {
    used.saturating_mul(INIT_AGAIN_FACTOR).clamp(call, call.saturating_mul(INIT_CPU_FACTOR))
}

/// SHA-256 of a component, hexadecimal.
pub fn sha256(wasm: &[u8]) -> String {
    Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Stands in the log for a component that is only looked at.
const DESCRIBED: &str = "inspected";

/// Without files, with a log rate of its own.
fn lent(
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

/// `allowed` = what must grant what the component imports, and what it may import without being
/// approved, if that has a bound; `None` = it is only looked at.
async fn compile(
    runtime: &Arc<Runtime>,
    wasm: Arc<Vec<u8>>,
    allowed: Option<(Manifest, Option<Vec<String>>)>,
) -> Result<Compiled, Rejected> {
    let runtime = Arc::clone(runtime);
    let work = move || {
        let prepared = component::prepare(&wasm).map_err(Rejected::failed)?;
        if let Some((manifest, predecessor)) = allowed {
            acceptable(&prepared.imports, &manifest, predecessor.as_deref())?;
        }
        let component =
            runtime.aot.load(runtime.engine, &prepared.bytes).map_err(Rejected::failed)?;
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

fn link(
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
