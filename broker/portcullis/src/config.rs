//! The configuration file: one TOML file becomes one [`Config`], or the list of everything that is
//! wrong with it.
//!
//! Owns the names of the keys, their ranges and defaults (DESIGN sections 4 and 9). The parts that
//! belong to a crate are built as that crate's own types; `service.rs` hands them on.
//! `docs/configure/reference.toml` lists every key and is compared with this module by a test.

mod document;
mod files;
mod limits;
mod listeners;
mod observe;
mod otlp;
mod paths;
mod problem;
mod secrets;
mod services;
pub(crate) mod shown;
mod sources;
mod spelling;
mod store;
mod table;
mod tls;
mod transport;
mod unit;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use plugin_host::Sources;
use server::{ClientIdFrom, ProtocolVersions, PublishDenied, SysConfig};

use self::{
    document::{Document, Environment},
    table::Table,
};
pub(crate) use self::{
    limits::Limits,
    listeners::{Chain, Listener},
    observe::Observe,
    paths::{NamedPath, named_paths},
    problem::{Problem, Problems},
    services::{Admin, DecisionsConfig, Plugins, Process},
    sources::given,
    store::Store,
};
use crate::{failure::Failure, otlp::OtlpConfig};

/// A whole and valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// The file it came from, absolute.
    pub(crate) file: PathBuf,
    /// Folder of everything the broker itself writes.
    pub(crate) data_dir: PathBuf,
    /// What happens to a PUBLISH of a 3.1.1 client that is not permitted.
    pub(crate) publish_denied: PublishDenied,
    /// Whether retained messages are withheld once their publisher might no longer publish them.
    pub(crate) check_retain_source: bool,
    /// Where the client identifier of a session comes from.
    pub(crate) client_id_from: ClientIdFrom,
    /// The protocol versions that are served.
    pub(crate) protocol_versions: ProtocolVersions,
    /// At least one.
    pub(crate) listeners: Vec<Listener>,
    /// The plugin folder and the default chain.
    pub(crate) plugins: Plugins,
    /// The admin API.
    pub(crate) admin: Admin,
    /// Days that the audit log goes back.
    pub(crate) audit_keep_days: u64,
    /// What the process gives up at its start.
    pub(crate) process: Process,
    /// What survives the process.
    pub(crate) store: Store,
    /// Sizes, counts and rates.
    pub(crate) limits: Limits,
    /// What the broker publishes about itself.
    pub(crate) sys: SysConfig,
    /// Decisions that are kept, of each kind.
    pub(crate) decisions: DecisionsConfig,
    /// What is kept of events.
    pub(crate) observe: Observe,
    /// Where metrics and spans are sent; `None` = nowhere.
    pub(crate) otlp: Option<OtlpConfig>,
    /// Secrets, keys and token verifiers for plugins.
    pub(crate) sources: Sources,
}

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Config {
    /// Reads a file with the variables of the process environment.
    pub(crate) fn load(file: &Path) -> Result<Self, Problems> {
        let (config, problems) = Self::load_readable(file);
        match config {
            Some(config) if problems.problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }

    /// As [`Self::load`] for looking further than the first kind of fault: what could be read, with
    /// defaults in the place of what is wrong, and everything that is.
    pub(crate) fn load_readable(file: &Path) -> (Option<Self>, Problems) {
        let (config, problems) = match read(file) {
            Ok(text) => {
                let (config, problems, _) =
                    Self::read(file, &text, &|name| std::env::var(name).ok());
                (config, problems)
            }
            Err(error) => {
                let what = format!("cannot be read: {error}");
                let problem = Problem { line: 1, key: String::new(), value: String::new(), what };
                (None, vec![problem])
            }
        };
        (config, Problems::new(file.to_owned(), problems))
    }

    /// As [`Self::load`] for commands: prints every problem on a line of its own.
    pub(crate) fn load_or_report(file: &Path) -> Result<Self, Failure> {
        Self::load(file).map_err(|problems| {
            eprintln!("{problems}");
            let count = problems.problems.len();
            let word = if count == 1 { "problem" } else { "problems" };
            Failure::Refused(format!("{}: {count} {word}", file.display()))
        })
    }

    /// Whether `text` is a valid configuration, and what is wrong with it.
    pub(crate) fn faults(text: &str) -> (bool, Vec<String>) {
        let file = Path::new("/nowhere/portcullis.toml");
        let (config, problems, _) = Self::read(file, text, &|_| None);
        let valid = config.is_some() && problems.is_empty();
        let problems = problems
            .into_iter()
            .map(|problem| Problems::new(file.to_owned(), vec![problem]).to_string());
        (valid, problems.collect())
    }

    /// Reads `text` as if it stood in `file`; relative paths start at the folder of `file`.
    #[cfg(test)]
    pub(crate) fn parse(
        file: &Path,
        text: &str,
        environment: Environment<'_>,
    ) -> Result<Self, Problems> {
        let (config, problems, _) = Self::read(file, text, environment);
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(Problems::new(file.to_owned(), problems)),
        }
    }

    /// As [`Self::load_readable`], of a text that is to stand in `file`.
    pub(crate) fn read_text(file: &Path, text: &str) -> (Option<Self>, Problems) {
        let (config, problems, _) = Self::read(file, text, &|name| std::env::var(name).ok());
        (config, Problems::new(file.to_owned(), problems))
    }

    /// `text`, which stands in `file`, with a reference to nothing in the place of each secret. What is secret already
    /// stands elsewhere (`${env:NAME}`, `file:PATH`) stays as it is.
    ///
    /// # Errors
    /// The text is faulty: nobody knows where its secrets stand.
    pub(crate) fn without_secrets(file: &Path, text: &str) -> Result<String, String> {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let folder = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        let environment = |name: &str| std::env::var(name).ok();
        let document = Document::new(text, folder.clone(), &environment);
        let config = Self::build(absolute, &folder, document.root());
        let secrets = document.secrets();
        let (problems, _) = document.into_parts();
        match (config, problems.is_empty()) {
            (Some(_), true) => Ok(secrets::strip(text, &secrets)),
            _ => Err("it is faulty, so that nobody knows where its secrets stand".to_owned()),
        }
    }

    /// Whether a TOML text has comments.
    pub(crate) fn has_comments(text: &str) -> bool {
        secrets::has_comments(text)
    }

    /// What is wrong with `text`, if it stood in `file`.
    pub(crate) fn faults_in(file: &Path, text: &str) -> Vec<Problem> {
        let environment = |name: &str| std::env::var(name).ok();
        let (config, problems, _) = Self::read(file, text, &environment);
        let mut problems = Problems::new(file.to_owned(), problems).problems;
        if text.len() as u64 > FILE_BYTES_MAX || config.is_none() && problems.is_empty() {
            let what = format!("is no configuration, or has over {FILE_BYTES_MAX} bytes");
            problems.push(Problem { line: 1, key: String::new(), value: String::new(), what });
        }
        problems
    }

    /// The configuration if it could be built at all, every fault, and every key that was looked
    /// for.
    fn read(
        file: &Path,
        text: &str,
        environment: Environment<'_>,
    ) -> (Option<Self>, Vec<Problem>, Vec<String>) {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let folder = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        let document = Document::new(text, folder.clone(), environment);
        let config = Self::build(absolute, &folder, document.root());
        let (problems, keys) = document.into_parts();
        (config, problems, keys)
    }

    fn build(file: PathBuf, folder: &Path, mut root: Table<'_>) -> Option<Self> {
        let data_dir = root.required("data_dir", "the folder for what the broker writes is needed");
        let data_dir = data_dir.map(|path| folder.join(path.value));
        let publish_denied = root.choice(
            "publish_denied",
            &[
                ("acknowledge", PublishDenied::Acknowledge),
                ("disconnect", PublishDenied::Disconnect),
            ],
            PublishDenied::Acknowledge,
        );
        let check_retain_source = root.boolean("check_retain_source", true);
        let client_id_from = root.choice(
            "client_id_from",
            &[("connect", ClientIdFrom::Connect), ("principal", ClientIdFrom::Principal)],
            ClientIdFrom::Connect,
        );
        let protocol_versions = read_protocol_versions(&root);
        let folders = (folder, data_dir.as_deref());
        let listeners = listeners::read(root.tables("listeners"), &root, folders);
        let admin = services::read_admin(root.table("admin"), folder, &listeners);
        let plugins = services::read_plugins(root.table("plugins"), folder, data_dir.as_deref());
        let audit_keep_days = services::read_audit_keep_days(root.table("audit"));
        let process = services::read_process(root.table("process"));
        let store = store::read(root.table("store"), folder, data_dir.as_deref());
        let limits = limits::read(root.table("limits"));
        let sys = services::read_sys(root.table("sys"));
        let decisions = services::read_decisions(root.table("decisions"));
        let observe = observe::read(&mut root, data_dir.as_deref());
        let otlp = otlp::read(root.table("otlp"), folder);
        let sources = sources::read(&mut root);
        root.finish();
        Some(Self {
            file,
            data_dir: data_dir?,
            publish_denied,
            check_retain_source,
            client_id_from,
            protocol_versions,
            listeners,
            plugins,
            admin,
            audit_keep_days,
            process,
            store,
            limits,
            sys,
            decisions,
            observe,
            otlp,
            sources,
        })
    }

    /// The settings in which `new` differs and which only a restart can change.
    pub(crate) fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let after = self.with_live_part_of(new.clone());
        [
            ("data_dir", after.data_dir != new.data_dir),
            ("listeners", after.listeners != new.listeners),
            ("plugins", after.plugins != new.plugins),
            ("admin", after.admin != new.admin),
            ("audit", after.audit_keep_days != new.audit_keep_days),
            ("process", after.process != new.process),
            ("store", after.store != new.store),
            ("otlp", after.otlp != new.otlp),
            ("access_log", after.observe.access_log != new.observe.access_log),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }

    /// This configuration with what `new` says about the settings that can change while running.
    pub(crate) fn with_live_part_of(&self, new: Self) -> Self {
        let mut listeners = self.listeners.clone();
        for listener in &mut listeners {
            if let Some(same) = new.listeners.iter().find(|l| l.name == listener.name) {
                listener.chain = same.chain.clone();
                if let (Some(tls), Some(new)) = (&mut listener.tls, &same.tls) {
                    *tls = Arc::clone(new);
                }
                listener.rules = same.rules.clone();
            }
        }
        Self {
            publish_denied: new.publish_denied,
            check_retain_source: new.check_retain_source,
            client_id_from: new.client_id_from,
            protocol_versions: new.protocol_versions,
            limits: new.limits,
            sys: new.sys,
            decisions: new.decisions,
            observe: Observe { history: new.observe.history, ..self.observe.clone() },
            sources: new.sources,
            listeners,
            plugins: Plugins { chain: new.plugins.chain, ..self.plugins.clone() },
            admin: Admin { chain: new.admin.chain, ..self.admin.clone() },
            ..self.clone()
        }
    }
}

/// All versions, unless the file names those that it wants.
fn read_protocol_versions(root: &Table<'_>) -> ProtocolVersions {
    let key = "protocol_versions";
    let Some(named) = root.strings(key) else {
        return ProtocolVersions::default();
    };
    let mut versions = ProtocolVersions { v3_1: false, v3_1_1: false, v5_0: false };
    if named.is_empty() {
        root.refuse_missing(key, "names no version: nobody could connect");
    }
    for version in named {
        match version.value.as_str() {
            "3.1" => versions.v3_1 = true,
            "3.1.1" => versions.v3_1_1 = true,
            "5.0" => versions.v5_0 = true,
            _ => {
                let what = "is not known, allowed: 3.1 | 3.1.1 | 5.0".to_owned();
                root.refuse(key, &version.span, what);
            }
        }
    }
    versions
}

fn read(file: &Path) -> io::Result<String> {
    let length = fs::metadata(file)?.len();
    if length > FILE_BYTES_MAX {
        let what = format!("it has {length} bytes, allowed: at most {FILE_BYTES_MAX}");
        return Err(io::Error::other(what));
    }
    fs::read_to_string(file)
}

#[cfg(test)]
mod tests;
