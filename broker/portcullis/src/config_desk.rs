//! The configuration in the hands of the admin API: shown without secrets, judged, replaced as a whole.
//!
//! Owns that a replacement is valid, is of the version that its author saw, changes nothing that says who may do what,
//! and leaves a copy of what was there. Knows nothing of how a configuration is put in force: the loop of `run.rs` does.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use access::BoxFuture;
use admin::{AppliedConfig, ConfigFault, ConfigManager, ConfigRefused, ShownConfig, ShownSetting};
use tokio::sync::{mpsc, oneshot};

use crate::{
    atomic_file,
    config::{Config, Problem, shown},
};

/// What a reload came to: the settings that wait for a restart.
pub(crate) type Reloaded = Result<Vec<String>, String>;

/// Somebody who wants the configuration to be read again, and to know what came of it.
pub(crate) type Request = oneshot::Sender<Reloaded>;

/// See the module.
pub(crate) struct Desk {
    file: PathBuf,
    is_editable: bool,
    requests: mpsc::Sender<Request>,
    /// One replacement at a time.
    writing: tokio::sync::Mutex<()>,
    needs_restart: Mutex<Vec<String>>,
}

impl Desk {
    pub(crate) fn new(config: &Config) -> (Self, mpsc::Receiver<Request>) {
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        let desk = Self {
            file: config.file.clone(),
            is_editable: config.admin.edit_config,
            requests,
            writing: tokio::sync::Mutex::default(),
            needs_restart: Mutex::default(),
        };
        (desk, asked)
    }

    /// After each reload, whoever asked for it.
    pub(crate) fn note_reload(&self, needs_restart: &[String]) {
        let mut noted = self.needs_restart.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = needs_restart.to_vec();
    }

    /// `version` = of what is to be in force.
    async fn reload_now(&self, version: String) -> Result<AppliedConfig, ConfigRefused> {
        let failed = |what: &str| ConfigRefused::Failed(what.to_owned());
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(reply).map_err(|_| failed("a reload is going on, or the end is"))?;
        match answer.await {
            Ok(Ok(needs_restart)) => Ok(AppliedConfig { version, needs_restart }),
            Ok(Err(why)) => Err(ConfigRefused::Failed(why)),
            Err(_) => Err(failed("the broker is ending")),
        }
    }

    /// Judges and writes; blocks. Returns the version of what is there now.
    fn write(file: &Path, text: &str, expected: &str) -> Result<String, ConfigRefused> {
        let failed = |error: std::io::Error| {
            let what = format!("{} cannot be read or replaced: {error}", file.display());
            ConfigRefused::Failed(what)
        };
        let old = fs::read(file).map_err(failed)?;
        if version(&old) != expected {
            return Err(ConfigRefused::Changed);
        }
        let old_text = String::from_utf8_lossy(&old);
        let text = shown::unmasked(text, &old_text).map_err(|key| {
            let what = "is a mask that stands for nothing: there was no such setting".to_owned();
            ConfigRefused::Faulty(vec![ConfigFault { line: 1, key, value: String::new(), what }])
        })?;
        let syntax = syntax(&text);
        if !syntax.is_empty() {
            return Err(ConfigRefused::Faulty(syntax));
        }
        // First: what a new reference names must not even be read.
        let guarded = shown::guarded_changes(&text, &old_text);
        if !guarded.is_empty() {
            let keys = guarded.join(", ");
            return Err(ConfigRefused::Forbidden(format!(
                "not by the API, only in the file: {keys}"
            )));
        }
        let faults = faults(file, &text);
        if !faults.is_empty() {
            return Err(ConfigRefused::Faulty(faults));
        }
        let mut copy = file.as_os_str().to_owned();
        copy.push(".bak");
        atomic_file::replace(Path::new(&copy), &old).map_err(failed)?;
        atomic_file::replace(file, text.as_bytes()).map_err(failed)?;
        Ok(version(text.as_bytes()))
    }
}

