//! What happens to TLS while a listener serves: files that change, lists and answers that are fetched, certificates that end.
//!
//! A loop for each kind of thing, so that an authority that does not answer holds up no file and nothing of another one; everything that reads, parses or computes
//! runs on a thread that may take its time.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::Notify, task::JoinSet, time::MissedTickBehavior};

use super::{
    CrlSource, NotGood, OcspPolicy, Tls, TlsConfig,
    fetch::{Ask, fetch},
    files::{CRL_BYTES_MAX, folders},
    loaded::check_lists,
    points::keep_points,
    staples::{name_of_list, write},
    trust::Trust,
};
use crate::broker::{Core, unix_now};

/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_secs(1);
/// How often files are read again although nobody said that they changed: watching may fail, on a network drive for instance.
const RESCAN: Duration = Duration::from_secs(30);
/// How long files must be left alone before they are read.
const QUIET: Duration = Duration::from_millis(250);
/// Longest wait for that: somebody may write all the time.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// How long a list may take to come.
const LIST_WITHIN: Duration = Duration::from_secs(60);
/// How soon a list that could not be fetched is asked for again.
const LIST_RETRY: Duration = Duration::from_secs(30);
/// How many lists come at once: each may be as large as one may be.
const LISTS_AT_ONCE: usize = 8;
/// Longer than anything that is being fetched takes.
const NEVER_LONGER: Duration = Duration::from_secs(3_600);
/// How many connected clients are asked about in one turn.
const PEERS_PER_TURN: usize = 64;

/// Keeps TLS of a listener up to date until the broker ends.
pub(crate) async fn keep(core: Arc<Core>, tls: Arc<Tls>) {
    let mut shutdown = core.shutdown.subscribe();
    tokio::select! {
        _ = shutdown.wait_for(|down| *down) => {}
        () = keep_files(&tls) => {}
        () = keep_lists(&tls) => {}
        () = keep_staples(&tls) => {}
        () = keep_peers(&tls) => {}
    }
}

