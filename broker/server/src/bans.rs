//! Who is banned: asked at the accept and at CONNECT, changed by administrators and for flapping, kept by whoever keeps
//! files.
//!
//! Owns the list while the broker runs (what it holds is in `limits::Bans`), and that clients who match a new ban go.
//! Locks: the list, or nothing else; while it is written down, [`BanList::writing`] and then the list for a moment.

use std::{
    fmt, io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use access::Authenticated;
use codec::ReasonCode;
use limits::{Ban, BanOrigin, BanTarget, Bans, NewBan, Suspect, TooManyBans};
use parking_lot::{Mutex, RwLock};
use telemetry::events::{BanEnded, BanMade};
use tokio::sync::Notify;

use crate::{
    broker::{Core, unix_now},
    sessions::State,
};

/// Keeps bans over the end of the process.
pub trait BanKeeper: fmt::Debug + Send + Sync {
    /// Writes all of them down, in the place of what was written before. May block.
    fn keep(&self, bans: &[Ban]) -> io::Result<()>;
}

/// Bans of an earlier process, and who keeps those of this one.
#[derive(Clone, Debug)]
pub struct KeptBans {
    /// What was kept.
    pub bans: Vec<Ban>,
    /// Who keeps them.
    pub keeper: Arc<dyn BanKeeper>,
}

/// Why nobody was banned, or the ban is not as good as it should be.
#[derive(Debug, thiserror::Error)]
pub enum BanError {
    /// Nothing was done.
    #[error("{0}")]
    TooMany(TooManyBans),
    /// It is in force, and will be forgotten when the broker ends.
    #[error("it holds now, but could not be written down for the next start: {0}")]
    NotKept(io::Error),
}

/// The list.
pub(crate) struct BanList {
    bans: RwLock<Bans>,
    /// For those who need not lock to know that there is none.
    is_empty: AtomicBool,
    keeper: Option<Arc<dyn BanKeeper>>,
    /// Held while the list is written, so that no older one is written over a newer one.
    writing: Mutex<()>,
    /// Notified when a ban was made that nobody waits for to be kept.
    changed: Notify,
}

impl BanList {
    pub(crate) fn new(kept: Option<KeptBans>) -> Self {
        let (bans, keeper) = kept.map(|kept| (kept.bans, kept.keeper)).unzip();
        let bans = Bans::restore(bans.unwrap_or_default(), unix_now());
        Self {
            is_empty: AtomicBool::new(bans.is_empty()),
            bans: RwLock::new(bans),
            keeper,
            writing: Mutex::new(()),
            changed: Notify::new(),
        }
    }

    /// The ban in force for somebody.
    pub(crate) fn find(&self, suspect: Suspect<'_>) -> Option<Ban> {
        if self.is_empty.load(Ordering::Acquire) {
            return None;
        }
        self.bans.read().find(suspect, unix_now()).cloned()
    }

    /// The same for a client that was authenticated.
    pub(crate) fn find_client(&self, client: &Authenticated) -> Option<Ban> {
        let subject = client.subject();
        self.find(Suspect {
            address: Some(subject.remote),
            client_id: Some(&subject.client_id),
            principal: Some(&subject.identity.principal),
            certificate: subject.certificate.as_ref().map(|certificate| &certificate.sha256),
        })
    }

    /// The same for an address alone.
    pub(crate) fn find_address(&self, address: IpAddr) -> Option<Ban> {
        self.find(Suspect { address: Some(address), ..Suspect::default() })
    }

    /// Those behind `after`, at most `limit`, and whether there are more.
    pub(crate) fn list(&self, after: u64, limit: usize) -> (Vec<Ban>, bool) {
        let bans = self.bans.read();
        let mut found = bans.list(after, unix_now()).take(limit.saturating_add(1));
        let page: Vec<_> = found.by_ref().take(limit).cloned().collect();
        (page, found.next().is_some())
    }

    pub(crate) fn get(&self, id: u64) -> Option<Ban> {
        self.bans.read().get(id, unix_now()).cloned()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Bans) -> T) -> T {
        let mut bans = self.bans.write();
        let changed = change(&mut bans);
        self.is_empty.store(bans.is_empty(), Ordering::Release);
        changed
    }

    /// Writes the list down as it is now.
    fn keep(&self) -> io::Result<()> {
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let _writing = self.writing.lock();
        let bans: Vec<_> = self.bans.read().list(0, unix_now()).cloned().collect();
        keeper.keep(&bans)
    }
}

