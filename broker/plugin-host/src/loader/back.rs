//! Going back: an earlier version takes the place of the files in the folder, because an admin asks
//! for it, because the newer one fails in its probation, or because it does not load at the start.
//! And staying: the version that answers because the one in the folder does not load is built again
//! when its `[files]` change, so that nobody keeps what was taken from him there.
//!
//! What is kept serves only as far as it is still allowed (`Places::revive`). It stays until the
//! files in the folder change; what they are is remembered over a restart, unless the start itself
//! was the reason.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use access::{HeldBecause, KeptVersion, PluginError, PluginState};

use super::{
    Loader,
    jobs::{self, Built, HowToRead, Source},
    orders::Answer,
};
use crate::{
    candidate::{Places, Revived, Version},
    generation::{Generation, Rejected},
    kept::{Came, Kept, KeptVersions},
    probation::{Probation, Standing, Tally},
    remembered::Held,
};

/// Which version, and why.
#[derive(Clone)]
pub(super) struct Want {
    pub(super) which: Which,
    pub(super) because: HeldBecause,
    /// For the operator: what stands as the plugin's error from then on.
    pub(super) why: String,
}

/// Which version.
#[derive(Clone)]
pub(super) enum Which {
    /// This one.
    This(String),
    /// The newest proven one that was live before this one; else the newest that was live.
    Before(String),
    /// The newest proven one that was live with the manifest that is there; none of these, which
    /// were tried.
    LastGood(BTreeSet<String>),
    /// This one, which answers now, with what its files are today.
    Live(String),
}

impl Want {
    fn stays(&self) -> bool {
        matches!(self.which, Which::Live(_))
    }
}

/// A version that was found.
pub(super) struct Back {
    revived: Revived,
    /// Hash of what lies in the folder.
    over: String,
}

/// Looks for a version that may serve, newest first. Errors are sentences.
pub(super) async fn find(
    name: &str,
    which: Which,
    kept: KeptVersions,
    how: HowToRead,
) -> Result<Box<Back>, String> {
    let name = name.to_owned();
    let look = move || look(&name, &which, &kept, &how.places, &how.engine);
    let found = tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())?;
    found.map(Box::new)
}

fn look(
    name: &str,
    which: &Which,
    kept: &KeptVersions,
    places: &Places,
    engine: &[u8; 32],
) -> Result<Back, String> {
    let (today, manifest) = places.version_now(name).map_err(|unusable| unusable.sentence)?;
    let list = kept.list(name).map_err(|error| format!("what is kept: {error}"))?;
    let mut problems = Vec::new();
    for record in candidates(list, which, &today)? {
        let revived = kept.read(name, &record.version).and_then(|version| {
            if matches!(which, Which::LastGood(_)) && version.manifest != today.manifest {
                return Err("it was live with another manifest".to_owned());
            }
            places.revive(name, version, &manifest, engine)
        });
        match revived {
            Ok(revived) => return Ok(Back { revived, over: today.hash }),
            Err(problem) => problems.push(format!("version {}: {problem}", short(&record.version))),
        }
    }
    Err(match problems.is_empty() {
        true => "no earlier version of it is kept".to_owned(),
        false => problems.join("; "),
    })
}

fn candidates(list: Vec<Kept>, which: &Which, today: &Version) -> Result<Vec<Kept>, String> {
    let was_live = |record: &Kept| record.came >= Came::Live;
    let mut found: Vec<Kept> = match which {
        Which::This(version) | Which::Live(version) => {
            list.into_iter().filter(|record| record.version == *version).collect()
        }
        Which::Before(live) => {
            let number = list.iter().find(|record| record.version == *live);
            let number = number.map_or(u64::MAX, |record| record.number);
            let earlier = |record: &Kept| record.number < number && record.version != *live;
            list.into_iter().filter(|record| was_live(record) && earlier(record)).collect()
        }
        Which::LastGood(tried) => {
            let proven = |record: &Kept| record.came == Came::Proven;
            if list.iter().any(|record| record.version == today.hash && proven(record)) {
                return Err("what lies in the folder is the last good version itself".to_owned());
            }
            let untried = |record: &Kept| proven(record) && !tried.contains(&record.version);
            list.into_iter().filter(untried).collect()
        }
    };
    // Stable: the newest of each come first.
    found.sort_by_key(|record| std::cmp::Reverse(record.came));
    Ok(found)
}

/// As operators see it.
fn short(version: &str) -> &str {
    version.get(..12).unwrap_or(version)
}

impl Loader {
    /// `POST .../rollback`.
    pub(super) fn rollback(&mut self, name: &str, answer: Answer) {
        if self.is_uploading(name) {
            return self.answer(answer, Err(super::orders::uploading(name)));
        }
        let Some(entry) = self.entries.get(name) else {
            return self.answer(answer, Err(PluginError::NotFound(name.to_owned())));
        };
        if matches!(entry.state, PluginState::Disabled | PluginState::Removed) {
            let error = format!("{name}: is disabled or removed, so nothing of it answers");
            return self.answer(answer, Err(PluginError::Invalid(error)));
        }
        // Where nothing answers, whatever answered last.
        let live = entry.generation().map(|live| live.version.clone());
        let which = Which::Before(live.unwrap_or_default());
        let why = "an admin rolled it back; the files in the folder wait until they change, or a \
                   reload is asked for"
            .to_owned();
        self.go_back(name, Want { which, because: HeldBecause::Asked, why });
        if let Some(job) = self.jobs.get(name) {
            job.answers.push(answer);
        }
    }

