//! What traces see of a connection: its packets, and what plugins were asked about it.
//!
//! A connection that no trace is about pays one relaxed load a turn. Knows nothing of files and of
//! what a trace records: that is `telemetry`.

use std::{net::IpAddr, sync::Arc};

use access::{Authenticated, Connection as Claim, LinkReport, Verdict};
use codec::{Connect, Decoded, Packet, decode};
use telemetry::{Direction, PacketRecord, PluginCallRecord, Trace, Traced, Traces};

use crate::{broker::Core, connection::Connection};

/// The traces of one connection.
#[derive(Default)]
pub(crate) struct Watched {
    /// [`Traces::generation`] of when it looked last.
    generation: u64,
    /// Those that are about it.
    by: Vec<Arc<Trace>>,
}

impl Connection {
    /// Looks which traces are about the client, when any came or went.
    pub(crate) fn review_traces(&mut self) {
        let generation = self.core.metrics.traces.generation();
        if generation != self.watched.generation {
            self.watched.by = self.core.metrics.traces.about(&self.traced());
            self.watched.by.shrink_to_fit();
            self.watched.generation = generation;
        }
    }

    fn traced(&self) -> Traced<'_> {
        Traced { address: Some(self.remote().ip()), ..traced(&self.authenticated) }
    }

    /// A packet came, and is about to be handled.
    pub(crate) fn trace_received(&self, packet: &Packet<'_>, bytes: usize) {
        if self.watched.by.is_empty() {
            return;
        }
        let topic = match packet {
            Packet::Publish(publish) if publish.topic.is_empty() => {
                publish.topic_alias.and_then(|alias| self.aliases.topic(alias).ok())
            }
            _ => None,
        };
        let record = PacketRecord {
            traced: self.traced(),
            direction: Direction::Received,
            packet,
            bytes,
            topic: topic.map(topic::TopicName::as_str),
        };
        self.core.metrics.traces.note_packet(&self.watched.by, &record);
    }

    /// These packets are on their way to the client, whole ones one behind the other.
    pub(crate) fn trace_sent(&self, encoded: &[u8]) {
        if self.watched.by.is_empty() {
            return;
        }
        let mut rest = encoded;
        while let Ok(Decoded::Packet(packet, bytes)) = decode(rest, self.version, usize::MAX) {
            let (traced, direction) = (self.traced(), Direction::Sent);
            let record = PacketRecord { traced, direction, packet: &packet, bytes, topic: None };
            self.core.metrics.traces.note_packet(&self.watched.by, &record);
            rest = rest.get(bytes..).unwrap_or_default();
        }
    }
}

/// A client by what it proved.
pub(crate) fn traced(authenticated: &Authenticated) -> Traced<'_> {
    let subject = authenticated.subject();
    Traced {
        client_id: &subject.client_id,
        principal: Some(&subject.identity.principal),
        address: Some(subject.remote),
    }
}

/// A client by what it claims.
pub(crate) fn claimed(claim: &Claim) -> Traced<'_> {
    Traced { client_id: &claim.client_id, principal: None, address: Some(claim.remote.ip()) }
}

/// A CONNECT was read.
pub(crate) fn trace_connect(core: &Core, (connect, bytes): (&Connect, usize), address: IpAddr) {
    let traces = &core.metrics.traces;
    if traces.generation() == 0 {
        return;
    }
    let client_id = &connect.client_id;
    let traced = Traced { client_id, principal: None, address: Some(address) };
    let by = traces.about(&traced);
    if by.is_empty() {
        return;
    }
    let record = PacketRecord {
        traced,
        direction: Direction::Received,
        packet: &Packet::Connect(Box::new(without_secrets(connect))),
        bytes,
        topic: None,
    };
    traces.note_packet(&by, &record);
}

/// What a record says of a CONNECT, and nothing that proves who it is: no copy of that is made.
fn without_secrets(connect: &Connect) -> Connect {
    Connect {
        version: connect.version,
        mqtt_3_1: connect.mqtt_3_1,
        client_id: connect.client_id.clone(),
        clean_start: connect.clean_start,
        keep_alive: connect.keep_alive,
        username: connect.username.clone(),
        password: None,
        will: connect.will.clone(),
        session_expiry_interval: connect.session_expiry_interval,
        receive_maximum: connect.receive_maximum,
        maximum_packet_size: connect.maximum_packet_size,
        topic_alias_maximum: connect.topic_alias_maximum,
        request_response_information: connect.request_response_information,
        request_problem_information: connect.request_problem_information,
        authentication_method: connect.authentication_method.clone(),
        authentication_data: None,
        user_properties: Vec::new(),
    }
}

/// What plugins said about a client.
pub(crate) fn trace_walk(traces: &Traces, traced: &Traced<'_>, walk: &[LinkReport]) {
    if traces.generation() == 0 {
        return;
    }
    for report in walk.iter().filter(|report| report.verdict != Verdict::Skipped) {
        let hook = report.hook.to_string();
        let microseconds = u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX);
        let (verdict, cached) = (verdict_name(&report.verdict), report.cached);
        let plugin = &*report.plugin;
        let call =
            PluginCallRecord { plugin, hook: &hook, verdict, microseconds, cached, topic: None };
        traces.note_call(traced, &call);
    }
}

/// The word for a verdict, as labels and records have it.
pub(crate) fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny(_) => "deny",
        Verdict::Next => "next",
        Verdict::Challenge => "challenge",
        Verdict::Failure(_) => "failure",
        Verdict::Skipped => "skipped",
    }
}
