//! What a running broker says of itself over its admin API, and whether its listeners accept.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::super::facts::{NotRunning, Running};
use crate::{api::Broker, failure::Failure, from_here::from_here};

const ACCEPTS_WITHIN: Duration = Duration::from_secs(3);

/// `expected` = the operator says that there is one.
pub(super) async fn look(broker: &Broker, expected: bool) -> Result<Running, NotRunning> {
    let not = |failure: Failure| NotRunning { what: failure.to_string(), expected };
    let status = broker.ask("GET", "/api/v1/status", None).await.map_err(not)?;
    let listeners = broker.ask("GET", "/api/v1/listeners", None).await.map_err(not)?;
    let plugins = broker.ask("GET", "/api/v1/plugins", None).await.map_err(not)?;
    let metrics = broker.text("/metrics").await.map_err(not)?;
    let sentences = |key: &str| {
        let texts = status.get(key).and_then(Value::as_array).into_iter().flatten();
        texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let mut running = Running {
        url: broker.url().to_owned(),
        problems: sentences("problems"),
        warnings: sentences("warnings"),
        listeners: BTreeMap::new(),
        ill_plugins: Vec::new(),
        has_links: false,
        descriptors: metrics.lines().find_map(|line| {
            let value = line.strip_prefix("process_max_fds ")?;
            value.trim().parse::<f64>().ok().map(|value| value as u64)
        }),
    };
    for listener in listeners.get("listeners").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| listener.get(key).and_then(Value::as_str).unwrap_or_default();
        let chain = listener.get("chain").and_then(Value::as_array).into_iter().flatten();
        running.has_links |= chain
            .filter_map(|link| link.get("plugin").and_then(Value::as_str))
            .any(|plugin| plugin != "deny-all");
        running.listeners.insert(text("name").to_owned(), refuses(text("address")).await);
    }
    for plugin in plugins.get("plugins").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| plugin.get(key).and_then(Value::as_str).unwrap_or_default();
        if !matches!(text("state"), "live" | "disabled") {
            let ill = format!("{} is {}: {}", text("name"), text("state"), text("error"));
            running.ill_plugins.push(ill);
        }
    }
    Ok(running)
}

/// Why nobody can connect there.
async fn refuses(address: &str) -> Option<String> {
    let accepts = async {
        match address.parse::<SocketAddr>() {
            Ok(address) => TcpStream::connect(from_here(address)).await.map(drop),
            Err(_) => UnixStream::connect(address).await.map(drop),
        }
    };
    match timeout(ACCEPTS_WITHIN, accepts).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{address}: {error}")),
        Err(_) => Some(format!("{address}: no answer")),
    }
}
