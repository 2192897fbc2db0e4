//! `NAME.toml`: the operator's answer to what a plugin asks for. Parses and checks; reads no files
//! itself.

mod grants;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use access::{Control, OnError};
use serde::Deserialize;
use toml::Spanned;
use topic::TopicFilter;

pub(crate) use self::grants::{BrokerFunction, Grants};
use crate::{
    cases::RawCases,
    engine::MEMORY_BYTES_MAX,
    golden::{CASES_MAX, Golden},
};
pub(crate) use message_hooks::{OnTransformError, Transform};
use message_hooks::{RawOperations, RawTransform};
use reload::{RawReload, RawShadow};
pub(crate) use reload::{Reload, Shadowing};

mod message_hooks;
mod reload;

/// A checked manifest. `Default` is what holds without a file: enabled, nothing granted.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Whether the plugin is used at all.
    pub enabled: bool,
    /// Place in the default chain.
    pub order: i64,
    /// Control flag.
    pub control: Control,
    /// Meaning of a failure.
    pub on_error: OnError,
    /// How instances are used.
    pub isolation: Isolation,
    /// The table `[config]` as JSON.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// `[files]`: name to path, as written.
    pub files: BTreeMap<String, PathBuf>,
    /// `[grants]`.
    pub(crate) grants: Grants,
    /// `[limits]`.
    pub limits: Limits,
    /// `[transform]`.
    pub(crate) transform: Transform,
    /// `[operations] topics`, instead of what the plugin claims.
    pub(crate) operation_topics: Option<Vec<TopicFilter>>,
    /// `[reload]`.
    pub(crate) reload: Reload,
    /// `[shadow]`.
    pub(crate) shadow: Shadowing,
    /// `[golden]`: what a version must answer before it goes live.
    pub(crate) golden: Golden,
}

/// How instances are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Instances are used again after a call that ended well.
    #[default]
    Pooled,
    /// Each call gets a fresh instance.
    PerCall,
}

/// Bounds of one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of one instance in bytes, 1 MiB to 64 MiB.
    pub memory_bytes: usize,
    /// CPU time of one call, 5 ms to 10 s.
    pub cpu: Duration,
    /// Wall time of one call, 10 ms to 30 s.
    pub deadline: Duration,
    /// Calls at once, 1 to 256.
    pub concurrency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 16 << 20,
            cpu: Duration::from_millis(50),
            deadline: Duration::from_secs(2),
            concurrency: 64,
        }
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            enabled: true,
            order: 100,
            control: Control::default(),
            on_error: OnError::default(),
            isolation: Isolation::default(),
            config: serde_json::Map::new(),
            files: BTreeMap::new(),
            grants: Grants::default(),
            limits: Limits::default(),
            transform: Transform::default(),
            operation_topics: None,
            reload: Reload::default(),
            shadow: Shadowing::default(),
            golden: Golden::default(),
        }
    }
}

/// A manifest that is not acceptable: file, line, and a sentence with key, value and what is
/// allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {message}", file.display())]
pub struct ManifestError {
    /// The manifest.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// The sentence.
    pub message: String,
}

impl Manifest {
    /// Parses and checks the text of the manifest `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ManifestError> {
        let source = Source { file, text };
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            source.error(start, error.message().to_owned())
        })?;
        let defaults = Self::default();
        let declines_files = raw.files.as_ref().is_some_and(BTreeMap::is_empty);
        let mut grants = source.grants(raw.grants.unwrap_or_default())?;
        grants.declined.extend(declines_files.then_some("files"));
        Ok(Self {
            enabled: raw.enabled.unwrap_or(defaults.enabled),
            order: source.order(raw.order, defaults.order)?,
            control: source.choice("control", raw.control, &CONTROLS)?,
            on_error: source.choice("on_error", raw.on_error, &ON_ERRORS)?,
            isolation: source.choice("isolation", raw.isolation, &ISOLATIONS)?,
            config: source.config(raw.config)?,
            files: source.files(raw.files)?,
            grants,
            limits: source.limits(raw.limits.unwrap_or_default())?,
            transform: source.transform(raw.transform.unwrap_or_default())?,
            operation_topics: source.operations(raw.operations.unwrap_or_default())?,
            reload: source.reload(raw.reload.unwrap_or_default())?,
            shadow: source.shadow(raw.shadow.unwrap_or_default())?,
            golden: source.golden(raw.golden.unwrap_or_default())?,
        })
    }

    /// What this one lends and `other` does not, in words; `None` = nothing.
    pub(crate) fn grants_beyond(&self, other: &Self) -> Option<String> {
        let mut more = self.grants.beyond(&other.grants);
        if self.files.iter().any(|(name, path)| other.files.get(name) != Some(path)) {
            more.push("files");
        }
        (!more.is_empty()).then(|| more.join(", "))
    }

    /// This, in the place of `other`: what decides where a plugin stands is the operator's word of
    /// today.
    pub(crate) fn standing_as(self, other: &Self) -> Self {
        let Self { enabled, order, control, on_error, .. } = *other;
        Self { enabled, order, control, on_error, ..self }
    }
}

