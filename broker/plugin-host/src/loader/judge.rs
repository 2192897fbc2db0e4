//! What a look or a job found out, and what that means for its plugin. Changes entries only: the
//! loader publishes afterwards.

use std::{sync::Arc, time::Instant};

use access::PluginState;

use super::{
    Loader, NO_MANIFEST, NO_WASM,
    entry::Entry,
    jobs::{self, Built, Done, Step},
};
use crate::{
    candidate::{Found, Reading, Stamp, valid_name},
    generation::{Generation, Rejected},
    manifest::Manifest,
    probation::Tally,
};

impl Loader {
    pub(super) fn done(&mut self, done: Done) {
        let Done { name, step, .. } = done;
        let uploaded = self.jobs.get(&name).is_some_and(|job| job.is_upload());
        let goes_back = self.jobs.get(&name).is_some_and(|job| job.want.is_some());
        match step {
            Step::Read(Err(error)) if goes_back => self.kept_was_read(&name, Err(error)),
            Step::Read(found) if uploaded => self.upload_was_read(&name, found),
            Step::Built(built) if uploaded => self.upload_was_built(&name, *built),
            Step::Kept(found) => self.kept_was_read(&name, found),
            Step::Built(built) if goes_back => self.kept_was_built(&name, *built),
            Step::Read(found) => self.was_read(&name, found),
            Step::Built(built) => self.was_built(&name, *built),
            Step::Superseded => {}
        }
    }

    /// The job of a plugin is over; who waits for it hears how the plugin stands.
    pub(super) fn finish(&mut self, name: &str) {
        if let Some(why) = self.entries.get_mut(name).and_then(Entry::falls_back) {
            return self.fall_back(name, why);
        }
        let Some(job) = self.jobs.take(name) else {
            return;
        };
        for answer in job.answers {
            let verdict = self.verdict(name);
            self.verdicts.push((answer, verdict));
        }
    }

    pub(super) fn was_read(&mut self, name: &str, found: Result<Found, String>) {
        match found {
            Ok(Found::Reading(mut reading)) => {
                let shadow = (reading.manifest.clone(), reading.shadow.take());
                let admitted = self.admit(name, &reading);
                let state = self.entries.get(name).map(|entry| entry.state);
                let gone = admitted.is_none()
                    && matches!(state, Some(PluginState::Disabled | PluginState::Removed));
                match admitted {
                    Some(manifest) => self.build(name, *reading, manifest),
                    None => self.stay(name),
                }
                let (manifest, shadow) = if gone { (None, None) } else { shadow };
                return self.see_shadow(name, manifest, shadow);
            }
            Ok(Found::Missing(stamp)) => self.vanished(name, NO_WASM, stamp, true),
            Ok(Found::Unstable) => {
                // Seen again at the next look.
                self.entries.entry(name.to_owned()).or_insert_with(Entry::new).unstable();
                let stamp = Stamp::of(std::iter::empty());
                self.unsettled.insert(name.to_owned(), (stamp, Instant::now()));
            }
            Err(error) => {
                let entry = self.entries.entry(name.to_owned()).or_insert_with(Entry::new);
                entry.try_again = true;
                let rejected = Rejected::failed(format!("its files cannot be read: {error}"));
                self.rejected(name, None, &rejected);
            }
        }
        self.finish(name);
    }

    /// Everything that is decided before a component is compiled. `None` = it ends here.
    pub(super) fn admit(&mut self, name: &str, reading: &Reading) -> Option<Manifest> {
        let disabled = self.remembered.is_disabled(name);
        let entry = self.entries.entry(name.to_owned()).or_insert_with(Entry::new);
        entry.saw(reading);
        if !reading.has_manifest && entry.had_manifest {
            let stamp = entry.settled.clone().unwrap_or_else(|| reading.stamp.clone());
            self.vanished(name, NO_MANIFEST, stamp, false);
            return None;
        }
        entry.had_manifest = reading.has_manifest;
        if disabled || reading.manifest.as_ref().is_some_and(|manifest| !manifest.enabled) {
            entry.disable(reading.manifest.as_ref(), disabled);
            return None;
        }
        if let Err(unusable) = &reading.contents {
            entry.try_again = unusable.passing;
        }
        if let Some(rejected) = self.problem(name, reading) {
            self.rejected(name, reading.manifest.as_ref(), &rejected);
            return None;
        }
        reading.manifest.clone()
    }

