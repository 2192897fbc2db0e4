//! The one wasmtime engine of the process, its settings, and the thread that makes its epochs tick.
//!
//! Knows nothing of plugins. The settings are measured ones: concurrency support off halves the
//! cost of a call, the pooling allocator with `PAGEMAP_SCAN` halves the cost of a fresh instance.

use std::{
    hash::{Hash, Hasher},
    sync::OnceLock,
    time::Duration,
};

use sha2::{Digest, Sha256};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy,
};

use crate::budget::{CORE_INSTANCES_MAX, MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};

/// How often the epoch advances: the grain of CPU budgets and deadlines.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// Instances alive at once over all plugins.
pub(crate) const INSTANCES_MAX: u32 = 1024;

/// Upper bound of a plugin's memory in bytes; manifests may not ask for more.
pub(crate) const MEMORY_BYTES_MAX: usize = 64 << 20;

/// Address space reserved per memory when the default of 4 GiB cannot be had.
const SMALL_RESERVATION_BYTES: u64 = 64 << 20;

/// The engine and what identifies its machine code.
pub(crate) struct HostEngine {
    /// wasmtime's engine.
    pub(crate) engine: Engine,
    /// SHA-256 over version and settings: code compiled under another hash does not load.
    pub(crate) hash: [u8; 32],
}

/// The engine of this process. Made at the first call, together with its ticker; an error stays.
pub(crate) fn shared() -> Result<&'static HostEngine, &'static str> {
    static ENGINE: OnceLock<Result<HostEngine, String>> = OnceLock::new();
    ENGINE.get_or_init(create).as_ref().map_err(String::as_str)
}

fn create() -> Result<HostEngine, String> {
    let attempts = [|| pooling(None), || pooling(Some(SMALL_RESERVATION_BYTES)), on_demand];
    let mut last = String::new();
    for attempt in attempts {
        match Engine::new(&attempt()) {
            Ok(engine) => return start(engine),
            Err(error) => {
                // An address space limit (`ulimit -v`) or strict overcommit: smaller reservations
                // cost bounds checks in the guest, not safety.
                tracing::warn!(%error, "the WebAssembly engine needs a smaller reservation");
                last = error.to_string();
            }
        }
    }
    Err(format!("the WebAssembly engine does not start: {last}"))
}

fn start(engine: Engine) -> Result<HostEngine, String> {
    let weak = engine.weak();
    // A thread of its own: a ticker on the async runtime could be starved by the guests that it
    // must interrupt.
    std::thread::Builder::new()
        .name("plugin-epoch".to_owned())
        .spawn(move || {
            loop {
                std::thread::park_timeout(TICK);
                let Some(engine) = weak.upgrade() else { return };
                engine.increment_epoch();
            }
        })
        .map_err(|error| format!("the epoch thread does not start: {error}"))?;
    let mut hasher = ShaHasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let hash = hasher.0.finalize().into();
    Ok(HostEngine { engine, hash })
}

fn base() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false);
    config
}

fn pooling(reservation: Option<u64>) -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES_MAX)
        // A component made from a core module has a shim and a fixup module beside it; some
        // languages have three memories.
        .total_core_instances(INSTANCES_MAX * 4)
        .total_memories(INSTANCES_MAX * 3)
        .total_tables(INSTANCES_MAX * 4)
        .total_stacks(INSTANCES_MAX)
        // One component may not take what many share.
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .linear_memory_keep_resident(256 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = base();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    if let Some(bytes) = reservation {
        config.memory_reservation(bytes);
    }
    config
}

fn on_demand() -> Config {
    let mut config = base();
    config.memory_reservation(SMALL_RESERVATION_BYTES);
    config
}

struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Only the SHA-256 state is used.
        0
    }
}
