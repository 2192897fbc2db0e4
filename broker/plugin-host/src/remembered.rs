//! What outlives a restart: which plugins admins disabled, and which plugins there are, so that one
//! whose files vanish while the broker is down fails closed as it would while it is up.
//! `DATA_DIR/plugins-state.json`, 0600.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use access::{Control, HeldBecause, OnError};
use serde::{Deserialize, Serialize};

use crate::{
    chains::Standing,
    manifest::{self, ORDER_MAX},
};

/// The file and what it holds.
#[derive(Debug)]
pub(crate) struct Remembered {
    path: PathBuf,
    disabled: BTreeSet<String>,
    known: BTreeMap<String, Known>,
    held: BTreeMap<String, Held>,
    approved: BTreeMap<String, String>,
    /// What stands on disk; differs after a write that failed.
    stored: File,
}

/// What is remembered of a plugin that was in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// It had a manifest: without that it is not the same plugin.
    pub(crate) has_manifest: bool,
    /// Switched off by its manifest or an admin: nobody misses its files.
    pub(crate) disabled: bool,
    /// Where it stood.
    pub(crate) standing: Standing,
    /// What was live of it last.
    pub(crate) predecessor: Option<Predecessor>,
}

/// What a new version is compared with.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Predecessor {
    /// Interfaces that it imports.
    pub(crate) imports: Vec<String>,
    /// SHA-256 of its manifest; empty = it has none.
    pub(crate) manifest: String,
}

/// A version that answers in place of the files in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its hash.
    pub(crate) version: String,
    /// Hash of what lies in the folder and was given up.
    pub(crate) over: String,
    /// Why.
    pub(crate) because: HeldBecause,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    disabled: BTreeSet<String>,
    /// Absent in files of the first version.
    #[serde(default)]
    known: BTreeMap<String, KnownText>,
    /// Absent before there were rollbacks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    held: BTreeMap<String, HeldText>,
    /// Versions that admins approved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    approved: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
struct HeldText {
    version: String,
    over: String,
    because: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
struct KnownText {
    has_manifest: bool,
    disabled: bool,
    order: i64,
    control: String,
    on_error: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    predecessor: Option<Predecessor>,
}

impl Remembered {
    /// Name of the file.
    pub(crate) const FILE: &str = "plugins-state.json";

    /// Reads the file; none is an empty one. A damaged one is an error: it could enable what an
    /// admin disabled, or let a plugin go missing.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(Self::FILE);
        let stored = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => File::default(),
            Err(error) => return Err(error),
        };
        let known = stored.known.iter().map(|(name, text)| Ok((name.clone(), text.read(name)?)));
        let known = known.collect::<io::Result<_>>()?;
        let held = stored.held.iter().map(|(name, text)| Ok((name.clone(), text.read(name)?)));
        let held = held.collect::<io::Result<_>>()?;
        let (disabled, approved) = (stored.disabled.clone(), stored.approved.clone());
        Ok(Self { path, disabled, known, held, approved, stored })
    }

    /// Whether an admin disabled it.
    pub(crate) fn is_disabled(&self, name: &str) -> bool {
        self.disabled.contains(name)
    }

    /// Every plugin that was there.
    pub(crate) fn known(&self) -> &BTreeMap<String, Known> {
        &self.known
    }

    /// In memory; [`Remembered::save`] follows.
    pub(crate) fn set_disabled(&mut self, name: &str, disabled: bool) {
        match disabled {
            true => self.disabled.insert(name.to_owned()),
            false => self.disabled.remove(name),
        };
    }

    /// The version of it that an admin approved.
    pub(crate) fn approved(&self, name: &str) -> Option<&String> {
        self.approved.get(name)
    }

    /// In memory; [`Remembered::save`] follows.
    pub(crate) fn set_approved(&mut self, name: &str, version: Option<String>) {
        match version {
            Some(version) => self.approved.insert(name.to_owned(), version),
            None => self.approved.remove(name),
        };
    }

    /// Which versions are held over a restart.
    pub(crate) fn held(&self) -> &BTreeMap<String, Held> {
        &self.held
    }

    /// In memory; [`Remembered::save`] follows.
    pub(crate) fn set_held(&mut self, held: BTreeMap<String, Held>) {
        self.held = held;
    }

    /// In memory; [`Remembered::save`] follows.
    pub(crate) fn set_known(&mut self, known: BTreeMap<String, Known>) {
        self.known = known;
    }

    /// Writes what differs from the disk, off the async threads.
    pub(crate) async fn save(&mut self) -> io::Result<()> {
        let known = self.known.iter().map(|(name, known)| (name.clone(), KnownText::of(known)));
        let held = self.held.iter().map(|(name, held)| (name.clone(), HeldText::of(held)));
        let (known, held) = (known.collect(), held.collect());
        let (disabled, approved) = (self.disabled.clone(), self.approved.clone());
        let file = File { disabled, known, held, approved };
        if file == self.stored {
            return Ok(());
        }
        let (path, text) = (self.path.clone(), serde_json::to_vec_pretty(&file)?);
        tokio::task::spawn_blocking(move || write_private(&path, &text))
            .await
            .map_err(io::Error::other)??;
        self.stored = file;
        Ok(())
    }
}

