//! The program: reads the command line, runs one command, turns its end into an exit code.
//!
//! Owns what only a whole process has: the runtime, the log. `service.rs` puts the crates together. A library for the
//! sake of the fuzz targets; `main.rs` is the program.

#![forbid(unsafe_code)]

mod acl;
mod api;
mod atomic_file;
mod audit;
mod backup;
mod bans;
mod check;
mod cli;
mod config;
mod config_desk;
mod confinement;
mod ctl;
mod data_lock;
mod descriptors;
mod doctor;
mod failure;
mod from_here;
mod hardening;
mod import;
mod keys;
mod logging;
mod manual;
mod memory;
mod otlp;
mod passwd;
mod password_file;
mod plugin;
mod quickstart;
mod run;
mod scram;
mod service;
mod signals;
mod stages;
mod trust;
pub mod untrusted;
mod watchdog;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use tokio::runtime::Runtime;

use self::{
    cli::{
        AclCommand, AuditCommand, BackupCommand, Command, CommandLine, KeysCommand, PluginCommand,
    },
    failure::Failure,
};

/// How long threads of the runtime may take to end after a command did.
const RUNTIME_END: Duration = Duration::from_millis(200);

/// Runs the command that the command line names.
pub fn main() -> ExitCode {
    match dispatch(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("portcullis: {failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(line: CommandLine) -> Result<(), Failure> {
    let default = match line.command {
        // Its own lines tell the story; the log adds who was refused and why.
        Command::Quickstart { .. } => "warn",
        Command::Check { .. } | Command::Doctor(_) => "error",
        Command::Plugin(PluginCommand::Test { .. } | PluginCommand::Replay { .. }) => "warn",
        Command::Keys(_) | Command::Ctl(_) | Command::Restore { .. } => "warn",
        _ => "info",
    };
    logging::start(line.log_format, line.log_level.as_deref().unwrap_or(default))?;
    match line.command {
        Command::Quickstart { dir, once } => within_runtime(quickstart::run(&dir, once)),
        Command::Run { config } => {
            let config = run::prepare(&config)?;
            within_runtime(run::run(config))
        }
        Command::Check { config } => within_runtime(check::run(&config)),
        Command::Doctor(arguments) => within_runtime(doctor::run(arguments)),
        Command::Passwd { file, user, delete: true, .. } => password_file::delete(&file, &user),
        Command::Passwd { file, user, scram, iterations, .. } => {
            passwd::run(&file, &user, scram.map(|method| (method, iterations)))
        }
        Command::Acl(AclCommand::Lint { file, json }) => acl::lint(&file, json),
        Command::Import(command) => import::run(&command),
        Command::Audit(AuditCommand::Verify { dir }) => audit::verify(&dir),
        Command::Keys(command) => keys(command),
        Command::Backup(BackupCommand::Verify { file }) => backup::verify(&file),
        Command::Restore { file, config, force } => {
            within_runtime(backup::restore(&file, &config, force))
        }
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { dir } => manual::pages(&dir),
        Command::Ctl(invocation) => within_runtime(ctl::run(invocation)),
        Command::Plugin(PluginCommand::New { lang, name, dir }) => {
            plugin::new::run(lang, &name, dir.as_deref())
        }
        Command::Plugin(PluginCommand::Build { dir, output }) => {
            within_runtime(plugin::build::run(&dir, output.as_deref()))
        }
        Command::Plugin(PluginCommand::Check { file }) => within_runtime(plugin::check::run(&file)),
        Command::Plugin(PluginCommand::Keygen { key }) => plugin::sign::keygen(&key),
        Command::Plugin(PluginCommand::Sign { file, key }) => plugin::sign::sign(&file, &key),
        Command::Plugin(PluginCommand::Replay { config, recordings }) => {
            within_runtime(plugin::replay::run(&config, &recordings))
        }
        Command::Plugin(PluginCommand::List { broker }) => {
            within_runtime(plugin::remote::list(&broker.into()))
        }
        Command::Plugin(PluginCommand::Push { file, name, broker }) => {
            within_runtime(plugin::remote::push(&broker.into(), &file, name))
        }
        Command::Plugin(PluginCommand::Test { file, cases, fuzz, seed }) => {
            within_runtime(plugin::test::run(&file, cases.as_deref(), fuzz.map(|n| (n, seed))))
        }
    }
}

fn keys(command: KeysCommand) -> Result<(), Failure> {
    use keys::command;
    match command {
        KeysCommand::List { broker } => within_runtime(command::list(&broker.into())),
        KeysCommand::Add { ring, id, value_file, broker } => {
            within_runtime(command::add(&broker.into(), &ring, id, value_file.as_deref()))
        }
        KeysCommand::Rotate { ring, id, broker } => {
            within_runtime(command::rotate(&broker.into(), &ring, id))
        }
        KeysCommand::Retire { ring, id, broker } => {
            within_runtime(command::retire(&broker.into(), &ring, id))
        }
        KeysCommand::Derive { config, ring, device, id } => {
            command::derive(&config, &ring, &device, id)
        }
        KeysCommand::Pseudonym { config, secret, topic, prefix } => {
            command::pseudonym(&config, &secret, &topic, &prefix)
        }
    }
}

fn within_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = Runtime::new().map_err(|error| Failure::internal("starting threads", error))?;
    let result = runtime.block_on(command);
    // A second signal ends the process although connections or plugin calls are still there.
    runtime.shutdown_timeout(RUNTIME_END);
    result
}