    pub(super) fn go_back(&mut self, name: &str, want: Want) {
        let how = self.how_to_read(1);
        self.jobs.read(name, true, Source::Kept(want), how);
    }

    /// The files did not load when the broker started.
    pub(super) fn fall_back(&mut self, name: &str, why: String) {
        let tried = self.entries.get(name).map(|entry| entry.tried.clone()).unwrap_or_default();
        let which = Which::LastGood(tried);
        self.go_back(name, Want { which, because: HeldBecause::Start, why });
    }

    /// The version that is held, with what its files are now.
    pub(super) fn hold_on(&mut self, name: &str, held: &Held) {
        let why = self.entries.get(name).and_then(|entry| entry.held_why());
        let why = why.unwrap_or_else(|| "it was rolled back before the restart".to_owned());
        let which = Which::This(held.version.clone());
        self.go_back(name, Want { which, because: held.because, why });
    }

    /// The files in the folder did not load, so that what answers stays.
    pub(super) fn stay(&mut self, name: &str) {
        let Some(entry) = self.entries.get(name) else { return self.finish(name) };
        let live = entry.generation().map(|live| live.version.clone());
        match (entry.held.clone(), live) {
            (_, None) => self.finish(name),
            (Some(held), _) => self.hold_on(name, &held),
            (None, Some(version)) => {
                let (which, because) = (Which::Live(version), HeldBecause::Start);
                self.go_back(name, Want { which, because, why: String::new() });
            }
        }
    }

    pub(super) fn kept_was_read(&mut self, name: &str, found: Result<Box<Back>, String>) {
        let Back { revived, over } = match found {
            Ok(back) => *back,
            Err(sentence) => return self.cannot_go_back(name, &sentence),
        };
        let Revived { mut contents, manifest, stamp } = revived;
        let (Some(entry), Some(job)) = (self.entries.get(name), self.jobs.get(name)) else {
            return self.finish(name);
        };
        let live = entry.generation();
        let stays = job.want.as_ref().is_some_and(Want::stays);
        if stays && live.is_none_or(|live| live.id == contents.id) {
            return self.finish(name);
        }
        job.over = Some((over, stamp));
        contents.heir_of = live.cloned();
        let plan = jobs::Plan {
            same: live.filter(|live| live.id == contents.id).map(Arc::clone),
            log: Arc::clone(&entry.log),
            has_manifest: entry.had_manifest,
            contents,
            manifest,
        };
        self.jobs.build(name, plan, Arc::clone(&self.runtime), &self.places);
    }

    pub(super) fn kept_was_built(&mut self, name: &str, built: Built) {
        let generation = match built.generation {
            Ok(generation) => generation,
            Err(rejected) => {
                let version = built.version;
                let sentence = format!("version {}: {}", short(&version), rejected.sentence);
                let stays =
                    self.jobs.get(name).and_then(|job| job.want.as_ref()).is_some_and(Want::stays);
                if let Some(entry) = self.entries.get_mut(name).filter(|_| !stays) {
                    entry.tried.insert(version);
                }
                return self.cannot_go_back(name, &sentence);
            }
        };
        let Some(job) = self.jobs.take(name) else { return };
        let (Some(want), Some((over, stamp)), Some(entry)) =
            (job.want, job.over, self.entries.get_mut(name))
        else {
            return;
        };
        if want.stays() {
            entry.stays_with(generation, &stamp);
            tracing::info!(plugin = name, "what answers read its files again");
            return job.answers.into_iter().for_each(|answer| {
                let verdict = self.verdict(name);
                self.answer(answer, verdict);
            });
        }
        let version = generation.version.clone();
        let held = Held { version, over, because: want.because };
        if entry.goes_back(generation, held, want.why.clone(), &stamp) {
            self.runtime.stats.loaded();
            let (because, why) = (want.because.word(), &want.why);
            tracing::warn!(
                event = "plugin_rollback",
                plugin = name,
                because,
                why,
                "an earlier version answers"
            );
        }
        for answer in job.answers {
            let verdict = match want.because {
                HeldBecause::Asked => self.info(name),
                HeldBecause::Probation | HeldBecause::Start => self.verdict(name),
            };
            self.answer(answer, verdict);
        }
    }

