//! The numbers that were agreed to, in `baseline.toml`, and what differs from them by too much.

use std::{collections::BTreeMap, fmt::Write, fs, path::PathBuf};

use anyhow::{Context, Result};

/// How somebody agrees to new numbers.
const RENEW: &str = "just guard renew";

/// Instructions of each piece of work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Baseline {
    /// How far a number may be from it.
    tolerance_percent: f64,
    instructions: BTreeMap<String, u64>,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("baseline.toml")
}

impl Baseline {
    /// That of the file.
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string(path()).context("baseline.toml cannot be read")?;
        Self::parse(&text).context("baseline.toml is not what it was")
    }

    fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse()?;
        let tolerance = table.get("tolerance_percent").and_then(toml::Value::as_float);
        let instructions = table.get("instructions").and_then(toml::Value::as_table);
        let of = |(name, count): (&String, &toml::Value)| {
            let count = count.as_integer().and_then(|count| u64::try_from(count).ok());
            Ok((name.clone(), count.with_context(|| format!("{name} is no number"))?))
        };
        Ok(Self {
            tolerance_percent: tolerance.context("tolerance_percent")?,
            instructions: instructions
                .context("[instructions]")?
                .iter()
                .map(of)
                .collect::<Result<_>>()?,
        })
    }

    /// The same with other numbers.
    pub(crate) fn renewed(self, found: Vec<(&str, u64)>) -> Self {
        let instructions = found.into_iter().map(|(name, count)| (name.to_owned(), count));
        Self { instructions: instructions.collect(), ..self }
    }

    /// Into the file.
    pub(crate) fn write(&self) -> Result<()> {
        Ok(fs::write(path(), self.text())?)
    }

    fn text(&self) -> String {
        let mut text = format!(
            "# Instructions that each piece of work of `guard list` takes. `{RENEW}` writes them:\n\
             # after a change that is worth what it costs, and with a new compiler.\n\
             tolerance_percent = {:?}\n\n[instructions]\n",
            self.tolerance_percent
        );
        for (name, count) in &self.instructions {
            let _ = writeln!(text, "{name} = {count}");
        }
        text
    }

    /// A sentence for each number that is too far from what it was.
    pub(crate) fn differences(&self, found: &[(&str, u64)]) -> Vec<String> {
        let judge = |(name, count): &(&str, u64)| {
            let Some(expected) = self.instructions.get(*name) else {
                return Some(format!(
                    "{name}: {count} instructions, nothing agreed to yet: {RENEW}"
                ));
            };
            let percent = (*count as f64 / *expected as f64 - 1.0) * 100.0;
            let word = if percent > 0.0 { "more" } else { "fewer" };
            (percent.abs() > self.tolerance_percent).then(|| {
                format!(
                    "{name}: expected {expected} instructions, found {count}, {:.1} % {word}; if \
                     that is as it must be: {RENEW}",
                    percent.abs()
                )
            })
        };
        let gone = self.instructions.keys().filter(|name| !found.iter().any(|(of, _)| of == name));
        let gone = gone.map(|name| format!("{name}: there is no such work any more: {RENEW}"));
        found.iter().filter_map(judge).chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Baseline {
        let instructions = [("one".to_owned(), 1_000), ("two".to_owned(), 2_000)].into();
        Baseline { tolerance_percent: 2.5, instructions }
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Baseline::parse(&baseline().text()).unwrap(), baseline());
    }

    #[test]
    fn only_large_differences_are_told_with_their_numbers() {
        assert!(baseline().differences(&[("one", 1_020), ("two", 1_960)]).is_empty());
        let told = baseline().differences(&[("one", 1_100), ("two", 1_800)]);
        assert_eq!(told.len(), 2);
        for part in ["one", "1000", "1100", "10.0 % more", "just guard renew"] {
            assert!(told[0].contains(part), "{part}: {told:?}");
        }
        assert!(told[1].contains("10.0 % fewer"), "{told:?}");
    }

    #[test]
    fn work_that_came_or_went_is_told() {
        let told = baseline().differences(&[("one", 1_000), ("three", 7)]);
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("three") && told[1].starts_with("two"), "{told:?}");
    }
}
