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
    time::Instant,
};

use access::{PluginFailure, PluginFailureKind, PluginState, PoolInfo};
use arc_swap::ArcSwapOption;
use sha2::{Digest, Sha256};
use telemetry::{Escaped, HookTimes};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    breaker::{Breaker, Client},
    claims::Claims,
    failure::failure,
    guarded::Guarded,
    instance::{Call, Handed, Work},
    manifest::Manifest,
    pool::Pool,
    probation::is_error,
    runtime::Runtime,
    shadow::{Asked, Shadow},
    stats::FailureCounts,
};

mod build;
mod factory;
mod recorded;
mod replayer;

use self::factory::Factory;
pub(crate) use self::replayer::Replayer;

/// Largest argument of a call, and its share of the guest's memory.
const REQUEST_BYTES_MAX: usize = 1 << 20;
const REQUEST_MEMORY_SHARE: usize = 4;

/// What a generation may hand over to the next.
const STATE_BYTES_MAX: usize = 1 << 20;

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
    /// How long calls took, by what came of them.
    pub(crate) times: HookTimes,
    /// Who is not asked for now.
    pub(crate) breaker: Breaker,
    /// Who is asked the same: looked at only where there is one.
    is_shadowed: AtomicBool,
    shadow: ArcSwapOption<Shadow>,
    factory: Factory,
    pool: Arc<Pool>,
    pub(crate) runtime: Arc<Runtime>,
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
    pub(super) fn rehearsal(failure: &PluginFailure) -> Self {
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

impl Generation {
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
        let held = self.admit(client, &call).await?;
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
        client: Option<Client>,
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
                Some(passwords.admit(client).await.map_err(|_| {
                    failure(PluginFailureKind::Busy, "too many passwords wait to be verified")
                })?)
            }
            _ => None,
        };
        let (place, waited) = self.pool.enter().await.map_err(|_| {
            let places = self.manifest.limits.concurrency;
            let message = format!("all {places} places are taken");
            failure(PluginFailureKind::Busy, message)
        })?;
        if let Some(waited) = waited {
            self.times.waited(C::HOOK, waited);
        }
        Ok((admission, place))
    }

    /// The instance is out of the pool while it runs: whatever ends the call other than well loses
    /// it.
    async fn enter<C: Call>(&self, call: &C) -> Result<C::Reply, PluginFailure> {
        let allowance = self.factory.budget(C::WORK).starting_now();
        let mut instance = match self.pool.take() {
            Some(instance) => instance,
            // Boxed: rare, and what it needs must not be room in the future of every call.
            None => {
                self.pool.note_made();
                Box::pin(self.factory.make(allowance)).await?
            }
        };
        let asked = instance.ask(call, allowance).await;
        self.pool.note_memory(instance.memory_bytes());
        let answer = asked?;
        self.pool.park(instance);
        answer
    }

    /// What one of its instances keeps in memory, for the generation after it. One that does not
    /// tell costs its successor what it had, and no more: it may be why there is a successor.
    pub(super) async fn hand_over(self: &Arc<Self>) -> Option<Handed> {
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

    /// Its instances at this moment.
    pub(crate) fn pool_info(&self) -> PoolInfo {
        PoolInfo {
            places: self.manifest.limits.concurrency as u64,
            memory_max_bytes: self.factory.memory_bytes as u64,
            ..self.pool.info()
        }
    }

    /// Drops instances that were not needed for a while.
    pub(crate) fn trim(&self) {
        self.pool.trim();
    }

    /// An instance outside of the pool.
    #[cfg(test)]
    pub(crate) async fn fresh(&self) -> Result<crate::instance::Instance, PluginFailure> {
        self.factory.make(self.factory.call.starting_now()).await
    }

    /// As after a call.
    #[cfg(test)]
    pub(crate) fn park(&self, instance: crate::instance::Instance) {
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
    pub(crate) fn lent(&self) -> &Arc<crate::capability::Lent> {
        &self.factory.lent
    }

    /// Instances that wait for a call.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.pool.idle()
    }
}

/// SHA-256 of a component, hexadecimal.
pub fn sha256(wasm: &[u8]) -> String {
    Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect()
}
