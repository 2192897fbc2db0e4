//! Interface `jwt`: tokens judged by the host, with keys that the operator configured.
//!
//! The algorithm belongs to the key and is never taken from a token; `exp`, `iss` and `aud` must be
//! there; a key is found by its number, and without one only where there is no choice.

mod key_set;
mod remote;

use std::{fmt, sync::Arc, time::Duration};

use jsonwebtoken::{
    DecodingKey, Header, Validation, dangerous::insecure_decode_claims, decode, decode_header,
    errors::ErrorKind, get_current_timestamp,
};
use serde_json::Value;
use tokio::time::Instant;

use self::{
    key_set::{Key, Set, algorithms, fit, key_set, public_key},
    remote::Remote,
};
use crate::{
    bindings::portcullis::plugin::jwt::{Error, Host},
    budget::Stop,
    instance::State,
    sources::Secret,
};

const TOKEN_BYTES_MAX: usize = 16 << 10;

/// What `[jwt.NAME]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierSettings {
    /// Where its keys come from.
    pub keys: KeySource,
    /// Names of algorithms, such as `RS256`.
    pub algorithms: Vec<String>,
    /// Who must have issued a token.
    pub issuer: String,
    /// One of these it must be meant for.
    pub audience: Vec<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
}

/// Where the keys of a verifier come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A public key in PEM.
    PublicKey(String),
    /// A shared secret, for HS256 and its like.
    Secret(Secret),
    /// A JWK set as JSON.
    KeySet(String),
    /// A JWK set that is fetched.
    Url(KeyUrl),
}

/// Where a JWK set is fetched from, and how long it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUrl {
    /// `https:`; also `http:` if it is this machine.
    pub url: String,
    /// Authorities that are believed instead of the system's, in PEM.
    pub ca: Option<String>,
    /// After this long it is fetched again.
    pub refresh: Duration,
    /// While that fails, the last one is good for this long.
    pub stale_max: Duration,
}

/// A verifier that is ready.
#[derive(Clone)]
pub struct Verifier(Arc<Ready>);

struct Ready {
    settings: VerifierSettings,
    keys: Keys,
}

enum Keys {
    Given(Vec<Key>),
    Fetched(Remote),
}

impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        self.0.settings == other.0.settings
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("issuer", &self.0.settings.issuer).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Reads the keys; fetches none. The error is a sentence.
    pub fn new(settings: VerifierSettings) -> Result<Self, String> {
        let algorithms = algorithms(&settings.algorithms)?;
        let keys = match &settings.keys {
            KeySource::Secret(secret) => {
                let key = DecodingKey::from_secret(secret.expose());
                vec![fit(None, key, &algorithms)]
            }
            KeySource::PublicKey(pem) => vec![public_key(pem.as_bytes(), &algorithms)?],
            KeySource::KeySet(json) => key_set(json, &algorithms, Set::Given)?,
            KeySource::Url(url) => {
                let keys = Keys::Fetched(Remote::new(url, algorithms)?);
                return Ok(Self(Arc::new(Ready { settings, keys })));
            }
        };
        if let Some(unused) = algorithms
            .iter()
            .find(|algorithm| !keys.iter().any(|key| key.algorithms.contains(algorithm)))
        {
            return Err(format!("no key of it can be used for {unused:?}"));
        }
        Ok(Self(Arc::new(Ready { settings, keys: Keys::Given(keys) })))
    }

    /// Waits for keys, if it has to, no longer than `until`.
    async fn verify(&self, token: &str, until: Instant) -> Result<String, Error> {
        let Ready { settings, keys } = &*self.0;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused(&format!("it has over {TOKEN_BYTES_MAX} bytes")));
        }
        let header = decode_header(token).map_err(|error| because(&error))?;
        if header.crit.is_some() {
            return Err(refused("it has critical headers, which nobody here knows"));
        }
        match keys {
            Keys::Given(keys) => settings.judge(token, &header, find(keys, &header)?),
            Keys::Fetched(remote) => {
                settings.glance(token)?;
                let keys = remote.current(until).await.map_err(Error::Unavailable)?;
                if let Ok(key) = find(&keys, &header) {
                    return settings.judge(token, &header, key);
                }
                // It may be signed with a key that is newer than what was fetched.
                let keys = remote.newer(until).await.map_err(Error::Unavailable)?;
                settings.judge(token, &header, find(&keys, &header)?)
            }
        }
    }

    fn may_wait(&self) -> bool {
        matches!(self.0.keys, Keys::Fetched(_))
    }
}

