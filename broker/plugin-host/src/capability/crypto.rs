//! Interface `crypto`: work with secrets on the host's side, outside the guest's CPU budget.

use std::time::Instant;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use telemetry::Cache;
use zeroize::Zeroizing;

use super::{
    password_hash::{HashError, StoredHash},
    password_threads::VerifyError,
    verified::{Login, Proof},
};

use crate::{
    bindings::portcullis::plugin::crypto::{Error, Host},
    budget::Stop,
    instance::State,
};

/// Longest password: MQTT cannot carry a longer one.
const PASSWORD_BYTES_MAX: usize = u16::MAX as usize;

impl Host for State {
    async fn verify_password(
        &mut self,
        stored: String,
        password: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let password = Zeroizing::new(password);
        let stored = Zeroizing::new(stored);
        let parsed = match StoredHash::parse(&stored) {
            Ok(parsed) => parsed,
            Err(error) => return Ok(Err(error.into())),
        };
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(Ok(false));
        }
        let known = self.known_proof(&stored, &password);
        if known.as_ref().is_some_and(|(_, holds)| *holds) {
            return Ok(Ok(true));
        }
        self.meter.before_wait()?;
        let deadline = self.meter.deadline();
        let Some(passwords) = &self.lent.passwords else {
            // Who imports this function has a share.
            return Ok(Err(Error::Busy));
        };
        match passwords.verify(parsed, password, deadline).await {
            Ok(verdict) => {
                if let (true, Some((proof, _)), Some(login)) = (verdict, known, &mut self.login) {
                    login.keep(proof);
                }
                Ok(Ok(verdict))
            }
            Err(VerifyError::Hash(error)) => Ok(Err(error.into())),
            Err(VerifyError::Busy) => Ok(Err(Error::Busy)),
            Err(VerifyError::Deadline) => {
                self.meter.stop(Stop::Deadline);
                Err(wasmtime::Error::msg("the deadline passed in crypto.verify-password"))
            }
        }
    }

    fn check_hash(&mut self, stored: String) -> wasmtime::Result<Result<(), Error>> {
        let stored = Zeroizing::new(stored);
        Ok(StoredHash::parse(&stored).map(|_| ()).map_err(Error::from))
    }

    fn constant_time_equal(&mut self, a: Vec<u8>, b: Vec<u8>) -> wasmtime::Result<bool> {
        let (a, b) = (Zeroizing::new(a), Zeroizing::new(b));
        Ok(a.as_slice().ct_eq(&b).into())
    }

    fn sha256(&mut self, data: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        let data = Zeroizing::new(data);
        Ok(Sha256::digest(data.as_slice()).to_vec())
    }
}

impl State {
    /// A login begins; only those under a User Name are remembered.
    pub(crate) fn begin_login(&mut self, user: Option<&str>) {
        let remembers = self.lent.passwords.is_some() && self.lent.runtime.verified.is_some();
        let user = user.filter(|_| remembers && !self.lent.shadow);
        self.login = user.map(|user| Box::new(Login::new(user.to_owned())));
    }

    /// It was judged.
    pub(crate) fn end_login(&mut self, allowed: bool) {
        let login = self.login.take().filter(|_| allowed);
        if let (Some(login), Some(verified)) = (login, &self.lent.runtime.verified) {
            verified.allowed(&login, Instant::now());
        }
    }

    /// What stands for this password in the login that is being judged, and whether it was verified
    /// lately.
    fn known_proof(&self, stored: &str, password: &[u8]) -> Option<(Proof, bool)> {
        let (login, verified) = (self.login.as_ref()?, self.lent.runtime.verified.as_ref()?);
        let proof = verified.proof(&self.lent.plugin, login, stored, password)?;
        let holds = verified.holds(&proof, Instant::now());
        self.lent.runtime.plugin_metrics.caches.note(Cache::Passwords, holds);
        Some((proof, holds))
    }
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Malformed(text) => Self::Malformed(text),
            HashError::Unsupported(text) => Self::Unsupported(text),
            HashError::TooCostly(text) => Self::TooCostly(text),
        }
    }
}
