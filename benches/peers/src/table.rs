//! Results as Markdown: medians with their spread, and ratios to one broker in the same rounds.

use std::fmt::Write;

use crate::{
    record::Record,
    scenario::{Row, Scenario},
    statistics::{Spread, short},
};

/// Results of some scenarios.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) scenarios: &'a [Scenario],
    pub(crate) records: &'a [Record],
    /// The broker that the others are compared with.
    pub(crate) baseline: &'a str,
}

impl Table<'_> {
    /// The brokers that have results, the baseline first.
    fn brokers(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for record in self.records {
            if !names.contains(&record.broker.as_str()) {
                names.push(record.broker.as_str());
            }
        }
        names.sort_by_key(|name| *name != self.baseline);
        names
    }

    /// Values of a figure in good runs, with their rounds.
    fn values(&self, scenario: &str, broker: &str, figure: &str) -> Vec<(u32, f64)> {
        let of = |record: &&Record| record.scenario == scenario && record.broker == broker;
        let good = self.records.iter().filter(of).filter(|record| record.faults.is_empty());
        good.filter_map(|record| Some((record.round, *record.figures.get(figure)?))).collect()
    }

    /// Runs that were not as they must be.
    fn bad(&self, scenario: &str, broker: &str) -> usize {
        let of = |record: &&Record| record.scenario == scenario && record.broker == broker;
        self.records.iter().filter(of).filter(|record| !record.faults.is_empty()).count()
    }

    /// What is compared: a line for each figure.
    pub(crate) fn comparison(&self) -> String {
        let brokers = self.brokers();
        let mut text = "| scenario | figure |".to_owned();
        for broker in &brokers {
            let _ = write!(text, " {broker} |");
            if *broker != self.baseline {
                let _ = write!(text, " {broker} / {} |", self.baseline);
            }
        }
        text.push('\n');
        text.push_str("|---|---|");
        text.push_str(&"---|".repeat(2 * brokers.len() - usize::from(self.has_baseline())));
        text.push('\n');
        for scenario in self.scenarios {
            for row in scenario.rows {
                self.line(scenario, row, &brokers, &mut text);
            }
        }
        text
    }

    fn has_baseline(&self) -> bool {
        self.records.iter().any(|record| record.broker == self.baseline)
    }

    fn line(&self, scenario: &Scenario, row: &Row, brokers: &[&str], text: &mut String) {
        let values = |broker: &str| self.values(&scenario.name, broker, row.figure);
        let theirs = values(self.baseline);
        let bad = |broker: &&str| self.bad(&scenario.name, broker) > 0;
        if brokers.iter().all(|broker| values(broker).is_empty()) && !brokers.iter().any(bad) {
            return;
        }
        let _ = write!(text, "| {} | {} |", scenario.name, row.unit);
        for broker in brokers {
            let ours = values(broker);
            let spread = Spread::of(ours.iter().map(|(_, value)| *value));
            let mut cell = spread.map_or_else(|| "–".to_owned(), |spread| spread.to_string());
            let bad = self.bad(&scenario.name, broker);
            if bad > 0 {
                let _ = write!(cell, ", {bad} failed");
            }
            let _ = write!(text, " {cell} |");
            if *broker != self.baseline {
                let ratio = Spread::of_ratios(&ours, &theirs);
                let cell = ratio.map_or_else(|| "–".to_owned(), |ratio| ratio.to_string());
                let _ = write!(text, " {cell} |");
            }
        }
        text.push('\n');
    }

    /// Throughput and latencies, medians only.
    pub(crate) fn latencies(&self) -> String {
        let mut text = "| scenario | broker | a second | p50 µs | p99 µs | p99.9 µs | broker busy \
                        | generator busy |\n|---|---|---|---|---|---|---|---|\n"
            .to_owned();
        for scenario in self.scenarios {
            for broker in self.brokers() {
                let median = |figure| {
                    let values = self.values(&scenario.name, broker, figure);
                    Spread::of(values.into_iter().map(|(_, value)| value)).map(|of| of.median)
                };
                let rate =
                    ["messages_per_second", "connects_per_second"].into_iter().find_map(median);
                let (Some(rate), Some(_)) = (rate, median("p50_us")) else { continue };
                let _ = write!(text, "| {} | {broker} | {} |", scenario.name, short(rate));
                let shown = ["p50_us", "p99_us", "p999_us", "broker_busy", "generator_busy"];
                for figure in shown {
                    let cell = median(figure).map_or_else(|| "–".to_owned(), short);
                    let _ = write!(text, " {cell} |");
                }
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(broker: &str, round: u32, value: f64) -> Record {
        Record {
            scenario: "qos0-64".to_owned(),
            broker: broker.to_owned(),
            version: String::new(),
            round,
            at: 0,
            figures: [
                ("cpu_us_per_message".to_owned(), value),
                ("messages_per_second".to_owned(), 200_000.0),
                ("p50_us".to_owned(), 40.0),
            ]
            .into(),
            faults: Vec::new(),
        }
    }

    #[test]
    fn ratios_stand_beside_the_medians() {
        let mut records = vec![
            record("ours", 0, 1.0),
            record("mosquitto", 0, 4.0),
            record("ours", 1, 2.0),
            record("mosquitto", 1, 4.0),
        ];
        records.push(Record { faults: vec!["lost".to_owned()], ..record("ours", 2, 0.1) });
        let scenarios = crate::scenario::chosen(&["qos0-64".to_owned()]).unwrap();
        let table = Table { scenarios: &scenarios, records: &records, baseline: "mosquitto" };
        let expected = "\
| scenario | figure | mosquitto | ours | ours / mosquitto |
|---|---|---|---|---|
| qos0-64 | µs of CPU per message | 4.00 [4.00..4.00] \
| 1.50 [1.00..2.00], 1 failed | 0.375 [0.250..0.500] |
";
        assert_eq!(table.comparison(), expected);
        let line = "| qos0-64 | ours | 200 k | 40.0 | – | – | – | – |\n";
        assert!(table.latencies().ends_with(line), "{}", table.latencies());
    }

    #[test]
    fn without_a_baseline_there_are_no_ratios() {
        let records = [record("ours", 0, 1.0)];
        let scenarios = crate::scenario::chosen(&["qos0-64".to_owned()]).unwrap();
        let table = Table { scenarios: &scenarios, records: &records, baseline: "mosquitto" };
        let lines: Vec<_> = table.comparison().lines().map(str::to_owned).collect();
        assert_eq!(lines[1], "|---|---|---|---|");
        assert_eq!(lines[2], "| qos0-64 | µs of CPU per message | 1.00 [1.00..1.00] | – |");
    }
}
