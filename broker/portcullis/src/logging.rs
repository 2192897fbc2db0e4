//! The log: where it goes, in which form, from which level.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

use crate::failure::Failure;

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// One line for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The compiler of plugins and the database of the store report their inner life at `info`.
const QUIET: [&str; 5] =
    ["wasmtime=warn", "cranelift_codegen=warn", "regalloc2=warn", "fjall=warn", "lsm_tree=warn"];

/// Starts logging to standard error. `level` is a level (`info`) or directives such as
/// `info,server=debug,plugin_host=trace`.
pub(crate) fn start(format: Option<LogFormat>, level: &str) -> Result<(), Failure> {
    let mut filter = EnvFilter::builder().parse(level).map_err(|error| {
        Failure::Usage(format!(
            "--log-level {level:?}: {error}, allowed: off, error, warn, info, debug, trace, or \
             directives such as info,server=debug"
        ))
    })?;
    for directive in QUIET {
        let target = directive.split('=').next().unwrap_or_default();
        if !level.contains(target) {
            let directive = directive.parse().map_err(|error| Failure::internal("log", error))?;
            filter = filter.add_directive(directive);
        }
    }
    let terminal = io::stderr().is_terminal();
    let human = format.map_or(terminal, |format| format == LogFormat::Human);
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = if human {
        builder.with_ansi(terminal).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    started.map_err(|error| Failure::internal("starting the log", error))
}
