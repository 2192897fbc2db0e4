//! Keys and values in memory, within a quota. Pure: knows no clock and no file; every change is
//! also a record that makes it again.

use std::collections::{BTreeSet, HashMap};

/// Bytes of a key and of a value.
pub(super) const KEY_BYTES_MAX: usize = 256;
pub(super) const VALUE_BYTES_MAX: usize = 64 << 10;
/// What an entry counts beside its key and value, so that many small ones have a bound too.
const ENTRY_BYTES: usize = 64;
/// Expired entries that one change takes away.
const EXPIRED_PER_CHANGE: usize = 64;

/// A value and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: Vec<u8>,
    pub(super) version: u64,
    /// Milliseconds since 1970; 0 = never.
    pub(super) expires: u64,
}

/// What makes a change again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Put {
        key: String,
        entry: Entry,
    },
    Delete {
        key: String,
    },
    /// No version up to this one is given again.
    Versions(u64),
}

/// The answer to a change, and its records in order.
#[derive(Debug)]
pub(super) struct Change<T> {
    pub(super) answer: T,
    pub(super) records: Vec<Record>,
}

impl<T> Change<T> {
    pub(super) fn nothing(answer: T) -> Self {
        Self { answer, records: Vec::new() }
    }

    pub(super) fn map<U>(self, map: impl FnOnce(T) -> U) -> Change<U> {
        Change { answer: map(self.answer), records: self.records }
    }
}

/// Over the quota or a length; the text says which.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) String);

/// All entries of a plugin.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<String, Entry>,
    expiring: BTreeSet<(u64, String)>,
    bytes: u64,
    pub(super) quota: u64,
    last_version: u64,
}

impl Table {
    #[cfg(test)]
    pub(super) fn with_quota(quota: u64) -> Self {
        Self { quota, ..Self::default() }
    }

    pub(super) fn get(&self, key: &str, now: u64) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expires == 0 || entry.expires > now)
    }

    pub(super) fn set(
        &mut self,
        key: &str,
        value: Vec<u8>,
        expires: u64,
        now: u64,
    ) -> Result<Change<u64>, Refused> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let length = key.len();
            return Err(Refused(format!("a key has 1 to {KEY_BYTES_MAX} bytes, not {length}")));
        }
        if value.len() > VALUE_BYTES_MAX {
            let length = value.len();
            return Err(Refused(format!("a value has at most {VALUE_BYTES_MAX} bytes: {length}")));
        }
        let mut records = self.expire(now);
        let freed = self.entries.get(key).map_or(0, |entry| weight(key, &entry.value));
        let bytes = self.bytes - freed + weight(key, &value);
        if bytes > self.quota && bytes > self.bytes {
            // What expired is gone from the file at its next rewrite: it is not read again anyway.
            return Err(Refused(format!("the quota of {} bytes is used up", self.quota)));
        }
        let version = self.last_version + 1;
        let record = Record::Put { key: key.to_owned(), entry: Entry { value, version, expires } };
        self.apply(record.clone());
        records.push(record);
        Ok(Change { answer: version, records })
    }

    pub(super) fn increment(
        &mut self,
        key: &str,
        amount: i64,
        expires: u64,
        now: u64,
    ) -> Result<Change<i64>, Refused> {
        let before = self.get(key, now).and_then(|entry| {
            let number = std::str::from_utf8(&entry.value).ok()?.parse::<i64>().ok()?;
            Some((number, entry.expires))
        });
        let (number, expires) = before.unwrap_or((0, expires));
        let sum = number.saturating_add(amount);
        Ok(self.set(key, sum.to_string().into_bytes(), expires, now)?.map(|_| sum))
    }

    pub(super) fn delete(&mut self, key: &str, now: u64) -> Change<bool> {
        let was_there = self.get(key, now).is_some();
        let mut records = self.expire(now);
        if was_there {
            let record = Record::Delete { key: key.to_owned() };
            self.apply(record.clone());
            records.push(record);
        }
        Change { answer: was_there, records }
    }

    /// Makes a change that was made before.
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Put { key, entry } => {
                self.remove(&key);
                self.last_version = self.last_version.max(entry.version);
                self.bytes += weight(&key, &entry.value);
                if entry.expires != 0 {
                    self.expiring.insert((entry.expires, key.clone()));
                }
                self.entries.insert(key, entry);
            }
            Record::Delete { key } => self.remove(&key),
            Record::Versions(last) => self.last_version = self.last_version.max(last),
        }
    }

    /// Records that make this table out of an empty one.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let entries = self.entries.iter();
        let puts =
            entries.map(|(key, entry)| Record::Put { key: key.clone(), entry: entry.clone() });
        std::iter::once(Record::Versions(self.last_version)).chain(puts)
    }

    /// Bytes that count.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn expire(&mut self, now: u64) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some((expires, key)) = self.expiring.first()
            && *expires <= now
            && records.len() < EXPIRED_PER_CHANGE
        {
            let key = key.clone();
            self.remove(&key);
            records.push(Record::Delete { key });
        }
        records
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= weight(key, &entry.value);
            if entry.expires != 0 {
                self.expiring.remove(&(entry.expires, key.to_owned()));
            }
        }
    }
}

