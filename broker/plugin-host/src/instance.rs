//! One instance of a plugin in a store of its own, and the ways to enter it. Knows nothing of
//! pools.

use std::{
    collections::VecDeque,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use access::PluginFailure;
use wasmtime::{Store, component::InstancePre};

use crate::{
    bindings::portcullis::plugin::types::PluginError,
    budget::{Allowance, MemoryCap, Meter},
    capability::{Lent, verified::Login},
    claims::Told,
    exports::{Exports, Indices},
    failure::{classify, reported},
    recording::{Note, OF_A_CALL, OF_INIT, Tape, Taped},
    wasi::Wasi,
};

/// Bytes that a guest may send to the host in one crossing.
const CROSSING_BYTES_MAX: usize = 2 << 20;

/// Calls, age after which an instance is replaced: leaks of guests stay small.
const CALLS_MAX: u32 = 10_000;
const AGE_MAX: Duration = Duration::from_secs(600);

/// What host calls work on.
pub(crate) struct State {
    /// CPU and wall time.
    pub(crate) meter: Meter,
    /// Memory.
    pub(crate) memory: MemoryCap,
    /// What the operator lent to this generation.
    pub(crate) lent: Arc<Lent>,
    /// WASI, once it is used.
    pub(crate) wasi: Option<Box<Wasi>>,
    /// What it is told, where that is recorded or told again.
    pub(crate) tape: Tape,
    /// The login that it judges, where verified passwords are remembered.
    pub(crate) login: Option<Box<Login>>,
}

/// A question to a hook, with everything that the guest is to see.
pub(crate) trait Call: Send + Sync + 'static {
    /// What the guest answers, as the contract has it.
    type Reply: Send + 'static;
    /// Which budget it runs on.
    const WORK: Work;
    /// Its name in the contract.
    const HOOK: &'static str;
    /// It waits for others' passwords to be verified before its own deadline begins.
    const VERIFIES_PASSWORDS: bool = false;

    /// Who logs in by it, where a password that was verified for this User Name may be remembered.
    fn logs_in(&self) -> Option<&str> {
        None
    }

    /// Whether somebody is let in by this answer.
    fn is_allow(_: &Self::Reply) -> bool {
        false
    }

    /// Bytes that the guest must find room for, roughly: text, and the records that hold it.
    fn bytes(&self) -> usize;

    /// The call itself.
    fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> impl Future<Output = wasmtime::Result<Result<Self::Reply, PluginError>>> + Send;
}

/// What an earlier generation kept in memory.
#[derive(Debug)]
pub(crate) struct Handed {
    /// What `describe` of it said.
    pub(crate) version: String,
    /// Its bytes.
    pub(crate) state: Vec<u8>,
}

/// What a call is for: each has its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A decision that a client waits for.
    Decision,
    /// A message on its way.
    Message,
    /// Nobody waits for it.
    Background,
}

/// An instance. After any failure that is not the plugin's own word it must be dropped.
pub(crate) struct Instance {
    store: Store<State>,
    /// Boxed: an instance is moved with each call, and this is most of it.
    exports: Box<Exports>,
    born: Instant,
    /// When it was last parked.
    pub(crate) parked: Instant,
    calls: u32,
    /// What it was told in `init`, sealed; `None` = more than is kept.
    init: Option<Arc<[u8]>>,
}

