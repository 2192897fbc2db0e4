//! A version that asks for more than its predecessor, though the manifest is the same: an admin
//! must have approved it. Who changes the manifest with it is the operator, and has.

use access::{PluginError, PluginState};

use super::{Loader, entry::Entry, orders::Answer};
use crate::{candidate::Version, generation::Rejected, remembered::Remembered};

impl Loader {
    /// What the predecessor of this version imports, if more than that must be approved.
    pub(super) fn bound_of(&self, name: &str, version: &Version) -> Option<Vec<String>> {
        let entry = self.entries.get(name)?;
        let before = entry.predecessor()?;
        let was_live = entry.kept.iter().any(|kept| kept.version == version.hash);
        let is_approved = self.remembered.approved(name) == Some(&version.hash);
        let same_manifest = before.manifest == version.manifest_hash();
        let bound = self.require_approval && same_manifest && !was_live && !is_approved;
        bound.then(|| before.imports.clone())
    }

    /// An upload waits, in the folder.
    pub(super) fn upload_waits(&mut self, name: &str, version: &str, rejected: &Rejected) {
        let entry = self.entries.entry(name.to_owned()).or_insert_with(Entry::new);
        entry.stored();
        entry.waits_for(version, rejected);
        self.rejected(name, None, rejected);
        self.finish(name);
    }

    /// `POST .../approve`.
    pub(super) async fn approve(&mut self, name: &str, version: Option<String>, answer: Answer) {
        if self.is_uploading(name) {
            return self.answer(answer, Err(super::orders::uploading(name)));
        }
        let Some(entry) = self.entries.get(name) else {
            return self.answer(answer, Err(PluginError::NotFound(name.to_owned())));
        };
        let waits = entry.state == PluginState::WaitingForApproval;
        let Some(waiting) = entry.waiting.as_ref().filter(|_| waits) else {
            let error = format!("{name}: nothing of it waits for approval");
            return self.answer(answer, Err(PluginError::Invalid(error)));
        };
        let waiting = waiting.version.clone();
        if version.is_some_and(|version| version != waiting) {
            let error = format!("{name}: it is version {waiting} that waits");
            return self.answer(answer, Err(PluginError::Invalid(error)));
        }
        let before = self.remembered.approved(name).cloned();
        self.remembered.set_approved(name, Some(waiting));
        if let Err(error) = self.remembered.save().await {
            self.remembered.set_approved(name, before);
            let error = format!("{}: {error}", Remembered::FILE);
            return self.answer(answer, Err(PluginError::Internal(error)));
        }
        self.load(name, true, Some(answer));
    }
}