    fn cannot_go_back(&mut self, name: &str, sentence: &str) {
        let Some(job) = self.jobs.get(name) else { return };
        let because = job.want.as_ref().map(|want| want.because);
        if job.want.as_ref().is_some_and(Want::stays) {
            tracing::warn!(plugin = name, sentence, "what answers cannot read its files again");
            return self.finish(name);
        }
        let Some(entry) = self.entries.get_mut(name) else { return self.finish(name) };
        if because == Some(HeldBecause::Start) {
            tracing::info!(plugin = name, sentence, "no earlier version can answer instead");
            let again = matches!(&job.want, Some(Want { which: Which::LastGood(tried), .. })
                if entry.tried.len() > tried.len());
            let why = job.want.as_ref().map(|want| want.why.clone()).unwrap_or_default();
            return if again { self.fall_back(name, why) } else { self.finish(name) };
        }
        tracing::warn!(plugin = name, sentence, "an earlier version cannot answer instead");
        if entry.held.is_some() && entry.generation().is_none() {
            // What lies in the folder was given up once: it does not come back by a restart.
            let sentence = format!("it was rolled back, and that version fails: {sentence}");
            entry.rejected(None, &Rejected::failed(sentence));
            entry.try_again = true;
        }
        let answers = self.jobs.take(name).map(|job| job.answers).unwrap_or_default();
        for answer in answers {
            self.answer(answer, Err(PluginError::Rejected(format!("{name}: {sentence}"))));
        }
    }

    /// A generation from the folder or an upload is live. Another version than before must show
    /// itself, unless it did once or there is nothing to go back to.
    pub(super) fn begins(&mut self, name: &str, generation: &Generation, before: Option<Tally>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let version = &generation.version;
        let proven = |kept: &KeptVersion| kept.version == *version && kept.proven;
        let is_proven = entry.kept.iter().any(proven);
        let has_earlier = entry.kept.iter().any(|kept| kept.version != *version);
        entry.probation = match is_proven || !has_earlier {
            true => None,
            false => {
                let terms = generation.manifest.reload;
                Probation::begin(Instant::now(), terms, before.unwrap_or_default())
            }
        };
        let came = match entry.probation {
            Some(_) => [Some(Came::Live), None],
            None => [Some(Came::Live), Some(Came::Proven)],
        };
        let came = came.into_iter().flatten();
        self.came.extend(came.map(|came| (name.to_owned(), version.clone(), came)));
    }

    pub(super) fn has_probation(&self) -> bool {
        self.entries.values().any(|entry| entry.probation.is_some())
    }

    /// Whose probation is over, one way or the other. Returns whether something changed.
    pub(super) fn judge_probations(&mut self, now: Instant) -> bool {
        let mut changed = false;
        let names: Vec<String> = self.entries.keys().cloned().collect();
        for name in names {
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            let (Some(probation), Some(live)) = (entry.probation, entry.generation().cloned())
            else {
                entry.probation = None;
                continue;
            };
            match probation.judge(now, Tally::of(&live.counters)) {
                Standing::Waits => {}
                // What comes next takes its place anyway.
                Standing::Failed(_) if self.jobs.get(&name).is_some() => {}
                Standing::Passed => {
                    entry.probation = None;
                    tracing::info!(plugin = name, "the new version passed its probation");
                    self.came.push((name, live.version.clone(), Came::Proven));
                    changed = true;
                }
                Standing::Failed(why) => {
                    entry.probation = None;
                    tracing::warn!(plugin = name, why, "the new version fails its probation");
                    let which = Which::Before(live.version.clone());
                    let why = format!("the version in the folder failed: {why}");
                    self.go_back(&name, Want { which, because: HeldBecause::Probation, why });
                    changed = true;
                }
            }
        }
        changed
    }

    /// Writes how far versions came, and reads what is kept of these plugins.
    pub(super) async fn save_versions(&mut self) {
        let came = std::mem::take(&mut self.came);
        let names: BTreeSet<String> = came.iter().map(|(name, ..)| name.clone()).collect();
        let kept = self.kept.clone();
        let write = move || {
            for (name, version, came) in &came {
                if let Err(error) = kept.came(name, version, *came) {
                    tracing::warn!(plugin = name, %error, "a version cannot be kept");
                }
            }
        };
        if names.is_empty() {
            return;
        }
        if let Err(error) = tokio::task::spawn_blocking(write).await {
            tracing::error!(%error, "versions of plugins were not kept");
        }
        self.read_versions(names).await;
    }

    pub(super) async fn read_versions(&mut self, names: BTreeSet<String>) {
        let kept = self.kept.clone();
        let read = move || {
            let lists = names.into_iter().map(|name| {
                let list = kept.list(&name);
                (name, list)
            });
            lists.collect::<Vec<_>>()
        };
        let lists = tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| {
            tracing::error!(%error, "kept versions of plugins were not read");
            Vec::new()
        });
        for (name, list) in lists {
            let list = list.unwrap_or_else(|error| {
                tracing::warn!(plugin = name, %error, "what is kept of it cannot be read");
                Vec::new()
            });
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.kept = list.into_iter().filter_map(shown).collect();
            }
        }
    }
}

/// As the admin API shows it.
fn shown(kept: Kept) -> Option<KeptVersion> {
    (kept.came >= Came::Live).then(|| KeptVersion {
        version: kept.version,
        proven: kept.came == Came::Proven,
        since_unix: kept.since_unix,
        described: kept.described,
    })
}
