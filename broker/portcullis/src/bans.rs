//! `DATA_DIR/bans.json`: bans that outlive the broker.
//!
//! Replaced as a whole, never half written. One that cannot be read is no start: nobody who was kept out may get in because
//! a file broke.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use limits::{Ban, BanOrigin, BanTarget};
use serde::{Deserialize, Serialize};
use server::{BanKeeper, IpNet, KeptBans};

use crate::{atomic_file, failure::Failure};

/// Largest file that is read: all bans with the longest names there can be would be more, and nobody has those.
const FILE_BYTES_MAX: u64 = 64 << 20;
const VERSION: u32 = 1;

/// What is in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    bans: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: u64,
    target: Target,
    reason: String,
    #[serde(default)]
    flapping: bool,
    since_unix: u64,
    until_unix: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    ClientId(String),
    Principal(String),
    Address(IpNet),
    Certificate([u8; 32]),
    Client { principal: String, client_id: String },
}

/// The file.
#[derive(Debug)]
struct File(PathBuf);

impl BanKeeper for File {
    fn keep(&self, bans: &[Ban]) -> io::Result<()> {
        let bans = bans.iter().cloned().map(Entry::from).collect();
        let mut text = serde_json::to_vec_pretty(&Content { version: VERSION, bans })?;
        text.push(b'\n');
        atomic_file::replace(&self.0, &text)
    }
}

/// What an earlier process kept in this folder, and the file that keeps what comes.
pub(crate) fn load(data_dir: &Path) -> Result<KeptBans, Failure> {
    let file = data_dir.join("bans.json");
    let bans = match read(&file) {
        Ok(bans) => bans,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(Failure::Refused(format!(
                "{}: the bans cannot be read: {error}; nobody who is banned may get in: restore \
                 the file, or remove it to start without bans",
                file.display()
            )));
        }
    };
    Ok(KeptBans { bans, keeper: Arc::new(File(file)) })
}

fn read(file: &Path) -> io::Result<Vec<Ban>> {
    let bytes = fs::metadata(file)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "it has {bytes} bytes, allowed: at most {FILE_BYTES_MAX}"
        )));
    }
    let content: Content = serde_json::from_slice(&fs::read(file)?)?;
    if content.version != VERSION {
        return Err(io::Error::other(format!(
            "it has version {}, allowed: {VERSION}",
            content.version
        )));
    }
    Ok(content.bans.into_iter().map(Ban::from).collect())
}

impl From<Ban> for Entry {
    fn from(ban: Ban) -> Self {
        Self {
            id: ban.id,
            target: match ban.target {
                BanTarget::ClientId(client_id) => Target::ClientId(client_id),
                BanTarget::Principal(principal) => Target::Principal(principal),
                BanTarget::Address(range) => Target::Address(range),
                BanTarget::Certificate(sha256) => Target::Certificate(sha256),
                BanTarget::Client { principal, client_id } => {
                    Target::Client { principal, client_id }
                }
            },
            reason: ban.reason,
            flapping: ban.origin == BanOrigin::Flapping,
            since_unix: ban.since_unix,
            until_unix: ban.until_unix,
        }
    }
}

impl From<Entry> for Ban {
    fn from(entry: Entry) -> Self {
        let origin = if entry.flapping { BanOrigin::Flapping } else { BanOrigin::Administrator };
        Self {
            id: entry.id,
            target: match entry.target {
                Target::ClientId(client_id) => BanTarget::ClientId(client_id),
                Target::Principal(principal) => BanTarget::Principal(principal),
                Target::Address(range) => BanTarget::Address(range),
                Target::Certificate(sha256) => BanTarget::Certificate(sha256),
                Target::Client { principal, client_id } => {
                    BanTarget::Client { principal, client_id }
                }
            },
            reason: entry.reason,
            origin,
            since_unix: entry.since_unix,
            until_unix: entry.until_unix,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let kept = load(folder.path()).unwrap();
        assert_eq!(kept.bans, []);
        let targets = [
            BanTarget::ClientId("a \"quoted\" \n id".to_owned()),
            BanTarget::Principal("p".to_owned()),
            BanTarget::address("10.0.0.0/8".parse().unwrap()).unwrap(),
            BanTarget::address("2001:db8::/32".parse().unwrap()).unwrap(),
            BanTarget::Certificate([200; 32]),
            BanTarget::Client { principal: "p".to_owned(), client_id: "c".to_owned() },
        ];
        let origins = [BanOrigin::Administrator, BanOrigin::Flapping].into_iter().cycle();
        let bans: Vec<_> = (1..)
            .zip(targets)
            .zip(origins)
            .map(|((id, target), origin)| Ban {
                id,
                target,
                reason: "why".to_owned(),
                origin,
                since_unix: id,
                until_unix: (id % 2 == 0).then_some(u64::MAX),
            })
            .collect();
        kept.keeper.keep(&bans).unwrap();
        assert_eq!(load(folder.path()).unwrap().bans, bans);
        kept.keeper.keep(&[]).unwrap();
        assert_eq!(load(folder.path()).unwrap().bans, []);
    }

    /// A broken file is no start.
    #[test]
    fn a_broken_file_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{}", "{\"version\":2,\"bans\":[]}", "{\"version\":1,\"bans\":[{}]}"] {
            fs::write(folder.path().join("bans.json"), text).unwrap();
            let failure = load(folder.path()).unwrap_err();
            let Failure::Refused(sentence) = failure else { panic!("{failure:?}") };
            assert!(sentence.contains("the bans cannot be read"), "{sentence}");
        }
    }
}