fn weight(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len() + ENTRY_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(quota: u64) -> Table {
        Table::with_quota(quota)
    }

    fn value<'a>(table: &'a Table, key: &str, now: u64) -> Option<&'a [u8]> {
        table.get(key, now).map(|entry| &entry.value[..])
    }

    #[test]
    fn values_expire() {
        let mut table = table(1 << 20);
        table.set("a", b"1".to_vec(), 100, 0).unwrap();
        assert_eq!(value(&table, "a", 99), Some(&b"1"[..]));
        assert_eq!(value(&table, "a", 100), None);
        let change = table.set("b", b"2".to_vec(), 0, 100).unwrap();
        assert_eq!(change.records[0], Record::Delete { key: "a".to_owned() });
        assert_eq!(table.bytes(), weight("b", b"2"));
        assert_eq!(value(&table, "b", u64::MAX), Some(&b"2"[..]));
    }

    #[test]
    fn a_version_is_never_given_twice() {
        let mut table = table(1 << 20);
        let first = table.set("a", Vec::new(), 0, 0).unwrap().answer;
        assert!(table.delete("a", 0).answer);
        assert!(!table.delete("a", 0).answer);
        let second = table.set("a", Vec::new(), 0, 0).unwrap().answer;
        assert!(second > first);
        table.delete("a", 0);
        let mut again = self::table(1 << 20);
        table.records().for_each(|record| again.apply(record));
        assert!(again.set("a", Vec::new(), 0, 0).unwrap().answer > second);
    }

    #[test]
    fn numbers_count_and_their_time_begins_once() {
        let mut table = table(1 << 20);
        assert_eq!(table.increment("n", 2, 100, 0).unwrap().answer, 2);
        assert_eq!(table.increment("n", 3, 900, 50).unwrap().answer, 5);
        assert_eq!(table.increment("n", 1, 900, 100).unwrap().answer, 1, "began anew");
        assert_eq!(table.increment("n", i64::MAX, 0, 100).unwrap().answer, i64::MAX);
        table.set("n", b"no number".to_vec(), 0, 0).unwrap();
        assert_eq!(table.increment("n", -1, 0, 0).unwrap().answer, -1);
    }

    #[test]
    fn the_quota_holds_and_what_is_there_may_shrink() {
        let mut table = table(2 * weight("a", b"12345678"));
        table.set("a", b"12345678".to_vec(), 0, 0).unwrap();
        table.set("b", b"12345678".to_vec(), 0, 0).unwrap();
        assert!(table.set("c", Vec::new(), 0, 0).is_err());
        assert!(table.set("b", b"123456789".to_vec(), 0, 0).is_err());
        assert_eq!(value(&table, "b", 0), Some(&b"12345678"[..]));
        table.quota = 1;
        table.set("b", b"1234567".to_vec(), 0, 0).unwrap();
        table.delete("a", 0);
        assert_eq!(table.bytes(), weight("b", b"1234567"));
        table.quota = 1 << 20;
        assert!(table.set("", Vec::new(), 0, 0).is_err());
        assert!(table.set(&"k".repeat(257), Vec::new(), 0, 0).is_err());
        assert!(table.set("k", vec![0; 65_537], 0, 0).is_err());
    }
}