fn damaged(what: &str) -> io::Error {
    let message = format!("{what}: is not what this program writes");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl HeldText {
    fn of(held: &Held) -> Self {
        let Held { version, over, because } = held.clone();
        Self { version, over, because: because.word().to_owned() }
    }

    fn read(&self, name: &str) -> io::Result<Held> {
        let because = HeldBecause::ALL.into_iter().find(|known| known.word() == self.because);
        // It becomes the name of a folder.
        let is_hash =
            self.version.len() == 64 && self.version.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            return Err(damaged(&format!("held.{name}.version")));
        }
        let because = because.ok_or_else(|| damaged(&format!("held.{name}.because")))?;
        Ok(Held { version: self.version.clone(), over: self.over.clone(), because })
    }
}

impl KnownText {
    fn of(known: &Known) -> Self {
        Self {
            has_manifest: known.has_manifest,
            disabled: known.disabled,
            order: known.standing.order,
            control: manifest::word(&manifest::CONTROLS, &known.standing.control).to_owned(),
            on_error: manifest::word(&manifest::ON_ERRORS, &known.standing.on_error).to_owned(),
            predecessor: known.predecessor.clone(),
        }
    }

    fn read(&self, name: &str) -> io::Result<Known> {
        let damaged = |what: &str| damaged(&format!("known.{name}.{what}"));
        let control: Option<Control> = manifest::choice_of(&manifest::CONTROLS, &self.control);
        let on_error: Option<OnError> = manifest::choice_of(&manifest::ON_ERRORS, &self.on_error);
        if self.order.unsigned_abs() > ORDER_MAX.unsigned_abs() {
            return Err(damaged("order"));
        }
        Ok(Known {
            has_manifest: self.has_manifest,
            disabled: self.disabled,
            standing: Standing {
                order: self.order,
                control: control.ok_or_else(|| damaged("control"))?,
                on_error: on_error.ok_or_else(|| damaged("on_error"))?,
            },
            predecessor: self.predecessor.clone(),
        })
    }
}

/// Replaces `path` in one step by a file with mode 0600.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let (folder, name) = path
        .parent()
        .zip(path.file_name())
        .ok_or_else(|| io::Error::other("a path without a folder"))?;
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(io::Error::other)?;
    // Hidden, so that a look at the plugin folder does not take it for a plugin.
    let suffix = crate::candidate::hex(&suffix);
    let temporary = folder.join(format!(".{}.{suffix}.tmp", name.to_string_lossy()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(contents)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    // The new name must survive a power loss too.
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn known() -> Known {
        let standing = Standing { order: -3, control: Control::Requisite, on_error: OnError::Next };
        let imports = vec!["log".to_owned()];
        let predecessor = Some(Predecessor { imports, manifest: "00ff".to_owned() });
        Known { has_manifest: true, disabled: false, standing, predecessor }
    }

    #[tokio::test]
    async fn survives_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let mut remembered = Remembered::open(folder.path()).unwrap();
        assert!(!remembered.is_disabled("a"));
        remembered.set_disabled("a", true);
        remembered.set_known(BTreeMap::from([("p".to_owned(), known())]));
        remembered.save().await.unwrap();
        let again = Remembered::open(folder.path()).unwrap();
        assert!(again.is_disabled("a"));
        assert_eq!(again.known()["p"], known());
        let mode = fs::metadata(&again.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary is left");
    }

    #[tokio::test]
    async fn what_did_not_reach_the_disk_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut remembered = Remembered::open(&data).unwrap();
        remembered.set_disabled("a", true);
        assert!(remembered.save().await.is_err(), "there is no folder");
        assert!(remembered.is_disabled("a"), "it holds all the same");
        fs::create_dir(&data).unwrap();
        remembered.save().await.unwrap();
        assert!(Remembered::open(&data).unwrap().is_disabled("a"));
    }

    #[test]
    fn a_file_of_the_first_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(Remembered::FILE), "{\"disabled\": [\"a\"]}").unwrap();
        let remembered = Remembered::open(folder.path()).unwrap();
        assert!(remembered.is_disabled("a"));
        assert!(remembered.known().is_empty());
    }

    #[test]
    fn damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let good = r#"{"disabled": [], "known": {"p": {"has_manifest": true, "disabled": false,
            "order": 1, "control": "required", "on_error": "deny"}}}"#;
        let damaged = [
            "",
            "{\"disab",
            "{}",
            &good[..good.len() - 1],
            &good.replace("required", "requirex"),
            &good.replace("\"deny\"", "\"dent\""),
            &good.replace("has_manifest", "has_manifesu"),
            &good.replace(": 1,", ": 100000000,"),
        ];
        let path = folder.path().join(Remembered::FILE);
        for text in damaged {
            fs::write(&path, text).unwrap();
            assert!(Remembered::open(folder.path()).is_err(), "{text}");
        }
        fs::write(&path, good).unwrap();
        Remembered::open(folder.path()).unwrap();
    }
}
