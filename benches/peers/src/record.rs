//! A run as a line of JSON: everything that was measured, and what was wrong.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One run of one broker.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Record {
    pub(crate) scenario: String,
    pub(crate) broker: String,
    pub(crate) version: String,
    pub(crate) round: u32,
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) figures: BTreeMap<String, f64>,
    /// What was not as it must be; such a run counts for nothing.
    pub(crate) faults: Vec<String>,
}

/// Opens a file for records, which come behind those that it has.
pub(crate) fn open(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("{} cannot be written", path.display()))
}

impl Record {
    /// Appends it.
    pub(crate) fn append(&self, file: &mut File) -> Result<()> {
        let line = serde_json::to_string(self)? + "\n";
        Ok(file.write_all(line.as_bytes())?)
    }
}

/// All records of a file. Of a scenario and broker that was run again later, all count.
pub(crate) fn read(path: &Path) -> Result<Vec<Record>> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/runs.jsonl");
        let record = Record {
            scenario: "connect".to_owned(),
            broker: "mosquitto".to_owned(),
            version: "2.0".to_owned(),
            round: 3,
            at: 1_800_000_000,
            figures: [("p99_us".to_owned(), 12.5)].into(),
            faults: vec!["3 deliveries never came".to_owned()],
        };
        for _ in 0..2 {
            record.append(&mut open(&path).unwrap()).unwrap();
        }
        assert_eq!(read(&path).unwrap(), [record.clone(), record]);
    }
}