/// Words of `control`.
pub(crate) const CONTROLS: [(&str, Control); 4] = [
    ("sufficient", Control::Sufficient),
    ("required", Control::Required),
    ("requisite", Control::Requisite),
    ("optional", Control::Optional),
];
/// Words of `on_error`.
pub(crate) const ON_ERRORS: [(&str, OnError); 2] =
    [("deny", OnError::Deny), ("next", OnError::Next)];
const ISOLATIONS: [(&str, Isolation); 2] =
    [("pooled", Isolation::Pooled), ("per-call", Isolation::PerCall)];

/// Bound of `order`, either way.
pub(crate) const ORDER_MAX: i64 = 1_000_000;
const FILES_MAX: usize = 16;

/// What a word means.
pub(crate) fn choice_of<T: Copy>(allowed: &[(&str, T)], word: &str) -> Option<T> {
    allowed.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
}

/// The word for a value; every value has one.
pub(crate) fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| *word)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    enabled: Option<bool>,
    order: Option<Spanned<i64>>,
    control: Option<Spanned<String>>,
    on_error: Option<Spanned<String>>,
    isolation: Option<Spanned<String>>,
    config: Option<Spanned<toml::Table>>,
    files: Option<BTreeMap<String, Spanned<String>>>,
    grants: Option<grants::RawGrants>,
    limits: Option<RawLimits>,
    transform: Option<RawTransform>,
    operations: Option<RawOperations>,
    reload: Option<RawReload>,
    shadow: Option<RawShadow>,
    golden: Option<RawCases>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    memory: Option<Spanned<toml::Value>>,
    cpu: Option<Spanned<toml::Value>>,
    deadline: Option<Spanned<toml::Value>>,
    concurrency: Option<Spanned<i64>>,
}

