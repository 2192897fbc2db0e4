//! `/api/v1/config`: the configuration file, what holds because of it, and replacing it.
//!
//! Owns the trait that the program answers for; knows nothing of keys and of where the file is.

use std::sync::Arc;

use access::BoxFuture;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    call::{Answer, Call, blocking, json, tagged},
    problem::Problem,
};

/// Who has the configuration.
pub trait ConfigManager: Send + Sync {
    /// The file as it is now, without secrets. May block.
    ///
    /// # Errors
    /// It cannot be read: a sentence.
    fn show(&self) -> Result<ShownConfig, String>;
    /// What is wrong with a text, if it stood in the file. May block.
    fn check(&self, text: &str) -> Vec<ConfigFault>;
    /// Puts `text` in the place of the file whose version is `expected`, and reloads.
    fn replace(&self, text: String, expected: String) -> Applying<'_>;
    /// Reads the file again, as at SIGHUP.
    fn reload(&self) -> Applying<'_>;
}

/// What came of a change.
pub type Applying<'a> = BoxFuture<'a, Result<AppliedConfig, ConfigRefused>>;

/// The configuration for people who look.
#[derive(Clone, Debug)]
pub struct ShownConfig {
    /// The file.
    pub file: String,
    /// Names what is in it.
    pub version: String,
    /// What is in it, with `"***"` in the place of secrets.
    pub text: String,
    /// Every setting in it, and the defaults of the others.
    pub settings: Vec<ShownSetting>,
    /// Settings that differ from what is in force, and wait for a restart.
    pub needs_restart: Vec<String>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSetting {
    /// Key with its tables; `[0]` names the first of several.
    pub key: String,
    /// Its value as TOML, `"***"` for a secret.
    pub value: String,
    /// It stands in the file; otherwise it is the default.
    pub is_set: bool,
    /// A change takes effect at a reload; otherwise at a restart.
    pub is_live: bool,
}

/// Something that is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// Line, counted from 1.
    pub line: usize,
    /// Key with its tables.
    pub key: String,
    /// The value as it stands there.
    pub value: String,
    /// What is wrong, with the allowed range.
    pub what: String,
}

/// A configuration is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedConfig {
    /// Names what is in the file.
    pub version: String,
    /// Settings that differ from what is in force, and wait for a restart.
    pub needs_restart: Vec<String>,
}

/// Why the configuration is not replaced, or not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigRefused {
    /// The file is another than the caller knows.
    Changed,
    /// It is faulty.
    Faulty(Vec<ConfigFault>),
    /// These keys are not to be changed by the API.
    Forbidden(String),
    /// A sentence; what was in force before stays, as far as the sentence does not say otherwise.
    Failed(String),
}

/// The configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigFile {
    /// The file.
    file: String,
    /// What is in it, with `"***"` in the place of secrets. Sent back with them, they keep what they stand for.
    text: String,
    /// Every setting in the file, and the defaults of the others.
    settings: Vec<Setting>,
    /// Settings that differ from what is in force, and wait for a restart.
    needs_restart: Vec<String>,
}

/// One setting.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Setting {
    /// Key with its tables; `[0]` names the first of several.
    key: String,
    /// Its value as TOML, `"***"` for a secret.
    value: String,
    /// `file` or `default`.
    from: &'static str,
    /// `live`: a change takes effect at a reload; `restart`: at a restart.
    takes_effect: &'static str,
}

/// A text to be judged, or to be the configuration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigText {
    /// TOML, at most 1 MiB.
    text: String,
}

/// What is wrong with a text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigCheck {
    /// Nothing is.
    valid: bool,
    /// By line.
    problems: Vec<ConfigProblem>,
}

/// Something that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigProblem {
    /// Line, counted from 1.
    line: usize,
    /// Key with its tables.
    key: String,
    /// The value as it stands there.
    value: String,
    /// What is wrong, with the allowed range.
    what: String,
}

/// A configuration that is in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigApplied {
    /// Settings that differ from what is in force, and wait for a restart.
    needs_restart: Vec<String>,
}

/// `GET /api/v1/config`
pub(crate) async fn show(call: Call) -> Answer {
    let shared = Arc::clone(&call.shared);
    let shown = blocking(move || shared.state.config.show()).await?;
    let shown = shown.map_err(Problem::internal)?;
    let settings = shown.settings.into_iter().map(|setting| Setting {
        key: setting.key,
        value: setting.value,
        from: if setting.is_set { "file" } else { "default" },
        takes_effect: if setting.is_live { "live" } else { "restart" },
    });
    let (file, text, needs_restart) = (shown.file, shown.text, shown.needs_restart);
    let settings = settings.collect();
    let body = ConfigFile { file, text, settings, needs_restart };
    Ok(call.unless_known(tagged(json(StatusCode::OK, &body)?, &shown.version)?))
}

/// `POST /api/v1/config/check`
pub(crate) async fn check(call: Call) -> Answer {
    let (shared, request) = call.json_up_to::<ConfigText>(TEXT_BYTES_MAX).await?;
    let faults = blocking(move || shared.state.config.check(&request.text)).await?;
    let valid = faults.is_empty();
    let problems = faults.into_iter().map(ConfigProblem::from).collect();
    json(StatusCode::OK, &ConfigCheck { valid, problems })
}

/// `PUT /api/v1/config`
pub(crate) async fn replace(call: Call) -> Answer {
    let expected = call.if_match()?.ok_or_else(|| {
        Problem::precondition_required("the request does not say which version it replaces")
    })?;
    let (shared, request) = call.json_up_to::<ConfigText>(TEXT_BYTES_MAX).await?;
    applied(shared.state.config.replace(request.text, expected).await)
}

/// `POST /api/v1/config/reload`
pub(crate) async fn reload(call: Call) -> Answer {
    applied(call.shared.state.config.reload().await)
}

fn applied(applied: Result<AppliedConfig, ConfigRefused>) -> Answer {
    match applied {
        Ok(AppliedConfig { version, needs_restart }) => {
            let response = json(StatusCode::OK, &ConfigApplied { needs_restart })?;
            tagged(response, &version)
        }
        Err(ConfigRefused::Changed) => {
            Err(Problem::precondition_failed("the file was changed meanwhile: read it again"))
        }
        Err(ConfigRefused::Forbidden(why)) => Err(Problem::forbidden(why)),
        Err(ConfigRefused::Failed(why)) => Err(Problem::refused(why)),
        Err(ConfigRefused::Faulty(faults)) => {
            let first = faults.first();
            let key = first.map(|fault| fault.key.clone()).unwrap_or_default();
            let sentences: Vec<_> = faults
                .iter()
                .take(FAULTS_MAX)
                .map(|ConfigFault { line, key, what, .. }| match key.as_str() {
                    "" => format!("line {line}: {what}"),
                    key => format!("line {line}: {key}: {what}"),
                })
                .collect();
            Err(Problem::refused(sentences.join("; ")).about(key))
        }
    }
}

impl From<ConfigFault> for ConfigProblem {
    fn from(fault: ConfigFault) -> Self {
        let ConfigFault { line, key, value, what } = fault;
        Self { line, key, value, what }
    }
}

/// A file of 1 MiB, as JSON writes it.
const TEXT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Faults in one error.
const FAULTS_MAX: usize = 20;
