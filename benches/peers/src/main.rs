//! `bench-peers`: Portcullis and other brokers, one after the other, on the same scenarios.
//!
//! Owns the scenarios, a load generator that checks what it gets, the rounds, and how results are
//! shown. Knows nothing of Portcullis's crates: it is a client like any other. Start reading at
//! `scenario.rs` (what is measured), `run.rs` (how), `load.rs` (what the generator does).

#![forbid(unsafe_code)]
#![allow(
    clippy::indexing_slicing,
    reason = "a place that is not there is a fault of the bench, which has to end then"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of the command line")]

mod description;
mod fixture;
mod histogram;
mod load;
mod net;
mod order;
mod page;
mod payload;
mod plot;
mod process;
mod record;
mod run;
mod running;
mod scenario;
mod statistics;
mod table;
mod target;
mod webhook;
mod wire;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

use crate::{
    description::{Description, repository},
    run::{Entry, Settings},
    table::Table,
};

/// Portcullis and other brokers, one after the other, on the same scenarios
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draw what was measured and write it into docs/operate/performance.md
    Plots {
        /// Lines of JSON of earlier runs; may be given more than once
        #[arg(long, default_values_os_t = [default_out()])]
        from: Vec<PathBuf>,
        /// The broker that the others are compared with
        #[arg(long, default_value = "mosquitto")]
        baseline: String,
    },
}

#[derive(Args, Debug)]
struct Run {
    /// Scenarios: a name, its beginning and `*`, or core, scale or proof [default: core]
    scenarios: Vec<String>,
    /// Say what scenarios and brokers there are, and end
    #[arg(long)]
    list: bool,
    /// How often each is run
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Only these brokers, by name
    #[arg(long, value_delimiter = ',')]
    brokers: Vec<String>,
    /// One more broker, NAME=FILE; FILE is as those in benches/peers/brokers
    #[arg(long, value_parser = named_file)]
    broker: Vec<(String, PathBuf)>,
    /// The broker that the others are compared with
    #[arg(long, default_value = "mosquitto")]
    baseline: String,
    /// Run that broker twice in each round: what its ratio to itself is by chance
    #[arg(long)]
    null: bool,
    /// Run each broker a second time on its core and the generator's
    #[arg(long)]
    two_cores: bool,
    /// Small counts and short times: shows that it works, not what it costs
    #[arg(long)]
    quick: bool,
    /// The broker's core
    #[arg(long, default_value_t = 0)]
    broker_core: usize,
    /// The generator's core
    #[arg(long, default_value_t = 1)]
    generator_core: usize,
    /// Where the brokers' folders are made
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// A line of JSON for each run is appended to this file
    #[arg(long, default_value_os_t = default_out())]
    out: PathBuf,
}

fn default_out() -> PathBuf {
    repository().join("target/bench-peers/runs.jsonl")
}

fn named_file(text: &str) -> Result<(String, PathBuf)> {
    let (name, file) = text.split_once('=').context("NAME=FILE")?;
    Ok((name.to_owned(), file.into()))
}

fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<()> {
    let CommandLine { command, run } = CommandLine::parse();
    let Some(Command::Plots { from, baseline }) = command else { return run.run() };
    let mut records = Vec::new();
    for file in from {
        records.extend(record::read(&file)?);
    }
    for written in page::write(repository(), &records, &baseline)? {
        println!("{written}");
    }
    Ok(())
}

impl Run {
    fn run(&self) -> Result<()> {
        if self.list {
            return self.tell();
        }
        let scenarios = scenario::chosen(&self.scenarios)?;
        let entries = self.entries()?;
        let mut out = record::open(&self.out)?;
        let settings = Settings {
            rounds: self.rounds,
            scratch: self.scratch.clone(),
            generator_core: self.generator_core,
            quick: self.quick,
        };
        let records = settings.run(&scenarios, &entries, &mut out)?;
        let table = Table { scenarios: &scenarios, records: &records, baseline: &self.baseline };
        println!("{}\n{}", table.comparison(), table.latencies());
        let failed = records.iter().filter(|record| !record.faults.is_empty()).count();
        ensure!(failed == 0, "{failed} of {} runs failed", records.len());
        Ok(())
    }

    fn descriptions(&self) -> Result<Vec<Description>> {
        let mut found = Description::known()?;
        for (name, file) in &self.broker {
            found.retain(|description| description.name != *name);
            found.push(Description::read(name, file)?);
        }
        Ok(found)
    }

    /// Brokers that are here and wanted, in the order in which they take turns.
    fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for description in self.descriptions()? {
            if !self.brokers.is_empty() && !self.brokers.contains(&description.name) {
                continue;
            }
            let Some(program) = description.program() else {
                eprintln!("{} is not on this machine", description.name);
                continue;
            };
            let version = description.version(&program).unwrap_or_default();
            let cores = self.broker_core.to_string();
            let entry = Entry { description, program, version, cores };
            if self.two_cores {
                let cores = format!("{},{}", self.broker_core, self.generator_core);
                let description = entry.description.as_well("on two cores");
                entries.push(Entry { description, cores, ..entry.clone() });
            }
            if self.null && entry.description.name == self.baseline {
                let description = entry.description.as_well("again");
                entries.push(Entry { description, ..entry.clone() });
            }
            entries.push(entry);
        }
        ensure!(!entries.is_empty(), "there is no broker: see --list");
        Ok(entries)
    }

    fn tell(&self) -> Result<()> {
        for scenario in scenario::all() {
            println!("{:24} {:6} {}", scenario.name, scenario.set.name(), scenario.about);
        }
        println!();
        for description in self.descriptions()? {
            let program = description.program().map(|path| path.display().to_string());
            println!("{:24} {}", description.name, program.unwrap_or_else(|| "-".to_owned()));
        }
        Ok(())
    }
}
