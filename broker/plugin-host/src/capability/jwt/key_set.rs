//! Keys that tokens are judged by, and what each may be used for.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse},
};

/// Keys of one verifier.
const KEYS_MAX: usize = 64;

/// A key and what it may be used for.
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

pub(super) fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, String> {
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
pub(super) fn fit(id: Option<String>, key: DecodingKey, algorithms: &[Algorithm]) -> Key {
    let family = key.family();
    let own = algorithms.iter().copied().filter(|algorithm| algorithm.family() == family);
    Key { id, algorithms: own.collect(), key }
}

pub(super) fn public_key(pem: &[u8], algorithms: &[Algorithm]) -> Result<Key, String> {
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

/// Who keeps a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// The operator: a fault in it is told.
    Given,
    /// The issuer: what cannot be used is passed over, and the rest is good.
    Fetched,
}

/// Keys for other uses are passed over; a shared secret does not belong into a set.
pub(super) fn key_set(json: &str, algorithms: &[Algorithm], set: Set) -> Result<Vec<Key>, String> {
    if set == Set::Fetched {
        return fetched(json, algorithms);
    }
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

/// As [`key_set`], key by key: issuers add kinds of keys that nobody here knows.
fn fetched(json: &str, algorithms: &[Algorithm]) -> Result<Vec<Key>, String> {
    #[derive(serde::Deserialize)]
    struct Loose {
        keys: Vec<serde_json::Value>,
    }
    let set: Loose =
        serde_json::from_str(json).map_err(|error| format!("is no JWK set: {error}"))?;
    if set.keys.len() > KEYS_MAX {
        return Err(format!("has over {KEYS_MAX} keys"));
    }
    let read = |value| {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        key_of_set(&jwk, algorithms).ok().flatten()
    };
    let keys: Vec<Key> = set.keys.into_iter().filter_map(read).collect();
    if keys.is_empty() {
        return Err(format!("has no key for {algorithms:?}"));
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
