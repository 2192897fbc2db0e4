//! The page about performance: pictures beside it, and tables between two marks in it. What stands
//! there was measured; nothing of it is typed.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    plot::{Plot, Series},
    record::Record,
    scenario::{self, FAMILIES, Scenario, Set},
    statistics::Spread,
    table::Table,
};

/// Where the page is, below the root of the repository.
pub(crate) const PAGE: &str = "docs/operate/performance.md";
const PICTURES: &str = "docs/operate/performance";

/// Draws what was measured and writes it into the page; what was written.
pub(crate) fn write(root: &Path, records: &[Record], baseline: &str) -> Result<Vec<String>> {
    let mut written = Vec::new();
    fs::create_dir_all(root.join(PICTURES))?;
    for (name, title, across) in FAMILIES {
        let series = series(name, records);
        let plot = Plot { title, across, up: "µs of CPU per message", series };
        if let Some(svg) = plot.svg() {
            let file = format!("{PICTURES}/{name}.svg");
            fs::write(root.join(&file), svg)?;
            written.push(file);
        }
    }
    let path = root.join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("{PAGE} cannot be read"))?;
    let page = between(&page, "results", &results(records, baseline))?;
    fs::write(path, page)?;
    written.push(PAGE.to_owned());
    Ok(written)
}

/// A line for each broker of a family.
fn series(family: &str, records: &[Record]) -> Vec<Series> {
    let scenarios = scenario::all();
    let places: Vec<_> = scenarios
        .iter()
        .filter_map(|scenario| Some((scenario, scenario.family?)))
        .filter(|(_, (name, _))| *name == family)
        .collect();
    let mut brokers: Vec<&str> = records.iter().map(|record| record.broker.as_str()).collect();
    brokers.sort_unstable();
    brokers.dedup();
    let of_broker = |(colour, broker): (usize, &str)| {
        let point = |(scenario, (_, place)): &(&Scenario, (_, u64))| {
            let runs = records.iter().filter(|record| {
                record.broker == broker
                    && record.scenario == scenario.name
                    && record.faults.is_empty()
            });
            let costs = runs.filter_map(|record| record.figures.get("cpu_us_per_message").copied());
            Some((*place, Spread::of(costs)?))
        };
        let points: Vec<_> = places.iter().filter_map(point).collect();
        let name = broker.to_owned();
        (!points.is_empty()).then_some(Series { name, colour, points })
    };
    brokers.into_iter().enumerate().filter_map(of_broker).collect()
}

/// Versions and tables.
fn results(records: &[Record], baseline: &str) -> String {
    let mut brokers: Vec<_> =
        records.iter().map(|record| (record.broker.as_str(), record.version.as_str())).collect();
    brokers.sort_unstable();
    brokers.dedup();
    let versions: Vec<_> = brokers
        .iter()
        .map(|(name, version)| format!("{name} {version}").trim().to_owned())
        .collect();
    let rounds = records.iter().map(|record| record.round + 1).max().unwrap_or_default();
    let mut text = format!("{}; rounds: {rounds}.\n\n", versions.join(", "));
    let sets = [Set::Core, Set::Scale, Set::Proof];
    for (set, title) in sets.into_iter().zip(["Side by side", "Growth", "Long runs"]) {
        let scenarios: Vec<_> = scenario::all().into_iter().filter(|of| of.set == set).collect();
        let seen = |scenario: &Scenario| records.iter().any(|of| of.scenario == scenario.name);
        if !scenarios.iter().any(seen) {
            continue;
        }
        let table = Table { scenarios: &scenarios, records, baseline };
        text += &format!("### {title}\n\n{}\n", table.comparison());
        if set == Set::Core {
            text += &format!("### Rates and latencies\n\n{}\n", table.latencies());
        }
    }
    text
}

/// A page whose part between the marks of a name is replaced.
fn between(page: &str, name: &str, text: &str) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|mark| format!("<!-- {mark} {name} -->"));
    let missing = || format!("{PAGE} has lost its marks {begin} and {end}");
    let (before, rest) = page.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::repository;

    #[test]
    fn only_what_lies_between_the_marks_is_replaced() {
        let page = "a\n<!-- begin results -->\nold\n<!-- end results -->\nb\n";
        let written = between(page, "results", "new\n").unwrap();
        let expected = "a\n<!-- begin results -->\n\nnew\n\n<!-- end results -->\nb\n";
        assert_eq!(written, expected);
        assert_eq!(between(&written, "results", "new\n").unwrap(), expected);
        assert!(between("no marks", "results", "").is_err());
    }

    #[test]
    fn pictures_and_tables_come_from_the_records() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(PICTURES)).unwrap();
        fs::copy(repository().join(PAGE), root.path().join(PAGE)).unwrap();
        let record = |scenario: &str, broker: &str, cost: f64| Record {
            scenario: scenario.to_owned(),
            broker: broker.to_owned(),
            version: "1.2".to_owned(),
            round: 0,
            at: 0,
            figures: [("cpu_us_per_message".to_owned(), cost)].into(),
            faults: Vec::new(),
        };
        let records = [
            record("subscriptions-10", "portcullis", 0.2),
            record("subscriptions-1000", "portcullis", 0.2),
            record("subscriptions-10", "mosquitto", 4.0),
            record("qos0-64", "mosquitto", 4.0),
        ];
        let written = write(root.path(), &records, "mosquitto").unwrap();
        assert_eq!(written, ["docs/operate/performance/subscriptions.svg", PAGE]);
        let page = fs::read_to_string(root.path().join(PAGE)).unwrap();
        for part in ["mosquitto 1.2, portcullis 1.2; rounds: 1.", "| qos0-64 |", "### Growth"] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
