//! Candidates in shadow mode: `NAME.shadow.wasm` beside `NAME.wasm`, built like any other with the
//! manifest of the live one, compared with it, and put in its place by an admin or by the
//! manifest's rule.

use std::{fs, io, path::Path, sync::Arc, time::Instant};

use access::{PluginError, PluginState, UploadStage, UploadedPlugin};
use tokio::sync::oneshot;

use super::{Loader, orders::Answer};
use crate::{
    candidate::{Contents, Found, Places, Unusable},
    component,
    generation::{Generation, Rejected},
    manifest::Manifest,
    remembered::write_private,
    shadow::Shadow,
};

/// A candidate of one plugin.
#[derive(Clone)]
pub(super) struct Standby {
    /// Of the generation that it is to be.
    pub(super) id: String,
    /// `None` = it is being built.
    pub(super) built: Option<Result<Arc<Shadow>, String>>,
}

/// A build that ended: of which plugin, which generation.
pub(super) type Built = (String, String, Result<Arc<Generation>, Rejected>);

impl Loader {
    /// What lies there for a candidate, after its plugin was judged.
    pub(super) fn see_shadow(
        &mut self,
        name: &str,
        manifest: Option<Manifest>,
        found: Option<Result<Contents, Unusable>>,
    ) {
        let bound = match &found {
            Some(Ok(contents)) => self.bound_of(name, &contents.version),
            _ => None,
        };
        let Some(entry) = self.entries.get_mut(name) else { return };
        let (Some(found), Some(manifest)) = (found, manifest) else {
            entry.standby = None;
            return self.answer_shadow(name);
        };
        let mut contents = match found {
            Ok(contents) => contents,
            Err(unusable) => {
                let built = Some(Err(unusable.sentence));
                entry.standby = Some(Standby { id: String::new(), built });
                return self.answer_shadow(name);
            }
        };
        if entry.standby.as_ref().is_some_and(|standby| standby.id == contents.id) {
            return self.answer_shadow(name);
        }
        let id = contents.id.clone();
        entry.standby = Some(Standby { id: id.clone(), built: None });
        contents.heir_of = entry.generation().cloned();
        contents.predecessor = bound;
        contents.progress = std::mem::take(&mut entry.shadow_progress);
        let (runtime, log, name) =
            (Arc::clone(&self.runtime), Arc::clone(&entry.log), name.to_owned());
        self.shadows.spawn(async move {
            let built = Generation::build(&runtime, &name, contents, manifest, log).await;
            (name, id, built)
        });
    }

    pub(super) fn shadow_was_built(&mut self, (name, id, built): Built) {
        let Some(entry) = self.entries.get_mut(&name) else { return };
        let Some(standby) = entry.standby.as_mut().filter(|standby| standby.id == id) else {
            return;
        };
        standby.built = Some(match built {
            Ok(candidate) => {
                let generation = &*candidate.short;
                tracing::info!(plugin = name, generation, "a candidate sees what is asked");
                Ok(Shadow::start(candidate))
            }
            Err(rejected) => {
                let error = rejected.sentence;
                tracing::warn!(plugin = name, error, "a candidate cannot be asked");
                Err(error)
            }
        });
        self.answer_shadow(&name);
    }

