//! `portcullis plugin test FILE`: a plugin is asked what a file of cases says, by the host that a
//! broker has, with its manifest, inside its limits; and, with `--fuzz`, what nobody thought of.
//!
//! Cases are read and asked by the host (`plugin_host::Cases`), as those of `[golden]` in a
//! manifest are; `lent.rs` reads what a file gives in the place of a broker, `fuzz.rs` makes
//! questions up.

mod fuzz;
mod lent;
mod usage;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use plugin_host::{Case, Cases, Lending, Loaded};

use self::usage::Usage;
use crate::failure::Failure;

/// A case that answered as expected is asked again, for its time, this often at most and for this
/// long.
const AGAIN_MAX: usize = 1_000;
const AGAIN_FOR: Duration = Duration::from_millis(100);

/// Runs the cases of `cases` (`NAME.cases.toml` where none is named) and `fuzz` = (how many random
/// questions for each hook, what they follow from).
pub(crate) async fn run(
    file: &Path,
    cases: Option<&Path>,
    fuzz: Option<(u64, Option<u64>)>,
) -> Result<(), Failure> {
    let (dir, name) = place(file)?;
    let beside = dir.join(format!("{name}.cases.toml"));
    // Random questions need no file, unless one was named.
    let wanted = cases.is_some() || fuzz.is_none() || beside.exists();
    let (cases, lending) = match wanted {
        true => {
            let (cases, lending) = read(cases.unwrap_or(&beside))?;
            (Some(cases), lending)
        }
        false => (None, Lending::default()),
    };
    // Who signed it is not the question.
    let trust = Arc::default();
    let roots = std::slice::from_ref(&dir);
    let began = Instant::now();
    let loaded = plugin_host::load_plugin(&dir, &name, roots, lending, &trust)
        .await
        .map_err(|problems| Failure::Refused(told(&problems)))?;
    println!("compiled and ready after {:.1?}", began.elapsed());
    let mut usage = Usage::default();
    let mut bad = Vec::new();
    if let Some(cases) = &cases {
        let failed = run_cases(&loaded, cases, &mut usage).await;
        println!("{}: {} of {} cases failed", cases.file.display(), failed, cases.cases.len());
        if failed > 0 {
            bad.push(format!("{failed} of {} cases failed, see above", cases.cases.len()));
        }
    }
    if let Some((count, seed)) = fuzz {
        let seed = match seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(|error| Failure::internal("a seed", error))?,
        };
        println!("random questions, --seed {seed}");
        let broken = fuzz::run(&loaded, count, seed, &mut usage).await;
        if broken > 0 {
            bad.push(format!("{broken} random questions broke the plugin, see above"));
        }
    }
    print!("{usage}");
    match bad.is_empty() {
        true => Ok(()),
        false => Err(Failure::Refused(bad.join("\n"))),
    }
}

/// The folder and the name of a plugin.
fn place(file: &Path) -> Result<(PathBuf, String), Failure> {
    let name = file.file_stem().and_then(|stem| stem.to_str());
    match (name, file.extension()) {
        (Some(name), Some(extension)) if extension == "wasm" => {
            let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
            Ok((dir.unwrap_or_else(|| Path::new(".")).to_owned(), name.to_owned()))
        }
        _ => {
            let sentence = format!("{}: must be NAME.wasm", file.display());
            Err(Failure::Refused(sentence))
        }
    }
}

fn read(file: &Path) -> Result<(Cases, Lending), Failure> {
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
    let cases = Cases::parse(file, &text).map_err(Failure::Refused)?;
    let lending = lent::read(file, &text).map_err(Failure::Refused)?;
    Ok((cases, lending))
}

/// The problems; here it is the file of cases that lends, not a broker's configuration.
fn told(problems: &[String]) -> String {
    let here = "the broker's configuration has no [";
    problems.join("\n").replace(here, "the file of cases has no [given.")
}

/// How many failed.
async fn run_cases(loaded: &Loaded, cases: &Cases, usage: &mut Usage) -> usize {
    let mut failed = 0;
    for case in &cases.cases {
        let differences = run_case(loaded, case, usage).await;
        usage.look(loaded);
        if differences.is_empty() {
            continue;
        }
        failed += 1;
        let (hook, name) = (case.question.hook(), &case.name);
        println!("{}:{}: {hook}{name}", cases.file.display(), case.line);
        for difference in differences {
            println!("  {difference}");
        }
    }
    failed
}

/// Where it answered otherwise.
async fn run_case(loaded: &Loaded, case: &Case, usage: &mut Usage) -> Vec<String> {
    let answers = case.question.ask(&loaded.hooks).await;
    let differences = case.differences(&answers);
    let is_decided = answers.iter().all(|answer| answer.failure.is_none());
    if differences.is_empty() && is_decided {
        let began = Instant::now();
        for _ in 0..AGAIN_MAX {
            if began.elapsed() > AGAIN_FOR {
                break;
            }
            for answer in case.question.ask(&loaded.hooks).await {
                usage.add(case.question.hook(), answer.elapsed);
            }
        }
    }
    differences
}
