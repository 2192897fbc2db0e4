//! ID tokens: whether one is good, and what it says.
//!
//! Knows nothing of HTTP. The key decides the algorithm, never the token alone; issuer, audience, end
//! and nonce have to be what they should.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

/// What a token has to say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now_unix: u64,
}

/// What a good token says.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim)?.as_str()
    }

    pub(super) fn is_true(&self, claim: &str) -> bool {
        // Some providers write it as a text.
        match self.0.get(claim) {
            Some(Value::Bool(said)) => *said,
            Some(Value::String(said)) => said == "true",
            _ => false,
        }
    }

    /// A text, or a list of texts; at most 256.
    pub(super) fn texts(&self, claim: &str) -> Vec<&str> {
        match self.0.get(claim) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).take(256).collect(),
            _ => Vec::new(),
        }
    }
}

/// Longest token that is looked at.
const BYTES_MAX: usize = 64 * 1024;
/// How far the clocks may be apart.
const LEEWAY_SECONDS: u64 = 30;

/// Which key signed it, by its own word.
pub(super) fn key_id(token: &str) -> Result<Option<String>, String> {
    if token.len() > BYTES_MAX {
        return Err(format!("the ID token has more than {BYTES_MAX} bytes"));
    }
    let header = jsonwebtoken::decode_header(token);
    header.map(|header| header.kid).map_err(|error| format!("the ID token is none: {error}"))
}

pub(super) fn verify(
    token: &str,
    keys: &JwkSet,
    expected: &Expected<'_>,
) -> Result<Claims, String> {
    let bad = |error: jsonwebtoken::errors::Error| format!("the ID token is not good: {error}");
    let header = jsonwebtoken::decode_header(token).map_err(bad)?;
    let key = find(keys, header.kid.as_deref())?;
    if !algorithms(key).contains(&header.alg) {
        return Err(format!(
            "the ID token is signed with {:?}, which its key is not for",
            header.alg
        ));
    }
    let mut validation = Validation::new(header.alg);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let decoding = DecodingKey::from_jwk(key).map_err(bad)?;
    let claims: Map<String, Value> =
        jsonwebtoken::decode(token, &decoding, &validation).map_err(bad)?.claims;
    check(&claims, expected)?;
    Ok(Claims(claims))
}

fn check(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), String> {
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let nonce = text("nonce").unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err("the nonce of the ID token is not the one of this login".to_owned());
    }
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|list| list.len() > 1);
    match claims.get("azp") {
        None if several => return Err("the ID token is for several, without azp".to_owned()),
        Some(azp) if azp.as_str() != Some(expected.client_id) => {
            return Err("the ID token was made for another client (azp)".to_owned());
        }
        _ => {}
    }
    let issued = claims.get("iat").and_then(Value::as_u64);
    if issued.is_none_or(|at| at > expected.now_unix.saturating_add(LEEWAY_SECONDS)) {
        return Err("the ID token was made in the future (iat)".to_owned());
    }
    Ok(())
}

/// The key of this name, or the only one that there is.
fn find<'a>(keys: &'a JwkSet, kid: Option<&str>) -> Result<&'a Jwk, String> {
    let mut signing = keys.keys.iter().filter(|key| {
        let usage = &key.common.public_key_use;
        usage.is_none() || *usage == Some(PublicKeyUse::Signature)
    });
    let found = match kid {
        Some(kid) => signing.find(|key| key.common.key_id.as_deref() == Some(kid)),
        None => signing.next().filter(|_| signing.next().is_none()),
    };
    found.ok_or_else(|| "the provider has no such key as the one of the ID token".to_owned())
}

/// What a key is for. Never an algorithm with a shared secret: the key is public.
fn algorithms(key: &Jwk) -> Vec<Algorithm> {
    let by_type: &[Algorithm] = match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
        _ => &[],
    };
    let named = key.common.key_algorithm.map(|named| named.to_string());
    let fits = |algorithm: &&Algorithm| {
        named.as_ref().is_none_or(|named| *named == format!("{algorithm:?}"))
    };
    by_type.iter().filter(fits).copied().collect()
}
