//! Connections with a client certificate: who has to go when it is revoked, expires or loses its authority.
//!
//! Knows nothing of packets: a session is told to end its connection, and says why to its client.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use codec::ReasonCode;
use dashmap::DashMap;
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::trust::{NotTrusted, Proven, Trust};
use crate::sessions::SessionHandle;

/// A connection whose client showed a certificate.
pub(crate) struct Peer {
    connection_id: u64,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) proven: Arc<Proven>,
    /// It must go, and if it has no session yet it must not get one.
    is_cut: AtomicBool,
    session: Mutex<Option<Weak<SessionHandle>>>,
}

impl Peer {
    pub(super) fn new(
        connection_id: u64,
        chain: Vec<CertificateDer<'static>>,
        proven: Arc<Proven>,
    ) -> Self {
        let (is_cut, session) = (AtomicBool::new(false), Mutex::new(None));
        Self { connection_id, chain, proven, is_cut, session }
    }

    /// The connection has a session from now on. If it was to go meanwhile, it goes.
    pub(crate) fn attach(&self, handle: &Arc<SessionHandle>) {
        *self.session.lock() = Some(Arc::downgrade(handle));
        if self.is_cut.load(Ordering::Acquire) {
            handle.close_connection(self.connection_id, ReasonCode::NotAuthorized);
        }
    }

    /// Whether the connection has a session.
    pub(super) fn is_attached(&self) -> bool {
        self.session.lock().is_some()
    }

    /// Ends the connection; `false` = it was told before.
    pub(super) fn cut(&self) -> bool {
        // Said before the session is looked for: who attaches one later looks at this.
        let first = !self.is_cut.swap(true, Ordering::AcqRel);
        let session = self.session.lock().as_ref().and_then(Weak::upgrade);
        if let Some(handle) = session {
            handle.close_connection(self.connection_id, ReasonCode::NotAuthorized);
        }
        first
    }

    /// Whether it must not go on.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }
}

/// Every such connection of a listener.
#[derive(Default)]
pub(super) struct Live {
    peers: DashMap<u64, Arc<Peer>>,
}

/// A connection's place among them, given back when dropped.
pub(crate) struct Guard {
    live: Arc<Live>,
    connection_id: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.live.peers.remove(&self.connection_id);
    }
}

impl Live {
    pub(super) fn enter(self: &Arc<Self>, peer: &Arc<Peer>) -> Guard {
        let connection_id = peer.connection_id;
        self.peers.insert(connection_id, Arc::clone(peer));
        Guard { live: Arc::clone(self), connection_id }
    }

    /// Ends those that are revoked, then those whose authority is not trusted any more. A list that went stale or is about
    /// nobody ends nobody: it keeps out those who come.
    pub(super) fn sweep(&self, trust: &Trust, now: UnixTime) -> usize {
        let peers = self.all();
        let mut cut = 0;
        for peer in &peers {
            if trust.revocation.revokes(&peer.proven.path) {
                cut += usize::from(peer.cut());
            }
        }
        for peer in peers.iter().filter(|peer| !peer.is_cut()) {
            if matches!(trust.judge(&peer.chain, now), Err(NotTrusted::Chain(_))) {
                cut += usize::from(peer.cut());
            }
        }
        cut
    }

    /// Ends those whose certificate is over.
    pub(super) fn expire(&self, now: u64) -> usize {
        let over = self.peers.iter().filter(|peer| peer.proven.not_after < now && !peer.is_cut());
        let over: Vec<_> = over.map(|peer| Arc::clone(peer.value())).collect();
        over.iter().filter(|peer| peer.cut()).count()
    }

    pub(super) fn all(&self) -> Vec<Arc<Peer>> {
        self.peers.iter().map(|peer| Arc::clone(peer.value())).collect()
    }

    /// How many there are, and when the first of their certificates is over.
    pub(super) fn totals(&self) -> (u64, Option<u64>) {
        let ends = self.peers.iter().map(|peer| peer.proven.not_after);
        (self.peers.len() as u64, ends.min())
    }
}
