//! Tokens: which hold, which do not, and which keys are none.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp, jwk::Jwk};
use serde_json::{Value, json};

use super::*;

const RSA_PRIVATE: &str = include_str!("keys/rsa.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa-public.pem");
const EC_PRIVATE: &str = include_str!("keys/ec.pem");
const EC_PUBLIC: &str = include_str!("keys/ec-public.pem");

pub(super) fn settings(keys: KeySource, algorithms: &[&str]) -> VerifierSettings {
    VerifierSettings {
        keys,
        algorithms: algorithms.iter().map(|&name| name.to_owned()).collect(),
        issuer: "idp".to_owned(),
        audience: vec!["broker".to_owned()],
        leeway: Duration::from_secs(5),
    }
}

pub(crate) fn rsa() -> Verifier {
    Verifier::new(settings(KeySource::PublicKey(RSA_PUBLIC.to_owned()), &["RS256"])).unwrap()
}

/// One that [`rsa`] accepts.
pub(crate) fn token() -> String {
    rs256(&claims(60))
}

pub(super) fn claims(exp: i64) -> Value {
    let now = get_current_timestamp() as i64;
    json!({"iss": "idp", "aud": "broker", "exp": now + exp, "sub": "alice"})
}

pub(super) fn signed(header: &Header, claims: &Value) -> String {
    let key = match header.alg {
        Algorithm::ES256 => EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap(),
        Algorithm::HS256 => EncodingKey::from_secret(b"shared"),
        _ => EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap(),
    };
    encode(header, claims, &key).unwrap()
}

fn rs256(claims: &Value) -> String {
    signed(&Header::new(Algorithm::RS256), claims)
}

/// With keys that are there nothing is waited for.
fn verified(verifier: &Verifier, token: &str) -> Result<String, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    runtime.block_on(verifier.verify(token, until))
}

#[track_caller]
fn refuses(verifier: &Verifier, token: &str, what: &str) {
    match verified(verifier, token) {
        Err(Error::Refused(text)) => assert!(text.contains(what), "{text}, wanted {what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_token_tells_its_claims() {
    let claims = claims(60);
    let told = verified(&rsa(), &rs256(&claims)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), claims);
    let es = settings(KeySource::PublicKey(EC_PUBLIC.to_owned()), &["ES256"]);
    let token = signed(&Header::new(Algorithm::ES256), &claims);
    assert!(verified(&Verifier::new(es).unwrap(), &token).is_ok());
    let hs = settings(KeySource::Secret(Secret::new(b"shared".to_vec())), &["HS256"]);
    let token = signed(&Header::new(Algorithm::HS256), &claims);
    assert!(verified(&Verifier::new(hs).unwrap(), &token).is_ok());
}

#[test]
fn times_issuer_and_audience() {
    let changed = |name: &str, value: Value| {
        let mut changed = claims(60);
        changed[name] = value;
        rs256(&changed)
    };
    let missing = |name: &str| {
        let mut changed = claims(60);
        changed.as_object_mut().unwrap().remove(name);
        rs256(&changed)
    };
    let now = get_current_timestamp() as i64;
    let verifier = rsa();
    refuses(&verifier, &rs256(&claims(-10)), "expired");
    assert!(verified(&verifier, &rs256(&claims(-2))).is_ok(), "within the leeway");
    refuses(&verifier, &changed("nbf", json!(now + 30)), "not hold yet");
    assert!(verified(&verifier, &changed("nbf", json!(now + 2))).is_ok());
    refuses(&verifier, &changed("iss", json!("other")), "issuer");
    refuses(&verifier, &changed("aud", json!(["a", "b"])), "audience");
    assert!(verified(&verifier, &changed("aud", json!(["a", "broker"]))).is_ok());
    for name in ["exp", "iss", "aud"] {
        refuses(&verifier, &missing(name), "");
    }
    refuses(&verifier, &changed("exp", json!("soon")), "");
}

#[test]
fn the_algorithm_is_the_keys() {
    let verifier = rsa();
    let good = rs256(&claims(60));
    let (_, rest) = good.split_once('.').unwrap();
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"PS256"}"#,
        r#"{"alg":"RS256","crit":["exp"]}"#,
    ] {
        let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
        refuses(&verifier, &token, "");
    }
    // The classic: the public key as shared secret.
    let key = EncodingKey::from_secret(RSA_PUBLIC.as_bytes());
    let forged = encode(&Header::new(Algorithm::HS256), &claims(60), &key).unwrap();
    refuses(&verifier, &forged, "no key");
    let mut broken = good.clone();
    broken.replace_range(good.len() - 8..good.len() - 4, "AAAA");
    refuses(&verifier, &broken, "signature");
    refuses(&verifier, "a.b", "malformed");
    refuses(&verifier, &"a".repeat(TOKEN_BYTES_MAX + 1), "bytes");
}

pub(super) fn jwk(pem: &str, algorithm: Algorithm, id: &str) -> Value {
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
    };
    let jwk = Jwk::from_encoding_key(&key.unwrap(), algorithm).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = json!(id);
    jwk
}

#[test]
fn a_key_of_a_set_is_found_by_its_number() {
    let rsa = |id| jwk(RSA_PRIVATE, Algorithm::RS256, id);
    let set = json!({"keys": [rsa("a"), rsa("b"), jwk(EC_PRIVATE, Algorithm::ES256, "c")]});
    let set = KeySource::KeySet(set.to_string());
    let verifier = Verifier::new(settings(set, &["RS256", "ES256"])).unwrap();
    let token = |algorithm, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        signed(&header, &claims(60))
    };
    assert!(verified(&verifier, &token(Algorithm::RS256, Some("a"))).is_ok());
    assert!(verified(&verifier, &token(Algorithm::ES256, Some("c"))).is_ok());
    assert!(verified(&verifier, &token(Algorithm::ES256, None)).is_ok(), "there is only one");
    refuses(&verifier, &token(Algorithm::RS256, None), "several");
    refuses(&verifier, &token(Algorithm::RS256, Some("c")), "no key");
    refuses(&verifier, &token(Algorithm::RS256, Some("x")), "no key");
}

#[test]
fn what_is_no_verifier() {
    let fails = |keys, algorithms: &[&str], what: &str| {
        let error = Verifier::new(settings(keys, algorithms)).unwrap_err();
        assert!(error.contains(what), "{error}, wanted {what}");
    };
    let pem = || KeySource::PublicKey(RSA_PUBLIC.to_owned());
    fails(pem(), &[], "no algorithm");
    fails(pem(), &["none"], "is no algorithm");
    fails(pem(), &["HS256"], "not for HS256");
    fails(pem(), &["ES256"], "no public key of this kind");
    fails(pem(), &["RS256", "ES256"], "no key of it can be used for ES256");
    fails(KeySource::PublicKey("x".to_owned()), &["RS256"], "no public key");
    fails(KeySource::Secret(Secret::new(b"s".to_vec())), &["RS256"], "RS256");
    fails(KeySource::KeySet("{}".to_owned()), &["RS256"], "no JWK set");
    let oct = r#"{"keys":[{"kty":"oct","k":"c2hhcmVk","alg":"HS256"}]}"#;
    fails(KeySource::KeySet(oct.to_owned()), &["HS256"], "shared secret");
}
