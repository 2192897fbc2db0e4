//! What the benches share: a client as the gate sees it, and a folder with the bundled plugins.
//!
//! The benches measure; they never fail on a time. What must hold is in the tests.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use access::{Activity, Condition, Effect, QoSSet};
use access::{Connection, Credentials, Identity, Password, Rule, Subject};
use codec::ProtocolVersion;

/// Loopback, some port.
pub const REMOTE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000);

/// A connection of `device-7`.
pub fn connection() -> Connection {
    Connection {
        connection_id: 7,
        client_id: Arc::from("device-7"),
        username: Some("hans".to_owned()),
        listener: Arc::from("mqtt"),
        remote: REMOTE,
        protocol: ProtocolVersion::V5,
        tls: None,
        attributes: Vec::new(),
    }
}

/// What it offers as proof.
pub fn credentials() -> Credentials {
    Credentials {
        password: Some(Password::new(b"letmein".to_vec())),
        clean_start: true,
        keep_alive_seconds: 60,
        user_properties: Vec::new(),
        will: None,
    }
}

/// The same client, authenticated.
pub fn subject() -> Subject {
    let identity = Identity {
        principal: Arc::from("hans"),
        authenticated_by: Arc::from("bench"),
        groups: Vec::new(),
        attributes: Vec::new(),
        expires_at_unix: None,
        session_expiry_seconds_max: None,
        permissions: Vec::new(),
        limits: access::ClientLimits::default(),
        user_properties: Vec::new(),
    };
    Subject::new(&connection(), Arc::new(identity))
}

/// A hundred rules as an operator writes them: literal topics, subtrees, per-client patterns, a few denials.
pub fn hundred_rules() -> Vec<Rule> {
    (0..100)
        .map(|n| {
            let filter = match n % 4 {
                0 => format!("plant/{n}/state"),
                1 => format!("line-{n}/#"),
                2 => format!("device/${{clientid}}/{n}/+/value"),
                _ => format!("+/alarm/{n}"),
            };
            Rule {
                effect: if n % 10 == 9 { Effect::Deny } else { Effect::Allow },
                activity: Activity { publish: true, subscribe: true },
                filter,
                qos: QoSSet::ALL,
                retain: Condition::Any,
                shared: Condition::Any,
                share_name: None,
            }
        })
        .collect()
}

/// The folder of the bundled plugins.
pub fn prebuilt() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/prebuilt")
}

/// A plugin folder below `dir` with the named bundled plugins, each with a manifest.
///
/// # Errors
/// What the file system says.
pub fn plugin_folder(dir: &Path, plugins: &[(&str, &str)]) -> std::io::Result<PathBuf> {
    let folder = dir.join("plugins");
    std::fs::create_dir_all(&folder)?;
    for (name, manifest) in plugins {
        let wasm = prebuilt().join(format!("{name}.wasm"));
        std::fs::copy(wasm, folder.join(format!("{name}.wasm")))?;
        std::fs::write(folder.join(format!("{name}.toml")), manifest)?;
    }
    Ok(folder)
}

/// Settings for a host over such a folder.
pub fn host_config(dir: &Path, folder: &Path) -> plugin_host::Config {
    let mut config = plugin_host::Config::new(folder, dir.join("data"));
    config.file_roots.push(dir.to_path_buf());
    config.listener_chains = BTreeMap::new();
    config
}
