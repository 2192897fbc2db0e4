//! The key rings of the configuration as the admin API has them: those that are *managed* live in files of the data folder
//! (`keys/file.rs`) and change while plugins use them. `keys/command.rs` is `portcullis keys`.
//!
//! A change is on the disk before it is in force, so that nothing is ever sealed with a key that a restart would not know.

pub(crate) mod command;
mod file;

use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use admin::{KeyError, KeyInfo, KeyManager, KeyState, NewKey, RingInfo};
use plugin_host::{KeyRing, Sources};
use zeroize::Zeroizing;

use self::file::{Content, Kept, Retired};

/// Keys of a ring that open.
const KEYS_MAX: usize = 16;
/// Keys that do not any more, of which is told.
const RETIRED_MAX: usize = 256;

/// All rings.
pub(crate) struct Rings {
    data_dir: PathBuf,
    rings: Mutex<BTreeMap<String, Ring>>,
}

#[derive(Clone)]
struct Ring {
    /// What plugins are lent.
    live: KeyRing,
    /// None = the configuration has its keys.
    content: Option<Content>,
}

impl Rings {
    /// None yet.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), rings: Mutex::default() }
    }

    /// Puts its keys into each managed ring of a configuration; one that was there before goes on as it is. A ring without
    /// a file gets its first key. The error is a sentence, and then nothing has changed.
    pub(crate) fn attach(&self, sources: &mut Sources) -> Result<(), String> {
        let mut rings = self.lock();
        let mut attached = BTreeMap::new();
        for (name, ring) in &sources.keys {
            let before = rings.get(name).filter(|before| {
                before.content.is_some() && before.live.algorithm() == ring.algorithm()
            });
            let now = match (ring.is_managed(), before) {
                (false, _) => Ring { live: ring.clone(), content: None },
                (true, Some(before)) => before.clone(),
                (true, None) => self.open(name, ring)?,
            };
            attached.insert(name.clone(), now);
        }
        for (name, ring) in &mut sources.keys {
            if let Some(attached) = attached.get(name) {
                *ring = attached.live.clone();
            }
        }
        *rings = attached;
        Ok(())
    }

    fn open(&self, name: &str, ring: &KeyRing) -> Result<Ring, String> {
        let path = file::path(&self.data_dir, name);
        let content = match file::read(&path, ring.algorithm())? {
            Some(content) => {
                file::mark(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                content
            }
            None => {
                let mut content = Content::new(ring.algorithm());
                add(&mut content, &NewKey::default(), true).map_err(|error| error.to_string())?;
                self.keep(name, &content).map_err(|error| error.to_string())?;
                tracing::info!(ring = name, "a managed key ring has its first key");
                content
            }
        };
        ring.replace(content.keys()?).map_err(|what| format!("[keys.{name}] {what}"))?;
        Ok(Ring { live: ring.clone(), content: Some(content) })
    }

    fn keep(&self, name: &str, content: &Content) -> Result<(), KeyError> {
        let path = file::path(&self.data_dir, name);
        let folder = self.data_dir.join("keys");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .and_then(|()| file::write(&path, content))
            .map_err(|error| KeyError::NotKept(format!("{}: {error}", path.display())))
    }

    /// Keeps what `change` makes of a ring, then puts it in force.
    fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut Content) -> Result<(), KeyError>,
    ) -> Result<RingInfo, KeyError> {
        let mut rings = self.lock();
        let ring = rings.get_mut(name).ok_or_else(|| KeyError::UnknownRing(name.to_owned()))?;
        let Some(content) = &ring.content else {
            return Err(KeyError::Refused(format!(
                "the configuration has the keys of {name}: [keys.{name}] managed = true gives them \
                 to the broker"
            )));
        };
        let mut content = content.clone();
        change(&mut content)?;
        let keys = content.keys().map_err(KeyError::Refused)?;
        self.keep(name, &content)?;
        ring.live.replace(keys).map_err(KeyError::Refused)?;
        ring.content = Some(content);
        Ok(info(name, ring))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Ring>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the keys of managed rings into a configuration that is only looked at; nothing is written. A ring that no broker has
/// made yet gets a key that is gone with this process. What is wrong comes back as sentences.
pub(crate) fn look(data_dir: &Path, sources: &Sources) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, ring) in sources.keys.iter().filter(|(_, ring)| ring.is_managed()) {
        let found = file::read(&file::path(data_dir, name), ring.algorithm());
        let keys = found.and_then(|content| match content {
            Some(content) => content.keys(),
            None => {
                let mut content = Content::new(ring.algorithm());
                let added = add(&mut content, &NewKey::default(), true);
                added.map_err(|error| error.to_string()).and_then(|()| content.keys())
            }
        });
        problems.extend(keys.and_then(|keys| ring.replace(keys)).err());
    }
    problems
}

