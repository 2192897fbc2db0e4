//! `[plugins]`, `[admin]` and `[sys]`: the plugin folder, the HTTP API and the topics `$SYS/...`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use admin::{OidcConfig, Roles};
use plugin_host::Trust;
use server::SysConfig;

use super::{
    document::At,
    files,
    listeners::{self, Chain, Listener},
    table::Table,
    unit::Unit,
};

/// The plugin folder and the default chain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plugins {
    /// The hot-drop folder.
    pub(crate) dir: At<PathBuf>,
    /// The default chain; `None` = every enabled plugin by order, then name.
    pub(crate) chain: Option<Chain>,
    /// Folders that `[files]` of manifests may point into.
    pub(crate) file_roots: Vec<PathBuf>,
    /// Whether a component without a manifest stays out.
    pub(crate) require_manifest: bool,
    /// Whether a version that asks for more than its predecessor waits for an admin.
    pub(crate) require_approval: bool,
    /// Whose plugins are loaded.
    pub(crate) trust: Arc<Trust>,
    /// How long a verified password is remembered; `None` = not at all.
    pub(crate) password_cache: Option<Duration>,
}

/// The admin API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Admin {
    /// Address; port 0 = any free port.
    pub(crate) bind: SocketAddr,
    /// Whether `/metrics` needs no token.
    pub(crate) metrics_open: bool,
    /// Whether `bind` may be reachable from other machines.
    pub(crate) allow_remote: bool,
    /// Names, beside localhost, loopback addresses and the one of `bind`, by which requests may
    /// address the API. At least one where other machines reach it.
    pub(crate) names: Vec<String>,
    /// Plugins that judge logins; empty = nobody logs in.
    pub(crate) chain: Chain,
    /// What roles permit.
    pub(crate) roles: Roles,
    /// Whether the API may replace the configuration file.
    pub(crate) edit_config: bool,
    /// Longest time that a login lasts.
    pub(crate) login_ttl: Duration,
    /// Longest time between two requests of a login.
    pub(crate) login_idle: Duration,
    /// The identity provider, if there is one.
    pub(crate) oidc: Option<OidcConfig>,
}

/// What the process gives up at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Whether files that the configuration does not need are out of reach.
    pub(crate) landlock: bool,
}

/// Least and most days that the audit log goes back.
const AUDIT_KEEP_DAYS: RangeInclusive<u64> = 1..=3_650;

/// Reads `[audit]`: how many days the audit log goes back.
pub(super) fn read_audit_keep_days(table: Table<'_>) -> u64 {
    let default = admin::Config::AUDIT_KEEP_DAYS;
    let days = table.number("keep_days", Unit::Count, AUDIT_KEEP_DAYS, default);
    table.finish();
    days
}

/// Reads `[process]`.
pub(super) fn read_process(table: Table<'_>) -> Process {
    let process = Process { landlock: table.boolean("landlock", true) };
    table.finish();
    process
}

/// Port of the admin API when nothing is said.
const ADMIN_PORT: u16 = 9883;

/// Reads `[plugins]`. `data_dir` is missing when it was at fault itself.
pub(super) fn read_plugins(table: Table<'_>, folder: &Path, data_dir: Option<&Path>) -> Plugins {
    let dir = match table.string("dir") {
        Some(dir) => table.at(folder.join(dir.value), Some(&dir.span)),
        None => table.at(data_dir.unwrap_or(folder).join("plugins"), None),
    };
    let roots = table
        .strings("file_roots")
        .map(|roots| roots.into_iter().map(|root| folder.join(root.value)).collect());
    let plugins = Plugins {
        chain: listeners::read_chain(&table),
        file_roots: roots.unwrap_or_else(|| vec![folder.to_owned(), dir.value.clone()]),
        require_manifest: table.boolean("require_manifest", false),
        require_approval: table.boolean("require_approval", true),
        trust: Arc::new(read_trust(&table, folder)),
        password_cache: read_password_cache(&table),
        dir,
    };
    table.finish();
    plugins
}

fn read_password_cache(table: &Table<'_>) -> Option<Duration> {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let default = milliseconds(plugin_host::Config::PASSWORD_CACHE);
    let kept = table.number_off_or("password_cache", Unit::Time, 10_000..=3_600_000, default);
    kept.map(Duration::from_millis)
}

