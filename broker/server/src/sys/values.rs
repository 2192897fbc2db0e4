//! What each topic of `$SYS` says. `docs/operate/sys-topics.md` lists them; a test compares.
//!
//! Reads counters and sizes; changes nothing.

use std::time::Instant;

use super::averages::{Averages, Readings};
use crate::broker::Core;

/// Messages in the queues of all sessions, and their bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Waiting {
    messages: u64,
    bytes: u64,
}

/// Looks at every session, some at a time: others go in between.
pub(super) async fn count_waiting(core: &Core) -> Waiting {
    let mut waiting = Waiting::default();
    for some in core.sessions.all().chunks(SESSIONS_AT_ONCE) {
        for handle in some {
            let state = handle.state.lock();
            waiting.messages += state.session.queued() as u64;
            waiting.bytes += state.session.queued_bytes() as u64;
        }
        tokio::task::yield_now().await;
    }
    waiting
}

/// (topic, text) of all topics at `now`.
pub(super) fn read(
    core: &Core,
    waiting: Waiting,
    averages: &mut Averages,
    now: Instant,
) -> Vec<(String, String)> {
    let mut values = Values(Vec::with_capacity(96));
    let loads = of_traffic(core, &mut values);
    of_clients(core, &mut values);
    of_messages(core, waiting, &mut values);
    of_portcullis(core, &mut values);
    averages.update(loads, now);
    for (load, period, a_minute) in averages.each() {
        values.text(&format!("load/{load}/{period}"), format!("{a_minute:.2}"));
    }
    values.0
}

struct Values(Vec<(String, String)>);

impl Values {
    /// One of Mosquitto's names.
    fn of_broker(&mut self, name: &str, value: u64) {
        self.text(name, value.to_string());
    }

    /// The same where it is more than a number.
    fn text(&mut self, name: &str, value: String) {
        self.0.push((format!("$SYS/broker/{name}"), value));
    }

    /// One of ours.
    fn of_portcullis(&mut self, name: &str, value: u64) {
        self.0.push((format!("$SYS/portcullis/{name}"), value.to_string()));
    }
}

/// Counters since the start; those that are averaged too are returned.
fn of_traffic(core: &Core, values: &mut Values) -> Readings<u64> {
    let metrics = &core.metrics;
    let messages_received = metrics.packets_received.total();
    let messages_sent = metrics.packets_sent.total();
    let publish_received = metrics.publish_received.total();
    let publish_sent = metrics.publish_sent.total();
    let dropped = metrics.messages_dropped.total();
    let (bytes_received, bytes_sent) = (metrics.bytes_received.get(), metrics.bytes_sent.get());
    let connects = metrics.packets_received.of(codec::PacketType::Connect).get();
    values.of_broker("bytes/received", bytes_received);
    values.of_broker("bytes/sent", bytes_sent);
    values.of_broker("messages/received", messages_received);
    values.of_broker("messages/sent", messages_sent);
    values.of_broker("publish/messages/received", publish_received);
    values.of_broker("publish/messages/sent", publish_sent);
    values.of_broker("publish/messages/dropped", dropped);
    values.of_broker("publish/bytes/received", metrics.publish_bytes_received.get());
    values.of_broker("publish/bytes/sent", metrics.publish_bytes_sent.get());
    [
        messages_received,
        messages_sent,
        publish_received,
        publish_sent,
        dropped,
        bytes_received,
        bytes_sent,
        core.connections_so_far(),
        connects,
    ]
}

fn of_clients(core: &Core, values: &mut Values) {
    let presence = &core.sys.presence;
    let (connected, sessions) = (presence.now(), core.sessions.len() as u64);
    // While a client takes its session over, two connections have one session.
    let disconnected = sessions.saturating_sub(connected);
    values.text("version", format!("portcullis version {}", env!("CARGO_PKG_VERSION")));
    values.text("uptime", format!("{} seconds", core.metrics.uptime().as_secs()));
    values.of_broker("clients/connected", connected);
    values.of_broker("clients/active", connected);
    values.of_broker("clients/disconnected", disconnected);
    values.of_broker("clients/inactive", disconnected);
    values.of_broker("clients/total", sessions);
    values.of_broker("clients/maximum", presence.most());
    values.of_broker("clients/expired", core.metrics.sessions_expired.get());
    values.of_broker("subscriptions/count", core.router.len());
}

fn of_messages(core: &Core, waiting: Waiting, values: &mut Values) {
    let (retained, retained_bytes) = (core.retained.len() as u64, core.retained.bytes());
    let stored = retained + waiting.messages;
    values.of_broker("messages/stored", stored);
    values.of_broker("store/messages/count", stored);
    values.of_broker("store/messages/bytes", retained_bytes + waiting.bytes);
    values.of_broker("retained messages/count", retained);
    values.of_portcullis("retained/bytes", retained_bytes);
    values.of_portcullis("queued/messages", waiting.messages);
    values.of_portcullis("queued/bytes", waiting.bytes);
}

fn of_portcullis(core: &Core, values: &mut Values) {
    let metrics = &core.metrics;
    values.of_portcullis("generation", core.gate.generation());
    values.of_portcullis("overload/level", core.overload.level().into());
    values.of_portcullis("refused/connections", metrics.connections_refused.total());
    values.of_portcullis("refused/connects", metrics.connect_refused.total());
    values.of_portcullis("denied/publish", metrics.publish_denied.get());
    values.of_portcullis("denied/subscribe", metrics.subscribe_denied.get());
    values.of_portcullis("protocol_violations", metrics.protocol_violations.get());
    // A topic is there from the first one on.
    for (reason, count) in metrics.messages_dropped.values().into_iter().filter(|(_, n)| *n > 0) {
        values.of_portcullis(&format!("dropped/{reason}"), count);
    }
}

/// A few hundred microseconds.
const SESSIONS_AT_ONCE: usize = 1_024;