impl KeyManager for Rings {
    fn rings(&self) -> Vec<RingInfo> {
        self.lock().iter().map(|(name, ring)| info(name, ring)).collect()
    }

    fn ring(&self, name: &str) -> Option<RingInfo> {
        self.lock().get(name).map(|ring| info(name, ring))
    }

    fn add(&self, ring: &str, new: &NewKey) -> Result<RingInfo, KeyError> {
        self.change(ring, |content| add(content, new, false))
    }

    fn rotate(&self, ring: &str, id: Option<u32>) -> Result<RingInfo, KeyError> {
        self.change(ring, |content| match id {
            None => add(content, &NewKey::default(), true),
            Some(id) => {
                let place = place(content, id)?;
                let key = content.keys.remove(place);
                content.keys.insert(0, key);
                Ok(())
            }
        })
    }

    fn retire(&self, ring: &str, id: u32) -> Result<RingInfo, KeyError> {
        self.change(ring, |content| {
            let place = place(content, id)?;
            if place == 0 {
                let what = format!("key {id} is the one that seals: rotate the ring first");
                return Err(KeyError::Refused(what));
            }
            let key = content.keys.remove(place);
            let (created_unix, retired_unix) = (key.created_unix, now_unix());
            content.retired.push(Retired { id, created_unix, retired_unix });
            let surplus = content.retired.len().saturating_sub(RETIRED_MAX);
            content.retired.drain(..surplus);
            Ok(())
        })
    }
}

fn place(content: &Content, id: u32) -> Result<usize, KeyError> {
    let place = content.keys.iter().position(|key| key.id == id);
    place.ok_or(KeyError::UnknownKey(id))
}

/// Adds a key: one that seals from now on, or one that only opens.
fn add(content: &mut Content, new: &NewKey, seals: bool) -> Result<(), KeyError> {
    if content.keys.len() >= KEYS_MAX {
        let what = format!("the ring has {KEYS_MAX} keys, the most there may be: retire one first");
        return Err(KeyError::Refused(what));
    }
    let id = new.id.unwrap_or(content.next);
    // Numbers stand in everything that is sealed: one that meant another key once must not come again.
    if id < content.next || id == u32::MAX {
        let what = format!("number {id} is taken, allowed: {} to {}", content.next, u32::MAX - 1);
        return Err(KeyError::Refused(what));
    }
    let mut key = Zeroizing::new([0; KeyRing::KEY_BYTES]);
    match &new.value {
        Some(value) if value.len() == key.len() => key.copy_from_slice(value),
        Some(value) => {
            let (bytes, allowed) = (value.len(), KeyRing::KEY_BYTES);
            return Err(KeyError::Refused(format!(
                "the key has {bytes} bytes, allowed: {allowed}"
            )));
        }
        None => getrandom::fill(&mut *key)
            .map_err(|error| KeyError::NotKept(format!("no random numbers: {error}")))?,
    }
    if content.keys.iter().any(|kept| kept.is(&*key)) {
        return Err(KeyError::Refused("the ring has this key already".to_owned()));
    }
    let place = if seals { 0 } else { content.keys.len() };
    content.keys.insert(place, Kept::new(id, now_unix(), &*key));
    content.next = id.saturating_add(1);
    Ok(())
}

fn info(name: &str, ring: &Ring) -> RingInfo {
    let key = |place: usize, id| KeyInfo {
        id,
        state: if place == 0 { KeyState::Seals } else { KeyState::Opens },
        created_unix: None,
        retired_unix: None,
    };
    let mut keys: Vec<_> =
        ring.live.ids().into_iter().zip(0..).map(|(id, at)| key(at, id)).collect();
    if let Some(content) = &ring.content {
        for (info, kept) in keys.iter_mut().zip(&content.keys) {
            info.created_unix = Some(kept.created_unix);
        }
        keys.extend(content.retired.iter().rev().map(|retired| KeyInfo {
            id: retired.id,
            state: KeyState::Retired,
            created_unix: Some(retired.created_unix),
            retired_unix: Some(retired.retired_unix),
        }));
    }
    RingInfo {
        name: name.to_owned(),
        algorithm: ring.live.algorithm().name(),
        managed: ring.content.is_some(),
        keys,
    }
}

fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
