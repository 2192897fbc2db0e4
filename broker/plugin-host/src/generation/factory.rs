//! Makes the instances of a generation, inside its budgets. Knows nothing of pools.

use std::{sync::Arc, time::Duration};

use access::{PluginFailure, PluginFailureKind};
use wasmtime::component::InstancePre;

use crate::{
    budget::{self, Allowance, Budget},
    capability::Lent,
    exports::Indices,
    instance::{Handed, Instance, State, Work},
};

/// What nobody waits for may use this many times the CPU of a call, and this much time.
const BACKGROUND_CPU_FACTOR: u32 = 10;
const BACKGROUND_WALL: Duration = Duration::from_secs(30);

/// Makes instances.
#[derive(Clone)]
pub(super) struct Factory {
    pub(super) pre: InstancePre<State>,
    pub(super) indices: Indices,
    pub(super) lent: Arc<Lent>,
    pub(super) memory_bytes: usize,
    pub(super) call: Budget,
    /// A message on its way.
    pub(super) message: Budget,
    /// CPU time of making an instance, `init` included.
    pub(super) making_cpu: Duration,
    /// It can hand its state over.
    pub(super) state_transfer: bool,
    /// What every instance is given after `init`.
    pub(super) handed: Option<Arc<Handed>>,
}

impl Factory {
    pub(super) fn budget(&self, work: Work) -> Budget {
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
    pub(super) async fn make(&self, call: Allowance) -> Result<Instance, PluginFailure> {
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
    pub(super) async fn raw(&self, allowance: Allowance) -> Result<Instance, PluginFailure> {
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
