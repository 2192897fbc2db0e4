//! What the admin API is told from outside: its settings, and whom it may ask.
//!
//! Knows nothing of configuration files; `portcullis` fills it.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use access::{Gate, PluginManager};
use server::BrokerHandle;
use telemetry::{Metrics, Records};

use crate::{BackupMaker, ConfigManager, KeyManager, OidcConfig, Roles};

/// Settings of the admin API.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 = any free port.
    pub bind: SocketAddr,
    /// File of the bearer token, `DATA_DIR/admin.token`. Made with mode 0600 when it is not there;
    /// its folder must be.
    pub token_file: PathBuf,
    /// Folder of users, roles and tokens, `DATA_DIR/admin`. Made with mode 0700 when it is not there;
    /// its folder must be.
    pub folder: PathBuf,
    /// Folder of the audit log, `DATA_DIR/audit`. Made as the other one.
    pub audit_folder: PathBuf,
    /// Days that the audit log goes back; 1 to 3,650.
    pub audit_keep_days: u64,
    /// Whether `/metrics` needs no token.
    pub metrics_open: bool,
    /// Whether `bind` may be an address that is not loopback. HTTP here is not encrypted: tokens
    /// and answers can be read on the way.
    pub allow_remote: bool,
    /// Names that requests may address the API by, beside `localhost`, loopback addresses and the
    /// one of `bind`. At least one when `bind` is not loopback.
    pub host_names: Vec<String>,
    /// What the roles of those who log in permit.
    pub roles: Roles,
    /// Longest time that a login lasts.
    pub login_ttl: Duration,
    /// Longest time between two requests of a login.
    pub login_idle: Duration,
    /// The identity provider, if there is one.
    pub oidc: Option<OidcConfig>,
}

impl Config {
    /// How long a login lasts when nothing is said.
    pub const LOGIN_TTL: Duration = Duration::from_secs(8 * 3_600);

    /// How far the audit log goes back when nothing is said.
    pub const AUDIT_KEEP_DAYS: u64 = 90;

    /// How long a login may rest when nothing is said.
    pub const LOGIN_IDLE: Duration = Duration::from_secs(30 * 60);

    /// The defaults for these two: `/metrics` with token, loopback only.
    pub fn new(bind: SocketAddr, token_file: PathBuf) -> Self {
        let folder = token_file.with_file_name("admin");
        let audit_folder = token_file.with_file_name("audit");
        Self {
            bind,
            folder,
            audit_folder,
            audit_keep_days: Self::AUDIT_KEEP_DAYS,
            token_file,
            metrics_open: false,
            allow_remote: false,
            host_names: Vec::new(),
            roles: Roles::default(),
            login_ttl: Self::LOGIN_TTL,
            login_idle: Self::LOGIN_IDLE,
            oidc: None,
        }
    }
}

/// One more condition for `/readyz`: its problems as sentences, none = ready. Must not block.
pub type ReadyCheck = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// Whom the admin API asks.
pub struct AdminState {
    /// The broker.
    pub broker: Arc<dyn BrokerHandle>,
    /// The plugins.
    pub plugins: Arc<dyn PluginManager>,
    /// The key rings.
    pub keys: Arc<dyn KeyManager>,
    /// Who makes backups.
    pub backups: Arc<dyn BackupMaker>,
    /// The configuration file.
    pub config: Arc<dyn ConfigManager>,
    /// The chains in force.
    pub gate: Arc<Gate>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// What is kept of events.
    pub records: Records,
    /// Further conditions for `/readyz`.
    pub ready_checks: Vec<ReadyCheck>,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").finish_non_exhaustive()
    }
}
