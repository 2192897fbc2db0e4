//! The file of a plugin's state, `DATA_DIR/plugin-state/NAME.state`: records one after the other.
//!
//! ```text
//! file    "PCSTATE1", then records
//! record  length of the body (4 bytes, little endian), CRC-32 of the body (4), body
//! body    1 put: version (8), expiry in ms since 1970 or 0 (8), length of the key (2), key, value
//!         2 delete: key
//!         3 versions: last one given (8)
//! ```
//!
//! A torn end, as a power cut leaves it, is cut off: nobody was answered about it. Damage before
//! the end is an error, for a value may be gone that somebody relies on.

use std::io;

use super::table::{Entry, KEY_BYTES_MAX, Record, Table, VALUE_BYTES_MAX};

const MAGIC: &[u8; 8] = b"PCSTATE1";
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
const FRAME_BYTES: usize = 8;
/// A put of the longest key and value.
const BODY_BYTES_MAX: usize = 19 + KEY_BYTES_MAX + VALUE_BYTES_MAX;

/// A new file with everything in a table.
pub(super) fn whole(table: &Table) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    table.records().for_each(|record| append(&mut file, &record));
    file
}

/// One more record.
pub(super) fn append(file: &mut Vec<u8>, record: &Record) {
    let mut body = Vec::new();
    match record {
        Record::Put { key, entry } => {
            body.push(1);
            body.extend(entry.version.to_le_bytes());
            body.extend(entry.expires.to_le_bytes());
            // A key has at most 256 bytes.
            body.extend((key.len() as u16).to_le_bytes());
            body.extend(key.as_bytes());
            body.extend(&entry.value);
        }
        Record::Delete { key } => {
            body.push(2);
            body.extend(key.as_bytes());
        }
        Record::Versions(last) => {
            body.push(3);
            body.extend(last.to_le_bytes());
        }
    }
    file.extend((body.len() as u32).to_le_bytes());
    file.extend(CRC.checksum(&body).to_le_bytes());
    file.extend(body);
}

/// The table that a file holds, and how many bytes of it are whole.
pub(super) fn read(file: &[u8]) -> io::Result<(Table, usize)> {
    let damaged = |at: usize, what: &str| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{what} at byte {at}"))
    };
    let mut rest = file.strip_prefix(MAGIC).ok_or_else(|| damaged(0, "is no state file"))?;
    let mut table = Table::default();
    loop {
        let at = file.len() - rest.len();
        let Some(body) = frame(rest) else {
            return Ok((table, at));
        };
        match body {
            Ok(body) => {
                let record = record(body).ok_or_else(|| damaged(at, "has an unknown record"))?;
                table.apply(record);
                rest = rest.get(FRAME_BYTES + body.len()..).unwrap_or_default();
            }
            Err(Broken) => return Err(damaged(at, "is damaged")),
        }
    }
}

/// Damage that no power cut leaves.
struct Broken;

/// The body of the next record; `None` = the whole part ends here.
fn frame(rest: &[u8]) -> Option<Result<&[u8], Broken>> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (sum, after) = after.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    // The file grew before its content was written.
    if length == 0 && rest.iter().all(|byte| *byte == 0) {
        return None;
    }
    if length > BODY_BYTES_MAX {
        return Some(Err(Broken));
    }
    let body = after.get(..length)?;
    if CRC.checksum(body) == u32::from_le_bytes(*sum) {
        return Some(Ok(body));
    }
    // A last record of which not every page came to the disk, or one with others behind it.
    if after.len() == length { None } else { Some(Err(Broken)) }
}

fn record(body: &[u8]) -> Option<Record> {
    let (kind, rest) = body.split_first()?;
    let text = |bytes: &[u8]| Some(std::str::from_utf8(bytes).ok()?.to_owned());
    Some(match kind {
        1 => {
            let (version, rest) = rest.split_first_chunk::<8>()?;
            let (expires, rest) = rest.split_first_chunk::<8>()?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (key, value) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
            let version = u64::from_le_bytes(*version);
            let expires = u64::from_le_bytes(*expires);
            Record::Put {
                key: text(key)?,
                entry: Entry { value: value.to_vec(), version, expires },
            }
        }
        2 => Record::Delete { key: text(rest)? },
        3 => Record::Versions(u64::from_le_bytes(rest.try_into().ok()?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Vec<usize>) {
        let mut table = Table::with_quota(1 << 20);
        let mut file = whole(&table);
        let mut ends = vec![file.len()];
        for (key, value) in [("a", "one"), ("b", "two"), ("a", "three")] {
            let change = table.set(key, value.into(), 0, 0).unwrap();
            change.records.iter().for_each(|record| append(&mut file, record));
            ends.push(file.len());
        }
        table.delete("b", 0).records.iter().for_each(|record| append(&mut file, record));
        ends.push(file.len());
        (file, ends)
    }

    #[test]
    fn a_cut_anywhere_keeps_what_was_whole() {
        let (file, ends) = sample();
        for length in ends[0]..=file.len() {
            let (table, whole) = read(&file[..length]).unwrap();
            let expected = *ends.iter().rfind(|end| **end <= length).unwrap();
            assert_eq!(whole, expected, "{length}");
            let a = table.get("a", 0).map(|entry| entry.value.clone());
            let at = ends.iter().position(|end| *end == expected).unwrap();
            let expected = [None, Some("one"), Some("one"), Some("three"), Some("three")][at];
            assert_eq!(a.as_deref(), expected.map(str::as_bytes));
            let mut grown = file[..length].to_vec();
            grown.resize(length + 4096, 0);
            if ends.contains(&length) {
                assert_eq!(read(&grown).unwrap().1, length, "zeros behind the end");
            }
        }
    }

    #[test]
    fn damage_before_the_end_is_told() {
        let (file, ends) = sample();
        for at in ends[0]..ends[3] {
            let mut damaged = file.clone();
            damaged[at] ^= 0x40;
            // A length that is wrong may look like an end that was torn off, but never gives a
            // value that nobody wrote.
            if let Ok((table, _)) = read(&damaged) {
                let value = table.get("a", 0).map(|entry| entry.value.clone());
                assert!([None, Some(b"one".to_vec())].contains(&value), "{at}: {value:?}");
            }
        }
        let mut damaged = file.clone();
        damaged[ends[1] + 3] = 1;
        assert!(read(&damaged).is_err(), "a length that no record has");
        let mut damaged = file;
        damaged[ends[1] - 1] ^= 1;
        assert!(read(&damaged).is_err(), "a value with others behind it");
        assert!(read(b"PCSTATE2").is_err());
        assert!(read(b"").is_err());
    }
}
