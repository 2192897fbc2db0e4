//! `guard`: how many instructions fixed pieces of work take, beside how many they took when somebody
//! last agreed to it. Instructions, not time: the same on a busy machine, so a regression fails
//! without noise.
//!
//! Owns the pieces of work (`work.rs`), counting them under valgrind (`count.rs`) and the numbers that
//! were agreed to (`baseline.toml`, read by `baseline.rs`).

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of the command line")]

mod baseline;
mod count;
mod work;

use std::{env, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};

use self::{baseline::Baseline, work::Work};

const USAGE: &str = "usage: guard [check | renew | list | run NAME]";

fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guard: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<()> {
    let words: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["check"] => check(),
        ["renew"] => Baseline::read()?.renewed(count_all()?).write(),
        ["list"] => {
            work::ALL.iter().for_each(|work| println!("{:24} {}", work.name, work.about));
            Ok(())
        }
        ["run", name] => run(name),
        _ => bail!(USAGE),
    }
}

/// Does one piece of work: what runs under valgrind.
fn run(name: &str) -> Result<()> {
    let work = work::ALL.iter().find(|work| work.name == name).context(USAGE)?;
    let mut ready = (work.prepare)();
    let done = count::measured(&mut ready);
    ensure!(done == work.expected, "{name} came to {done} instead of {}", work.expected);
    Ok(())
}

fn count_all() -> Result<Vec<(&'static str, u64)>> {
    let count = |work: &Work| {
        let instructions = count::instructions(work.name)?;
        println!("{:24} {instructions:>12}", work.name);
        Ok((work.name, instructions))
    };
    work::ALL.iter().map(count).collect()
}

fn check() -> Result<()> {
    let baseline = Baseline::read()?;
    let found = count_all()?;
    let differences = baseline.differences(&found);
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}
