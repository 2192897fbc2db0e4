//! `/api/v1/status` and `/api/v1/listeners`.
//!
//! Knows nothing of how the numbers come about.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    call::{Answer, Call},
    health::Ready,
    plugins::Control,
};

/// The broker at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// Version of the broker.
    version: &'static str,
    /// Seconds since the start.
    uptime_seconds: u64,
    /// As `/readyz`.
    ready: bool,
    /// As `/readyz`.
    problems: Vec<String>,
    /// As `/readyz`.
    warnings: Vec<String>,
    /// Open connections, also those before CONNECT.
    connections: u64,
    /// Sessions, connected or not.
    sessions: u64,
    /// Subscriptions.
    subscriptions: u64,
    /// Retained messages.
    retained_messages: u64,
    /// Payload and topic bytes of the retained messages.
    retained_bytes: u64,
    /// Level of load, 0 to 10.
    overload_level: u8,
    /// Raised by one each time the chains are replaced; 0 = there were none yet.
    chain_generation: u64,
}

/// The bound listeners.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listeners {
    /// In the order of the configuration.
    listeners: Vec<Listener>,
    /// The chain that judges logins of this API, `[admin] chain`; null = none.
    admin_chain: Option<Vec<Link>>,
}

/// A bound listener.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listener {
    /// Name.
    name: String,
    /// `tcp`, `ws` or `unix`.
    transport: &'static str,
    /// Address with the real port, or the socket file.
    address: String,
    /// Open connections.
    connections: u64,
    /// The chain in force.
    chain: Vec<Link>,
}

/// One link of a chain.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Link {
    /// Name of the plugin.
    plugin: String,
    /// Its generation, a prefix in hex; empty when it has none.
    generation: String,
    /// Control flag.
    control: Control,
    /// Whether a generation answers. If not, the link fails closed.
    live: bool,
}

/// `GET /api/v1/status`
pub(crate) async fn show(call: Call) -> Answer {
    let state = &call.shared.state;
    let ready = Ready::of(state);
    let totals = state.broker.totals();
    call.json_answer(&Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: state.metrics.uptime().as_secs(),
        ready: ready.ready,
        problems: ready.problems,
        warnings: ready.warnings,
        connections: totals.connections,
        sessions: totals.sessions,
        subscriptions: totals.subscriptions,
        retained_messages: totals.retained_messages,
        retained_bytes: totals.retained_bytes,
        overload_level: totals.overload_level,
        chain_generation: state.gate.generation(),
    })
}

/// `GET /api/v1/listeners`
pub(crate) async fn listeners(call: Call) -> Answer {
    let state = &call.shared.state;
    let listeners = state.broker.listeners().into_iter().map(|listener| {
        let chain = state.gate.chain(&listener.name);
        Listener {
            name: listener.name.to_string(),
            transport: listener.transport,
            address: listener.address.to_string(),
            connections: listener.connections,
            chain: chain.links.iter().map(Link::from).collect(),
        }
    });
    let links = |chain: &access::Chain| chain.links.iter().map(Link::from).collect();
    let admin_chain = state.gate.has_admin_chain().then(|| links(&state.gate.admin_chain()));
    call.json_answer(&Listeners { listeners: listeners.collect(), admin_chain })
}

impl From<&access::Link> for Link {
    fn from(link: &access::Link) -> Self {
        Self {
            plugin: link.name.to_string(),
            generation: link.generation.to_string(),
            control: link.control.into(),
            live: matches!(link.state, access::LinkState::Live(_)),
        }
    }
}
