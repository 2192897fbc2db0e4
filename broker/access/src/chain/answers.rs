//! The answers of one authorizer that are still good: who connects again, and who may do what
//! others in the same position may do, costs no plugin call.
//!
//! - *Owns* which answer holds for which client, for how long, and which question is being asked.
//! - *Knows nothing of* what an answer permits, and of swaps: each chain that is put in force
//!   begins without any answer.
//! - *Invariants*: a failure is never kept, an answer that cannot be used is one; of clients that
//!   differ in anything that the answer was made from, none gets the other's; what is kept is
//!   bounded, what is being asked by those who wait for it.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use codec::ProtocolVersion;
use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};

use super::stopwatch::Stopwatch;
use crate::{
    Authorizer, BoxFuture, HoldsFor, PeerCertificate, PluginFailure, PluginFailureKind, Subject,
    Whose, answered::Answered, taken_back::covers,
};

/// What a question comes to.
type Asked = Result<Arc<Answered>, PluginFailure>;
/// A question that several clients wait for.
type Question = Shared<BoxFuture<'static, Asked>>;

/// The answers of one link.
pub(crate) struct Answers {
    kept: Mutex<Kept>,
    /// Seeded at random: nobody can choose names whose answers push out each other's.
    hasher: RandomState,
}

#[derive(Default)]
struct Kept {
    /// New ones, and those found since the two were last exchanged.
    young: Entries,
    /// Forgotten as a whole when `young` takes their place.
    old: Entries,
    young_weight: usize,
    /// When answers were last taken back: what was asked before that is not kept.
    forgotten_at: Option<Duration>,
    /// For whom any of them holds, in the order of [`HoldsFor::ALL`]: nobody looks for others.
    audiences: [bool; HoldsFor::ALL.len()],
    asking: HashMap<u64, (Subject, WeakShared<BoxFuture<'static, Asked>>)>,
}

/// By a number that is a hash already, of a seed that nobody knows: it is not hashed again.
type Entries = HashMap<u64, Entry, BuildHasherDefault<AsItIs>>;

/// A hash that is taken as it is.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// An answer and the client that it was first given to.
struct Entry {
    subject: Subject,
    answered: Arc<Answered>,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::default(), hasher: RandomState::new() }
    }

    /// The answer for a client and whether it was there already. Whoever can use the answer says so
    /// with [`Self::keep`].
    pub(crate) async fn ask(
        &self,
        hook: &Arc<dyn Authorizer>,
        subject: &Subject,
        stopwatch: &Stopwatch,
    ) -> (Asked, bool) {
        if let Some(answered) = self.find(subject, stopwatch.now()) {
            return (Ok(answered), true);
        }
        let question = self.question(hook, subject, stopwatch.clock());
        let key = self.key(HoldsFor::Client, subject);
        let _waiting = Waiting { answers: self, key, question: Some(question.clone()) };
        (question.await, false)
    }

    fn find(&self, subject: &Subject, now: Duration) -> Option<Arc<Answered>> {
        let mut kept = self.lock();
        for (audience, known) in HoldsFor::ALL.into_iter().zip(kept.audiences) {
            if !known {
                continue;
            }
            let key = self.key(audience, subject);
            let (entry, old) = kept.entry(key);
            let answered = entry
                .filter(|entry| entry.holds_for(audience, subject, now))
                .map(|entry| Arc::clone(&entry.answered));
            if answered.is_some() {
                drop(kept);
                drop(old);
                return answered;
            }
        }
        None
    }

    /// The question that is being asked for this very client, else a new one.
    fn question(
        &self,
        hook: &Arc<dyn Authorizer>,
        subject: &Subject,
        clock: fn() -> Duration,
    ) -> Question {
        let key = self.key(HoldsFor::Client, subject);
        let mut kept = self.lock();
        if let Some((other, question)) = kept.asking.get(&key)
            && looks_alike(HoldsFor::Client, other, subject)
            && let Some(question) = question.upgrade()
        {
            return question;
        }
        let (hook, asked_for) = (Arc::clone(hook), subject.clone());
        let asked_at = clock();
        let ask = async move {
            // Who waits together must not be stranded by a panic: `Shared` wakes nobody then.
            let asked = AssertUnwindSafe(hook.permissions(&asked_for)).catch_unwind().await;
            let answer = asked.unwrap_or_else(|_| Err(panicked()))?;
            Ok(Answered::asked(asked_at, answer, clock()))
        };
        let question = ask.boxed().shared();
        // Held weakly: when everybody who waits has gone away, so has the question.
        if let Some(weak) = question.downgrade() {
            kept.asking.insert(key, (subject.clone(), weak));
        }
        question
    }

    /// The answer was compiled for this client: others may be given it.
    pub(crate) fn keep(&self, subject: &Subject, answered: &Arc<Answered>) {
        let audience = answered.holds_for();
        let key = self.key(audience, subject);
        let entry = Entry { subject: subject.clone(), answered: Arc::clone(answered) };
        let mut kept = self.lock();
        if kept.forgotten_at.is_some_and(|at| !answered.was_asked_after(at)) {
            // Asked before it was taken back: nobody else may be given it.
            return;
        }
        for (known, one) in kept.audiences.iter_mut().zip(HoldsFor::ALL) {
            *known |= one == audience;
        }
        let old = kept.keep(key, entry);
        drop(kept);
        // Thousands of entries perhaps: not under the lock.
        drop(old);
    }

    /// Forgets what these clients would be given, also if it is being asked for just now.
    pub(crate) fn forget(&self, whose: Whose<'_>, principal: Option<&str>, now: Duration) {
        let goes =
            |entry: &Entry| covers(whose, principal, entry.answered.holds_for(), &entry.subject);
        let mut kept = self.lock();
        let Kept { young, old, asking, young_weight, forgotten_at, .. } = &mut *kept;
        young.retain(|_, entry| {
            let goes = goes(entry);
            if goes {
                *young_weight -= entry.weight();
            }
            !goes
        });
        old.retain(|_, entry| !goes(entry));
        // Who asks from here on asks anew.
        let asking = std::mem::take(asking);
        *forgotten_at = Some(now);
        drop(kept);
        drop(asking);
    }

    /// A number for all that an answer of this kind was made from.
    fn key(&self, audience: HoldsFor, subject: &Subject) -> u64 {
        match audience {
            HoldsFor::Everyone => self.hasher.hash_one(&*subject.listener),
            HoldsFor::Principal => self.hasher.hash_one(position(subject)),
            HoldsFor::Client => self.hasher.hash_one((position(subject), device(subject))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a question.
struct Waiting<'a> {
    answers: &'a Answers,
    key: u64,
    question: Option<Question>,
}

impl Drop for Waiting<'_> {
    /// The last one, answered or not, takes the question with it.
    fn drop(&mut self) {
        // Outside the lock: a plugin call may end with it.
        drop(self.question.take());
        let mut kept = self.answers.lock();
        if kept.asking.get(&self.key).is_some_and(|(_, question)| question.upgrade().is_none()) {
            kept.asking.remove(&self.key);
        }
    }
}

fn panicked() -> PluginFailure {
    let message = "the host of the plugin panicked".to_owned();
    PluginFailure { kind: PluginFailureKind::Internal, message }
}

impl Entry {
    /// Whether a client may begin with the answer, which was found by its number of this kind.
    fn holds_for(&self, audience: HoldsFor, subject: &Subject, now: Duration) -> bool {
        self.answered.holds_for() == audience
            && looks_alike(audience, &self.subject, subject)
            && self.answered.is_young(now)
    }

    /// Bytes, roughly.
    fn weight(&self) -> usize {
        let Subject { identity, certificate, client_id, .. } = &self.subject;
        let pairs = identity.attributes.iter().chain(&identity.user_properties);
        let certificate = certificate.iter().flat_map(|certificate| &certificate.der_chain);
        ENTRY_BYTES
            + client_id.len()
            + identity.principal.len()
            + identity.groups.iter().map(|group| 24 + group.len()).sum::<usize>()
            + pairs.map(|(name, value)| 48 + name.len() + value.len()).sum::<usize>()
            // Its names were read from the same bytes.
            + certificate.map(|der| 2 * der.len()).sum::<usize>()
            + self.answered.weight()
    }
}

/// The half of the entries that made room.
type Old = Option<Entries>;

impl Kept {
    /// One that is found stays for another round.
    fn entry(&mut self, key: u64) -> (Option<&Entry>, Old) {
        let mut old = None;
        if !self.young.contains_key(&key)
            && let Some(entry) = self.old.remove(&key)
        {
            old = self.keep(key, entry);
        }
        (self.young.get(&key), old)
    }

    fn keep(&mut self, key: u64, entry: Entry) -> Old {
        let full = self.young.len() >= ENTRIES_MAX / 2 || self.young_weight >= WEIGHT_MAX / 2;
        let old = full.then(|| {
            self.young_weight = 0;
            let young = std::mem::take(&mut self.young);
            std::mem::replace(&mut self.old, young)
        });
        self.young_weight += entry.weight();
        if let Some(replaced) = self.young.insert(key, entry) {
            self.young_weight -= replaced.weight();
        }
        old
    }
}

/// Whether an answer of this kind that was given to one client holds for the other.
fn looks_alike(audience: HoldsFor, one: &Subject, other: &Subject) -> bool {
    match audience {
        HoldsFor::Everyone => one.listener == other.listener,
        HoldsFor::Principal => position(one) == position(other),
        HoldsFor::Client => position(one) == position(other) && device(one) == device(other),
    }
}

type Position<'a> = ((&'a str, &'a str, &'a str), &'a [String], &'a [(String, String)]);
type Device<'a> = (&'a str, IpAddr, ProtocolVersion, Option<&'a PeerCertificate>);

/// Who it is: all that an answer that holds for a principal may be made from.
fn position(subject: &Subject) -> Position<'_> {
    let identity = &subject.identity;
    let named = (&*subject.listener, &*identity.principal, &*identity.authenticated_by);
    (named, &identity.groups, &identity.attributes)
}

/// What else a plugin sees of a client.
fn device(subject: &Subject) -> Device<'_> {
    let certificate = subject.certificate.as_deref();
    (&*subject.client_id, subject.remote, subject.protocol, certificate)
}

/// Most answers of one link that are kept, and their bytes.
const ENTRIES_MAX: usize = 64 << 10;
const WEIGHT_MAX: usize = 64 << 20;
/// An entry without what its texts take.
const ENTRY_BYTES: usize = 512;

#[cfg(test)]
mod tests;