/// Whose signatures count, and which files are pinned.
fn read_trust(table: &Table<'_>, folder: &Path) -> Trust {
    let mut keys = Vec::new();
    for file in table.strings("trusted_keys").unwrap_or_default() {
        let read = files::read_text(&folder.join(&file.value)).map_err(|error| error.to_string());
        let checked = read.and_then(|pem| {
            Trust::new(std::slice::from_ref(&pem), false, BTreeMap::new()).map(|_| pem)
        });
        match checked {
            Ok(pem) => keys.push(pem),
            Err(error) => table.refuse("trusted_keys", &file.span, error),
        }
    }
    let mut pins = BTreeMap::new();
    for pin in table.strings("pins").unwrap_or_default() {
        match pin.value.split_once(':') {
            Some((name, hash))
                if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                pins.insert(name.to_owned(), hash.to_owned());
            }
            _ => {
                let what = "must be NAME:HASH, the SHA-256 of NAME.wasm in 64 hexadecimal digits";
                table.refuse("pins", &pin.span, what.to_owned());
            }
        }
    }
    let required = table.boolean("require_signature", false);
    Trust::new(&keys, required, pins).unwrap_or_else(|error| {
        table.refuse_missing("trusted_keys", &error);
        Trust::default()
    })
}

/// Reads `[admin]`.
pub(super) fn read_admin(mut table: Table<'_>, folder: &Path, listeners: &[Listener]) -> Admin {
    let allow_remote = table.boolean("allow_remote", false);
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
    let text = table.string("bind");
    let located = text.and_then(|text| listeners::read_address(&table, "bind", &text));
    if let Some(bind) = &located {
        if !bind.value.ip().is_loopback() && !allow_remote {
            let what = "is reachable from other machines and the API is not encrypted, allowed: \
                        127.0.0.0/8 or [::1], or any address with allow_remote = true";
            table.refuse("bind", &bind.span, what.to_owned());
        }
        let is_taken = |l: &Listener| l.transport.place().socket() == Some(bind.value);
        if bind.value.port() != 0 && listeners.iter().any(is_taken) {
            table.refuse("bind", &bind.span, "is the address of a listener".to_owned());
        }
    }
    let names = table.strings("names").unwrap_or_default();
    for name in &names {
        if !is_host_name(&name.value) {
            let what = "is not a host name, allowed: 1 to 253 of letters, digits, '-' and '.', \
                        or an IP address";
            table.refuse("names", &name.span, what.to_owned());
        }
    }
    // Without names every name would do, also one that a foreign web page made point here.
    let remote = located.as_ref().is_some_and(|bind| !bind.value.ip().is_loopback());
    if remote && allow_remote && names.is_empty() {
        let what = "other machines reach `bind`, allowed: the host names or IP addresses by which \
                    they do, e.g. names = [\"broker.example\"]";
        table.refuse_missing("names", what);
    }
    let admin = Admin {
        bind: located.map_or(default, |bind| bind.value),
        metrics_open: table.boolean("metrics_open", false),
        allow_remote,
        names: names.into_iter().map(|name| name.value.to_ascii_lowercase()).collect(),
        chain: listeners::read_chain(&table).unwrap_or_default(),
        roles: read_roles(&mut table),
        edit_config: table.boolean("edit_config", false),
        login_ttl: Duration::from_secs(table.number(
            "login_ttl",
            Unit::Seconds,
            LOGIN_TTL,
            admin::Config::LOGIN_TTL.as_secs(),
        )),
        login_idle: Duration::from_secs(table.number(
            "login_idle",
            Unit::Seconds,
            LOGIN_TTL,
            admin::Config::LOGIN_IDLE.as_secs(),
        )),
        oidc: table.optional_table("oidc").and_then(|oidc| read_oidc(oidc, folder)),
    };
    table.finish();
    admin
}

/// Least and most time that a login may last or rest, in seconds.
const LOGIN_TTL: RangeInclusive<u64> = 60..=7 * 24 * 3_600;

