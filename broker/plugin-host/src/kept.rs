//! Versions of plugins that were live, on disk: what a rollback goes back to, and what a start
//! falls back on. `DATA_DIR/plugin-versions/NAME/HASH/`, 0700. Blocking: call it off the async
//! threads.
//!
//! Only component, manifest and signature are kept. Of `[files]` there are only hashes: what they
//! hold now counts, so that going back to an older plugin brings no removed user back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{candidate::Version, remembered::write_private};

/// Versions of one plugin that passed their probation.
const PROVEN_MAX: usize = 3;
/// Others: what is live, and what was live or built just before.
const OTHERS_MAX: usize = 2;

const WASM: &str = "plugin.wasm";
const MANIFEST: &str = "plugin.toml";
const SIGNATURE: &str = "plugin.sig";
const RECORD: &str = "version.json";

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct KeptVersions(PathBuf);

/// How far a version came.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Came {
    /// It was built.
    Built,
    /// It went live.
    Live,
    /// It passed its probation.
    Proven,
}

/// What is known of a kept version.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    /// Its hash.
    pub(crate) version: String,
    /// Raised with each version that goes live.
    pub(crate) number: u64,
    /// How far it came.
    pub(crate) came: Came,
    /// When it was kept, in seconds since 1970.
    pub(crate) since_unix: u64,
    /// Name and version that it tells.
    pub(crate) described: (String, String),
    /// SHA-256 of what `[files]` held then.
    pub(crate) files: BTreeMap<String, String>,
}

/// What is known of a version when it is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Name and version that it tells.
    pub(crate) described: (String, String),
    /// SHA-256 of what `[files]` hold.
    pub(crate) files: BTreeMap<String, String>,
}

