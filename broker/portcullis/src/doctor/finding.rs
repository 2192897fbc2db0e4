//! What a check found, and how it is told: a table for people, JSON for programs.

use std::fmt;

use serde_json::{Value, json};

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Nothing to do.
    Ok,
    /// Works, and is weaker than it could be.
    Warn,
    /// Does not work, or lets somebody do what nobody wants.
    Fail,
}

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// The machine and the files on it.
    Host,
    /// Addresses and sockets.
    Network,
    /// What bytes travel in.
    Transport,
    /// Who may do what.
    Application,
}

impl Layer {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Network => "network",
            Self::Transport => "transport",
            Self::Application => "application",
        }
    }
}

/// What one check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    /// What was seen, a sentence each.
    pub(super) seen: Vec<String>,
    /// What to do about it; `None` where there is nothing to do.
    pub(super) mend: Option<&'static str>,
}

impl Judgement {
    /// Nothing to do.
    pub(super) fn ok(seen: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, seen: vec![seen.into()], mend: None }
    }

    /// The worst of all that was seen; `good` where nothing was.
    pub(super) fn of(
        seen: Vec<(Verdict, String)>,
        good: impl Into<String>,
        mend: &'static str,
    ) -> Self {
        let Some(verdict) = seen.iter().map(|(verdict, _)| *verdict).max() else {
            return Self::ok(good);
        };
        let mend = (verdict != Verdict::Ok).then_some(mend);
        Self { verdict, seen: seen.into_iter().map(|(_, seen)| seen).collect(), mend }
    }
}

/// What one check says, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) id: &'static str,
    pub(super) layer: Layer,
    pub(super) judgement: Judgement,
}

/// All findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
}

impl Report {
    /// Findings of this verdict.
    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.judgement.verdict == verdict).count()
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let findings = self.findings.iter().map(|finding| {
            let Judgement { verdict, seen, mend } = &finding.judgement;
            json!({
                "id": finding.id,
                "layer": finding.layer.word(),
                "verdict": verdict.word(),
                "seen": seen,
                "mend": mend,
            })
        });
        json!({
            "ok": self.count(Verdict::Ok),
            "warn": self.count(Verdict::Warn),
            "fail": self.count(Verdict::Fail),
            "checks": findings.collect::<Vec<_>>(),
        })
    }
}

/// At most so many of what a check has seen are shown to people.
const SHOWN: usize = 8;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let Judgement { verdict, seen, mend } = &finding.judgement;
            let (layer, word) = (finding.layer.word(), verdict.word());
            let mut first = format!("{word:<5}{layer:<12}{:<21}", finding.id);
            for line in seen.iter().take(SHOWN) {
                writeln!(f, "{first}{}", printable(line))?;
                first = " ".repeat(38);
            }
            if seen.len() > SHOWN {
                writeln!(f, "{first}and {} more (--json)", seen.len() - SHOWN)?;
            }
            if let Some(mend) = mend {
                writeln!(f, "{:38}-> {mend}", "")?;
            }
        }
        let [ok, warn, fail] =
            [Verdict::Ok, Verdict::Warn, Verdict::Fail].map(|verdict| self.count(verdict));
        writeln!(f, "{ok} ok, {warn} to look at, {fail} to mend")
    }
}

/// Names in files are not this terminal's business.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c.is_control() {
            true => c.escape_default().collect::<Vec<_>>(),
            false => vec![c],
        })
        .collect()
}
