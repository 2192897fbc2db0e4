//! Notices changes in folders: a hint to look again, never a statement of what changed.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// Watches folders. Where watching fails, the rescan remains.
pub(crate) struct FolderWatch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    error: Option<String>,
}

impl FolderWatch {
    /// `changed` is told of every change.
    pub(crate) fn new(changed: Arc<Notify>) -> Self {
        let tell = move |event: notify::Result<Event>| {
            // An error means lost events: look as well.
            if event.as_ref().map_or(true, is_change) {
                changed.notify_one();
            }
        };
        let mut watch = Self { watcher: None, watched: BTreeSet::new(), error: None };
        match notify::recommended_watcher(tell) {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.failed(&error.to_string()),
        }
        watch
    }

    /// Watches exactly these folders from now on. With `again`, also those that were watched are
    /// set up anew: a folder that was removed and made again is another one.
    pub(crate) fn set(&mut self, folders: BTreeSet<PathBuf>, again: bool) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let old = std::mem::take(&mut self.watched);
        for folder in old.iter().filter(|folder| again || !folders.contains(*folder)) {
            // It may be gone already, which is as good as unwatched.
            let _ = watcher.unwatch(folder);
        }
        let mut problem = None;
        for folder in folders {
            if !again && old.contains(&folder) {
                self.watched.insert(folder);
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder);
                }
                Err(error) => problem = Some(format!("{}: {error}", folder.display())),
            }
        }
        match problem {
            None => self.error = None,
            Some(problem) => self.failed(&problem),
        }
    }

    /// Why changes are only noticed by the rescan.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    fn failed(&mut self, error: &str) {
        let error = format!("changes are noticed by rescans only: {error}");
        if self.error.as_deref() != Some(&error) {
            tracing::warn!("{error}");
        }
        self.error = Some(error);
    }
}

/// Reading is no change: the loader reads, and must not wake itself.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