impl KeptVersions {
    /// Below `data_dir`.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self(data_dir.join("plugin-versions"))
    }

    fn folder(&self, plugin: &str) -> PathBuf {
        self.0.join(plugin)
    }

    fn place(&self, plugin: &str, version: &str) -> PathBuf {
        self.folder(plugin).join(version)
    }

    /// Newest first. What is damaged is no version, and goes with the next tidying.
    pub(crate) fn list(&self, plugin: &str) -> io::Result<Vec<Kept>> {
        let entries = match fs::read_dir(self.folder(plugin)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut kept = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let record = fs::read(path.join(RECORD)).ok();
            let record = record.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
            kept.extend(record.filter(|record| path.ends_with(&record.version)));
        }
        kept.sort_by_key(|record| std::cmp::Reverse(record.number));
        Ok(kept)
    }

    /// Writes a version that was built, in one step.
    pub(crate) fn keep(&self, plugin: &str, version: &Version, told: Told) -> io::Result<()> {
        let place = self.place(plugin, &version.hash);
        if self.list(plugin)?.iter().any(|kept| kept.version == version.hash) {
            return Ok(());
        }
        let folder = self.folder(plugin);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let temporary = folder.join(format!(".{}.tmp", version.hash));
        remove(&temporary)?;
        DirBuilder::new().mode(0o700).create(&temporary)?;
        let record = Kept {
            version: version.hash.clone(),
            number: self.next_number(plugin)?,
            came: Came::Built,
            since_unix: now_unix(),
            described: told.described,
            files: told.files,
        };
        write_private(&temporary.join(WASM), &version.wasm)?;
        if let Some(text) = &version.manifest {
            write_private(&temporary.join(MANIFEST), text.as_bytes())?;
        }
        if let Some(text) = &version.signature {
            write_private(&temporary.join(SIGNATURE), text.as_bytes())?;
        }
        write_private(&temporary.join(RECORD), &serde_json::to_vec_pretty(&record)?)?;
        remove(&place)?;
        fs::rename(&temporary, &place)?;
        fs::File::open(&folder)?.sync_all()
    }

    /// A version came further; one that goes live (again) is the newest. Then those that are too
    /// many go.
    pub(crate) fn came(&self, plugin: &str, version: &str, came: Came) -> io::Result<()> {
        let Some(mut record) =
            self.list(plugin)?.into_iter().find(|record| record.version == version)
        else {
            return Ok(());
        };
        if came == Came::Live {
            record.number = self.next_number(plugin)?;
        }
        record.came = record.came.max(came);
        let path = self.place(plugin, version).join(RECORD);
        write_private(&path, &serde_json::to_vec_pretty(&record)?)?;
        self.tidy(plugin)
    }

    /// A version as it was kept. Errors are sentences.
    pub(crate) fn read(&self, plugin: &str, version: &str) -> Result<Version, String> {
        let place = self.place(plugin, version);
        let failed = |error: io::Error| format!("{}: {error}", place.display());
        let text = |name: &str| match fs::read_to_string(place.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let wasm = Arc::new(fs::read(place.join(WASM)).map_err(failed)?);
        let (manifest, signature) =
            (text(MANIFEST).map_err(failed)?, text(SIGNATURE).map_err(failed)?);
        let read = Version::new(wasm, manifest, signature);
        match read.hash == version {
            true => Ok(read),
            false => Err(format!("{}: is not what was kept; it is damaged", place.display())),
        }
    }

    /// Nothing of the plugin is kept any more.
    pub(crate) fn forget(&self, plugin: &str) -> io::Result<()> {
        remove(&self.folder(plugin))
    }

    fn next_number(&self, plugin: &str) -> io::Result<u64> {
        Ok(self.list(plugin)?.first().map_or(1, |newest| newest.number.saturating_add(1)))
    }

    fn tidy(&self, plugin: &str) -> io::Result<()> {
        let (mut proven, mut others) = (0, 0);
        let mut stay = BTreeSet::new();
        for record in self.list(plugin)? {
            let (count, max) = match record.came {
                Came::Proven => (&mut proven, PROVEN_MAX),
                Came::Live | Came::Built => (&mut others, OTHERS_MAX),
            };
            *count += 1;
            if *count <= max {
                stay.insert(record.version);
            }
        }
        for entry in fs::read_dir(self.folder(plugin))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // Hidden: it is being written.
            if !stay.contains(&name) && !name.starts_with('.') {
                remove(&self.place(plugin, &name))?;
            }
        }
        Ok(())
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// 0 where the clock is before 1970.
fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(wasm: &str) -> Version {
        let wasm = Arc::new(wasm.as_bytes().to_vec());
        Version::new(wasm, Some("order = 1".to_owned()), None)
    }

    fn keep(kept: &KeptVersions, wasm: &str, came: Came) -> String {
        let version = version(wasm);
        let files = BTreeMap::from([("f".to_owned(), "00ff".to_owned())]);
        kept.keep("p", &version, Told { files, ..Told::default() }).unwrap();
        kept.came("p", &version.hash, came).unwrap();
        version.hash
    }

    #[test]
    fn what_was_kept_is_read_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptVersions::new(folder.path());
        assert_eq!(kept.list("p").unwrap(), []);
        let version = keep(&kept, "one", Came::Live);
        assert_eq!(kept.read("p", &version).unwrap(), self::version("one"));
        let listed = kept.list("p").unwrap();
        assert_eq!((listed.len(), listed[0].came), (1, Came::Live));
        assert_eq!(listed[0].files["f"], "00ff");
        for name in [WASM, MANIFEST] {
            let path = kept.place("p", &version).join(name);
            let good = fs::read(&path).unwrap();
            fs::write(&path, "other").unwrap();
            assert!(kept.read("p", &version).unwrap_err().contains("damaged"), "{name}");
            fs::write(&path, good).unwrap();
        }
        fs::write(kept.place("p", &version).join(RECORD), "{").unwrap();
        assert_eq!(kept.list("p").unwrap(), [], "a damaged record is no version");
        keep(&kept, "one", Came::Live);
        assert_eq!(kept.list("p").unwrap().len(), 1, "and can be kept again");
        kept.forget("p").unwrap();
        assert_eq!(kept.list("p").unwrap(), []);
    }

    #[test]
    fn there_is_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptVersions::new(folder.path());
        for number in 0..5 {
            keep(&kept, &format!("good {number}"), Came::Proven);
        }
        let bad: Vec<_> = (0..4).map(|n| keep(&kept, &format!("bad {n}"), Came::Live)).collect();
        let listed = kept.list("p").unwrap();
        assert_eq!(listed.len(), PROVEN_MAX + OTHERS_MAX);
        assert_eq!(listed[0].version, bad[3]);
        let again = keep(&kept, "good 3", Came::Live);
        let listed = kept.list("p").unwrap();
        assert_eq!((&listed[0].version, listed[0].came), (&again, Came::Proven));
        assert_eq!(listed.iter().filter(|kept| kept.came == Came::Proven).count(), PROVEN_MAX);
    }
}
