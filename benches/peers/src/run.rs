//! Rounds: every scenario on one broker after the other, each in a new folder, and again.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};

use crate::{
    description::Description,
    fixture,
    load::{Approach, Messages, Offline, Outcome, Session},
    process::{pin_ourselves, resident_kib},
    record::Record,
    running::{Running, Start},
    scenario::{Load, Scenario},
    statistics::short,
};

/// A broker that takes part.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) description: Description,
    pub(crate) program: PathBuf,
    pub(crate) version: String,
    /// As taskset wants them.
    pub(crate) cores: String,
}

/// How it is run.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) rounds: u32,
    /// Folder of the brokers' folders.
    pub(crate) scratch: PathBuf,
    pub(crate) generator_core: usize,
    pub(crate) quick: bool,
}

impl Settings {
    /// Runs everything; each record is in the file as soon as it is there.
    pub(crate) fn run(
        &self,
        scenarios: &[Scenario],
        entries: &[Entry],
        out: &mut File,
    ) -> Result<Vec<Record>> {
        pin_ourselves(self.generator_core)?;
        let mut records = Vec::new();
        for scenario in scenarios {
            for round in 0..self.rounds {
                for entry in entries.iter().filter(|of| of.description.has(scenario.variant)) {
                    let record = self.record(scenario, entry, round);
                    record.append(out)?;
                    eprintln!("{}", told(scenario, &record));
                    records.push(record);
                }
            }
        }
        Ok(records)
    }

    fn record(&self, scenario: &Scenario, entry: &Entry, round: u32) -> Record {
        let outcome = self.outcome(scenario, entry).unwrap_or_else(|error| Outcome {
            faults: vec![format!("{error:#}")],
            ..Outcome::default()
        });
        Record {
            scenario: scenario.name.clone(),
            broker: entry.description.name.clone(),
            version: entry.version.clone(),
            round,
            at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            figures: outcome.figures,
            faults: outcome.faults,
        }
    }

    fn outcome(&self, scenario: &Scenario, entry: &Entry) -> Result<Outcome> {
        let folder = tempfile::Builder::new().prefix("bench-peers-").tempdir_in(&self.scratch);
        let folder = folder.context("no folder for the broker: see --scratch")?;
        let mut approach = scenario.approach(self.quick);
        if scenario.variant == "tls" {
            approach.tls = Some(fixture::certificate(folder.path())?);
        }
        let broker = start(scenario, entry, folder.path(), &approach)?;
        match scenario.load {
            Load::Start => started(scenario, entry, folder.path(), &approach, broker),
            Load::Restart(offline) => {
                restarted(offline, (scenario, entry), folder.path(), &approach, broker)
            }
            Load::Saturation(messages) => {
                let outcome = saturated(messages, &broker, &approach)?;
                broker.stop()?;
                Ok(outcome)
            }
            _ => {
                let mut session = Session::new(broker.target, approach)?;
                let outcome = scenario.run(&mut session)?;
                drop(session);
                broker.stop()?;
                Ok(outcome)
            }
        }
    }
}

fn start(
    scenario: &Scenario,
    entry: &Entry,
    folder: &Path,
    approach: &Approach,
) -> Result<Running> {
    let start = Start {
        description: &entry.description,
        program: &entry.program,
        variant: scenario.variant,
        folder,
        cores: &entry.cores,
    };
    Running::start(start, approach)
}

/// How long it took to start, and takes again in the same folder.
fn started(
    scenario: &Scenario,
    entry: &Entry,
    folder: &Path,
    approach: &Approach,
    first: Running,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    outcome.figures.insert("start_ms".to_owned(), first.start.as_secs_f64() * 1e3);
    first.stop()?;
    let again = start(scenario, entry, folder, approach)?;
    outcome.figures.insert("start_again_ms".to_owned(), again.start.as_secs_f64() * 1e3);
    let resident = resident_kib(again.target.process())?;
    outcome.figures.insert("resident_kib".to_owned(), resident);
    again.stop()?;
    Ok(outcome)
}

/// Messages are queued, the broker ends and starts again, and everything is still there.
fn restarted(
    offline: Offline,
    (scenario, entry): (&Scenario, &Entry),
    folder: &Path,
    approach: &Approach,
    first: Running,
) -> Result<Outcome> {
    let mut outcome = offline.fill(&mut Session::new(first.target, approach.clone())?)?;
    first.stop()?;
    let again = start(scenario, entry, folder, approach)?;
    let start_ms = again.start.as_secs_f64() * 1e3;
    outcome.figures.insert("start_again_ms".to_owned(), start_ms);
    offline.hand_over(&mut Session::new(again.target, approach.clone())?, &mut outcome)?;
    again.stop()?;
    Ok(outcome)
}

/// As fast as it goes, then at half of that.
fn saturated(messages: Messages, broker: &Running, approach: &Approach) -> Result<Outcome> {
    let run =
        |messages: Messages| messages.run(&mut Session::new(broker.target, approach.clone())?);
    let mut outcome = run(messages)?;
    let most = outcome.figures.get("messages_per_second").copied().unwrap_or_default();
    let half = Messages { rate: Some((most / 2.0) as u64), ..messages };
    outcome.add(run(half)?, "_at_half");
    Ok(outcome)
}

/// A line for whoever waits.
fn told(scenario: &Scenario, record: &Record) -> String {
    let mut line = format!("{} {} {}:", scenario.name, record.round, record.broker);
    for row in scenario.rows {
        if let Some(value) = record.figures.get(row.figure) {
            line += &format!(" {} {};", short(*value), row.unit);
        }
    }
    for fault in &record.faults {
        line += &format!(" FAILED: {fault};");
    }
    line
}