impl Core {
    /// Bans somebody; those who are there go. Returns the ban, and how many had to go. Blocks until it is kept.
    pub(crate) fn ban(&self, new: NewBan) -> Result<(Ban, u64), BanError> {
        let made = self.bans.change(|bans| bans.add(new, unix_now())).map_err(BanError::TooMany)?;
        BanMade { id: made.id, origin: origin(made.origin), reason: &made.reason }
            .emit(&self.metrics);
        let gone = self.evict_banned();
        self.bans.keep().map_err(BanError::NotKept)?;
        Ok((made, gone))
    }

    /// Lifts a ban; `None` = there is none of this name. Blocks until that is kept.
    pub(crate) fn lift_ban(&self, id: u64) -> Result<Option<Ban>, BanError> {
        let lifted = self.bans.change(|bans| bans.lift(id, unix_now()));
        if let Some(Ban { target: BanTarget::Client { principal, client_id }, .. }) = &lifted {
            self.flapping.lock().pardon(principal, client_id, Instant::now());
        }
        if lifted.is_some() {
            BanEnded { id, lifted: true }.emit(&self.metrics);
            self.bans.keep().map_err(BanError::NotKept)?;
        }
        Ok(lifted)
    }

    /// Notes that a client is banned for flapping. That it is refused does not depend on a place in the list.
    pub(crate) fn note_flapping(&self, principal: &str, client_id: &str, until: Instant) {
        let suspect = Suspect {
            client_id: Some(client_id),
            principal: Some(principal),
            ..Suspect::default()
        };
        if self.bans.find(suspect).is_some() {
            return;
        }
        let (principal, client_id) = (principal.to_owned(), client_id.to_owned());
        let remains = until.saturating_duration_since(Instant::now());
        let new = NewBan {
            target: BanTarget::Client { principal, client_id },
            reason: "connected again and again".to_owned(),
            origin: BanOrigin::Flapping,
            until_unix: unix_now().checked_add(remains.as_secs() + 1),
        };
        if let Ok(made) = self.bans.change(|bans| bans.add(new, unix_now())) {
            BanMade { id: made.id, origin: origin(made.origin), reason: &made.reason }
                .emit(&self.metrics);
            self.bans.changed.notify_one();
        }
    }

    /// Tells of those that are over.
    fn note_ended_bans(&self) {
        if self.bans.is_empty.load(Ordering::Acquire) {
            return;
        }
        let ended = self.bans.change(|bans| {
            bans.clear(unix_now());
            bans.take_ended()
        });
        for id in ended {
            BanEnded { id, lifted: false }.emit(&self.metrics);
        }
    }

    /// Ends the connections of all who are banned.
    fn evict_banned(&self) -> u64 {
        let client = |state: &State| {
            state.connection.is_some().then(|| Arc::clone(&state.facts.authenticated))
        };
        let mut gone = 0;
        for handle in self.sessions.all() {
            let client = client(&handle.state.lock());
            let banned = client.is_some_and(|client| self.bans.find_client(&client).is_some());
            // DISCONNECT has no code for a ban.
            gone += u64::from(banned && handle.close(ReasonCode::AdministrativeAction));
        }
        gone
    }
}

/// Keeps bans that nobody waits for, and tells of those that end, for the life of the broker.
pub(crate) async fn run(core: Arc<Core>) {
    let mut shutdown = core.shutdown.subscribe();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.bans.changed.notified() => {}
            _ = tick.tick() => {
                core.note_ended_bans();
                continue;
            }
            _ = shutdown.wait_for(|down| *down) => return,
        }
        let keeping = Arc::clone(&core);
        let kept = tokio::task::spawn_blocking(move || keeping.bans.keep()).await;
        if let Ok(Err(error)) = kept {
            tracing::error!(event = "bans_not_kept", %error, "bans could not be written down");
        }
        // Many who flap share one write.
        tokio::time::sleep(KEEP_EVERY).await;
    }
}

fn origin(origin: BanOrigin) -> &'static str {
    match origin {
        BanOrigin::Administrator => "administrator",
        BanOrigin::Flapping => "flapping",
    }
}

/// How late it may be told that a ban is over.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const KEEP_EVERY: Duration = Duration::from_secs(1);
