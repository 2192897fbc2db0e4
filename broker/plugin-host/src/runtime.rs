//! What all plugins of one host share: the linker with every lent interface, the code cache, the
//! password threads, the counters.

use std::{path::Path, sync::Arc};

use wasmtime::component::{HasSelf, Linker};

use crate::{
    aot::AotCache,
    bindings::portcullis::plugin::{clock, config, crypto, files, log, random, types},
    capability::password_threads::PasswordThreads,
    engine::{self, HostEngine},
    instance::State,
    pool::Pools,
    stats::Stats,
};

/// Shared by every generation.
pub(crate) struct Runtime {
    /// The engine.
    pub(crate) engine: &'static HostEngine,
    /// Every interface that plugins may import.
    pub(crate) linker: Linker<State>,
    /// Cached machine code.
    pub(crate) aot: AotCache,
    /// Where passwords are verified.
    pub(crate) passwords: Arc<PasswordThreads>,
    /// Where instances wait for calls.
    pub(crate) pools: Arc<Pools>,
    /// Counters.
    pub(crate) stats: Arc<Stats>,
}

impl Runtime {
    /// `aot_folder` = where machine code is cached; a folder that cannot be used costs a warning
    /// and the cache.
    pub(crate) fn new(aot_folder: Option<&Path>) -> Result<Self, String> {
        let engine = engine::shared()?;
        let aot = match aot_folder.map(AotCache::open) {
            Some(Ok(cache)) => cache,
            Some(Err(error)) => {
                tracing::warn!(%error, "machine code of plugins is not cached");
                AotCache::off()
            }
            None => AotCache::off(),
        };
        Ok(Self {
            engine,
            linker: linker(engine).map_err(|error| format!("host interfaces: {error:#}"))?,
            aot,
            passwords: Arc::new(PasswordThreads::new()),
            pools: Arc::default(),
            stats: Arc::default(),
        })
    }
}

fn linker(engine: &HostEngine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(&engine.engine);
    types::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    config::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    files::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    clock::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    random::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    crypto::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}
