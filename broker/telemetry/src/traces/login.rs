//! What traces see of a login: those about whoever it claims to be record it at once, those about a
//! principal only when it turns out to be that one.
//!
//! There is none where no trace can be about it. Never holds what proves who somebody is.

use std::sync::Arc;

use super::{CallLine, PacketRecord, PluginCallRecord, Trace, Traced, Traces, keep};
use crate::entry::json_line;

/// Records of one login that wait until it is known who it is.
const WAITING_MAX: usize = 64;

/// The traces that a login is about, or may turn out to be about.
#[derive(Debug)]
pub struct TracedLogin {
    known: Vec<Arc<Trace>>,
    waiting: Vec<Arc<Trace>>,
    /// Index into `waiting`, when, and the line.
    lines: Vec<(usize, u64, String)>,
}

impl Traces {
    /// Begins to follow a login. `None` = no trace is about it, whoever it is.
    pub fn login(&self, claimed: &Traced<'_>) -> Option<Box<TracedLogin>> {
        if !self.is_on() {
            return None;
        }
        let known = self.about(claimed);
        let may_be = |trace: &&Arc<Trace>| {
            let principal = trace.spec.principal.as_deref();
            let proven = Traced { principal, ..*claimed };
            claimed.principal.is_none() && principal.is_some() && trace.spec.is_about(&proven)
        };
        let list = self.read();
        let running = list.iter().filter(|trace| trace.is_running());
        let waiting: Vec<_> = running.filter(may_be).cloned().collect();
        let is_any = !known.is_empty() || !waiting.is_empty();
        is_any.then(|| Box::new(TracedLogin { known, waiting, lines: Vec::new() }))
    }
}

impl TracedLogin {
    /// A packet before CONNACK, or CONNACK.
    pub fn packet(&mut self, traces: &Traces, packet: &PacketRecord<'_>) {
        traces.note_packet(&self.known, packet);
        let now = keep::now_ms();
        self.wait(now, |trace| {
            let wanted = trace.spec.plugin.is_none() && packet.is_wanted(&trace.spec);
            wanted.then(|| json_line(&packet.line(now, trace.spec.payload_bytes)))
        });
    }

    /// A call of a plugin.
    pub fn call(&mut self, traces: &Traces, traced: &Traced<'_>, call: &PluginCallRecord<'_>) {
        let now = keep::now_ms();
        let wants = |trace: &Trace| {
            trace.spec.wants_topic(call.topic) && trace.spec.wants_plugin(Some(call.plugin))
        };
        for trace in self.known.iter().filter(|trace| wants(trace)) {
            traces.record(trace, now, &CallLine::of(traced, call, now));
        }
        self.wait(now, |trace| wants(trace).then(|| json_line(&CallLine::of(traced, call, now))));
    }

    /// It is this one: what was to be known of it is recorded, and the rest forgotten.
    pub fn proved(&mut self, traces: &Traces, proven: &Traced<'_>) {
        for (waiting, at, line) in self.lines.drain(..) {
            if let Some(trace) = self.waiting.get(waiting)
                && trace.spec.is_about(proven)
            {
                traces.record_line(trace, at, line);
            }
        }
        self.known.extend(self.waiting.drain(..).filter(|trace| trace.spec.is_about(proven)));
    }

    fn wait(&mut self, now: u64, line: impl Fn(&Trace) -> Option<String>) {
        for (index, trace) in self.waiting.iter().enumerate() {
            if self.lines.len() < WAITING_MAX
                && let Some(line) = line(trace)
            {
                self.lines.push((index, now, line));
            }
        }
    }
}
