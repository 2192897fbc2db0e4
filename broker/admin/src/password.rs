//! Passwords of users of the directory: argon2id, a bounded number at a time.
//!
//! Knows nothing of users. A hash takes 19 MiB and some 30 ms of a processor: two run, so many wait,
//! the rest is told that the broker is busy.

use std::sync::{Arc, OnceLock};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::{call::blocking, problem::Problem};

/// Memory of one hash in KiB, passes and lanes: OWASP's first recommendation for argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const PREFIX: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

/// A hash that is none of any password: salt `NOT_IN_THE_BACKUP`, and all of it zero.
pub(crate) const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$Tk9UX0lOX1RIRV9CQUNLVVA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Shortest and longest password that a user may get, in bytes.
pub(crate) const BYTES: std::ops::RangeInclusive<usize> = 12..=1_024;

const RUNNING_MAX: usize = 2;
const WAITING_MAX: usize = 32;

/// Hashes and verifies, a bounded number at a time.
#[derive(Clone, Debug)]
pub(crate) struct Hashing {
    running: Arc<Semaphore>,
    /// Those that run and those that wait for it.
    present: Arc<Semaphore>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            present: Arc::new(Semaphore::new(RUNNING_MAX + WAITING_MAX)),
        }
    }
}

impl Hashing {
    /// The PHC string of a password, with a fresh salt.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Problem> {
        if !BYTES.contains(&password.len()) {
            let what = format!("the password has {} bytes", password.len());
            return Err(Problem::invalid(what).about("password").allowed("12 to 1024 bytes"));
        }
        self.run(move || hash(password.as_bytes())).await?.map_err(Problem::internal)
    }

    /// Whether this is the password of the hash. Without a hash it is not, after as much work: how
    /// long the answer takes does not tell whether there is such a user.
    pub(crate) async fn verify(
        &self,
        hash: Option<String>,
        password: Zeroizing<Vec<u8>>,
    ) -> Result<bool, Problem> {
        self.run(move || match hash {
            Some(hash) => Ok(verify(&hash, &password)),
            None => nobody().map(|nobody| {
                std::hint::black_box(verify(nobody, &password));
                false
            }),
        })
        .await?
        .map_err(Problem::internal)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = |_| Problem::busy("too many passwords are being looked at: try again");
        let present = Arc::clone(&self.present).try_acquire_owned().map_err(busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|error| Problem::internal(error.to_string()))?;
        // The permits go with the work: it goes on when who asked for it has gone away.
        blocking(move || {
            let result = work();
            drop((running, present));
            result
        })
        .await
    }
}

fn hash(password: &[u8]) -> Result<String, String> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| e.to_string())?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password).map_err(|e| e.to_string())?;
    Ok(hash.to_string())
}

fn verify(hash: &str, password: &[u8]) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

/// A hash that no password is the one of.
fn nobody() -> Result<&'static str, String> {
    static NOBODY: OnceLock<Result<String, String>> = OnceLock::new();
    let made = NOBODY.get_or_init(|| {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        hash(&random)
    });
    made.as_deref().map_err(Clone::clone)
}

/// Whether a text is a hash as this file makes them.
pub(crate) fn is_hash(text: &str) -> bool {
    text.starts_with(PREFIX) && PasswordHash::new(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_nobody_has_none() {
        let hashing = Hashing::default();
        let password = || Zeroizing::new("correct horse".to_owned());
        let hash = hashing.hash(password()).await.unwrap();
        assert!(is_hash(NOBODYS) && !verify(NOBODYS, b""));
        assert!(is_hash(&hash) && !is_hash("$argon2id$v=19$m=8,t=1,p=1$YWJjZGVmZ2g$YWJj"));
        let verify = |hash: Option<&String>, text: &str| {
            hashing.verify(hash.cloned(), Zeroizing::new(text.as_bytes().to_vec()))
        };
        assert!(verify(Some(&hash), "correct horse").await.unwrap());
        assert!(!verify(Some(&hash), "correct horsf").await.unwrap());
        assert!(!verify(None, "correct horse").await.unwrap());
        for short in ["", "elevenbytes"] {
            let problem = hashing.hash(Zeroizing::new(short.to_owned())).await.unwrap_err();
            assert_eq!(problem.status, 400);
        }
    }

    #[tokio::test]
    async fn too_many_at_once_are_told_so() {
        let hashing = Hashing::default();
        let all = Arc::clone(&hashing.present).try_acquire_many_owned(34).unwrap();
        let password = Zeroizing::new(b"correct horse".to_vec());
        let problem = hashing.verify(None, password.clone()).await.unwrap_err();
        assert_eq!(problem.status, 503);
        drop(all);
        assert!(!hashing.verify(None, password).await.unwrap());
    }
}