/// The key by the token's number and algorithm, of which both belong to the key.
fn find<'a>(keys: &'a [Key], header: &Header) -> Result<&'a Key, Error> {
    let wanted = header.kid.as_deref();
    let fits = |key: &&Key| {
        let same = key.id.is_none() || key.id.as_deref() == wanted || wanted.is_none();
        same && key.algorithms.contains(&header.alg)
    };
    let mut fitting = keys.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err(refused("there is no key for its number and algorithm")),
        (Some(_), Some(_)) => Err(refused("it names none of several keys")),
    }
}

impl VerifierSettings {
    fn judge(&self, token: &str, header: &Header, key: &Key) -> Result<String, Error> {
        let mut rules = Validation::new(header.alg);
        rules.leeway = self.leeway.as_secs();
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&self.audience);
        let data = decode::<Value>(token, &key.key, &rules);
        let claims = data.map_err(|error| because(&error))?.claims;
        match claims {
            Value::Object(_) => Ok(claims.to_string()),
            _ => Err(refused("its claims are no object")),
        }
    }

    /// Refuses what [`Self::judge`] would refuse whatever the key: nobody is asked for keys because
    /// of a token that could not hold. Says nothing for it: its signature was not looked at.
    fn glance(&self, token: &str) -> Result<(), Error> {
        let claims: Value = insecure_decode_claims(token).map_err(|error| because(&error))?;
        let is_one_of = |claim: &str, known: &[String]| match claims.get(claim) {
            Some(Value::String(text)) => known.contains(text),
            Some(Value::Array(list)) => list
                .iter()
                .any(|item| item.as_str().is_some_and(|it| known.iter().any(|k| k == it))),
            _ => false,
        };
        if !is_one_of("iss", std::slice::from_ref(&self.issuer)) {
            return Err(refused("it is of another issuer"));
        }
        if !is_one_of("aud", &self.audience) {
            return Err(refused("it is for another audience"));
        }
        let latest = get_current_timestamp().saturating_sub(self.leeway.as_secs());
        match claims.get("exp").and_then(Value::as_u64) {
            Some(end) if end < latest => Err(refused("it has expired")),
            _ => Ok(()),
        }
    }
}

fn refused(what: &str) -> Error {
    Error::Refused(what.to_owned())
}

fn because(error: &jsonwebtoken::errors::Error) -> Error {
    refused(match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it does not hold yet",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            "its algorithm is not that of the key"
        }
        ErrorKind::MissingRequiredClaim(claim) => return refused(&format!("it has no {claim}")),
        _ => "it is malformed",
    })
}

impl Host for State {
    async fn verify(
        &mut self,
        verifier: String,
        token: String,
    ) -> wasmtime::Result<Result<String, Error>> {
        let Some(verifier) = self.lent.granted.jwt.get(&verifier).cloned() else {
            return Ok(Err(Error::Unknown(verifier)));
        };
        if verifier.may_wait() {
            self.meter.before_wait()?;
        }
        let until = Instant::from_std(self.meter.deadline());
        match tokio::time::timeout_at(until, verifier.verify(&token, until)).await {
            Ok(answer) => Ok(answer),
            Err(_) => {
                self.meter.stop(Stop::Deadline);
                Err(wasmtime::Error::msg("the deadline passed in jwt.verify"))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
