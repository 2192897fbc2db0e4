//! Where passwords are verified: as many at once as there are cores, a bounded queue, and the
//! admission before a call.
//!
//! A reconnect storm must not fail calls because others' passwords are being computed, so calls
//! into plugins that verify passwords are admitted first and their deadline starts only then.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use zeroize::Zeroizing;

use super::password_hash::{HashError, StoredHash};
use crate::turnstile::{Full, Turnstile};

/// Calls, and verifications, that wait.
const QUEUE_MAX: usize = 256;
/// Longest wait for admission: below the time that a client has for its CONNECT.
const ADMISSION_WAIT_MAX: Duration = Duration::from_secs(4);
/// Longest wait of one verification for a core; its call's deadline may be shorter.
const CORE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Shared by all plugins of a host.
#[derive(Debug)]
pub(crate) struct PasswordThreads {
    admission: Turnstile,
    cores: Turnstile,
}

/// Why no verdict came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VerifyError {
    /// The stored hash is not used.
    Hash(HashError),
    /// The queue is full.
    Busy,
    /// The call's deadline passed.
    Deadline,
}

impl PasswordThreads {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        Self {
            admission: Turnstile::new(cores * 2, QUEUE_MAX, ADMISSION_WAIT_MAX),
            cores: Turnstile::new(cores, QUEUE_MAX, CORE_WAIT_MAX),
        }
    }

    /// Before a call into a plugin that verifies passwords; held until the call ends.
    pub(crate) async fn admit(&self) -> Result<OwnedSemaphorePermit, Full> {
        self.admission.enter().await
    }

    /// Verifies on a thread of its own. `deadline` is that of the call.
    pub(crate) async fn verify(
        &self,
        stored: StoredHash,
        password: Zeroizing<Vec<u8>>,
        deadline: Instant,
    ) -> Result<bool, VerifyError> {
        let deadline = tokio::time::Instant::from_std(deadline);
        let core = match tokio::time::timeout_at(deadline, self.cores.enter()).await {
            Ok(core) => core.map_err(|Full| VerifyError::Busy)?,
            Err(_) => return Err(VerifyError::Deadline),
        };
        let (answer, verdict) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            // The core stays taken until the work is done, also when nobody waits for it any more.
            let _core = core;
            if !answer.is_closed() {
                // Nobody left to tell is no failure.
                let _ = answer.send(stored.verify(&password));
            }
        });
        match tokio::time::timeout_at(deadline, verdict).await {
            Ok(Ok(verdict)) => verdict.map_err(VerifyError::Hash),
            Ok(Err(_)) => Err(VerifyError::Busy),
            Err(_) => Err(VerifyError::Deadline),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow() -> StoredHash {
        let salt = "MDEyMzQ1Njc4OWFiY2RlZg";
        let hash = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
        StoredHash::parse(&format!("$pbkdf2-sha256$i=2000000${salt}${hash}")).unwrap()
    }

    #[tokio::test]
    async fn the_deadline_of_the_call_ends_the_wait() {
        let threads = PasswordThreads::new();
        let started = Instant::now();
        let deadline = started + Duration::from_millis(20);
        let password = Zeroizing::new(b"x".to_vec());
        let verdict = threads.verify(slow(), password, deadline).await;
        assert_eq!(verdict, Err(VerifyError::Deadline));
        assert!(started.elapsed() < Duration::from_millis(500));
    }

    #[tokio::test]
    async fn admission_is_bounded() {
        let threads = PasswordThreads {
            admission: Turnstile::new(1, 0, Duration::from_millis(10)),
            cores: Turnstile::new(1, 0, Duration::from_millis(10)),
        };
        let held = threads.admit().await.unwrap();
        assert!(threads.admit().await.is_err());
        drop(held);
        assert!(threads.admit().await.is_ok());
    }
}
