//! One instance of a plugin in a store of its own, and the ways to enter it. Knows nothing of
//! pools.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access::{PluginFailure, PluginFailureKind};
use wasmtime::{Store, component::InstancePre};
use zeroize::Zeroize;

use crate::{
    bindings::{
        exports::portcullis::plugin::{authenticator, authorizer, plugin},
        portcullis::plugin::types::Subject,
    },
    budget::{Allowance, MemoryCap, Meter},
    capability::Lent,
    failure::{classify, failure, reported},
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
}

/// Where the exports of a component are. Made once per generation.
#[derive(Clone)]
pub(crate) struct Hooks {
    plugin: plugin::GuestIndices,
    authenticator: Option<authenticator::GuestIndices>,
    authorizer: Option<authorizer::GuestIndices>,
}

impl Hooks {
    /// `names` = the hooks that the component exports.
    pub(crate) fn find(pre: &InstancePre<State>, names: &[String]) -> wasmtime::Result<Self> {
        let exports = |hook: &str| names.iter().any(|name| name == hook);
        let authenticator = exports("authenticator");
        let authorizer = exports("authorizer");
        Ok(Self {
            plugin: plugin::GuestIndices::new(pre)?,
            authenticator: match authenticator {
                true => Some(authenticator::GuestIndices::new(pre)?),
                false => None,
            },
            authorizer: match authorizer {
                true => Some(authorizer::GuestIndices::new(pre)?),
                false => None,
            },
        })
    }
}

/// A question to a hook.
pub(crate) enum Request {
    /// Hook `authenticator`.
    Authenticate(Box<(authenticator::Connection, authenticator::Credentials)>),
    /// Hook `authorizer`.
    Permissions(Box<Subject>),
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Self::Authenticate(arguments) = self
            && let Some(password) = &mut arguments.1.password
        {
            password.zeroize();
        }
    }
}

/// The answer of a hook.
pub(crate) enum Reply {
    /// Of `authenticator`.
    Outcome(authenticator::Outcome),
    /// Of `authorizer`.
    Answer(authorizer::Answer),
}

/// An instance. After any failure that is not the plugin's own word it must be dropped.
pub(crate) struct Instance {
    store: Store<State>,
    plugin: plugin::Guest,
    authenticator: Option<authenticator::Guest>,
    authorizer: Option<authorizer::Guest>,
    born: Instant,
    /// When it was last parked.
    pub(crate) parked: Instant,
    calls: u32,
}

impl Instance {
    /// Instantiates inside its limits (memory in bytes, time) and type-checks every hook. `init` has
    /// not run yet.
    pub(crate) async fn new(
        pre: &InstancePre<State>,
        hooks: &Hooks,
        lent: Arc<Lent>,
        limits: (usize, Allowance),
    ) -> Result<Self, PluginFailure> {
        let (memory_bytes, allowance) = limits;
        let meter = Meter::new(allowance);
        let state = State { meter, memory: MemoryCap::new(memory_bytes), lent };
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(CROSSING_BYTES_MAX);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().meter.tick()));
        store.set_epoch_deadline(1);
        match Self::link(&mut store, pre, hooks).await {
            Ok((plugin, authenticator, authorizer)) => {
                let born = Instant::now();
                Ok(Self { store, plugin, authenticator, authorizer, born, parked: born, calls: 0 })
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
        hooks: &Hooks,
    ) -> wasmtime::Result<(plugin::Guest, Option<authenticator::Guest>, Option<authorizer::Guest>)>
    {
        let instance = pre.instantiate_async(&mut *store).await?;
        let plugin = hooks.plugin.load(&mut *store, &instance)?;
        let authenticator = match &hooks.authenticator {
            Some(indices) => Some(indices.load(&mut *store, &instance)?),
            None => None,
        };
        let authorizer = match &hooks.authorizer {
            Some(indices) => Some(indices.load(&mut *store, &instance)?),
            None => None,
        };
        Ok((plugin, authenticator, authorizer))
    }

    /// `describe`: name and version.
    pub(crate) async fn describe(
        &mut self,
        allowance: Allowance,
    ) -> Result<(String, String), PluginFailure> {
        self.arm(allowance);
        let info = self.plugin.call_describe(&mut self.store).await;
        let info = info.map_err(|error| self.classify(&error))?;
        Ok((info.name, info.version))
    }

    /// `init`, on the account of the instantiation. Returns the CPU time that both took.
    pub(crate) async fn init(&mut self) -> Result<Duration, PluginFailure> {
        self.store.set_epoch_deadline(1);
        let done = self.plugin.call_init(&mut self.store).await;
        done.map_err(|error| self.classify(&error))?.map_err(reported)?;
        let meter = &mut self.store.data_mut().meter;
        // What is over the budget since the last tick is less than a tick, and the work is done.
        let _ = meter.charge();
        Ok(meter.cpu_used())
    }

    /// `self-test`.
    pub(crate) async fn self_test(&mut self, allowance: Allowance) -> Result<(), PluginFailure> {
        self.arm(allowance);
        let done = self.plugin.call_self_test(&mut self.store).await;
        done.map_err(|error| self.classify(&error))?.map_err(reported)
    }

    /// Asks a hook. The outer error means that the instance is lost, the inner one is the plugin's
    /// own word.
    pub(crate) async fn ask(
        &mut self,
        request: &Request,
        allowance: Allowance,
    ) -> Result<Result<Reply, PluginFailure>, PluginFailure> {
        self.arm(allowance);
        self.calls = self.calls.saturating_add(1);
        match request {
            Request::Authenticate(arguments) => {
                let hook = self.authenticator.as_ref().ok_or_else(not_exported)?;
                let (connection, credentials) = arguments.as_ref();
                let answer = hook.call_authenticate(&mut self.store, connection, credentials).await;
                let answer = answer.map_err(|error| self.classify(&error))?;
                Ok(answer.map(Reply::Outcome).map_err(reported))
            }
            Request::Permissions(subject) => {
                let hook = self.authorizer.as_ref().ok_or_else(not_exported)?;
                let answer = hook.call_permissions(&mut self.store, subject).await;
                let answer = answer.map_err(|error| self.classify(&error))?;
                Ok(answer.map(Reply::Answer).map_err(reported))
            }
        }
    }

    /// Whether it may answer another call.
    pub(crate) fn reusable(&self, now: Instant) -> bool {
        self.calls < CALLS_MAX
            && now.duration_since(self.born) < AGE_MAX
            && !self.store.data().memory.worn_out()
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

fn not_exported() -> PluginFailure {
    failure(PluginFailureKind::Missing, "the component does not export this hook")
}
