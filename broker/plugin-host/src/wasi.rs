//! The part of WASI 0.2 that ordinary toolchains bring along, whether a plugin uses it or not: it
//! links, and gives nothing but the time, random numbers, and a way into the plugin's own log.
//!
//! There is no environment, no argument, no folder and no network; standard input is empty, and
//! lines of standard output and error are log lines at info and warn. Who wants more asks for
//! capabilities of ours. Made when it is first used, so that an instance that never does pays nothing.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
    cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView},
    clocks::{WasiClocks, WasiClocksView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    p2::{
        DynPollable, OutputStream, Pollable, StreamResult,
        bindings::{
            cli, clocks, filesystem,
            io::{error, poll, streams},
            random, sockets,
        },
    },
    random::WasiRandom,
    sockets::{WasiSockets, WasiSocketsView},
};

use crate::{
    bindings::portcullis::plugin::log::Level,
    budget::Stop,
    capability::{Lent, log},
    instance::State,
};

/// Packages that are linked.
const PACKAGES: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Streams, pollables and the like of one instance.
const RESOURCES_MAX: usize = 1_000;
/// Random bytes of one call.
const RANDOM_BYTES_MAX: u64 = 4_096;
/// A line that does not end is broken here.
const LINE_BYTES_MAX: usize = 4_096;

/// Whether an import is of what is linked here.
pub(crate) fn is_linked(import: &str) -> bool {
    PACKAGES.iter().any(|package| import.starts_with(package)) && import.contains("@0.2.")
}

/// What WASI knows of one instance.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl Wasi {
    pub(crate) fn new(lent: &Arc<Lent>) -> Box<Self> {
        let lines = |level| Lines { lent: Arc::clone(lent), level, begun: Arc::default() };
        let ctx = WasiCtxBuilder::new()
            .stdout(lines(Level::Info))
            .stderr(lines(Level::Warn))
            .max_random_size(RANDOM_BYTES_MAX)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        Box::new(Self { ctx, table })
    }

    pub(crate) fn view(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { wasi, lent, .. } = self;
        wasi.get_or_insert_with(|| Wasi::new(lent)).view()
    }
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// Everything in `PACKAGES`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let l = linker;
    error::add_to_linker::<_, Table>(l, |state| state.ctx().table)?;
    streams::add_to_linker::<_, Table>(l, |state| state.ctx().table)?;
    poll::add_to_linker::<_, Waits>(l, |state| Waiting(state))?;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(l, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(l, State::clocks)?;
    random::random::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    cli::exit::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, State::cli)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, State::filesystem)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(l, State::filesystem)?;
    let network = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<_, WasiSockets>(l, &network, State::sockets)?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(l, State::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(l, State::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(l, State::sockets)?;
    sockets::tcp::add_to_linker::<_, WasiSockets>(l, State::sockets)?;
    sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(l, State::sockets)?;
    sockets::udp::add_to_linker::<_, WasiSockets>(l, State::sockets)
}

/// The only place of WASI where a guest can wait, for a clock: not past the deadline of its call.
struct Waiting<'a>(&'a mut State);

struct Waits;

impl HasData for Waits {
    type Data<'a> = Waiting<'a>;
}

impl Waiting<'_> {
    async fn until_deadline<T>(
        &mut self,
        wait: impl AsyncFnOnce(&mut ResourceTable) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        self.0.meter.before_wait()?;
        let deadline = tokio::time::Instant::from_std(self.0.meter.deadline());
        match tokio::time::timeout_at(deadline, wait(self.0.ctx().table)).await {
            Ok(done) => done,
            Err(_) => {
                self.0.meter.stop(Stop::Deadline);
                Err(wasmtime::Error::msg("the deadline passed in wasi:io/poll"))
            }
        }
    }
}

impl poll::Host for Waiting<'_> {
    async fn poll(&mut self, list: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.until_deadline(async |table| poll::Host::poll(table, list).await).await
    }
}

impl poll::HostPollable for Waiting<'_> {
    async fn block(&mut self, one: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.until_deadline(async |table| poll::HostPollable::block(table, one).await).await
    }

    async fn ready(&mut self, one: Resource<DynPollable>) -> wasmtime::Result<bool> {
        poll::HostPollable::ready(self.0.ctx().table, one).await
    }

    fn drop(&mut self, one: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(self.0.ctx().table, one)
    }
}

/// Standard output or error: whole lines go to the log, at the rate that holds for it.
#[derive(Clone)]
struct Lines {
    lent: Arc<Lent>,
    level: Level,
    begun: Arc<Mutex<Vec<u8>>>,
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only streams of WASI 0.3 are written to this way, and those are not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut begun = self.begun.lock();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            begun.extend_from_slice(part);
            if part.ends_with(b"\n") || begun.len() >= LINE_BYTES_MAX {
                let line = std::mem::take(&mut *begun);
                let text = String::from_utf8_lossy(line.trim_ascii_end());
                log::write(&self.lent, self.level, &text, Instant::now());
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LINE_BYTES_MAX)
    }
}
