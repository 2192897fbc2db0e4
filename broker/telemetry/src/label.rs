//! Counters with a label: a fixed array where the values are known (hot paths), a bounded family
//! otherwise.
//!
//! Knows nothing of what is counted.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use codec::{PacketType, QoS};
use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric, counter::Counter},
};

/// A counter per value of one label. Values that are known are there from the start, at zero, so
/// that an alert sees the first event; counting them takes no lock. Of others there are at most
/// 64; further ones are counted as `other`, so that nothing outside can fill the memory of broker
/// and monitoring.
#[derive(Clone, Debug)]
pub struct ByLabel {
    label: &'static str,
    /// In order of their names.
    known: Arc<[(&'static str, Counter)]>,
    counters: Arc<RwLock<BTreeMap<String, Counter>>>,
}

impl ByLabel {
    /// With the values that are known beforehand.
    pub(crate) fn with(label: &'static str, known: impl IntoIterator<Item = &'static str>) -> Self {
        let mut known: Vec<_> =
            known.into_iter().map(|value| (value, Counter::default())).collect();
        known.sort_unstable_by_key(|(value, _)| *value);
        known.dedup_by_key(|(value, _)| *value);
        Self { label, known: known.into(), counters: Arc::default() }
    }

    /// Counts one of this value.
    pub fn inc(&self, value: &str) {
        self.inc_by(value, 1);
    }

    /// Counts some of this value.
    pub fn inc_by(&self, value: &str, count: u64) {
        match self.find(value) {
            Some(counter) => counter.inc_by(count),
            None => self.of(value).inc_by(count),
        };
    }

    fn find(&self, value: &str) -> Option<&Counter> {
        let at = self.known.binary_search_by(|(known, _)| (*known).cmp(value)).ok()?;
        self.known.get(at).map(|(_, counter)| counter)
    }

    /// The counter of this value, which is there from now on. Takes a lock where the value was not
    /// known beforehand: who counts messages keeps the counter.
    pub fn of(&self, value: &str) -> Counter {
        if let Some(counter) = self.find(value) {
            return counter.clone();
        }
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.get(value) {
            return counter.clone();
        }
        drop(counters);
        let mut counters = self.counters.write().unwrap_or_else(PoisonError::into_inner);
        let room = counters.len() < LABEL_VALUES_MAX || counters.contains_key(value);
        let value = if room { value } else { OTHER };
        counters.entry(value.to_owned()).or_default().clone()
    }

    /// All values together.
    pub fn total(&self) -> u64 {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.iter().map(|(_, counter)| counter);
        known.chain(counters.values()).map(Counter::get).sum()
    }

    /// Each value that is there, with its count: first those that were known beforehand.
    pub fn values(&self) -> Vec<(String, u64)> {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.iter().map(|(value, counter)| (*value, counter));
        let others = counters.iter().map(|(value, counter)| (value.as_str(), counter));
        known.chain(others).map(|(value, counter)| (value.to_owned(), counter.get())).collect()
    }
}

/// Counts by names that are known beforehand; others are counted together. Takes no lock.
#[derive(Debug)]
pub struct ByName(Box<[(&'static str, AtomicU64)]>);

impl ByName {
    pub(crate) fn of(known: impl IntoIterator<Item = &'static str>) -> Self {
        let names = known.into_iter().chain([OTHER]);
        let mut counts: Vec<_> = names.map(|name| (name, AtomicU64::new(0))).collect();
        counts.sort_unstable_by_key(|(name, _)| *name);
        counts.dedup_by_key(|(name, _)| *name);
        Self(counts.into())
    }

    /// One more.
    pub fn inc(&self, name: &str) {
        let find = |name: &str| self.0.binary_search_by(|(known, _)| (*known).cmp(name)).ok();
        let at = find(name).or_else(|| find(OTHER));
        if let Some((_, count)) = at.and_then(|at| self.0.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
    }
}

/// What has no name of its own.
const OTHER: &str = "other";

/// A counter per QoS. Reading one costs an index.
#[derive(Clone, Debug, Default)]
pub struct ByQoS(pub(crate) Arc<[Counter; 3]>);

impl ByQoS {
    /// The counter of this QoS.
    pub fn of(&self, qos: QoS) -> &Counter {
        let [zero, one, two] = self.0.as_ref();
        match qos {
            QoS::AtMostOnce => zero,
            QoS::AtLeastOnce => one,
            QoS::ExactlyOnce => two,
        }
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }
}

/// A counter per type of control packet. Reading one costs an index.
#[derive(Clone, Debug, Default)]
pub struct ByPacketType(pub(crate) Arc<[Counter; 15]>);

impl ByPacketType {
    /// The counter of this type.
    #[allow(clippy::indexing_slicing, reason = "a control packet type is 1 to 15 by definition")]
    pub fn of(&self, packet_type: PacketType) -> &Counter {
        &self.0[packet_type as usize - 1]
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }
}

impl EncodeMetric for ByLabel {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (value, counter) in self.known.iter() {
            encode_one(&mut encoder, &[(self.label, *value)], counter)?;
        }
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        for (value, counter) in counters.iter() {
            encode_one(&mut encoder, &[(self.label, value.as_str())], counter)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        <Counter as TypedMetric>::TYPE
    }
}

impl EncodeMetric for ByQoS {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (qos, counter) in self.0.iter().enumerate() {
            let labels = [("qos", qos as u64)];
            encoder
                .encode_family(&labels)?
                .encode_counter::<[(&str, &str); 0], _, u64>(&counter.get(), None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        <Counter as TypedMetric>::TYPE
    }
}

impl EncodeMetric for ByPacketType {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (name, counter) in PACKET_TYPE_NAMES.iter().zip(self.0.iter()) {
            let labels = [("type", *name)];
            encoder
                .encode_family(&labels)?
                .encode_counter::<[(&str, &str); 0], _, u64>(&counter.get(), None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        <Counter as TypedMetric>::TYPE
    }
}

fn encode_one(
    encoder: &mut MetricEncoder<'_>,
    labels: &[(&str, &str); 1],
    counter: &Counter,
) -> fmt::Result {
    encoder.encode_family(labels)?.encode_counter::<[(&str, &str); 0], _, u64>(&counter.get(), None)
}

const LABEL_VALUES_MAX: usize = 64;

/// How a type of packet is named in labels and records.
#[allow(clippy::indexing_slicing, reason = "a control packet type is 1 to 15 by definition")]
pub(crate) fn packet_type_name(packet_type: PacketType) -> &'static str {
    PACKET_TYPE_NAMES[packet_type as usize - 1]
}

/// In order of their value on the wire, which starts at 1.
const PACKET_TYPE_NAMES: [&str; 15] = [
    "connect",
    "connack",
    "publish",
    "puback",
    "pubrec",
    "pubrel",
    "pubcomp",
    "subscribe",
    "suback",
    "unsubscribe",
    "unsuback",
    "pingreq",
    "pingresp",
    "disconnect",
    "auth",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_label_are_bounded() {
        let counters = ByLabel::with("reason", []);
        for n in 0..1_000 {
            counters.of(&format!("value {n}")).inc();
        }
        assert!(counters.counters.read().unwrap().len() <= LABEL_VALUES_MAX + 1);
        assert_eq!(counters.of("other").get(), 1_000 - LABEL_VALUES_MAX as u64);
        assert_eq!(counters.of("value 3").get(), 1);
        assert_eq!(counters.total(), 1_000);
        assert_eq!(counters.values().first(), Some(&("other".to_owned(), 936)));
    }

    #[test]
    fn what_is_known_is_there_from_the_start() {
        let counters = ByLabel::with("reason", ["b", "a", "b"]);
        counters.inc("b");
        counters.of("b").inc_by(2);
        counters.inc("c");
        let values = counters.values();
        let values: Vec<_> = values.iter().map(|(value, n)| (value.as_str(), *n)).collect();
        assert_eq!(values, [("a", 0), ("b", 3), ("c", 1)]);
        assert_eq!(counters.total(), 4);
        assert_eq!(counters.counters.read().unwrap().len(), 1);
    }

    #[test]
    fn every_packet_type_has_its_own_counter() {
        let counters = ByPacketType::default();
        counters.of(PacketType::Connect).inc();
        counters.of(PacketType::Auth).inc_by(2);
        assert_eq!(counters.0.first().map(Counter::get), Some(1));
        assert_eq!(counters.0.last().map(Counter::get), Some(2));
        assert_eq!(counters.total(), 3);
    }
}
