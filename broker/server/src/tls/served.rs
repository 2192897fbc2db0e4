//! Our own certificates: which of them a client is shown, by the server name that it asks for.
//!
//! Owns that a key belongs to its certificate. An answer of OCSP is put beside a certificate while the listener serves.

use std::{path::Path, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    crypto::CryptoProvider,
    pki_types::CertificateDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    CertificateFiles, TlsConfig, certificate,
    files::{self, Fault, PEM_BYTES_MAX},
    signature::sha256,
};

/// A certificate of ours with its key.
#[derive(Debug)]
pub(super) struct Served {
    /// The file it came from.
    pub(super) file: String,
    names: Vec<String>,
    pub(super) key: ArcSwap<CertifiedKey>,
    pub(super) not_before: u64,
    pub(super) not_after: u64,
    /// Where its status can be asked.
    pub(super) responders: Vec<String>,
}

/// All of a listener, at least one.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) all: Vec<Served>,
    /// Of the files.
    pub(super) fingerprint: [u8; 32],
}

impl Certificates {
    /// Reads all, or says everything that is wrong.
    pub(super) fn load(config: &TlsConfig, provider: &CryptoProvider) -> Result<Self, Vec<Fault>> {
        let (mut all, mut faults, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
        for files in &config.certificates {
            match load(files, provider) {
                Ok((served, hash)) => {
                    all.push(served);
                    hashes.extend_from_slice(&hash);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self { all, fingerprint: sha256(&hashes) })
    }

    /// The first that is of no use at this time.
    pub(super) fn untimely(&self, now: u64) -> Option<Fault> {
        self.all.iter().find_map(|served| {
            let why = served.untimely(now)?;
            Some(Fault::new("cert", Path::new(&served.file), why))
        })
    }
}

fn load(files: &CertificateFiles, provider: &CryptoProvider) -> Result<(Served, [u8; 32]), Fault> {
    let CertificateFiles { cert, key } = files;
    let chain_bytes = files::read("cert", cert, PEM_BYTES_MAX)?;
    let chain = files::certificates("cert", cert, &chain_bytes)?;
    files::check_key(key)?;
    let key_bytes = zeroize::Zeroizing::new(files::read("key", key, PEM_BYTES_MAX)?);
    let private = files::private_key(key, &key_bytes)?;
    let hash = sha256(&[sha256(&chain_bytes), sha256(&key_bytes)].concat());
    let read = chain.first().map(|leaf| certificate::read(leaf));
    let Some(Ok(read)) = read else {
        return Err(Fault::new("cert", cert, "the first certificate cannot be read"));
    };
    check_order(cert, &chain)?;
    let certified = CertifiedKey::from_der(chain, private, provider).map_err(|error| {
        let what = match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("is not the key of the certificate in {}", cert.display())
            }
            other => format!("cannot be used: {other}"),
        };
        Fault::new("key", key, what)
    })?;
    let (not_before, not_after) = certificate::validity(&read);
    let served = Served {
        file: cert.display().to_string(),
        names: certificate::server_names(&read),
        key: ArcSwap::from_pointee(certified),
        not_before,
        not_after,
        responders: certificate::responders(&read),
    };
    Ok((served, hash))
}

/// Clients build no chain out of certificates in another order than from ours up to the authority.
fn check_order(file: &Path, chain: &[CertificateDer<'_>]) -> Result<(), Fault> {
    let read: Result<Vec<_>, _> = chain.iter().map(|der| certificate::read(der)).collect();
    let Ok(read) = read else {
        return Err(Fault::new("cert", file, "a certificate of the chain cannot be read"));
    };
    for (below, above) in read.iter().zip(read.iter().skip(1)) {
        let (below, above) = (&below.tbs_certificate, &above.tbs_certificate);
        if below.issuer != above.subject {
            let what = format!(
                "{} does not sign what stands before it, allowed: our certificate first, then each \
                 one's issuer",
                above.subject
            );
            return Err(Fault::new("cert", file, what));
        }
    }
    Ok(())
}

impl Served {
    /// Why it is of no use at this time.
    pub(super) fn untimely(&self, now: u64) -> Option<String> {
        if now > self.not_after {
            let days = (now - self.not_after) / DAY;
            return Some(format!("expired {days} days ago"));
        }
        if now < self.not_before {
            return Some("is not valid yet: look at the clock of this machine".to_owned());
        }
        None
    }

    fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// `*.example` is for `a.example` and not for `b.a.example`.
    fn covers(&self, name: &str) -> bool {
        let Some((_, parent)) = name.split_once('.') else { return false };
        let wildcards = self.names.iter().filter_map(|own| own.strip_prefix("*."));
        wildcards.into_iter().any(|own| own.eq_ignore_ascii_case(parent))
    }
}

const DAY: u64 = 24 * 3_600;

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let suits = |served: &&Served| served.key.load().key.choose_scheme(schemes).is_some();
        let name = hello.server_name();
        let exact = self.all.iter().filter(|served| name.is_some_and(|name| served.is_for(name)));
        let wild = self.all.iter().filter(|served| name.is_some_and(|name| served.covers(name)));
        let mut by_name = exact.chain(wild);
        let found = by_name.find(suits).or_else(|| self.all.iter().find(suits));
        found.map(|served| served.key.load_full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_wildcards() {
        let key = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let der = CertificateDer::from(key.cert.der().to_vec());
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der());
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(vec![der], private.unwrap(), &provider).unwrap();
        let served = Served {
            file: String::new(),
            names: vec!["a.example".to_owned(), "*.b.example".to_owned()],
            key: ArcSwap::from_pointee(certified),
            not_before: 100,
            not_after: 200,
            responders: Vec::new(),
        };
        assert!(served.is_for("A.example") && !served.is_for("b.example"));
        assert!(served.covers("x.B.example"));
        assert!(!served.covers("b.example") && !served.covers("y.x.b.example"));
        assert!(served.untimely(99).is_some() && served.untimely(201).is_some());
        assert_eq!(served.untimely(150), None);
    }
}