impl ConfigManager for Desk {
    fn show(&self) -> Result<ShownConfig, String> {
        let shown_file = self.file.display().to_string();
        let bytes = fs::read(&self.file).map_err(|error| format!("{shown_file}: {error}"))?;
        let text = String::from_utf8_lossy(&bytes);
        let masked = shown::masked(&text)
            .ok_or_else(|| format!("{shown_file} is no TOML any more, and is not shown"))?;
        let set = shown::leaves(&text).unwrap_or_default();
        let mut settings: Vec<_> = set.iter().map(|leaf| setting(leaf, &text, true)).collect();
        let defaults = shown::leaves(REFERENCE).unwrap_or_default();
        let others = defaults
            .iter()
            .filter(|leaf| leaf.has_default() && !set.iter().any(|known| known.key == leaf.key));
        settings.extend(others.map(|leaf| setting(leaf, REFERENCE, false)));
        let needs_restart = self.needs_restart.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(ShownConfig {
            file: shown_file,
            version: version(&bytes),
            text: masked,
            settings,
            needs_restart: needs_restart.clone(),
        })
    }

    fn check(&self, text: &str) -> Vec<ConfigFault> {
        let old = fs::read_to_string(&self.file).unwrap_or_default();
        match shown::unmasked(text, &old) {
            Ok(text) => {
                let syntax = syntax(&text);
                if !syntax.is_empty() {
                    return syntax;
                }
                // A text of somebody else must not have files and variables read for it.
                let refers = shown::new_references(&text, &old);
                if refers.is_empty() {
                    return faults(&self.file, &text);
                }
                let what = "refers to a file or a variable that the configuration does not: only \
                            portcullis check, on the machine itself, can say whether it is good";
                refers
                    .into_iter()
                    .map(|key| ConfigFault {
                        line: 1,
                        key,
                        value: String::new(),
                        what: what.to_owned(),
                    })
                    .collect()
            }
            Err(key) => {
                let what = "is a mask that stands for nothing".to_owned();
                vec![ConfigFault { line: 1, key, value: String::new(), what }]
            }
        }
    }

    fn replace(
        &self,
        text: String,
        expected: String,
    ) -> BoxFuture<'_, Result<AppliedConfig, ConfigRefused>> {
        Box::pin(async move {
            if !self.is_editable {
                let why = "the configuration is not to be changed by the API: [admin] edit_config";
                return Err(ConfigRefused::Forbidden(why.to_owned()));
            }
            let _turn = self.writing.lock().await;
            let file = self.file.clone();
            let written = tokio::task::spawn_blocking(move || Self::write(&file, &text, &expected));
            let version =
                written.await.map_err(|error| ConfigRefused::Failed(error.to_string()))??;
            self.reload_now(version).await.map_err(|refused| match refused {
                ConfigRefused::Failed(why) => {
                    ConfigRefused::Failed(format!("the file is replaced, but not in force: {why}"))
                }
                refused => refused,
            })
        })
    }

    fn reload(&self) -> BoxFuture<'_, Result<AppliedConfig, ConfigRefused>> {
        Box::pin(async move {
            let file = self.file.clone();
            let read = tokio::task::spawn_blocking(move || fs::read(file)).await;
            let bytes = read.map_err(std::io::Error::other).flatten().map_err(|error| {
                let file = self.file.display();
                ConfigRefused::Failed(format!("{file} cannot be read: {error}"))
            })?;
            self.reload_now(version(&bytes)).await
        })
    }
}

fn setting(leaf: &shown::Leaf, text: &str, is_set: bool) -> ShownSetting {
    let value = leaf.shown(text).to_owned();
    ShownSetting { key: leaf.key.clone(), value, is_set, is_live: leaf.is_live() }
}

fn syntax(text: &str) -> Vec<ConfigFault> {
    let faults = shown::syntax_faults(text).into_iter();
    let fault = |(line, what)| {
        let (key, value) = (String::new(), String::new());
        ConfigFault { line, key, value, what }
    };
    faults.map(fault).collect()
}

fn faults(file: &Path, text: &str) -> Vec<ConfigFault> {
    Config::faults_in(file, text).into_iter().map(ConfigFault::from).collect()
}

impl From<Problem> for ConfigFault {
    fn from(problem: Problem) -> Self {
        let Problem { line, key, value, what } = problem;
        // What is quoted may be a secret that the caller did not write.
        let value = if shown::quotes_secret(&key) { String::new() } else { value };
        Self { line, key, value, what }
    }
}

fn version(bytes: &[u8]) -> String {
    let digest = plugin_host::sha256(bytes);
    digest.chars().take(32).collect()
}

/// Every key with its default.
const REFERENCE: &str = include_str!("../../../docs/configure/reference.toml");
/// Reloads that wait.
const REQUESTS_MAX: usize = 4;

#[cfg(test)]
mod tests;
