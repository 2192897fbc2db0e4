//! A configuration and the files that it leads to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{statfs, statvfs};
use store::Durability;
use toml::{Table, Value};

use super::super::facts::{Certificate, Configured, Disk, Listener, Parts, Plugin, TextFile};
use crate::{check, config::Config, from_here::from_here, keys};

/// What a configuration says of how to reach the running broker.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) url: Option<String>,
    pub(super) token_file: Option<PathBuf>,
}

/// Of a file whose lines are judged.
const TEXT_BYTES_MAX: u64 = 16 << 20;
/// `f_type` of tmpfs and ramfs.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58F6];

pub(super) async fn look(file: &Path, known: &mut Known) -> Configured {
    let (config, problems) = Config::load_readable(file);
    let mut faults: Vec<_> = problems.to_string().lines().map(str::to_owned).collect();
    if let Some(config) = &config {
        faults.extend(keys::look(&config.data_dir, &config.sources));
    }
    let raw = fs::read_to_string(file).ok().and_then(|text| text.parse::<Table>().ok());
    let parts = match (&config, raw) {
        (Some(config), Some(raw)) => {
            if config.admin.bind.port() != 0 {
                known.url = Some(format!("http://{}", from_here(config.admin.bind)));
            }
            known.token_file = Some(config.data_dir.join("admin.token"));
            Some(look_further(config, &raw).await)
        }
        _ => None,
    };
    Configured { file: file.to_owned(), faults, parts }
}

async fn look_further(config: &Config, raw: &Table) -> Parts {
    let names = check::wasm_files(&config.plugins.dir.value).unwrap_or_default();
    let plugins = plugins(config, &names).await;
    let lists = |key: &str| {
        let list = raw.get("plugins").and_then(|table| table.get(key)).and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    };
    let named = |word: &str| files_named(config, &plugins, word);
    Parts {
        listeners: tables(raw, "listeners").map(listener).collect(),
        admin: Some(config.admin.bind.ip()),
        metrics_open: config.admin.metrics_open,
        mighty_roles: mighty_roles(raw),
        sys: config.sys.interval.is_some(),
        connections: config.limits.connections,
        durability: match config.store.durability {
            Some(Durability::Fsync) => "fsync",
            Some(_) => "os",
            None => "memory",
        },
        store: config.store.path.clone(),
        free_bytes_min: config.store.free_bytes_min,
        disk: disk(&config.store.path),
        landlock: config.process.landlock,
        owner: fs::metadata(&config.data_dir).ok().map(|metadata| metadata.uid()),
        modes: check::modes(config, &names),
        open_secrets: open_secrets(config, raw),
        newest: newest(&[&config.data_dir, &config.store.path]),
        trusted_keys: lists("trusted_keys"),
        passwords: named("password"),
        rules: named("acl"),
        certificates: certificates(config),
        plugins,
    }
}

fn tables<'a>(raw: &'a Table, key: &str) -> impl Iterator<Item = &'a Table> + use<'a> {
    raw.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
}

fn listener(table: &Table) -> Listener {
    let text = |key: &str| table.get(key).and_then(Value::as_str).unwrap_or_default();
    let transport = if text("transport").is_empty() { "tcp" } else { text("transport") };
    let trusted = table.get("proxy_protocol").and_then(|proxy| proxy.get("trusted"));
    let trusted = trusted.and_then(Value::as_array).into_iter().flatten();
    let range = |range: &Value| {
        let text = range.as_str()?;
        text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(Into::into))
    };
    Listener {
        name: text("name").to_owned(),
        transport: transport.to_owned(),
        address: text("bind").parse::<SocketAddr>().ok().map(|address| address.ip()),
        encrypted: matches!(transport, "tls" | "wss"),
        trusted: trusted.filter_map(range).collect(),
        any_origin: !table.contains_key("origins"),
    }
}

