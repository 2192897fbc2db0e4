//! Golden calls: cases of the manifest that a generation must answer as expected before it goes
//! live.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    cases::Case,
    generation::{Generation, Rejected},
    hooks,
};

/// Cases of one manifest.
pub(crate) const CASES_MAX: usize = 100;
/// All of them together.
const WALL: Duration = Duration::from_secs(60);

/// The cases of a manifest.
#[derive(Clone, Default)]
pub(crate) struct Golden(Arc<Vec<Case>>);

impl Golden {
    pub(crate) fn new(cases: Vec<Case>) -> Self {
        Self(Arc::new(cases))
    }
}

/// Equal = of the same manifest: questions hold passwords, which nobody compares.
impl PartialEq for Golden {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.is_empty() && other.0.is_empty())
    }
}

impl fmt::Debug for Golden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Golden({} cases)", self.0.len())
    }
}

/// Asks all of them, in the order of the manifest; the first that is answered otherwise ends it.
pub(crate) async fn check(generation: &Arc<Generation>) -> Result<(), Rejected> {
    let cases = &generation.manifest.golden.0;
    if cases.is_empty() {
        return Ok(());
    }
    generation.breaker.watch(false);
    let checked = tokio::time::timeout(WALL, check_all(generation, cases)).await;
    // They are none of the calls that an operator wants to see.
    generation.counters.reset();
    generation.breaker.watch(true);
    checked.unwrap_or_else(|_| {
        let sentence = format!("golden calls: took longer than {} s", WALL.as_secs());
        Err(Rejected { passing: true, ..Rejected::failed(sentence) })
    })
}

async fn check_all(generation: &Arc<Generation>, cases: &[Case]) -> Result<(), Rejected> {
    let hooks = hooks::of(generation);
    for case in cases {
        let answers = case.question.ask(&hooks).await;
        let differences = case.differences(&answers);
        if differences.is_empty() {
            continue;
        }
        let (line, hook, name) = (case.line, case.question.hook(), &case.name);
        let differences = differences.join("; ");
        let sentence = format!("golden call {hook}{name} (line {line}): {differences}");
        let mut failures = answers.iter().filter_map(|answer| answer.failure.as_ref());
        let passing = failures.any(|failure| Rejected::may_pass(failure.kind));
        return Err(Rejected { passing, ..Rejected::failed(sentence) });
    }
    Ok(())
}