    /// Why these files cannot become a generation, as far as that is known before a build.
    pub(super) fn problem(&self, name: &str, reading: &Reading) -> Option<Rejected> {
        if !valid_name(name) {
            let sentence = "a plugin's name is 1 to 64 letters, digits, '-' and '_'";
            return Some(Rejected::failed(sentence));
        }
        if let Err(unusable) = &reading.contents {
            return Some(Rejected::failed(unusable.sentence.clone()));
        }
        if self.require_manifest && !reading.has_manifest {
            let rejected = Rejected::failed("has no manifest, and require_manifest is set");
            return Some(Rejected { state: PluginState::WaitingForGrant, ..rejected });
        }
        None
    }

    pub(super) fn build(&mut self, name: &str, reading: Reading, manifest: Manifest) {
        let force = self.jobs.get(name).is_some_and(|job| job.force);
        let Ok(mut contents) = reading.contents else { return self.finish(name) };
        contents.predecessor = self.bound_of(name, &contents.version);
        let Some(entry) = self.entries.get_mut(name) else { return self.finish(name) };
        // What was given up stays given up, whatever else changed.
        if let Some(held) = entry.holds(&contents.version.hash) {
            return self.hold_on(name, &held);
        }
        contents.heir_of = entry.generation().cloned();
        if entry.generation().is_some_and(|live| live.id == contents.id) {
            entry.back_to_live();
            return self.finish(name);
        }
        let waits = entry.waiting.is_some() && contents.predecessor.is_some();
        if (!force || waits) && entry.rejected_id.as_deref() == Some(&contents.id) {
            return self.finish(name);
        }
        let plan = jobs::Plan {
            contents,
            manifest,
            log: Arc::clone(&entry.log),
            same: None,
            has_manifest: reading.has_manifest,
        };
        self.jobs.build(name, plan, Arc::clone(&self.runtime), &self.places);
    }

    pub(super) fn was_built(&mut self, name: &str, built: Built) {
        match built.generation {
            Ok(generation) => self.went_live(name, &generation),
            Err(rejected) => {
                if let Some(entry) = self.entries.get_mut(name) {
                    match rejected.passing {
                        true => entry.retry_later(Instant::now()),
                        false => entry.rejected_id = Some(built.id),
                    }
                    entry.waits_for(&built.version, &rejected);
                }
                self.rejected(name, Some(&built.manifest), &rejected);
                return self.stay(name);
            }
        }
        self.finish(name);
    }

    pub(super) fn went_live(&mut self, name: &str, generation: &Arc<Generation>) {
        self.runtime.stats.loaded();
        tracing::info!(plugin = name, generation = &*generation.short, "plugin is live");
        let Some(entry) = self.entries.get_mut(name) else { return };
        let before = entry.generation().map(Arc::clone);
        entry.live(Arc::clone(generation));
        if before.as_ref().is_none_or(|before| before.version != generation.version) {
            let before = before.map(|before| Tally::of(&before.counters));
            self.begins(name, generation, before);
        }
    }

    pub(super) fn rejected(
        &mut self,
        name: &str,
        manifest: Option<&Manifest>,
        rejected: &Rejected,
    ) {
        if rejected.state != PluginState::WaitingForApproval {
            self.runtime.stats.load_failed();
        }
        if let Some(entry) = self.entries.get_mut(name) {
            let stays = entry.rejected(manifest, rejected);
            let error = &rejected.sentence;
            tracing::warn!(plugin = name, error, stays, "plugin did not go live");
        }
    }

    /// Its component or its manifest is gone. A plugin that is switched off is not missed, unless
    /// it was its manifest that said so. The caller publishes.
    pub(super) fn vanished(&mut self, name: &str, why: &str, stamp: Stamp, no_wasm: bool) {
        let by_admin = self.remembered.is_disabled(name);
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.fresh && no_wasm {
            // It came and went before anything was decided about it.
            self.entries.remove(name);
            return self.overtake(name);
        }
        entry.settled = Some(stamp);
        let not_missed = entry.state == PluginState::Disabled && !entry.disabled_by_admin;
        if by_admin || (no_wasm && not_missed) {
            entry.removed_while_disabled(why, by_admin);
        } else {
            entry.removed(why);
            tracing::warn!(plugin = name, why, "plugin is gone; its link fails closed");
        }
        self.overtake(name);
    }

    /// Ends the load of a plugin that was removed or disabled meanwhile. An upload goes on: it is
    /// about another file, and is judged anew when it is stored.
    pub(super) fn overtake(&mut self, name: &str) {
        match self.jobs.get(name) {
            Some(job) if job.is_upload() => job.overtaken = true,
            _ => self.finish(name),
        }
    }
}
