//! `$SYS/...`: what the broker says of itself, as retained QoS 0 messages, under the names that Mosquitto gave them and,
//! for what is ours alone, under `$SYS/portcullis`.
//!
//! Owns when they are published: every interval, those that changed. What they say is in `sys/values.rs`, the averages
//! in `sys/averages.rs`. That nobody else publishes there is the business of `access`; that they are outside the limits
//! of retained messages and are not stored, that of `retained.rs`.

mod averages;
mod presence;
mod values;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use codec::QoS;
use session::{Fanout, Frames, Message};
use tokio::sync::Notify;
use topic::TopicName;

use self::averages::Averages;
pub(crate) use self::presence::{Presence, Present};
use crate::{broker::Core, counts::Counts, keeping::Keeping};

/// `$SYS/...`, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysConfig {
    /// How often the values are looked at; `None` = they are not published.
    pub interval: Option<Duration>,
}

/// As Mosquitto does.
impl Default for SysConfig {
    fn default() -> Self {
        Self { interval: Some(Duration::from_secs(10)) }
    }
}

/// What the rest of the broker tells this part.
#[derive(Default)]
pub(crate) struct Sys {
    pub(crate) presence: Arc<Presence>,
    /// Notified when the configuration changed.
    pub(crate) reconfigured: Notify,
}

/// What is published, and what is remembered for it.
struct Tree {
    averages: Averages,
    published: BTreeMap<String, String>,
}

/// Publishes for the life of the broker.
pub(crate) async fn run(core: Arc<Core>) {
    let mut shutdown = core.shutdown.subscribe();
    let mut tree = Tree { averages: Averages::new(Instant::now()), published: BTreeMap::new() };
    loop {
        let interval = core.live.load().sys.interval;
        match interval {
            Some(_) => tree.refresh(&core).await,
            None => tree.clear(&core),
        }
        let pause = async {
            match interval {
                Some(interval) => tokio::time::sleep(interval).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = pause => {}
            () = core.sys.reconfigured.notified() => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
    }
}

impl Tree {
    async fn refresh(&mut self, core: &Core) {
        let waiting = values::count_waiting(core).await;
        let values = values::read(core, waiting, &mut self.averages, Instant::now());
        for (topic, value) in values {
            if self.published.get(&topic) == Some(&value) {
                continue;
            }
            match TopicName::new(&topic) {
                Ok(name) => publish(core, name, &value),
                Err(error) => tracing::error!(topic, %error, "not published"),
            }
            self.published.insert(topic, value);
        }
    }

    /// Who subscribes from now on finds nothing.
    fn clear(&mut self, core: &Core) {
        self.published.clear();
        core.retained.forget_own();
    }
}

/// Retained, and to every subscriber.
fn publish(core: &Core, topic: TopicName, value: &str) {
    let now = Instant::now();
    let message = Message::new(topic, &[], value.as_bytes(), QoS::AtMostOnce).with_retain(true);
    let message = Arc::new(message);
    core.retained.keep_own(&message);
    let route = core.router.route(message.topic().as_str(), BROKER);
    if route.is_empty() {
        return;
    }
    let mut frames = Frames::default();
    let mut fanout = Fanout::from_message(&message, now, &mut frames);
    let mut counts = Counts::new(&core.metrics, None);
    let mut wakes = Vec::new();
    // Of QoS 0 nothing is stored.
    let mut keeping = Keeping::new(None, None);
    route.deliver(&mut fanout, now, (&mut wakes, &mut keeping), &mut counts);
    for waker in wakes {
        waker.wake();
    }
}

/// No session has this id.
const BROKER: u64 = 0;