    /// Who brought it hears how it stands, once that is known.
    fn answer_shadow(&mut self, name: &str) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let problem = match &entry.standby {
            Some(Standby { built: None, .. }) => return,
            Some(Standby { built: Some(Ok(_)), .. }) => None,
            Some(Standby { built: Some(Err(error)), .. }) => Some(error.clone()),
            None => Some("it is gone, or nothing is live to compare it with".to_owned()),
        };
        for answer in std::mem::take(&mut entry.shadow_answers) {
            let verdict = match &problem {
                None => self.info(name),
                Some(error) => {
                    Err(PluginError::Rejected(format!("the candidate of {name}: {error}")))
                }
            };
            self.answer(answer, verdict);
        }
    }

    /// `POST .../shadow`.
    pub(super) async fn upload_shadow(&mut self, plugin: UploadedPlugin, answer: Answer) {
        let UploadedPlugin { name, wasm, signature, progress } = plugin;
        let Some(entry) = self.entries.get(&name) else {
            return self.answer(answer, Err(PluginError::NotFound(name)));
        };
        if entry.generation().is_none() {
            let error = format!("{name}: nothing is live to compare a candidate with");
            return self.answer(answer, Err(PluginError::Invalid(error)));
        }
        progress.reached(UploadStage::Checking);
        let places = self.places.clone();
        let plugin = name.clone();
        let store = move || {
            component::prepare(&wasm)
                .map_err(|error| PluginError::Invalid(format!("the component {error}")))?;
            let path = places.shadow_signature(&plugin);
            let signed = match &signature {
                Some(signature) => write_private(&path, signature.as_bytes()),
                None => remove(&path),
            };
            signed
                .and_then(|()| write_private(&places.shadow(&plugin), &wasm))
                .map_err(|error| PluginError::Internal(format!("it cannot be stored: {error}")))
        };
        let stored = tokio::task::spawn_blocking(store).await;
        let stored = stored.unwrap_or_else(|error| Err(PluginError::Internal(error.to_string())));
        if let Err(error) = stored {
            return self.answer(answer, Err(error));
        }
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.shadow_answers.push(answer);
            entry.shadow_progress = progress;
        }
        if !self.is_uploading(&name) {
            self.load(&name, false, None);
        }
    }

    /// `POST .../promote`.
    pub(super) async fn promote(&mut self, name: &str, answer: Option<Answer>) {
        match self.promotable(name).await {
            Ok(()) => {
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.held = None;
                    entry.standby = None;
                }
                self.load(name, true, answer);
            }
            Err(error) => {
                tracing::warn!(plugin = name, %error, "a candidate was not promoted");
                if let Some(answer) = answer {
                    self.answer(answer, Err(error));
                }
            }
        }
    }

    async fn promotable(&mut self, name: &str) -> Result<(), PluginError> {
        if self.is_uploading(name) {
            return Err(super::orders::uploading(name));
        }
        let entry = self.entries.get(name);
        let entry = entry.ok_or_else(|| PluginError::NotFound(name.to_owned()))?;
        let asked = match &entry.standby {
            Some(Standby { id, built: Some(Ok(_)) }) if entry.state != PluginState::Disabled => {
                id.clone()
            }
            _ => {
                let error = format!("{name}: no candidate of it is being asked");
                return Err(PluginError::Invalid(error));
            }
        };
        let (places, plugin) = (self.places.clone(), name.to_owned());
        let engine = self.runtime.engine.hash;
        let moved = tokio::task::spawn_blocking(move || {
            // Nobody has seen how another one answers that lies there by now.
            if !is_candidate(&places, &plugin, &engine, &asked) {
                return Ok(false);
            }
            take_place(&places, &plugin).map(|()| true)
        });
        match moved.await.map_err(io::Error::other).flatten() {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.changed.notify_one();
                Err(PluginError::Changed(name.to_owned()))
            }
            Err(error) => Err(PluginError::Internal(format!("{name}: {error}"))),
        }
    }

    /// `DELETE .../shadow`.
    pub(super) async fn drop_shadow(
        &mut self,
        name: &str,
        answer: oneshot::Sender<Result<(), PluginError>>,
    ) {
        let known = self.entries.get(name).is_some_and(|entry| entry.standby.is_some());
        let removed = match known {
            false => Err(PluginError::NotFound(name.to_owned())),
            true => {
                let (places, plugin) = (self.places.clone(), name.to_owned());
                let remove = move || {
                    remove(&places.shadow(&plugin))
                        .and_then(|()| remove(&places.shadow_signature(&plugin)))
                };
                let removed = tokio::task::spawn_blocking(remove).await;
                let removed = removed.map_err(io::Error::other).flatten();
                removed.map_err(|error| PluginError::Internal(format!("{name}: {error}")))
            }
        };
        if removed.is_ok()
            && let Some(entry) = self.entries.get_mut(name)
        {
            entry.standby = None;
        }
        // An asker that went away does not undo the order.
        let _ = answer.send(removed);
    }

    pub(super) fn has_rule(&self) -> bool {
        self.entries.values().any(|entry| {
            let rule = entry.generation().map(|live| live.manifest.shadow);
            entry.standby.is_some() && rule.is_some_and(|rule| rule.promote_after.is_some())
        })
    }

    /// Candidates whose manifest says that they go live now.
    pub(super) fn due_shadows(&self, now: Instant) -> Vec<String> {
        let due = self.entries.iter().filter(|(_, entry)| {
            let rule = entry.generation().map(|live| live.manifest.shadow);
            let Some(Standby { built: Some(Ok(shadow)), .. }) = &entry.standby else {
                return false;
            };
            rule.is_some_and(|rule| shadow.is_due(&rule, now))
        });
        due.map(|(name, _)| name.clone()).collect()
    }
}

/// Whether the files of a candidate are those that this generation was built of.
fn is_candidate(places: &Places, name: &str, engine: &[u8; 32], id: &str) -> bool {
    let Found::Reading(reading) = places.read(name, engine, None) else { return false };
    matches!(reading.shadow, Some(Ok(contents)) if contents.id == id)
}

/// The candidate's files take the names of the live ones. A signature of the old component is none
/// of the new one.
fn take_place(places: &Places, name: &str) -> io::Result<()> {
    match fs::rename(places.shadow_signature(name), places.signature(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            remove(&places.signature(name))?;
        }
        renamed => renamed?,
    }
    fs::rename(places.shadow(name), places.wasm(name))?;
    fs::File::open(&places.dir)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
