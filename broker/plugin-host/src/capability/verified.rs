//! Passwords that were verified a short while ago, so that a crowd that comes back need not be hashed
//! once more.
//!
//! An entry is an HMAC under a key that only this process has, over everything that the verdict rests
//! on: plugin, User Name, stored hash, password. A changed hash or a deleted user is thus noticed at
//! once. Only what ended in an allow gets in: a verification that a plugin makes for nothing, so that
//! unknown users take as long as others, must not become quick.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Passwords that are remembered; the oldest gives way. About 8 MiB.
const ENTRIES_MAX: usize = 65_536;

/// The passwords that are remembered.
pub(crate) struct Verified {
    key: Zeroizing<[u8; 32]>,
    kept_for: Duration,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    since: HashMap<Proof, Instant>,
    /// In the order of their time; an entry that was renewed is here twice.
    order: VecDeque<(Proof, Instant)>,
}

/// A verified password, by its HMAC.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Proof([u8; 32]);

/// A login while a plugin judges it.
pub(crate) struct Login {
    user: String,
    /// What was verified for it.
    proofs: Vec<Proof>,
}

impl Login {
    pub(crate) fn new(user: String) -> Self {
        Self { user, proofs: Vec::new() }
    }

    /// What is kept if the login is allowed.
    pub(crate) fn keep(&mut self, proof: Proof) {
        if self.proofs.len() < PROOFS_MAX {
            self.proofs.push(proof);
        }
    }
}

/// Of one login: a plugin with several stored hashes of a user may verify them all.
const PROOFS_MAX: usize = 4;

impl Verified {
    /// With a new key; `None` = there are no random numbers.
    pub(crate) fn new(kept_for: Duration) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).ok()?;
        Some(Self { key, kept_for, entries: Mutex::default() })
    }

    /// What stands for these four. Each goes in behind its length: no two of them are taken for others.
    pub(crate) fn proof(
        &self,
        plugin: &str,
        login: &Login,
        stored: &str,
        password: &[u8],
    ) -> Option<Proof> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_slice()).ok()?;
        for part in [plugin.as_bytes(), login.user.as_bytes(), stored.as_bytes(), password] {
            mac.update(&part.len().to_le_bytes());
            mac.update(part);
        }
        Some(Proof(mac.finalize().into_bytes().into()))
    }

    /// Whether it was verified, and allowed, lately.
    pub(crate) fn holds(&self, proof: &Proof, now: Instant) -> bool {
        let entries = self.entries.lock();
        entries.since.get(proof).is_some_and(|since| now.duration_since(*since) < self.kept_for)
    }

    /// The login was allowed. What it rests on is not renewed by that: a password is hashed again when
    /// its time is over, however often it is used.
    pub(crate) fn allowed(&self, login: &Login, now: Instant) {
        if login.proofs.is_empty() {
            return;
        }
        let mut entries = self.entries.lock();
        for proof in &login.proofs {
            entries.since.insert(*proof, now);
            entries.order.push_back((*proof, now));
        }
        while let Some((proof, since)) = entries.order.front().copied() {
            let over = now.duration_since(since) >= self.kept_for;
            if !over && entries.order.len() <= ENTRIES_MAX {
                break;
            }
            entries.order.pop_front();
            if entries.since.get(&proof) == Some(&since) {
                entries.since.remove(&proof);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified() -> (Verified, Instant) {
        (Verified::new(Duration::from_secs(60)).unwrap(), Instant::now())
    }

    fn enter(verified: &Verified, user: &str, password: &str, now: Instant) {
        let mut login = Login::new(user.to_owned());
        login.keep(verified.proof("file", &login, "$hash", password.as_bytes()).unwrap());
        verified.allowed(&login, now);
    }

    fn holds(verified: &Verified, parts: [&str; 4], now: Instant) -> bool {
        let [plugin, user, stored, password] = parts;
        let login = Login::new(user.to_owned());
        let proof = verified.proof(plugin, &login, stored, password.as_bytes());
        verified.holds(&proof.unwrap(), now)
    }

    #[test]
    fn only_the_very_same_login_is_known() {
        let (verified, now) = verified();
        enter(&verified, "ada", "right", now);
        assert!(holds(&verified, ["file", "ada", "$hash", "right"], now));
        for other in [
            ["file", "ada", "$hash", "wrong"],
            ["file", "ada", "$other", "right"],
            ["file", "bob", "$hash", "right"],
            ["sql", "ada", "$hash", "right"],
            ["file", "ada$", "hash", "right"],
            ["file", "ada", "$hashr", "ight"],
        ] {
            assert!(!holds(&verified, other, now), "{other:?}");
        }
    }

    #[test]
    fn what_was_not_allowed_is_not_kept() {
        let (verified, now) = verified();
        let mut login = Login::new("ada".to_owned());
        login.keep(verified.proof("file", &login, "$hash", b"right").unwrap());
        drop(login);
        assert!(!holds(&verified, ["file", "ada", "$hash", "right"], now));
    }

    #[test]
    fn it_ends_when_its_time_is_over() {
        let (verified, now) = verified();
        enter(&verified, "ada", "right", now);
        let right = ["file", "ada", "$hash", "right"];
        assert!(holds(&verified, right, now + Duration::from_millis(59_999)));
        assert!(!holds(&verified, right, now + Duration::from_secs(60)));
        enter(&verified, "bob", "other", now + Duration::from_secs(60));
        assert_eq!(verified.entries.lock().since.len(), 1, "nothing stays behind");
    }

    #[test]
    fn the_oldest_give_way() {
        let (verified, now) = verified();
        for user in 0..=ENTRIES_MAX {
            enter(&verified, &user.to_string(), "right", now);
        }
        let entries = verified.entries.lock();
        assert_eq!((entries.since.len(), entries.order.len()), (ENTRIES_MAX, ENTRIES_MAX));
        drop(entries);
        assert!(!holds(&verified, ["file", "0", "$hash", "right"], now));
        assert!(holds(&verified, ["file", "1", "$hash", "right"], now));
    }

    #[test]
    fn each_process_has_its_own_key() {
        let (one, now) = verified();
        let (other, _) = verified();
        let login = Login::new("ada".to_owned());
        let proof = one.proof("file", &login, "$hash", b"right").unwrap();
        assert!(other.proof("file", &login, "$hash", b"right").unwrap() != proof);
        assert!(!one.holds(&proof, now));
    }
}
