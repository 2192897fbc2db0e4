//! Versions, cipher suites and groups: names become what `rustls` offers.
//!
//! What is not named here is never spoken: there is no suite without forward secrecy and authenticated encryption.

use std::sync::Arc;

use rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    version::{TLS12, TLS13},
};

use super::{TlsConfig, TlsVersion};

/// Names of all cipher suites.
pub fn cipher_suites() -> Vec<&'static str> {
    let suites = aws_lc_rs::ALL_CIPHER_SUITES.iter();
    suites.filter_map(|suite| suite.suite().as_str()).collect()
}

/// Names of all groups, most wanted first.
pub fn groups() -> Vec<&'static str> {
    let groups = aws_lc_rs::default_provider().kx_groups;
    groups.iter().filter_map(|group| group.name().as_str()).collect()
}

/// The cryptography that a listener may use. Every name must be known, and something must be left for the versions.
pub(super) fn provider(config: &TlsConfig) -> Result<Arc<CryptoProvider>, String> {
    let mut provider = aws_lc_rs::default_provider();
    if !config.cipher_suites.is_empty() {
        known("cipher suite", &config.cipher_suites, &cipher_suites())?;
        provider.cipher_suites = aws_lc_rs::ALL_CIPHER_SUITES.to_vec();
        provider.cipher_suites.retain(|suite| {
            let name = suite.suite().as_str();
            name.is_some_and(|name| config.cipher_suites.iter().any(|wanted| wanted == name))
        });
    }
    if !config.groups.is_empty() {
        known("group", &config.groups, &groups())?;
        let all = provider.kx_groups;
        let named = config.groups.iter().filter_map(|wanted| {
            all.iter().find(|group| group.name().as_str() == Some(wanted.as_str())).copied()
        });
        provider.kx_groups = named.collect();
    }
    Ok(Arc::new(provider))
}

fn known(what: &str, wanted: &[String], all: &[&str]) -> Result<(), String> {
    match wanted.iter().find(|name| !all.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!("{name:?} is no {what}, allowed: {}", all.join(" | "))),
    }
}

/// What is spoken.
pub(super) fn versions(config: &TlsConfig) -> &'static [&'static SupportedProtocolVersion] {
    const FROM_1_2: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    const FROM_1_3: &[&SupportedProtocolVersion] = &[&TLS13];
    match config.min_version {
        TlsVersion::V1_2 => FROM_1_2,
        TlsVersion::V1_3 => FROM_1_3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hybrid_group_comes_first() {
        assert_eq!(groups().first(), Some(&"X25519MLKEM768"));
    }

    #[test]
    fn names_are_taken_in_their_order_and_unknown_ones_are_refused() {
        let mut config = TlsConfig::new("c".into(), "k".into());
        config.groups = vec!["secp256r1".to_owned(), "X25519".to_owned()];
        config.cipher_suites = vec!["TLS13_AES_256_GCM_SHA384".to_owned()];
        let provider = provider(&config).unwrap();
        let names: Vec<_> = provider.kx_groups.iter().map(|g| g.name().as_str()).collect();
        assert_eq!(names, [Some("secp256r1"), Some("X25519")]);
        assert_eq!(provider.cipher_suites.len(), 1);
        config.groups = vec!["secp112r1".to_owned()];
        let refused = super::provider(&config).unwrap_err();
        assert!(refused.starts_with("\"secp112r1\" is no group, allowed: X25519MLKEM768"));
    }
}
