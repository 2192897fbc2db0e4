//! Interface `jwt`: tokens judged by the host, with keys that the operator configured.
//!
//! The algorithm belongs to the key and is never taken from a token; `exp`, `iss` and `aud` must be
//! there; a key is found by its number, and without one only where there is no choice.

use std::{fmt, sync::Arc, time::Duration};

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse},
};

use crate::{
    bindings::portcullis::plugin::jwt::{Error, Host},
    instance::State,
    sources::Secret,
};

const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Keys of one verifier.
const KEYS_MAX: usize = 64;

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
}

/// A verifier that is ready.
#[derive(Clone)]
pub struct Verifier(Arc<Ready>);

struct Ready {
    settings: VerifierSettings,
    keys: Vec<Key>,
}

/// A key and what it may be used for.
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
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
    /// Reads the keys. The error is a sentence.
    pub fn new(settings: VerifierSettings) -> Result<Self, String> {
        let algorithms = algorithms(&settings.algorithms)?;
        let keys = match &settings.keys {
            KeySource::Secret(secret) => {
                let key = DecodingKey::from_secret(secret.expose());
                vec![fit(None, key, &algorithms)]
            }
            KeySource::PublicKey(pem) => vec![public_key(pem.as_bytes(), &algorithms)?],
            KeySource::KeySet(json) => key_set(json, &algorithms)?,
        };
        if let Some(unused) = algorithms
            .iter()
            .find(|algorithm| !keys.iter().any(|key| key.algorithms.contains(algorithm)))
        {
            return Err(format!("no key of it can be used for {unused:?}"));
        }
        Ok(Self(Arc::new(Ready { settings, keys })))
    }

    fn verify(&self, token: &str) -> Result<String, Error> {
        let Ready { settings, keys } = &*self.0;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused(&format!("it has over {TOKEN_BYTES_MAX} bytes")));
        }
        let header = decode_header(token).map_err(|error| because(&error))?;
        if header.crit.is_some() {
            return Err(refused("it has critical headers, which nobody here knows"));
        }
        let wanted = header.kid.as_deref();
        let fits = |key: &&Key| {
            let same = key.id.is_none() || key.id.as_deref() == wanted || wanted.is_none();
            same && key.algorithms.contains(&header.alg)
        };
        let mut fitting = keys.iter().filter(fits);
        let key = match (fitting.next(), fitting.next()) {
            (Some(key), None) => key,
            (None, _) => return Err(refused("there is no key for its number and algorithm")),
            (Some(_), Some(_)) => return Err(refused("it names none of several keys")),
        };
        let mut rules = Validation::new(header.alg);
        rules.leeway = settings.leeway.as_secs();
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.set_issuer(&[&settings.issuer]);
        rules.set_audience(&settings.audience);
        let data = decode::<serde_json::Value>(token, &key.key, &rules);
        let claims = data.map_err(|error| because(&error))?.claims;
        match claims {
            serde_json::Value::Object(_) => Ok(claims.to_string()),
            _ => Err(refused("its claims are no object")),
        }
    }
}

fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, String> {
    if names.is_empty() {
        return Err("names no algorithm".to_owned());
    }
    let known = |name: &String| {
        name.parse::<Algorithm>().map_err(|_| {
            let allowed = "RS256, PS256, ES256, EdDSA, HS256 and their like";
            format!("{name:?} is no algorithm, allowed: {allowed}")
        })
    };
    names.iter().map(known).collect()
}

/// A key with those of the algorithms that are of its kind: a public key is never a shared secret.
fn fit(id: Option<String>, key: DecodingKey, algorithms: &[Algorithm]) -> Key {
    let family = key.family();
    let own = algorithms.iter().copied().filter(|algorithm| algorithm.family() == family);
    Key { id, algorithms: own.collect(), key }
}

fn public_key(pem: &[u8], algorithms: &[Algorithm]) -> Result<Key, String> {
    let family = algorithms.first().map(|algorithm| algorithm.family());
    let key = match family {
        Some(AlgorithmFamily::Rsa) => DecodingKey::from_rsa_pem(pem),
        Some(AlgorithmFamily::Ec) => DecodingKey::from_ec_pem(pem),
        Some(AlgorithmFamily::Ed) => DecodingKey::from_ed_pem(pem),
        _ => return Err("a public key is not for HS256 and its like".to_owned()),
    };
    let key = key.map_err(|error| format!("is no public key of this kind in PEM: {error}"))?;
    Ok(fit(None, key, algorithms))
}

/// Keys for other uses are passed over; a shared secret does not belong into a set.
fn key_set(json: &str, algorithms: &[Algorithm]) -> Result<Vec<Key>, String> {
    let set: JwkSet =
        serde_json::from_str(json).map_err(|error| format!("is no JWK set: {error}"))?;
    if set.keys.len() > KEYS_MAX {
        return Err(format!("has over {KEYS_MAX} keys"));
    }
    let mut keys = Vec::new();
    for jwk in set.keys {
        if let Some(key) = key_of_set(&jwk, algorithms)? {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn key_of_set(jwk: &Jwk, algorithms: &[Algorithm]) -> Result<Option<Key>, String> {
    if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
        return Err("has a shared secret among its keys".to_owned());
    }
    let other_use =
        jwk.common.public_key_use.as_ref().is_some_and(|r#use| *r#use != PublicKeyUse::Signature);
    if other_use || !jwk.is_supported() && jwk.common.key_algorithm.is_some() {
        return Ok(None);
    }
    let Ok(key) = DecodingKey::from_jwk(jwk) else { return Ok(None) };
    let mut key = fit(jwk.common.key_id.clone(), key, algorithms);
    if let Some(own) = &jwk.common.key_algorithm {
        let own = own.to_string();
        key.algorithms.retain(|algorithm| format!("{algorithm:?}") == own);
    }
    Ok(Some(key).filter(|key| !key.algorithms.is_empty()))
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
    fn verify(
        &mut self,
        verifier: String,
        token: String,
    ) -> wasmtime::Result<Result<String, Error>> {
        Ok(match self.lent.granted.jwt.get(&verifier) {
            Some(verifier) => verifier.verify(&token),
            None => Err(Error::Unknown(verifier)),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
