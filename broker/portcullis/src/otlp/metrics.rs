//! The text of `/metrics` as OTLP: the same names, kinds, labels and numbers.
//!
//! Knows nothing of HTTP. What is no line of OpenMetrics is left out; our own encoder writes none.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{InstrumentationScope, KeyValue},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};

use super::attribute;

type Labels = Vec<(String, String)>;

/// The family that is being read.
#[derive(Default)]
struct Family {
    name: String,
    help: String,
    kind: String,
    numbers: Vec<NumberDataPoint>,
    histograms: BTreeMap<Labels, HistogramDataPoint>,
}

/// Everything in `text`. `started` and `now` = nanoseconds since 1970.
pub(super) fn request(
    text: &str,
    times: (u64, u64),
    resource: Resource,
    scope: InstrumentationScope,
) -> ExportMetricsServiceRequest {
    let mut metrics = Vec::new();
    let mut family = Family::default();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name) = (words.next(), words.next().unwrap_or_default());
            if name != family.name {
                metrics.extend(std::mem::take(&mut family).finish());
                family.name = name.to_owned();
            }
            let text = words.next().unwrap_or_default().to_owned();
            match what {
                Some("HELP") => family.help = text,
                Some("TYPE") => family.kind = text,
                _ => {}
            }
        } else if let Some((name, labels, value)) = sample(line) {
            family.note(name, labels, value, times);
        }
    }
    metrics.extend(family.finish());
    let scoped = ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() };
    let resource_metrics = vec![ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![scoped],
        ..ResourceMetrics::default()
    }];
    ExportMetricsServiceRequest { resource_metrics }
}

impl Family {
    fn note(&mut self, name: &str, mut labels: Labels, value: f64, (started, now): (u64, u64)) {
        if self.kind != "histogram" {
            self.numbers.push(NumberDataPoint {
                attributes: attributes(&labels),
                start_time_unix_nano: started,
                time_unix_nano: now,
                value: Some(number_data_point::Value::AsDouble(value)),
                ..NumberDataPoint::default()
            });
            return;
        }
        let at = labels.iter().position(|(label, _)| label == "le");
        let bound = at.map(|at| labels.remove(at).1);
        let point = self.histograms.entry(labels).or_insert_with_key(|labels| HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: started,
            time_unix_nano: now,
            ..HistogramDataPoint::default()
        });
        match bound {
            Some(bound) => {
                // Ours add up, OTLP's do not.
                let before: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push((value as u64).saturating_sub(before));
                point.explicit_bounds.extend(bound.parse::<f64>().ok().filter(|b| b.is_finite()));
            }
            None if name.ends_with("_sum") => point.sum = Some(value),
            None => point.count = value as u64,
        }
    }

    fn finish(self) -> Option<Metric> {
        let temporality = AggregationTemporality::Cumulative.into();
        let (name, data) = match self.kind.as_str() {
            "counter" => {
                let sum = Sum {
                    data_points: self.numbers,
                    aggregation_temporality: temporality,
                    is_monotonic: true,
                };
                (format!("{}_total", self.name), Data::Sum(sum))
            }
            "histogram" => {
                let data_points = self.histograms.into_values().collect();
                let aggregation_temporality = temporality;
                (self.name, Data::Histogram(Histogram { data_points, aggregation_temporality }))
            }
            "gauge" => (self.name, Data::Gauge(Gauge { data_points: self.numbers })),
            _ => return None,
        };
        Some(Metric { name, description: self.help, data: Some(data), ..Metric::default() })
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| attribute(name, value)).collect()
}

/// `NAME{LABEL="VALUE",...} NUMBER`
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at_checked(end)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => read_labels(rest)?,
        None => (Labels::new(), rest),
    };
    let number = rest.split_whitespace().next()?;
    Some((name, labels, number.parse().ok()?))
}

fn read_labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, behind) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = behind.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    letter => letter,
                }),
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name.to_owned(), value));
        rest = behind.get(end + 1..)?;
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

#[cfg(test)]
mod tests {
    use telemetry::Metrics;

    use super::*;

    fn metrics(text: &str) -> Vec<Metric> {
        let scope = InstrumentationScope::default();
        let request = request(text, (1, 2), Resource::default(), scope);
        request.resource_metrics[0].scope_metrics[0].metrics.clone()
    }

    #[test]
    fn every_metric_comes_over_with_name_and_numbers() {
        let ours = Metrics::new();
        ours.connections_opened.of("a\"b\\c\nd").inc_by(3);
        ours.authentication_seconds.observe(0.003);
        ours.authentication_seconds.observe(0.3);
        let text = ours.encode_with(&[("portcullis_sessions", "Sessions", 5.0)]);
        let found = metrics(&text);
        // What comes with a listener or a plugin of its kind is not there yet.
        let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        assert_eq!(found.len(), families.count());
        let described: Vec<_> = ours.catalogue().iter().map(|metric| metric.name.clone()).collect();
        for metric in found.iter().filter(|metric| metric.name != "portcullis_sessions") {
            assert!(described.contains(&metric.name), "{}", metric.name);
        }
        let named = |name: &str| found.iter().find(|m| m.name == name).unwrap().data.clone();
        let Some(Data::Sum(opened)) = named("portcullis_connections_opened_total") else {
            panic!()
        };
        let point = &opened.data_points[0];
        assert_eq!(point.value, Some(number_data_point::Value::AsDouble(3.0)));
        assert_eq!(point.attributes, [attribute("listener", "a\"b\\c\nd")]);
        assert!(opened.is_monotonic);
        let Some(Data::Histogram(seconds)) = named("portcullis_authentication_seconds") else {
            panic!()
        };
        let point = &seconds.data_points[0];
        assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (2, 2));
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        let at = point.explicit_bounds.iter().position(|bound| *bound == 0.005).unwrap();
        assert_eq!(point.bucket_counts[at], 1);
        let Some(Data::Gauge(sessions)) = named("portcullis_sessions") else { panic!() };
        assert_eq!(sessions.data_points.len(), 1);
    }

    #[test]
    fn what_is_no_sample_is_left_out() {
        for line in ["", "a", "a{", "a{b=\"c", "a{b=\"c\"}", "a{b=\"c\\", "a x", "a{b} 1"] {
            assert_eq!(sample(line), None, "{line}");
        }
        let labels = vec![("b".to_owned(), "}\" 1".to_owned())];
        assert_eq!(sample("a{b=\"}\\\" 1\"} 7 8"), Some(("a", labels, 7.0)));
    }
}
