//! What traces see of a connection: its packets, and what plugins were asked about it.
//!
//! A connection that no trace is about pays one relaxed load a turn. Knows nothing of files and of
//! what a trace records: that is `telemetry`.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use access::{Authenticated, Heard, LinkReport, Verdict, Witness};
use codec::{Connect, Decoded, Packet, decode};
use telemetry::{Direction, PacketRecord, PluginCallRecord, Trace, Traced, TracedLogin, Traces};

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
pub(crate) fn claimed((client_id, address): (&str, IpAddr)) -> Traced<'_> {
    Traced { client_id, principal: None, address: Some(address) }
}

/// Tells traces what plugins say on operations and messages, of one client or of nobody's.
pub(crate) struct Telling<'a> {
    traces: &'a Traces,
    traced: Traced<'a>,
    begun: Instant,
}

impl<'a> Telling<'a> {
    /// `None` = nobody traces. Without a client: a message to all of its subscribers, or of the API.
    pub(crate) fn of(core: &'a Core, client: Option<&'a Authenticated>) -> Option<Self> {
        let traces = &core.metrics.traces;
        let traced = || client.map(traced).unwrap_or_default();
        traces.is_on().then(|| Self { traces, traced: traced(), begun: Instant::now() })
    }
}

impl Witness for Telling<'_> {
    fn clock(&self) -> Duration {
        self.begun.elapsed()
    }

    fn heard(&self, word: &Heard<'_>) {
        let call = PluginCallRecord {
            plugin: word.plugin,
            hook: word.hook.name(),
            verdict: word.word,
            microseconds: u64::try_from(word.elapsed.as_micros()).unwrap_or(u64::MAX),
            cached: false,
            topic: Some(word.topic),
        };
        self.traces.note_call(&self.traced, &call);
    }
}

/// The same for whoever asks plugins.
pub(crate) fn witness<'a>(telling: &'a Option<Telling<'_>>) -> Option<&'a dyn Witness> {
    telling.as_ref().map(|telling| telling as &dyn Witness)
}

/// Traces of a connection that has no CONNACK yet.
#[derive(Default)]
pub(crate) struct LoginTraces(Option<Box<TracedLogin>>);

impl LoginTraces {
    /// A CONNECT was read: from now on it is known whom it may be about.
    pub(crate) fn begin(
        &mut self,
        core: &Core,
        (connect, bytes): (&Connect, usize),
        address: IpAddr,
    ) {
        let traced = claimed((&connect.client_id, address));
        self.0 = core.metrics.traces.login(&traced);
        if self.0.is_some() {
            let packet = Packet::Connect(Box::new(without_secrets(connect)));
            self.packet(core, traced, (Direction::Received, &packet, bytes));
        }
    }

    /// A packet came or is on its way.
    pub(crate) fn packet(
        &mut self,
        core: &Core,
        traced: Traced<'_>,
        (direction, packet, bytes): (Direction, &Packet<'_>, usize),
    ) {
        if let Some(login) = &mut self.0 {
            let record = PacketRecord { traced, direction, packet, bytes, topic: None };
            login.packet(&core.metrics.traces, &record);
        }
    }

    /// Whether a trace may be about it.
    pub(crate) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// The chain was asked.
    pub(crate) fn walk(&mut self, core: &Core, traced: &Traced<'_>, walk: &[LinkReport]) {
        if let Some(login) = &mut self.0 {
            for_each_call(walk, |call| login.call(&core.metrics.traces, traced, call));
        }
    }

    /// It is known who it is.
    pub(crate) fn proved(&mut self, core: &Core, authenticated: &Authenticated) {
        if let Some(login) = &mut self.0 {
            login.proved(&core.metrics.traces, &traced(authenticated));
        }
    }
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
    if traces.is_on() {
        for_each_call(walk, |call| traces.note_call(traced, call));
    }
}

fn for_each_call(walk: &[LinkReport], mut tell: impl FnMut(&PluginCallRecord<'_>)) {
    for report in walk.iter().filter(|report| report.verdict != Verdict::Skipped) {
        tell(&PluginCallRecord {
            plugin: &report.plugin,
            hook: report.hook.name(),
            verdict: verdict_name(&report.verdict),
            microseconds: u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
            cached: report.cached,
            topic: None,
        });
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
