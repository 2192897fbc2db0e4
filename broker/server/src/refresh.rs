//! Permissions grow old: at the end of their time to live, after a swap of the chain and when a plugin takes them back
//! they are asked for again.
//!
//! While the answer is awaited after one of the latter the client is not read, so that no decision rests on a generation that is
//! gone. Whether the answer fails or does not come, the client is not read for up to 5 s and then has no permission at
//! all until it succeeds (DESIGN section 6).

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use access::{Authenticated, BoxFuture, Gate, Refusal, RefusalKind, Subject};
use codec::ReasonCode;

use crate::{
    close::Close,
    connection::Connection,
    subscribe::{judge_again, stop_routing},
};

/// How long a client waits unread for permissions before it has none.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between attempts while the client waits, and after it was given none.
const RETRY: Duration = Duration::from_millis(250);
const RETRY_DENIED: Duration = Duration::from_secs(5);

type Answer = Result<Authenticated, Refusal>;

/// The age of a connection's permissions.
pub(crate) struct Refresh {
    running: Option<BoxFuture<'static, Answer>>,
    /// When to ask next.
    due: Instant,
    /// Until when the present answer may be used.
    valid_until: Instant,
    /// When the identity ends.
    ends_at: Option<Instant>,
    /// Since when there is no answer that may be used.
    unusable_since: Option<Instant>,
    /// Everything is refused until an answer comes.
    denied: bool,
    /// Generation of the last attempt, and how many times permissions had been taken back then.
    tried: (u64, u64),
    /// Up to which time of taking back it was looked whether this client is meant.
    looked: u64,
    /// The last time that it was.
    taken_back: u64,
}

impl Refresh {
    pub(crate) fn new(authenticated: &Authenticated, now: Instant) -> Self {
        let mut refresh = Self {
            running: None,
            due: now,
            valid_until: now,
            ends_at: None,
            unusable_since: None,
            denied: false,
            tried: (authenticated.generation(), authenticated.taken_back()),
            looked: authenticated.taken_back(),
            taken_back: 0,
        };
        refresh.renew(authenticated, now);
        refresh
    }

    fn renew(&mut self, authenticated: &Authenticated, now: Instant) {
        let ttl = authenticated.usable_for();
        self.valid_until = now + ttl;
        // Ahead of the end, and not all clients of a storm at once.
        let spread = Arc::as_ptr(&authenticated.subject().client_id).addr() as u32 / 16 % 15;
        self.due = now + ttl * (80 + spread) / 100;
        self.unusable_since = None;
        self.denied = false;
    }

    /// Asks no more: others may wait for the same question, and nobody would move it on here.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// When the identity ends, from seconds since 1970.
    pub(crate) fn set_end(&mut self, ends_at_unix: u64, now_unix: u64, now: Instant) {
        let remains = Duration::from_secs(ends_at_unix.saturating_sub(now_unix));
        self.ends_at = now.checked_add(remains);
    }

    /// Whether the chain was swapped, or permissions of this client were taken back, and nobody was
    /// asked since.
    pub(crate) fn is_behind(&mut self, gate: &Gate, subject: &Subject) -> bool {
        let count = gate.taken_back();
        if count != self.looked {
            if gate.took_back(subject, self.looked) {
                self.taken_back = count;
            }
            self.looked = count;
        }
        let (tried, taken_back) = self.tried;
        self.running.is_none() && (tried != gate.generation() || self.taken_back > taken_back)
    }

    /// When a client without usable permissions is given none.
    fn patience_ends(&self) -> Option<Instant> {
        if self.denied { None } else { self.unusable_since?.checked_add(PATIENCE) }
    }

    /// When to look again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = if self.running.is_none() { Some(self.due) } else { None };
        due.into_iter().chain(self.ends_at).chain(self.patience_ends()).min()
    }
}

impl Connection {
    /// Whether the client may be read: its permissions are current, or it was given none.
    pub(crate) fn may_read(&self, now: Instant) -> bool {
        self.refresh.denied || self.is_usable(now)
    }