/// Those that listeners show, each file once.
fn certificates(config: &Config) -> Vec<Certificate> {
    let tls = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let ends: BTreeMap<_, _> = tls.flat_map(|tls| server::certificate_ends(tls)).collect();
    let at = |end: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(end);
    let certificate =
        |(path, end): (_, Result<u64, _>)| Certificate { path, not_after: end.map(at) };
    ends.into_iter().map(certificate).collect()
}

fn mighty_roles(raw: &Table) -> Vec<String> {
    let roles = raw.get("admin").and_then(|admin| admin.get("roles")).and_then(Value::as_table);
    let all = |role: &Value| {
        let permissions = role.get("permissions").and_then(Value::as_array);
        permissions.into_iter().flatten().any(|name| name.as_str() == Some("*"))
    };
    let roles = roles.into_iter().flatten().filter(|(_, role)| all(role));
    roles.map(|(name, _)| name.clone()).collect()
}

async fn plugins(config: &Config, names: &BTreeSet<String>) -> Vec<Plugin> {
    let dir = &config.plugins.dir.value;
    let mut found = Vec::new();
    for name in names {
        let manifest = fs::read_to_string(dir.join(format!("{name}.toml")));
        let manifest = manifest.ok().and_then(|text| text.parse().ok());
        found.push(Plugin {
            name: name.clone(),
            manifest: manifest.unwrap_or_default(),
            problems: check::plugin_problems(config, name).await,
            signed: dir.join(format!("{name}.sig")).is_file(),
        });
    }
    found
}

/// Files whose name in a manifest has this word in it.
fn files_named(config: &Config, plugins: &[Plugin], word: &str) -> Vec<TextFile> {
    let mut paths = BTreeSet::new();
    for plugin in plugins {
        let files = plugin.manifest.get("files").and_then(Value::as_table).into_iter().flatten();
        for (name, path) in files {
            if let Some(path) = path.as_str().filter(|_| name.contains(word)) {
                paths.insert(config.plugins.dir.value.join(path));
            }
        }
    }
    let read = |path: PathBuf| {
        let mut text = String::new();
        let file = fs::File::open(&path).ok()?;
        file.take(TEXT_BYTES_MAX).read_to_string(&mut text).ok()?;
        Some(TextFile { path, text })
    };
    paths.into_iter().filter_map(read).collect()
}

/// Keys whose value is a secret.
const SECRETS: [&str; 4] = ["value", "password", "bind_password", "secret"];

fn open_secrets(config: &Config, raw: &Table) -> Vec<String> {
    let folder = config.file.parent().unwrap_or_else(|| Path::new("/"));
    let mut found = BTreeSet::new();
    let mut open: Vec<(&str, &Value)> =
        raw.iter().map(|(key, value)| (key.as_str(), value)).collect();
    while let Some((key, value)) = open.pop() {
        match value {
            Value::Table(table) => {
                open.extend(table.iter().map(|(key, value)| (key.as_str(), value)))
            }
            Value::Array(items) => open.extend(items.iter().map(|item| (key, item))),
            Value::String(text) if SECRETS.contains(&key) => {
                let Some(path) = text.strip_prefix("file:") else { continue };
                let path = folder.join(path);
                let mode = fs::metadata(&path).map(|metadata| metadata.mode() & 0o7777);
                if let Ok(mode) =
                    mode.map_err(drop).and_then(|m| (m & 7 != 0).then_some(m).ok_or(()))
                {
                    found.insert(format!(
                        "{}: mode {mode:04o}: everybody can use it",
                        path.display()
                    ));
                }
            }
            _ => {}
        }
    }
    found.into_iter().collect()
}

/// Of the file system that the folder is in, or will be.
fn disk(folder: &Path) -> Option<Disk> {
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let space = statvfs(there).ok()?;
    let kind = statfs(there).ok()?.f_type;
    Some(Disk {
        free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
        total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
        in_memory: IN_MEMORY.contains(&kind),
    })
}

/// When one of the files in these folders was written last.
fn newest(folders: &[&Path]) -> Option<SystemTime> {
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    entries.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok()).max()
}
