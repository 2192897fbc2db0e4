//! What is known about a broker and its machine; nothing of what to think of it.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::SystemTime};

use ipnet::IpNet;

/// Everything that was found. What is `None` could not be looked at, or is not there to be.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) configured: Option<Configured>,
    pub(super) running: Option<Result<Running, NotRunning>>,
    pub(super) system: System,
}

/// A configuration and the files that it names.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) file: PathBuf,
    /// What is wrong with it, a sentence each.
    pub(super) faults: Vec<String>,
    /// `None` where it is too broken to look further.
    pub(super) parts: Option<Parts>,
}

/// What a configuration that could be read leads to.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) listeners: Vec<Listener>,
    pub(super) admin: Option<IpAddr>,
    pub(super) metrics_open: bool,
    /// Roles that may everything.
    pub(super) mighty_roles: Vec<String>,
    pub(super) sys: bool,
    /// Connections that it asks for.
    pub(super) connections: Option<usize>,
    /// `fsync`, `os` or `memory`.
    pub(super) durability: &'static str,
    pub(super) store: PathBuf,
    pub(super) free_bytes_min: u64,
    pub(super) disk: Option<Disk>,
    pub(super) landlock: bool,
    /// Who owns the data folder, if it is there.
    pub(super) owner: Option<u32>,
    /// What is wrong with modes and owners of files.
    pub(super) modes: Vec<String>,
    /// Files with secrets that others can read.
    pub(super) open_secrets: Vec<String>,
    /// The latest change of a file of the broker.
    pub(super) newest: Option<SystemTime>,
    pub(super) plugins: Vec<Plugin>,
    /// Whether signatures of plugins are looked at.
    pub(super) trusted_keys: bool,
    pub(super) passwords: Vec<TextFile>,
    pub(super) rules: Vec<TextFile>,
    pub(super) certificates: Vec<Certificate>,
}

/// One `[[listeners]]`.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) transport: String,
    /// `None` = a socket file.
    pub(super) address: Option<IpAddr>,
    pub(super) encrypted: bool,
    /// Whose PROXY headers are believed.
    pub(super) trusted: Vec<IpNet>,
    /// Whether web pages of every origin may connect.
    pub(super) any_origin: bool,
}

/// Where the store is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disk {
    pub(super) free_bytes: u64,
    pub(super) total_bytes: u64,
    /// Gone with the machine's power.
    pub(super) in_memory: bool,
}

/// A component of the plugin folder.
#[derive(Clone, Debug)]
pub(super) struct Plugin {
    pub(super) name: String,
    pub(super) manifest: toml::Table,
    /// Why it would not be live.
    pub(super) problems: Vec<String>,
    /// Whether a signature lies beside it.
    pub(super) signed: bool,
}

/// A file with lines that are judged.
#[derive(Clone, Debug)]
pub(super) struct TextFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A certificate of a listener.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) path: PathBuf,
    /// When it ends, or why that is not known.
    pub(super) not_after: Result<SystemTime, String>,
}

/// Why a running broker could not be asked.
#[derive(Clone, Debug)]
pub(super) struct NotRunning {
    pub(super) what: String,
    /// Whether the operator said that there is one.
    pub(super) expected: bool,
}

/// What a running broker says of itself.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) url: String,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// Name of each listener, and why it does not accept.
    pub(super) listeners: BTreeMap<String, Option<String>>,
    /// Name, state and error of plugins that are not live.
    pub(super) ill_plugins: Vec<String>,
    /// Whether some chain has a link beside deny-all.
    pub(super) has_links: bool,
    /// Its limit of open files.
    pub(super) descriptors: Option<u64>,
}

/// The machine.
#[derive(Debug)]
pub(super) struct System {
    pub(super) now: SystemTime,
    /// The limit of open files that a broker of this user would have.
    pub(super) descriptors: u64,
    pub(super) somaxconn: Option<u64>,
    pub(super) syn_cookies: Option<u64>,
    /// Whether the kernel has Landlock switched on, if it says.
    pub(super) landlock: Option<bool>,
}