fn ticks() -> tokio::time::Interval {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

async fn keep_lists(tls: &Arc<Tls>) {
    let mut tick = ticks();
    let mut lists = Lists::default();
    loop {
        tokio::select! {
            _ = tick.tick() => lists.begin(tls).await,
            Some(fetched) = lists.coming.join_next() => {
                // One that was aborted was not wanted any more.
                if fetched.is_ok_and(|fetched| lists.came(tls, fetched)) {
                    reload(tls).await;
                }
            }
        }
    }
}

async fn keep_staples(tls: &Arc<Tls>) {
    let mut tick = ticks();
    loop {
        tick.tick().await;
        tls.staples.refresh(&tls.current(), unix_now()).await;
    }
}

async fn keep_peers(tls: &Arc<Tls>) {
    let mut tick = ticks();
    loop {
        tick.tick().await;
        ask_about_peers(tls).await;
    }
}

async fn keep_files(tls: &Arc<Tls>) {
    let mut watch = Watch::new(tls);
    let mut tick = ticks();
    let mut scanned = Instant::now();
    loop {
        let something_changed = tokio::select! {
            () = tls.changed.notified() => true,
            _ = tick.tick() => false,
        };
        if something_changed {
            quiet(&tls.changed).await;
        }
        if something_changed || scanned.elapsed() >= RESCAN {
            reload(tls).await;
            scanned = Instant::now();
        }
        let over = tls.live.expire(unix_now());
        if over > 0 {
            tracing::info!(event = "tls_clients_expired", listener = %tls.listener, over);
        }
        watch.follow(tls);
    }
}

/// Waits until nothing changes any more.
async fn quiet(changed: &Notify) {
    let settled = async { while tokio::time::timeout(QUIET, changed.notified()).await.is_ok() {} };
    if tokio::time::timeout(QUIET_MAX, settled).await.is_err() {
        tracing::debug!(event = "tls_files_restless", "files of TLS change all the time");
    }
}

async fn reload(tls: &Arc<Tls>) {
    let tls = Arc::clone(tls);
    if let Err(error) = tokio::task::spawn_blocking(move || tls.reload()).await {
        tracing::error!(event = "tls_reload_failed", %error, "TLS: reading files failed");
    }
}

/// What responders said about those who are connected does not hold for ever: they are asked again, and who is revoked goes.
async fn ask_about_peers(tls: &Arc<Tls>) {
    let config = tls.config.load_full();
    if config.ocsp == OcspPolicy::Off {
        return;
    }
    let now = unix_now();
    let peers = tls.live.all().into_iter();
    let peers = peers.filter(|peer| !peer.is_cut() && tls.clients.is_over(peer, now));
    let mut questions = JoinSet::new();
    for peer in peers.take(PEERS_PER_TURN) {
        let (tls, config) = (Arc::clone(tls), Arc::clone(&config));
        questions.spawn(async move {
            let answer = tls.clients.ask(&config, &peer).await;
            if answer == Err(NotGood::Revoked) && peer.cut() {
                let listener = &tls.listener;
                tracing::info!(event = "tls_client_cut", %listener, "revoked, says its authority");
            }
        });
    }
    questions.join_all().await;
}

/// When lists at URLs are fetched.
#[derive(Default)]
struct Lists {
    /// When each is wanted again; of one that is being fetched, not before it came.
    due: HashMap<String, Instant>,
    coming: JoinSet<Fetched>,
    /// Distribution points that the next process will know.
    kept: Vec<String>,
}

/// A list, or why it did not come.
struct Fetched {
    url: String,
    list: Result<Arc<[u8]>, String>,
}

impl Lists {
    /// Begins to fetch what is due, as far as there is room: the others begin when some came.
    async fn begin(&mut self, tls: &Tls) {
        let config = tls.config.load_full();
        let points = tls.fetched.lock().points.of(&config);
        let urls: BTreeSet<_> = urls(&config).cloned().chain(points.iter().cloned()).collect();
        self.due.retain(|url, _| urls.contains(url));
        let now = Instant::now();
        for url in urls {
            if self.coming.len() >= LISTS_AT_ONCE {
                break;
            }
            if self.due.get(&url).is_some_and(|at| *at > now) {
                continue;
            }
            let trust = points.contains(&url).then(|| tls.current().trust.clone()).flatten();
            self.due.insert(url.clone(), now + NEVER_LONGER);
            let config = Arc::clone(&config);
            self.coming.spawn(async move {
                let list = fetch_list(&url, &config, trust).await;
                Fetched { url, list }
            });
        }
        self.keep_points(&config, points).await;
    }

    /// Takes one that came, or did not; whether it is a new one.
    fn came(&mut self, tls: &Tls, Fetched { url, list }: Fetched) -> bool {
        let refresh = tls.config.load().crl_refresh;
        let (next, is_new) = match list {
            Ok(list) => {
                let mut fetched = tls.fetched.lock();
                let before = fetched.lists.insert(url.clone(), Arc::clone(&list));
                (refresh, before.is_none_or(|before| before != list))
            }
            Err(cause) => {
                tracing::warn!(
                    event = "tls_crl_not_fetched",
                    listener = %tls.listener,
                    url,
                    cause = %telemetry::EscapedDisplay(&cause),
                    "a revocation list was not fetched: the one before counts until it is stale"
                );
                (LIST_RETRY.min(refresh), false)
            }
        };
        // One that is not wanted any more is not noted again.
        if let Some(due) = self.due.get_mut(&url) {
            *due = Instant::now() + next;
        }
        is_new
    }

    async fn keep_points(&mut self, config: &TlsConfig, points: Vec<String>) {
        let Some(folder) = config.cache.clone().filter(|_| points != self.kept) else {
            return;
        };
        self.kept.clone_from(&points);
        let kept = tokio::task::spawn_blocking(move || keep_points(&folder, &points)).await;
        if let Err(error) = kept {
            tracing::error!(event = "tls_points_not_kept", %error, "distribution points");
        }
    }
}

fn urls(config: &TlsConfig) -> impl Iterator<Item = &String> {
    config.crl.iter().filter_map(|source| match source {
        CrlSource::Url(url) => Some(url),
        CrlSource::File(_) => None,
    })
}

/// With `trust` it counts only if one of its authorities signed it: whoever answers at a place that nobody
/// configured takes nothing away from what was good.
async fn fetch_list(
    url: &str,
    config: &TlsConfig,
    trust: Option<Arc<Trust>>,
) -> Result<Arc<[u8]>, String> {
    let bytes_max = usize::try_from(CRL_BYTES_MAX).unwrap_or(usize::MAX);
    let list = fetch(Ask { url, question: None, bytes_max, timeout: LIST_WITHIN }).await?;
    let list: Arc<[u8]> = Arc::from(list);
    let (folder, url, bytes) = (config.cache.clone(), url.to_owned(), Arc::clone(&list));
    let checked = tokio::task::spawn_blocking(move || {
        // Only what can be read takes the place of what was good.
        check_lists(Path::new(&url), &bytes, trust.as_deref())?;
        if let Some(folder) = folder {
            write(&folder, &name_of_list(&url), &bytes);
        }
        Ok(())
    });
    checked.await.unwrap_or_else(|error| Err(error.to_string())).map(|()| list)
}

/// Notices changes of files: a hint to look, never a statement of what changed.
struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: Vec<std::path::PathBuf>,
}

impl Watch {
    fn new(tls: &Tls) -> Self {
        let changed = Arc::clone(&tls.changed);
        let tell = move |event: notify::Result<notify::Event>| {
            // Reading is no change, and we read ourselves. An error means lost events.
            let is_change = event.map_or(true, |event| !event.kind.is_access());
            if is_change {
                changed.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(tell);
        if let Err(error) = &watcher {
            tracing::warn!(event = "tls_not_watched", %error, "files of TLS are only rescanned");
        }
        let mut watch = Self { watcher: watcher.ok(), watched: Vec::new() };
        watch.follow(tls);
        watch
    }

    /// Watches the folders of all files, also where links lead to now.
    fn follow(&mut self, tls: &Tls) {
        let Some(watcher) = &mut self.watcher else { return };
        let config = tls.config.load_full();
        let wanted = folders(files(&config));
        for gone in self.watched.iter().filter(|folder| !wanted.contains(folder)) {
            // It may not be there any more, which is as good.
            let _ = watcher.unwatch(gone);
        }
        let mut watched = Vec::new();
        for folder in wanted {
            let known = self.watched.contains(&folder);
            if known || watcher.watch(&folder, RecursiveMode::NonRecursive).is_ok() {
                watched.push(folder);
            }
        }
        self.watched = watched;
    }
}

fn files(config: &TlsConfig) -> impl Iterator<Item = &Path> {
    let certificates = config.certificates.iter().flat_map(|files| [&files.cert, &files.key]);
    let lists = config.crl.iter().filter_map(|source| match source {
        CrlSource::File(file) => Some(file),
        CrlSource::Url(_) => None,
    });
    certificates.chain(&config.client_ca).chain(lists).map(std::path::PathBuf::as_path)
}