/// The text being parsed, so that every error can say where.
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn error(&self, offset: usize, message: String) -> ManifestError {
        ManifestError { file: self.file.to_owned(), line: self.line(offset), message }
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    fn golden(&self, raw: RawCases) -> Result<Golden, ManifestError> {
        if raw.gives() {
            let message =
                "golden.given: a manifest gives nothing; it is [files] and [grants] that \
                           hold"
                    .to_owned();
            return Err(self.error(0, message));
        }
        let cases = raw.read(|offset| self.line(offset));
        let cases = cases.map_err(|(at, what)| self.error(at, format!("golden.{what}")))?;
        if let Some(case) = cases.get(CASES_MAX) {
            let (file, line) = (self.file.to_owned(), case.line);
            let message = format!("golden: at most {CASES_MAX} cases are asked at a reload");
            return Err(ManifestError { file, line, message });
        }
        Ok(Golden::new(cases))
    }

    fn order(&self, raw: Option<Spanned<i64>>, default: i64) -> Result<i64, ManifestError> {
        let Some(raw) = raw else { return Ok(default) };
        let order = *raw.get_ref();
        if order.unsigned_abs() > ORDER_MAX.unsigned_abs() {
            let message = format!("order = {order}: must be from -{ORDER_MAX} to {ORDER_MAX}");
            return Err(self.error(raw.span().start, message));
        }
        Ok(order)
    }

    fn choice<T: Copy + Default>(
        &self,
        key: &str,
        raw: Option<Spanned<String>>,
        allowed: &[(&str, T)],
    ) -> Result<T, ManifestError> {
        let Some(raw) = raw else {
            return Ok(T::default());
        };
        choice_of(allowed, raw.get_ref()).ok_or_else(|| {
            let names: Vec<_> = allowed.iter().map(|(name, _)| format!("{name:?}")).collect();
            let names = names.join(", ");
            let message = format!("{key} = {:?}: must be one of {names}", raw.get_ref());
            self.error(raw.span().start, message)
        })
    }

    fn config(
        &self,
        raw: Option<Spanned<toml::Table>>,
    ) -> Result<serde_json::Map<String, serde_json::Value>, ManifestError> {
        let Some(raw) = raw else {
            return Ok(serde_json::Map::new());
        };
        let start = raw.span().start;
        let table = raw.into_inner();
        json_table(table).map_err(|key| {
            let message = format!("config.{key}: infinite and not-a-number have no JSON form");
            self.error(start, message)
        })
    }

    fn files(
        &self,
        raw: Option<BTreeMap<String, Spanned<String>>>,
    ) -> Result<BTreeMap<String, PathBuf>, ManifestError> {
        let raw = raw.unwrap_or_default();
        if let Some((name, path)) = raw.iter().nth(FILES_MAX) {
            let message = format!("files.{name}: at most {FILES_MAX} files may be named");
            return Err(self.error(path.span().start, message));
        }
        raw.into_iter()
            .map(|(name, path)| {
                if path.get_ref().is_empty() {
                    let message = format!("files.{name} = \"\": must be a path");
                    return Err(self.error(path.span().start, message));
                }
                Ok((name, PathBuf::from(path.into_inner())))
            })
            .collect()
    }

    fn limits(&self, raw: RawLimits) -> Result<Limits, ManifestError> {
        let defaults = Limits::default();
        let seconds = |key: &str, value, least: u64, most: u64, default: Duration| {
            let range = (least, most);
            let millis = self.quantity(&format!("limits.{key}"), value, range, &TIMES)?;
            Ok(millis.map_or(default, Duration::from_millis))
        };
        let memory =
            self.quantity("limits.memory", raw.memory, (1 << 20, MEMORY_BYTES_MAX as u64), &SIZES)?;
        let concurrency = match raw.concurrency {
            None => defaults.concurrency,
            Some(raw) => match usize::try_from(*raw.get_ref()) {
                Ok(count @ 1..=256) => count,
                _ => {
                    let message =
                        format!("limits.concurrency = {}: must be from 1 to 256", raw.get_ref());
                    return Err(self.error(raw.span().start, message));
                }
            },
        };
        Ok(Limits {
            memory_bytes: memory.map_or(defaults.memory_bytes, |bytes| bytes as usize),
            cpu: seconds("cpu", raw.cpu, 5, 10_000, defaults.cpu)?,
            deadline: seconds("deadline", raw.deadline, 10, 30_000, defaults.deadline)?,
            concurrency,
        })
    }

    /// A number with a unit, in the smallest unit of `units`.
    fn quantity(
        &self,
        key: &str,
        raw: Option<Spanned<toml::Value>>,
        (least, most): (u64, u64),
        units: &[(&str, u64)],
    ) -> Result<Option<u64>, ManifestError> {
        let Some(raw) = raw else { return Ok(None) };
        let amount = raw.get_ref().as_str().and_then(|text| {
            let digits = text.find(|c: char| !c.is_ascii_digit())?;
            let (number, unit) = text.split_at_checked(digits)?;
            let factor = units.iter().find(|(name, _)| *name == unit.trim())?.1;
            number.parse::<u64>().ok()?.checked_mul(factor)
        });
        if let Some(amount) = amount
            && (least..=most).contains(&amount)
        {
            return Ok(Some(amount));
        }
        let show = |amount: u64| {
            let unit = units.iter().rev().find(|(_, factor)| amount.is_multiple_of(*factor));
            unit.map_or_else(String::new, |(name, factor)| {
                format!("\"{} {name}\"", amount / factor)
            })
        };
        let value = raw.get_ref();
        let message = format!("{key} = {value}: must be from {} to {}", show(least), show(most));
        Err(self.error(raw.span().start, message))
    }
}

const TIMES: [(&str, u64); 2] = [("ms", 1), ("s", 1000)];
const SIZES: [(&str, u64); 3] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20)];

/// `Err` names the key of a number that JSON cannot say.
fn json_table(table: toml::Table) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    table
        .into_iter()
        .map(|(key, value)| {
            let value = json(value).map_err(|inner| match inner {
                None => key.clone(),
                Some(inner) => format!("{key}.{inner}"),
            })?;
            Ok((key, value))
        })
        .collect()
}

fn json(value: toml::Value) -> Result<serde_json::Value, Option<String>> {
    use serde_json::Value;
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => {
            Value::Number(serde_json::Number::from_f64(number).ok_or(None)?)
        }
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => {
            Value::Array(items.into_iter().map(json).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => Value::Object(json_table(table).map_err(Some)?),
    })
}

#[cfg(test)]
mod tests;
