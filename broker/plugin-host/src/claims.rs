//! What a generation says it is for: methods, topics, events. Asked once, in the shadow instance; the
//! manifest may say otherwise.

use std::time::Duration;

use access::{EventKinds, PluginFailure, PluginFailureKind};
use topic::TopicFilter;

use crate::{failure::failure, manifest::Manifest};

/// Topic Filters of one hook.
const TOPICS_MAX: usize = 100;
/// Longest time between two calls of a timer.
const TIMER_SECONDS_MAX: u32 = 86_400;
/// Authentication Methods.
const METHODS_MAX: usize = 16;
const METHOD_BYTES_MAX: usize = 256;

/// As the guest tells it, unchecked.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) methods: Vec<String>,
    pub(crate) operations: Vec<String>,
    pub(crate) inbound: Vec<String>,
    pub(crate) outbound: Vec<String>,
    /// Its outbound transform asks who gets the message.
    pub(crate) asks_who: bool,
    pub(crate) events: Option<EventKinds>,
    pub(crate) timer_seconds: Option<u32>,
}

/// What a generation is for.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Authentication Methods.
    pub(crate) methods: Vec<String>,
    /// What its operation authorizer judges.
    pub(crate) operations: Vec<TopicFilter>,
    /// What its inbound transform works on.
    pub(crate) inbound: Vec<TopicFilter>,
    /// What its outbound transform works on.
    pub(crate) outbound: Vec<TopicFilter>,
    /// It asks who gets the message.
    pub(crate) asks_who: bool,
    /// Which events it wants.
    pub(crate) events: Option<EventKinds>,
    /// Between two calls of its timer.
    pub(crate) timer: Option<Duration>,
}

impl Claims {
    /// Checked, and with what the manifest replaces.
    pub(crate) fn new(told: Told, manifest: &Manifest) -> Result<Self, PluginFailure> {
        Ok(Self {
            methods: methods(told.methods)?,
            operations: match &manifest.operation_topics {
                Some(topics) => topics.clone(),
                None => topics("operation-authorizer", &told.operations)?,
            },
            inbound: match &manifest.transform.inbound {
                Some(topics) => topics.clone(),
                None => topics("inbound-transform", &told.inbound)?,
            },
            outbound: match &manifest.transform.outbound {
                Some(topics) => topics.clone(),
                None => topics("outbound-transform", &told.outbound)?,
            },
            asks_who: told.asks_who,
            events: told.events,
            timer: told.timer_seconds.map(interval).transpose()?,
        })
    }
}

fn methods(told: Vec<String>) -> Result<Vec<String>, PluginFailure> {
    let fits = |method: &String| (1..=METHOD_BYTES_MAX).contains(&method.len());
    if told.len() > METHODS_MAX || !told.iter().all(|m| fits(m) && !m.contains('\0')) {
        let message = format!(
            "methods: at most {METHODS_MAX} Authentication Methods of 1 to {METHOD_BYTES_MAX} bytes"
        );
        return Err(failure(PluginFailureKind::Misconfigured, message));
    }
    Ok(told)
}

fn interval(seconds: u32) -> Result<Duration, PluginFailure> {
    if !(1..=TIMER_SECONDS_MAX).contains(&seconds) {
        let message = format!("timer: an interval of {seconds} s; 1 to {TIMER_SECONDS_MAX}");
        return Err(failure(PluginFailureKind::Misconfigured, message));
    }
    Ok(Duration::from_secs(seconds.into()))
}

fn topics(hook: &str, told: &[String]) -> Result<Vec<TopicFilter>, PluginFailure> {
    let refused = |message| Err(failure(PluginFailureKind::Misconfigured, message));
    if told.len() > TOPICS_MAX {
        return refused(format!("{hook}: {} Topic Filters; at most {TOPICS_MAX}", told.len()));
    }
    let mut topics = Vec::with_capacity(told.len());
    for text in told {
        match TopicFilter::new(text) {
            Ok(filter) => topics.push(filter),
            Err(error) => return refused(format!("{hook}: Topic Filter {text:?}: {error}")),
        }
    }
    Ok(topics)
}
