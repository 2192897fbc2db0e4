//! `[[listeners]]`: where clients connect, and through which chain.

use std::{collections::HashSet, net::SocketAddr, path::Path, sync::Arc};

use server::{ListenerRules, ProxyProtocol, TlsConfig, Transport};

use super::{
    document::{At, Located},
    table::Table,
    transport,
    unit::Unit,
};

/// Names of plugins, in the order in which they are asked.
pub(crate) type Chain = Vec<At<String>>;

/// One listener.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listener {
    /// Unique name: plugins see it and chains belong to it.
    pub(crate) name: String,
    /// What it speaks below MQTT, and where.
    pub(crate) transport: Transport,
    /// Load balancers in front of it.
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// TLS below `transport`.
    pub(crate) tls: Option<Arc<TlsConfig>>,
    /// Its own chain; `None` = the default one.
    pub(crate) chain: Option<Chain>,
    /// Who may come in by it, and how many.
    pub(crate) rules: ListenerRules,
}

/// Longest name of a listener or a plugin, in characters.
const NAME_CHARACTERS_MAX: usize = 64;

/// The link that ends every chain.
const DENY_ALL: &str = "deny-all";

/// Reads all listeners. `root` takes the fault that there is none.
pub(super) fn read(
    tables: Vec<Table<'_>>,
    root: &Table<'_>,
    (folder, data_dir): (&Path, Option<&Path>),
) -> Vec<Listener> {
    if tables.is_empty() {
        root.refuse_missing("listeners", "at least one [[listeners]] with name and bind is needed");
    }
    let mut names = HashSet::new();
    let mut binds = HashSet::new();
    let mut listeners = Vec::new();
    for mut table in tables {
        let name = table.required("name", "each listener needs a name");
        if let Some(name) = &name {
            check_name(&table, "name", name);
            if !names.insert(name.value.clone()) {
                table.refuse("name", &name.span, "is the name of an earlier listener".to_owned());
            }
        }
        let transport = transport::read(&table, folder);
        if let Some(transport) = &transport {
            let place = transport.value.place();
            let any_port = place.socket().is_some_and(|address| address.port() == 0);
            if !any_port && !binds.insert(place) {
                let what = "is the address of an earlier listener".to_owned();
                table.refuse("bind", &transport.span, what);
            }
        }
        let chain = read_chain(&table);
        let rules = read_rules(&table, transport.as_ref().map(|transport| &transport.value));
        let proxy_protocol = transport::read_proxy_protocol(table.optional_table("proxy_protocol"));
        let tls = transport::read_tls(&mut table, folder).map(|tls| {
            // What is fetched outlives the process.
            Arc::new(TlsConfig { cache: data_dir.map(|folder| folder.join("tls")), ..tls })
        });
        table.finish();
        if let (Some(name), Some(transport)) = (name, transport) {
            let (name, transport) = (name.value, transport.value);
            listeners.push(Listener { name, transport, proxy_protocol, tls, chain, rules });
        }
    }
    listeners
}

/// Who may come in. A socket file has its mode for that.
fn read_rules(table: &Table<'_>, transport: Option<&Transport>) -> ListenerRules {
    let ranges = |key| {
        let ranges = table.strings(key)?;
        if matches!(transport, Some(Transport::Unix { .. })) {
            let what = "means nothing here, allowed: only with an address of the network";
            table.refuse_whole(key, what);
        }
        Some(transport::read_ranges(table, key, &ranges))
    };
    let allow = ranges("allow");
    if allow.as_ref().is_some_and(Vec::is_empty) {
        table.refuse_whole("allow", "lets nobody in, allowed: at least one range, or no such key");
    }
    ListenerRules {
        allow,
        deny: ranges("deny").unwrap_or_default(),
        connections: table.number_or_off("connections", Unit::Count, 1..=10_000_000),
    }
}

/// Key `chain` of a table: plugin names, none twice. `deny-all` may stand where it always stands:
/// at the end.
pub(super) fn read_chain(table: &Table<'_>) -> Option<Chain> {
    let mut names = table.strings("chain")?;
    names.pop_if(|name| name.value == DENY_ALL);
    let mut seen = HashSet::new();
    for name in &names {
        check_name(table, "chain", name);
        if !seen.insert(&name.value) {
            table.refuse("chain", &name.span, "stands in the chain twice".to_owned());
        }
        if name.value == DENY_ALL {
            let what = "is always the last link, allowed: only at the end, or left out".to_owned();
            table.refuse("chain", &name.span, what);
        }
    }
    Some(names.into_iter().map(|name| table.at(name.value, Some(&name.span))).collect())
}

/// An IP address with a port.
pub(super) fn read_address(
    table: &Table<'_>,
    key: &str,
    text: &Located<String>,
) -> Option<Located<SocketAddr>> {
    match text.value.parse() {
        Ok(value) => Some(Located { value, span: text.span.clone() }),
        Err(_) => {
            let what = "is not an address, allowed: IP:PORT such as 127.0.0.1:1883 or \
                        [::]:1883, port 0 to 65535 (0 = any free port)";
            table.refuse(key, &text.span, what.to_owned());
            None
        }
    }
}

pub(super) fn check_name(table: &Table<'_>, key: &str, name: &Located<String>) {
    let characters = name.value.chars().count();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if characters == 0 || characters > NAME_CHARACTERS_MAX || !name.value.chars().all(allowed) {
        let what = format!(
            "is not a name, allowed: 1 to {NAME_CHARACTERS_MAX} of letters, digits, '-' and '_'"
        );
        table.refuse(key, &name.span, what);
    }
}