    /// Whether the permissions at hand are those in force.
    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        !self.is_stale() && now < self.refresh.valid_until
    }

    fn is_stale(&self) -> bool {
        self.core.gate.generation() != self.authenticated.generation()
            || self.refresh.taken_back > self.authenticated.taken_back()
    }

    /// Keeps the permissions current, within the patience for that.
    pub(crate) fn poll_refresh(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Close> {
        if self.refresh.ends_at.is_some_and(|at| at <= now) {
            return Err(Close::ByServer(ReasonCode::NotAuthorized));
        }
        let behind = self.refresh.is_behind(&self.core.gate, self.authenticated.subject());
        if !self.is_usable(now) {
            self.refresh.unusable_since.get_or_insert(now);
        }
        self.follow(behind, cx, now)?;
        if self.refresh.patience_ends().is_some_and(|at| at <= now) {
            self.refuse_everything();
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Starts and follows the asking. `behind` = it must not wait until it is due.
    fn follow(&mut self, behind: bool, cx: &mut Context<'_>, now: Instant) -> Result<(), Close> {
        if self.refresh.running.is_none() {
            if !behind && now < self.refresh.due {
                return Ok(());
            }
            self.refresh.tried = (self.core.gate.generation(), self.core.gate.taken_back());
            self.refresh.running = Some(self.ask());
        }
        let Some(running) = &mut self.refresh.running else { return Ok(()) };
        let Poll::Ready(answer) = running.as_mut().poll(cx) else { return Ok(()) };
        self.refresh.running = None;
        match answer {
            Ok(authenticated) => self.adopt(authenticated, now),
            Err(refusal) if refusal.kind == RefusalKind::UnsafeVariable => {
                return Err(Close::ByServer(ReasonCode::NotAuthorized));
            }
            Err(refusal) => {
                let client_id = telemetry::Escaped(&self.handle.client_id);
                let cause = telemetry::EscapedDisplay(&refusal);
                tracing::debug!(%client_id, %cause, "no permissions");
                self.refresh.due = now + if self.refresh.denied { RETRY_DENIED } else { RETRY };
            }
        }
        // Something may have changed while it ran.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn ask(&self) -> BoxFuture<'static, Answer> {
        let (core, authenticated) = (Arc::clone(&self.core), Arc::clone(&self.authenticated));
        let handle = Arc::clone(&self.handle);
        Box::pin(async move {
            let refreshed = core.refresh(&authenticated).await?;
            Ok(core.rule_subscriptions(&handle, refreshed).await)
        })
    }

    /// The client proved who it is again: what it may do follows from the new grants.
    pub(crate) fn prove_again(&mut self, authenticated: Authenticated, now: Instant) {
        // Asked in the name of the old ones.
        self.refresh.running = None;
        self.refresh.ends_at = None;
        self.refresh.tried = (authenticated.generation(), authenticated.taken_back());
        let identity = authenticated.identity();
        if let Some(ends_at) = identity.expires_at_unix {
            self.refresh.set_end(ends_at, self.core.now_unix(), now);
        }
        let before = self.authenticated.identity();
        if identity.limits != before.limits || identity.groups != before.groups {
            self.set_rate(identity, now);
        }
        self.adopt(authenticated, now);
        self.handle.remember(&self.core);
    }

    fn adopt(&mut self, authenticated: Authenticated, now: Instant) {
        if self.is_stale() {
            let seconds = self.core.gate.since_change().as_secs_f64();
            self.core.metrics.revocation_latency_seconds.observe(seconds);
        }
        let changed = self.refresh.denied
            || !authenticated.permissions().has_same_rules(self.authenticated.permissions());
        self.refresh.renew(&authenticated, now);
        self.authenticated = Arc::new(authenticated);
        self.follow_permissions();
        self.judge_retained();
        if changed {
            judge_again(&self.core, &self.handle);
        }
        if let Ok(mut state) = self.own() {
            // What waited for transforms that are gone.
            let expired = state.session.pump(now) as u64;
            drop(state);
            self.counts.dropped("expired", expired);
        }
    }

    fn refuse_everything(&mut self) {
        tracing::warn!(
            event = "permissions_lost",
            client_id = %telemetry::Escaped(&self.handle.client_id),
            "no answer on permissions: everything is refused until there is one"
        );
        self.refresh.denied = true;
        self.authenticated = Arc::new(self.authenticated.without_permissions());
        self.follow_permissions();
        // What waits for the client goes on waiting: a plugin that fails must not lose it.
        stop_routing(&self.core, &self.handle);
    }

    /// What is retained of the client follows its permissions of now. Not while nobody knows them: a plugin that fails
    /// takes nothing away from those who subscribe.
    pub(crate) fn judge_retained(&self) {
        let outlives = self.core.live.load().retained_outlives_rights;
        let rights = (!outlives).then_some(&self.authenticated);
        self.core.retained.judge(&self.handle.client_id, &self.handle.principal, rights);
    }

    /// Whether permissions are being asked for.
    pub(crate) fn is_asking_permissions(&self) -> bool {
        self.refresh.running.is_some()
    }

    /// The session follows the permissions of now.
    pub(crate) fn follow_permissions(&mut self) {
        self.memo.clear_permits();
        self.rulings.clear();
        // Taken over: the session follows the permissions of the new connection.
        self.handle.set_authenticated(self.connection_id, &self.authenticated);
    }
}
