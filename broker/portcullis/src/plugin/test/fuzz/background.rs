//! The hooks that nobody waits for: batches of events of any content, and a timer that rings. They
//! answer nothing; what counts is that they come to an end.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Instant};

use access::{Event, EventKinds, PluginFailure, Who};
use codec::ReasonCode;
use fastrand::Rng;
use plugin_host::Loaded;
use topic::TopicFilter;

use super::{SHOWN_MAX, breaks, connection, qos, text, topic};
use crate::plugin::test::usage::Usage;

/// Events of one batch; all of them together are far below what a question may be long.
const BATCH_MAX: usize = 64;

/// Calls each of the two `count` times, if it is there. Returns how many calls broke the plugin.
pub(super) async fn run(loaded: &Loaded, count: u64, seed: u64, usage: &mut Usage) -> u64 {
    let mut broken = 0;
    let wanted = loaded.wanted_events().filter(|wanted| *wanted != EventKinds::default());
    if let Some(wanted) = wanted {
        let mut calls = Calls::new("events");
        for number in 0..count {
            let mut rng = Rng::with_seed(seed.wrapping_add(number));
            let (batch, dropped) = (batch(&mut rng, wanted), rng.u64(0..3));
            let shown = format!("{batch:?}");
            let told = loaded.tell(batch, dropped);
            calls.made(number, told, usage, &shown).await;
            usage.look(loaded);
        }
        broken += calls.end();
    }
    if loaded.has_timer() {
        let mut calls = Calls::new("timer");
        for number in 0..count {
            calls.made(number, loaded.ring(), usage, "it rings").await;
            usage.look(loaded);
        }
        broken += calls.end();
    }
    broken
}

/// What became of the calls of one hook.
struct Calls {
    hook: &'static str,
    words: BTreeMap<String, u64>,
    broken: u64,
}

impl Calls {
    fn new(hook: &'static str) -> Self {
        Self { hook, words: BTreeMap::new(), broken: 0 }
    }

    /// One call; `shown` is what it was about.
    async fn made(
        &mut self,
        number: u64,
        call: impl Future<Output = Result<(), PluginFailure>>,
        usage: &mut Usage,
        shown: &str,
    ) {
        let clock = Instant::now();
        let answer = call.await;
        usage.add(self.hook, Some(clock.elapsed()));
        let failure = answer.err();
        let word = failure.as_ref().map(|failure| failure.kind.to_string());
        let seen = self.words.entry(word.unwrap_or_else(|| "done".to_owned())).or_default();
        *seen += 1;
        let Some(failure) = failure.filter(|failure| breaks(failure.kind)) else { return };
        self.broken += 1;
        // One of each kind is enough to see.
        if *seen == 1 {
            let shown: String = shown.chars().take(SHOWN_MAX).collect();
            println!("{}: question {number}: {failure}\n  {shown}", self.hook);
        }
    }

    /// Tells what was seen. Returns how many calls broke the plugin.
    fn end(self) -> u64 {
        let calls: u64 = self.words.values().sum();
        let told: Vec<_> = self.words.iter().map(|(word, seen)| format!("{seen} {word}")).collect();
        println!("{:<13} {calls:>7} random: {}", self.hook, told.join(", "));
        self.broken
    }
}

/// Events with their times, only of kinds that are wanted; at least one.
fn batch(rng: &mut Rng, wanted: EventKinds) -> Vec<(u64, Event)> {
    let length = rng.usize(1..=BATCH_MAX);
    let mut batch = Vec::with_capacity(length);
    while batch.len() < length {
        let event = event(rng);
        if wanted.has(event.kind()) {
            batch.push((rng.u64(..), event));
        }
    }
    batch
}

fn event(rng: &mut Rng) -> Event {
    let who = who(rng);
    match rng.u8(0..8) {
        0 => Event::Connected(who),
        1 => Event::Disconnected(who, code(rng), rng.bool()),
        2 => Event::AuthFailed(who, code(rng), text(rng)),
        3 => Event::Subscribed(who, filter(rng), qos(rng)),
        4 => Event::Unsubscribed(who, filter(rng)),
        5 => Event::PublishDenied(who, topic(rng, &[])),
        6 => Event::Overload(rng.u8(0..=10)),
        _ => Event::SessionExpired(text(rng).into()),
    }
}

fn who(rng: &mut Rng) -> Who {
    let connection = connection(rng);
    Who {
        connection_id: connection.connection_id,
        client_id: connection.client_id,
        principal: text(rng).into(),
        listener: Arc::from("mqtt"),
        remote: connection.remote.ip(),
        protocol: connection.protocol,
    }
}

fn code(rng: &mut Rng) -> ReasonCode {
    let codes = [
        ReasonCode::Success,
        ReasonCode::NotAuthorized,
        ReasonCode::BadUserNameOrPassword,
        ReasonCode::KeepAliveTimeout,
        ReasonCode::SessionTakenOver,
    ];
    rng.choice(codes).unwrap_or(ReasonCode::Success)
}

/// A Topic Filter, some with a share name.
fn filter(rng: &mut Rng) -> String {
    let topic = topic(rng, &[]);
    let filter = match rng.u8(0..4) {
        0 => format!("{topic}/#"),
        1 => format!("+/{topic}"),
        2 => return format!("$share/{}/{topic}", rng.alphanumeric()),
        _ => topic,
    };
    if TopicFilter::check(&filter).is_ok() { filter } else { "#".to_owned() }
}

#[cfg(test)]
mod tests {
    use access::PluginFailureKind;

    use super::*;

    #[tokio::test]
    async fn only_what_breaks_a_plugin_counts() {
        let mut calls = Calls::new("timer");
        let mut usage = Usage::default();
        for (number, kind) in [
            (0, None),
            (1, Some(PluginFailureKind::Internal)),
            (2, Some(PluginFailureKind::Trap)),
            (3, Some(PluginFailureKind::CpuBudget)),
        ] {
            let failure = |kind| PluginFailure { kind, message: "m".to_owned() };
            let call = async { kind.map_or(Ok(()), |kind| Err(failure(kind))) };
            calls.made(number, call, &mut usage, "it rings").await;
        }
        let seen = ["cpu_budget", "done", "internal", "trap"].map(str::to_owned);
        assert!(calls.words.keys().eq(&seen), "{:?}", calls.words);
        assert_eq!(calls.end(), 2);
    }

    #[test]
    fn a_batch_has_only_what_is_wanted() {
        let wanted = EventKinds::SUBSCRIBED.with(EventKinds::SESSION_EXPIRED);
        for seed in 0..200 {
            let batch = batch(&mut Rng::with_seed(seed), wanted);
            assert!((1..=BATCH_MAX).contains(&batch.len()));
            assert!(batch.iter().all(|(_, event)| wanted.has(event.kind())));
        }
    }
}
