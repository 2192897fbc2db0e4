//! Numbers that somebody else owns, read at the moment of a scrape.
//!
//! Knows nothing of where they come from; `admin` fills one for each scrape and drops it.

use std::{borrow::Cow, collections::BTreeMap, sync::atomic::AtomicU64};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{Described, Kind};

/// The numbers of one scrape, each described as it is added.
#[derive(Debug, Default)]
pub struct Snapshot {
    registry: Registry,
    catalogue: Vec<Described>,
    gauges: BTreeMap<String, GaugeFamily>,
    counters: BTreeMap<String, CounterFamily>,
}

type Labels = Vec<(&'static str, Cow<'static, str>)>;
type GaugeFamily = Family<Labels, Gauge<f64, AtomicU64>>;
type CounterFamily = Family<Labels, Counter<f64, AtomicU64>>;

/// The labels of one value: (name, value). Values must come from a bounded set, never from clients.
pub type LabelsOf<'a> = &'a [(&'static str, &'a str)];

impl Snapshot {
    /// A gauge without labels, once. `name` is the whole name on the wire.
    pub fn gauge(&mut self, name: &str, help: &'static str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.registry.register(name, help, gauge);
        self.describe(name.to_owned(), Kind::Gauge, &[], help);
    }

    /// One value of a gauge with labels. The labels of a name are the same at each call.
    pub fn labelled_gauge(
        &mut self,
        name: &str,
        help: &'static str,
        labels: LabelsOf<'_>,
        value: f64,
    ) {
        if !self.gauges.contains_key(name) {
            let family = GaugeFamily::default();
            self.registry.register(name, help, family.clone());
            self.describe(name.to_owned(), Kind::Gauge, labels, help);
            self.gauges.insert(name.to_owned(), family);
        }
        if let Some(family) = self.gauges.get(name) {
            family.get_or_create_owned(&owned(labels)).set(value);
        }
    }

    /// One value of a counter with labels. `name` is written without `_total`, which the format
    /// adds.
    pub fn labelled_counter(
        &mut self,
        name: &str,
        help: &'static str,
        labels: LabelsOf<'_>,
        value: f64,
    ) {
        if !self.counters.contains_key(name) {
            let family = CounterFamily::default();
            self.registry.register(name, help, family.clone());
            self.describe(format!("{name}_total"), Kind::Counter, labels, help);
            self.counters.insert(name.to_owned(), family);
        }
        if let Some(family) = self.counters.get(name) {
            family.get_or_create_owned(&owned(labels)).inc_by(value);
        }
    }

    /// What each number means, in order of appearance.
    pub fn catalogue(&self) -> &[Described] {
        &self.catalogue
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    fn describe(&mut self, name: String, kind: Kind, labels: LabelsOf<'_>, help: &'static str) {
        let labels = labels.iter().map(|(label, _)| *label).collect();
        self.catalogue.push(Described { name, kind, labels, help });
    }
}

fn owned(labels: LabelsOf<'_>) -> Labels {
    labels.iter().map(|(name, value)| (*name, Cow::Owned((*value).to_owned()))).collect()
}