/// Reads `[admin.roles.NAME]`.
fn read_roles(table: &mut Table<'_>) -> Roles {
    let mut roles = Roles::default();
    for (name, role) in table.named_tables("roles") {
        listeners::check_name(&role, "", &name);
        let permissions = role.strings("permissions").unwrap_or_default();
        if permissions.is_empty() {
            role.refuse_missing("permissions", "such as permissions = [\"clients:read\"]");
        }
        let names: Vec<_> = permissions.iter().map(|name| name.value.clone()).collect();
        if let Err(what) = roles.add(&name.value, &names) {
            role.refuse_missing("permissions", &what);
        }
        role.finish();
    }
    roles
}

/// Reads `[admin.oidc]`; `None` when it was at fault.
fn read_oidc(mut table: Table<'_>, folder: &Path) -> Option<OidcConfig> {
    let text = |key, default: &str| {
        table.string(key).map_or_else(|| default.to_owned(), |text| text.value)
    };
    let (user_claim, roles_claim) = (text("user_claim", "email"), text("roles_claim", "groups"));
    let scopes = table.strings("scopes").unwrap_or_default();
    let ca = table.string("ca").map(|path| folder.join(path.value));
    let client_secret = table.secret("client_secret").map(|secret| secret.value);
    let issuer = table.required("issuer", "the https address of the provider");
    let client_id = table.required("client_id", "who the broker is at the provider");
    let redirect_url = table.required("redirect_url", "https://HOST/api/v1/login/oidc/callback");
    let mut roles = BTreeMap::new();
    for map in table.tables("map") {
        let value = map.required("value", "a value of the claim that roles_claim names");
        let names = map.strings("roles").unwrap_or_default();
        if names.is_empty() {
            map.refuse_missing("roles", "such as roles = [\"operator\"]");
        }
        map.finish();
        let names: Vec<_> = names.into_iter().map(|name| name.value).collect();
        roles.extend(value.map(|value| (value.value, names)));
    }
    let config = OidcConfig {
        issuer: issuer?.value,
        client_id: client_id?.value,
        client_secret,
        scopes: scopes.into_iter().map(|scope| scope.value).collect(),
        redirect_url: redirect_url?.value,
        user_claim,
        roles_claim,
        roles,
        ca,
    };
    if let Err(error) = config.check() {
        table.refuse_missing(error.key, &error.what);
    }
    table.finish();
    Some(config)
}

/// Least and most time between two looks at the values of `$SYS/...`, in seconds.
const SYS_INTERVAL: RangeInclusive<u64> = 1..=24 * 3_600;

/// Reads `[sys]`.
pub(super) fn read_sys(table: Table<'_>) -> SysConfig {
    let default = SysConfig::default().interval.unwrap_or_default().as_secs();
    let interval = table.number("interval", Unit::Seconds, SYS_INTERVAL, default);
    let enabled = table.boolean("enabled", true);
    table.finish();
    SysConfig { interval: enabled.then(|| Duration::from_secs(interval)) }
}

/// Decisions that are kept of each kind: least and most.
const DECISIONS: RangeInclusive<u64> = 0..=100_000;
const DECISIONS_DEFAULT: u64 = 512;
/// Decisions that are recorded in a second: least and most.
const DECISIONS_PER_SECOND: RangeInclusive<u64> = 1..=1_000_000;
const DECISIONS_PER_SECOND_DEFAULT: u64 = 500;

/// Which decisions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecisionsConfig {
    /// Of each list.
    pub(crate) keep: usize,
    /// With everything that they are made of.
    pub(crate) per_second: u32,
}

/// Reads `[decisions]`.
pub(super) fn read_decisions(table: Table<'_>) -> DecisionsConfig {
    let keep = table.number("keep", Unit::Count, DECISIONS, DECISIONS_DEFAULT);
    let (range, default) = (DECISIONS_PER_SECOND, DECISIONS_PER_SECOND_DEFAULT);
    let per_second = table.number("per_second", Unit::Count, range, default);
    table.finish();
    DecisionsConfig {
        keep: usize::try_from(keep).unwrap_or_default(),
        per_second: u32::try_from(per_second).unwrap_or(u32::MAX),
    }
}

fn is_host_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let is_name = (1..=253).contains(&name.len()) && name.bytes().all(allowed);
    is_name || name.parse::<IpAddr>().is_ok()
}
