//! What every broker is given alike: users and their hashes, rules, a certificate.

use std::{
    fmt::Write, fs::Permissions, num::NonZeroU32, os::unix::fs::PermissionsExt, path::Path,
    sync::Arc,
};

use anyhow::{Context, Result};
use aws_lc_rs::pbkdf2;
use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::{aws_lc_rs as provider, aws_lc_rs::kx_group},
    pki_types::CertificateDer,
    version::TLS13,
};
use serde_json::json;

/// How many users there are.
const USERS: usize = 1_200;
/// Rounds of the hash, as `mosquitto_passwd` of 2.0 makes it.
const ROUNDS: NonZeroU32 = NonZeroU32::new(101).unwrap();

/// The name of a user.
pub(crate) fn user(number: usize) -> String {
    format!("u{number}")
}

/// Its password.
pub(crate) fn password(number: usize) -> String {
    format!("secret of {number}")
}

/// Salt and hash of a user's password, in Base64.
fn hashed(number: usize) -> [String; 2] {
    let salt = format!("salt of {number:04}");
    let mut hash = [0; 64];
    let password = password(number);
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA512;
    pbkdf2::derive(algorithm, ROUNDS, salt.as_bytes(), password.as_bytes(), &mut hash);
    [salt.as_bytes(), &hash].map(|bytes| BASE64_STANDARD.encode(bytes))
}

/// A password file of mosquitto, hashes `$7$`; Portcullis's plugin `password-file` reads it too.
pub(crate) fn users() -> String {
    let mut text = String::new();
    for number in 0..USERS {
        let [salt, hash] = hashed(number);
        let _ = writeln!(text, "{}:$7${ROUNDS}${salt}${hash}", user(number));
    }
    text
}

/// The same users for mosquitto's plugin `dynamic-security`, all with one role of a thousand rules.
pub(crate) fn dynamic_security() -> String {
    let client = |number| {
        let [salt, password] = hashed(number);
        let roles = json!([{ "rolename": "all" }]);
        let (username, iterations) = (user(number), ROUNDS.get());
        json!({ "username": username, "password": password, "salt": salt,
                "iterations": iterations, "roles": roles })
    };
    let rules = |kind: &str| {
        let rule = |filter| json!({ "acltype": kind, "topic": filter, "allow": true });
        filters().map(rule).collect::<Vec<_>>()
    };
    let kinds = ["publishClientSend", "publishClientReceive", "subscribePattern"];
    let rules: Vec<_> = kinds.into_iter().flat_map(rules).collect();
    let access = json!({ "publishClientSend": false, "publishClientReceive": false,
                         "subscribe": false, "unsubscribe": true });
    json!({
        "defaultACLAccess": access,
        "clients": (0..USERS).map(client).collect::<Vec<_>>(),
        "groups": [],
        "roles": [{ "rolename": "all", "acls": rules }],
    })
    .to_string()
}

/// Topic filters of a thousand rules; only the last is about what is published.
fn filters() -> impl Iterator<Item = String> {
    let other = (0..999).map(|number| match number % 4 {
        0 => format!("plant/{number}/#"),
        1 => format!("plant/+/line/{number}/state"),
        2 => format!("office/{number}/light"),
        _ => format!("bench/other/{number}/#"),
    });
    other.chain(["bench/site/#".to_owned()])
}

/// A thousand rules for mosquitto.
pub(crate) fn mosquitto_rules() -> String {
    let user = format!("user {}\n", user(0));
    filters().fold(user, |text, filter| text + "topic readwrite " + &filter + "\n")
}

/// The same for Portcullis's plugin `acl-file`: rules of one user, or of everybody.
pub(crate) fn portcullis_rules(user: Option<&str>) -> String {
    let user = user.map(|user| format!("user = \"{user}\"\n")).unwrap_or_default();
    let rule = |filter| format!("[[rules]]\nallow = \"all\"\ntopic = \"{filter}\"\n{user}");
    filters().map(rule).collect()
}

/// Writes `cert.pem` and `key.pem` (ECDSA P-256, as most brokers have it); what a client needs that
/// believes that certificate.
pub(crate) fn certificate(folder: &Path) -> Result<Arc<ClientConfig>> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    std::fs::write(folder.join("cert.pem"), certificate.pem())?;
    let path = folder.join("key.pem");
    std::fs::write(&path, key.serialize_pem())?;
    // A broker may refuse a key that others can read.
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    client(certificate.der())
}

/// A client that makes a full handshake each time: TLS 1.3 with X25519, which all brokers know, so
/// that all compute the same.
fn client(certificate: &CertificateDer<'_>) -> Result<Arc<ClientConfig>> {
    let mut provider = provider::default_provider();
    provider.kx_groups = vec![kx_group::X25519];
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned()).context("our own certificate")?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_mosquitto() {
        let users = users();
        assert_eq!(users.lines().count(), USERS);
        // As `openssl kdf -kdfopt digest:SHA512 -kdfopt iter:101 PBKDF2` computes it.
        let first = users.lines().next().unwrap();
        assert!(first.starts_with("u0:$7$101$c2FsdCBvZiAwMDAw$"), "{first}");
        assert_eq!(first.rsplit('$').next().unwrap().len(), 88);
    }

    #[test]
    fn both_have_the_same_thousand_rules() {
        assert_eq!(mosquitto_rules().lines().count(), 1_001);
        let ours: toml::Table = portcullis_rules(None).parse().unwrap();
        assert_eq!(ours["rules"].as_array().unwrap().len(), 1_000);
    }

    #[test]
    fn the_certificate_is_one() {
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path()).unwrap();
        for (file, begin) in [("cert.pem", "CERTIFICATE"), ("key.pem", "PRIVATE KEY")] {
            let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
            assert!(text.contains(&format!("-----BEGIN {begin}-----")), "{text}");
        }
    }
}
