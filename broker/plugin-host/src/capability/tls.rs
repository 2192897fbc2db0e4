//! TLS as a client: whose certificates of servers are believed, and where it may be left out.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Authorities that the operating system trusts, read when they are first needed, or those that the
/// operator named instead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    config: Arc<OnceLock<Arc<ClientConfig>>>,
    protocols: &'static [&'static [u8]],
}

impl Tls {
    /// Offers these protocols (ALPN).
    pub(crate) fn offering(protocols: &'static [&'static [u8]]) -> Self {
        Self { config: Arc::default(), protocols }
    }

    /// Believes the authorities in `pem` and no others.
    pub(crate) fn trusting(pem: &str, protocols: &'static [&'static [u8]]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
            roots.add(certificate).map_err(|error| format!("has no usable authority: {error}"))?;
        }
        if roots.is_empty() {
            return Err("holds no certificate in PEM".to_owned());
        }
        let tls = Self::offering(protocols);
        let config = configure(roots, protocols)?;
        let _ = tls.config.set(config);
        Ok(tls)
    }

    #[cfg(test)]
    pub(super) fn trust(&self, roots: RootCertStore) {
        assert!(self.config.set(configure(roots, self.protocols).unwrap()).is_ok());
    }

    /// Reads files until that succeeded once: off the async threads.
    pub(crate) async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(known) = self.config.get() {
            return Ok(Arc::clone(known));
        }
        let tls = self.clone();
        let load = move || {
            let config = configure(roots_of_the_system(), tls.protocols)?;
            Ok(Arc::clone(tls.config.get_or_init(|| config)))
        };
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.unwrap_or_else(|error| Err(error.to_string()))
    }
}

fn roots_of_the_system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate authority of the system cannot be used");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

fn configure(roots: RootCertStore, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, String> {
    if roots.is_empty() {
        return Err("the system trusts no certificate authority".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Whether a host of a URL, by name or address, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
