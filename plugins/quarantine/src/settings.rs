//! The table `[config]` of the manifest.

use serde::Deserialize;

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Who is one: all clients of a principal, or each of them.
    #[serde(default)]
    pub(crate) by: By,
    /// The levels before the name.
    #[serde(default = "jail")]
    pub(crate) jail: String,
    /// What is looked at.
    #[serde(default = "everything")]
    pub(crate) topics: Vec<String>,
    /// Topic Filters of what is usual for everybody.
    #[serde(default)]
    pub(crate) usual: Vec<String>,
    /// What is usual for one, from what it does at first.
    pub(crate) learning: Option<Learning>,
    /// Refused PUBLISH in a minute that are leaving too.
    pub(crate) denied_per_minute: Option<u32>,
    /// Left out: until `exempt` names it.
    pub(crate) release_after_seconds: Option<u32>,
    /// Principals, or Client Identifiers, that are never in quarantine.
    #[serde(default)]
    pub(crate) exempt: Vec<String>,
}

/// Who is one.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum By {
    #[default]
    Principal,
    Client,
}

/// The table `[config.learning]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Learning {
    /// From the first message.
    pub(crate) seconds: u32,
    /// More topics than this are leaving.
    pub(crate) topics_max: usize,
    /// Leading levels of a topic that are compared; left out: all.
    pub(crate) levels: Option<usize>,
}

impl Settings {
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn check(&self) -> Result<(), String> {
        let bad_level = |level: &str| level.is_empty() || level.contains(['+', '#', '$', '\0']);
        if self.jail.split('/').any(bad_level) || self.jail.len() > JAIL_BYTES_MAX {
            return Err(format!(
                "jail = {:?}: levels of text without +, # and $, {JAIL_BYTES_MAX} bytes at most",
                self.jail
            ));
        }
        if self.usual.is_empty() && self.learning.is_none() {
            return Err(
                "name `usual` topics or a time of [config.learning]: else everybody leaves \
                        them with the first message"
                    .to_owned(),
            );
        }
        for (key, filters) in [("topics", &self.topics), ("usual", &self.usual)] {
            if filters.len() > FILTERS_MAX {
                return Err(format!("{key}: {} filters; at most {FILTERS_MAX}", filters.len()));
            }
            for filter in filters {
                check_filter(filter, key == "usual")
                    .map_err(|what| format!("{key}: {filter:?} {what}"))?;
            }
        }
        if self.topics.is_empty() {
            return Err("topics: name one; left out, all are looked at".to_owned());
        }
        if self.exempt.iter().any(String::is_empty) {
            return Err("exempt: a name is empty".to_owned());
        }
        let least = [
            ("denied_per_minute", self.denied_per_minute),
            ("release_after_seconds", self.release_after_seconds),
        ];
        if let Some((key, _)) = least.into_iter().find(|(_, value)| *value == Some(0)) {
            return Err(format!("{key} = 0: at least 1, or left out"));
        }
        // At most one of a client is told of in a second.
        if let Some(count) = self.denied_per_minute.filter(|count| *count > DENIED_MAX) {
            return Err(format!("denied_per_minute = {count}: at most {DENIED_MAX}"));
        }
        self.learning.as_ref().map_or(Ok(()), Learning::check)
    }
}

impl Learning {
    fn check(&self) -> Result<(), String> {
        let bounds = [
            ("seconds", u64::from(self.seconds), LEARNING_SECONDS_MAX),
            ("topics_max", self.topics_max as u64, LEARNED_TOPICS_MAX),
            ("levels", self.levels.unwrap_or(1) as u64, LEVELS_MAX),
        ];
        for (key, value, most) in bounds {
            if value == 0 || value > most {
                return Err(format!("learning: {key} = {value}: 1 to {most}"));
            }
        }
        Ok(())
    }
}

fn check_filter(filter: &str, variables: bool) -> Result<(), &'static str> {
    if filter.is_empty() || filter.contains('\0') {
        return Err("is no topic filter");
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        if level.contains(['+', '#']) && level.len() > 1 || level == "#" && !last {
            return Err("is no topic filter: a wildcard stands alone, and # at the end");
        }
    }
    for part in filter.split("${").skip(1) {
        if !variables || !["clientid}", "username}"].iter().any(|name| part.starts_with(name)) {
            return Err("holds an unknown variable: ${clientid} and ${username} stand in `usual`");
        }
    }
    Ok(())
}

fn jail() -> String {
    "quarantine".to_owned()
}

fn everything() -> Vec<String> {
    vec!["#".to_owned()]
}

const JAIL_BYTES_MAX: usize = 128;
const FILTERS_MAX: usize = 100;
const DENIED_MAX: u32 = 60;
const LEARNING_SECONDS_MAX: u64 = 90 * 86_400;
const LEARNED_TOPICS_MAX: u64 = 500;
const LEVELS_MAX: u64 = 64;