impl Instance {
    /// Instantiates inside its limits (memory in bytes, time) and type-checks every hook. `init` has
    /// not run yet.
    pub(crate) async fn new(
        pre: &InstancePre<State>,
        indices: &Indices,
        lent: Arc<Lent>,
        limits: (usize, Allowance),
    ) -> Result<Self, PluginFailure> {
        let (memory_bytes, allowance) = limits;
        let meter = Meter::new(allowance);
        let state = State {
            meter,
            memory: MemoryCap::new(memory_bytes),
            lent,
            wasi: None,
            tape: Tape::Off,
            login: None,
        };
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(CROSSING_BYTES_MAX);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().meter.tick()));
        store.set_epoch_deadline(1);
        match Self::link(&mut store, pre, indices).await {
            Ok(exports) => {
                let (exports, born) = (Box::new(exports), Instant::now());
                Ok(Self { store, exports, born, parked: born, calls: 0, init: None })
            }
            Err(error) => {
                let state = store.data();
                Err(classify(&error, &state.meter, &state.memory))
            }
        }
    }

    async fn link(
        store: &mut Store<State>,
        pre: &InstancePre<State>,
        indices: &Indices,
    ) -> wasmtime::Result<Exports> {
        let instance = pre.instantiate_async(&mut *store).await?;
        indices.load(store, &instance)
    }

    /// `describe`: name and version.
    pub(crate) async fn describe(
        &mut self,
        allowance: Allowance,
    ) -> Result<(String, String), PluginFailure> {
        self.arm(allowance);
        let info = self.exports.plugin.call_describe(&mut self.store).await;
        let info = info.map_err(|error| self.classify(&error))?;
        Ok((info.name, info.version))
    }

    /// `init`, on the account of the instantiation. Returns the CPU time that both took.
    pub(crate) async fn init(&mut self) -> Result<Duration, PluginFailure> {
        self.store.set_epoch_deadline(1);
        let state = self.store.data_mut();
        if state.lent.runtime.sealer.is_some() && !state.tape.is_playing() {
            state.tape.record(OF_INIT);
        }
        let done = self.exports.plugin.call_init(&mut self.store).await;
        self.init = self.sealed_notes().map(Arc::from);
        done.map_err(|error| self.classify(&error))?.map_err(reported)?;
        let meter = &mut self.store.data_mut().meter;
        // What is over the budget since the last tick is less than a tick, and the work is done.
        let _ = meter.charge();
        Ok(meter.cpu_used())
    }

    /// `import-state`, on the account of `init`. Returns the CPU time that all of it took.
    pub(crate) async fn import_state(&mut self, from: &Handed) -> Result<Duration, PluginFailure> {
        let Handed { version, state } = from;
        self.store.set_epoch_deadline(1);
        let hook = self.exports.state_transfer().map_err(|error| self.classify(&error))?;
        let done = hook.call_import_state(&mut self.store, version, state).await;
        done.map_err(|error| self.classify(&error))?.map_err(reported)?;
        let meter = &mut self.store.data_mut().meter;
        let _ = meter.charge();
        Ok(meter.cpu_used())
    }

    /// `export-state`. The outer error means that the instance is lost.
    pub(crate) async fn export_state(
        &mut self,
        allowance: Allowance,
    ) -> Result<Result<Vec<u8>, PluginFailure>, PluginFailure> {
        self.arm(allowance);
        let hook = self.exports.state_transfer().map_err(|error| self.classify(&error))?;
        let state = hook.call_export_state(&mut self.store).await;
        Ok(state.map_err(|error| self.classify(&error))?.map_err(reported))
    }

    /// What its hooks are for.
    pub(crate) async fn claims(&mut self, allowance: Allowance) -> Result<Told, PluginFailure> {
        self.arm(allowance);
        let told = self.exports.told(&mut self.store).await;
        told.map_err(|error| self.classify(&error))
    }

    /// `self-test`.
    pub(crate) async fn self_test(&mut self, allowance: Allowance) -> Result<(), PluginFailure> {
        self.arm(allowance);
        let done = self.exports.plugin.call_self_test(&mut self.store).await;
        done.map_err(|error| self.classify(&error))?.map_err(reported)
    }

    /// Asks a hook. The outer error means that the instance is lost, the inner one is the plugin's
    /// own word.
    pub(crate) async fn ask<C: Call>(
        &mut self,
        call: &C,
        allowance: Allowance,
    ) -> Result<Result<C::Reply, PluginFailure>, PluginFailure> {
        self.arm(allowance);
        self.calls = self.calls.saturating_add(1);
        self.store.data_mut().begin_login(call.logs_in());
        let answer = call.enter(&self.exports, &mut self.store).await;
        let answer = answer.map_err(|error| self.classify(&error))?;
        self.store.data_mut().end_login(answer.as_ref().is_ok_and(C::is_allow));
        Ok(answer.map_err(reported))
    }

    /// From now on it is written down what it is told.
    pub(crate) fn record(&mut self) {
        self.store.data_mut().tape.record(OF_A_CALL);
    }

    /// What it was told since [`Self::record`], and when it was made.
    pub(crate) fn taped(&mut self) -> Taped {
        Taped { init: self.init.clone(), call: self.sealed_notes() }
    }

    fn sealed_notes(&mut self) -> Option<Vec<u8>> {
        let state = self.store.data_mut();
        let sealer = state.lent.runtime.sealer.as_ref()?;
        let json = state.tape.stop_recording()?.json()?;
        Some(sealer.seal(json))
    }

    /// Whatever it asks from now on is answered from here, in this order.
    pub(crate) fn play(&mut self, notes: VecDeque<Note>) {
        self.store.data_mut().tape = Tape::Playing(notes);
    }

    /// How many of those answers it did not ask for.
    pub(crate) fn unplayed(&self) -> usize {
        self.store.data().tape.left()
    }

    /// Whether it may answer another call.
    pub(crate) fn reusable(&self, now: Instant) -> bool {
        self.calls < CALLS_MAX
            && now.duration_since(self.born) < AGE_MAX
            && !self.store.data().memory.worn_out()
    }

    /// Memory that it has taken.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().memory.bytes()
    }

    /// Starts a new account.
    pub(crate) fn arm(&mut self, allowance: Allowance) {
        self.store.data_mut().meter.arm(allowance);
        self.store.set_epoch_deadline(1);
    }

    fn classify(&self, error: &wasmtime::Error) -> PluginFailure {
        let state = self.store.data();
        classify(error, &state.meter, &state.memory)
    }
}
