//! Everything that files and policies of a listener make: built as a whole, swapped as a whole.
//!
//! Owns that no session is resumed across a change: each [`Loaded`] has its own tickets, and nothing else remembers one.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs::Ticketer},
    pki_types::SignatureVerificationAlgorithm,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};

use super::{
    ClientAuth, CrlSource, TlsConfig,
    authorities::Authorities,
    certificate,
    crl::Unproven,
    files::{self, AUTHORITIES_BYTES_MAX, CRL_BYTES_MAX, Fault},
    points::Points,
    policy,
    revocation::Revocation,
    served::Certificates,
    signature::sha256,
    trust::Trust,
};

/// What was fetched, and what is to be.
#[derive(Clone, Default)]
pub(super) struct Fetched {
    /// Lists, by URL.
    pub(super) lists: HashMap<String, Arc<[u8]>>,
    /// Where certificates say that there are lists about them.
    pub(super) points: Arc<Points>,
}

/// What a listener serves with.
pub(super) struct Loaded {
    /// What it was made from.
    pub(super) config: Arc<TlsConfig>,
    pub(super) server: Arc<ServerConfig>,
    pub(super) certificates: Arc<Certificates>,
    /// `None` = clients show no certificate.
    pub(super) trust: Option<Arc<Trust>>,
    trust_fingerprint: [u8; 32],
}

/// Builds anew what changed. What cannot be read stays as it is in `before`, and is told; `None` = nothing can be served.
pub(super) fn load(
    config: &Arc<TlsConfig>,
    alpn: &[&[u8]],
    before: Option<&Arc<Loaded>>,
    (fetched, now): (&Fetched, u64),
) -> (Option<Arc<Loaded>>, Vec<Fault>) {
    let mut faults = Vec::new();
    let provider = match policy::provider(config) {
        Ok(provider) => provider,
        Err(sentence) => {
            faults.push(Fault { what: "groups", sentence });
            return (before.cloned(), faults);
        }
    };
    let certificates = match Certificates::load(config, &provider) {
        Ok(certificates) => match (before, certificates.untimely(now)) {
            // Better one that is in force than a newer one that is not.
            (Some(before), Some(fault)) if before.certificates.untimely(now).is_none() => {
                faults.push(fault);
                Some(Arc::clone(&before.certificates))
            }
            _ => Some(Arc::new(certificates)),
        },
        Err(found) => {
            faults.extend(found);
            before.map(|before| Arc::clone(&before.certificates))
        }
    };
    let trust = match load_trust((config, before), &provider, fetched, &mut faults) {
        Ok(trust) => Some(trust),
        Err(()) => before.map(|before| (before.trust.clone(), before.trust_fingerprint)),
    };
    let (Some(certificates), Some((trust, trust_fingerprint))) = (certificates, trust) else {
        return (before.cloned(), faults);
    };
    if let Some(before) = before {
        let same = before.config == *config
            && before.certificates.fingerprint == certificates.fingerprint
            && before.trust_fingerprint == trust_fingerprint;
        if same {
            return (Some(Arc::clone(before)), faults);
        }
    }
    match build(config, alpn, &provider, (&certificates, trust.as_ref())) {
        Ok(server) => {
            let (config, server) = (Arc::clone(config), Arc::new(server));
            let loaded = Loaded { config, server, certificates, trust, trust_fingerprint };
            (Some(Arc::new(loaded)), faults)
        }
        Err(error) => {
            faults.push(Fault { what: "cipher_suites", sentence: error.to_string() });
            (before.cloned(), faults)
        }
    }
}

fn build(
    config: &TlsConfig,
    alpn: &[&[u8]],
    provider: &Arc<CryptoProvider>,
    (certificates, trust): (&Arc<Certificates>, Option<&Arc<Trust>>),
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(policy::versions(config))?;
    let builder = match trust {
        Some(trust) => builder.with_client_cert_verifier(Arc::clone(trust) as _),
        None => builder.with_client_cert_verifier(WebPkiClientVerifier::no_client_auth()),
    };
    let mut server = builder.with_cert_resolver(Arc::clone(certificates) as _);
    server.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    // Tickets that nobody can open once this is replaced, and no other memory of sessions.
    server.ticketer = Ticketer::new()?;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 1;
    server.max_early_data_size = 0;
    server.require_ems = true;
    Ok(server)
}

type Trusted = (Option<Arc<Trust>>, [u8; 32]);

/// Authorities and lists: both, or what was before.
fn load_trust(
    (config, before): (&TlsConfig, Option<&Arc<Loaded>>),
    provider: &CryptoProvider,
    fetched: &Fetched,
    faults: &mut Vec<Fault>,
) -> Result<Trusted, ()> {
    let (Some(file), true) = (&config.client_ca, config.client_auth != ClientAuth::None) else {
        return Ok((None, [0; 32]));
    };
    let authorities = files::read("client_ca", file, AUTHORITIES_BYTES_MAX);
    let authorities = authorities.map_err(|fault| faults.push(fault))?;
    let lists = read_lists(config, fetched, faults)?;
    let published = lists_at_points(config, fetched);
    let hashes = lists.iter().map(|(_, bytes)| sha256(bytes));
    let hashes = hashes.chain(published.iter().map(|(_, bytes)| sha256(bytes)));
    let hashes: Vec<_> = std::iter::once(sha256(&authorities)).chain(hashes).collect();
    let fingerprint = sha256(&hashes.concat());
    if let Some(before) = before
        && before.trust_fingerprint == fingerprint
        && before.config.client_auth == config.client_auth
        && before.config.crl == config.crl
        && before.config.crl_points == config.crl_points
    {
        // Long lists are not parsed again because somebody looked at them.
        return Ok((before.trust.clone(), fingerprint));
    }
    let authorities = files::certificates("client_ca", file, &authorities).and_then(|all| {
        Authorities::new(&all).map_err(|error| Fault::new("client_ca", file, error))
    });
    let authorities = authorities.map_err(|fault| faults.push(fault))?;
    let mut revocation = match config.crl.is_empty() && config.crl_points.is_empty() {
        true => Revocation::default(),
        false => Revocation::wanted(),
    };
    let before = faults.len();
    let algorithms = provider.signature_verification_algorithms.all;
    let mut add = |(name, bytes): &Read<'_>| {
        // A reader that panics must not take the broker with it.
        let added = catch_unwind(AssertUnwindSafe(|| {
            add_lists(name, bytes, &authorities, algorithms, &mut revocation)
        }));
        added.unwrap_or_else(|_| Err(Fault::new("crl", name, "cannot be parsed")))
    };
    faults.extend(lists.iter().filter_map(|list| add(list).err()));
    if faults.len() > before {
        return Err(());
    }
    // Nobody configured these: a bad one leaves those without a list whom it is about, and no one else.
    faults.extend(published.iter().filter_map(|list| add(list).err()));
    let is_mandatory = config.client_auth == ClientAuth::Required;
    let points = (Arc::clone(&fetched.points), config.crl_points.clone());
    let trust = Trust::new(authorities, revocation, provider, is_mandatory, points);
    Ok((Some(Arc::new(trust)), fingerprint))
}

/// A list that was read, and where it is.
type Read<'a> = (&'a Path, Arc<[u8]>);

/// All lists that are there. One at a URL may not have come yet: whoever it is about is refused until then.
fn read_lists<'a>(
    config: &'a TlsConfig,
    fetched: &Fetched,
    faults: &mut Vec<Fault>,
) -> Result<Vec<Read<'a>>, ()> {
    let before = faults.len();
    let mut lists = Vec::new();
    for source in &config.crl {
        match source {
            CrlSource::File(file) => match files::read("crl", file, CRL_BYTES_MAX) {
                Ok(bytes) => lists.push((file.as_path(), Arc::from(bytes))),
                Err(fault) => faults.push(fault),
            },
            CrlSource::Url(url) => {
                let found = fetched.lists.get(url);
                lists.extend(found.map(|bytes| (Path::new(url.as_str()), Arc::clone(bytes))));
            }
        }
    }
    if faults.len() > before { Err(()) } else { Ok(lists) }
}

/// Those that came from distribution points, in an order that does not change.
fn lists_at_points<'a>(config: &TlsConfig, fetched: &'a Fetched) -> Vec<Read<'a>> {
    let points = fetched.points.of(config);
    let found = points.iter().filter_map(|url| fetched.lists.get_key_value(url));
    found.map(|(url, bytes)| (Path::new(url.as_str()), Arc::clone(bytes))).collect()
}

/// Whether bytes are lists, and of authorities of `trust` if there is one.
pub(super) fn check_lists(name: &Path, bytes: &[u8], trust: Option<&Trust>) -> Result<(), String> {
    let read = || -> Result<(), Fault> {
        if let Some(trust) = trust {
            let mut counted = Revocation::default();
            add_lists(name, bytes, &trust.authorities, trust.algorithms.all, &mut counted)?;
            if counted.is_empty() {
                return Err(Fault::new("crl", name, "is of no authority in client_ca"));
            }
        }
        for der in files::lists(name, bytes)? {
            Unproven::read(&der).map_err(|error| Fault::new("crl", name, error))?;
        }
        Ok(())
    };
    let read = catch_unwind(AssertUnwindSafe(read));
    let read = read.unwrap_or_else(|_| Err(Fault::new("crl", name, "cannot be parsed")));
    read.map_err(|fault| fault.sentence)
}

fn add_lists(
    name: &Path,
    bytes: &[u8],
    authorities: &Authorities,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    revocation: &mut Revocation,
) -> Result<(), Fault> {
    for der in files::lists(name, bytes)? {
        let list = Unproven::read(&der).map_err(|error| Fault::new("crl", name, error))?;
        let of_name = authorities.signers.iter().filter(|s| s.name == list.crl.issuer);
        let of_name: Vec<_> = of_name.collect();
        if of_name.is_empty() {
            tracing::warn!(
                event = "tls_crl_of_a_stranger",
                crl = %name.display(),
                "a revocation list counts for nobody: its authority is not in client_ca"
            );
            continue;
        }
        let signer = of_name.iter().find(|s| s.may_sign_lists && list.is_by(&s.key, algorithms));
        let Some(signer) = signer else {
            return Err(Fault::new("crl", name, "its signature is not that of its authority"));
        };
        revocation.add(signer.id, Arc::new(list.crl));
    }
    Ok(())
}

impl Loaded {
    /// What is of no use at this time, although it could be read.
    pub(super) fn untimely(&self, now: u64) -> Vec<Fault> {
        let mut faults: Vec<_> = self.certificates.untimely(now).into_iter().collect();
        let file = self.config.client_ca.as_deref().unwrap_or_else(|| Path::new(""));
        if let Some(trust) = &self.trust {
            if trust.authorities.not_after < now {
                faults.push(Fault::new("client_ca", file, "an authority in it has expired"));
            }
            if trust.revocation.next_update().is_some_and(|next| next <= now) {
                let sentence = "a revocation list is stale: whoever it is about is refused";
                faults.push(Fault { what: "crl", sentence: sentence.to_owned() });
            }
        }
        faults
    }

    /// The certificate and issuer of ours that `served` shows, to ask about it.
    pub(super) fn issuer_of(&self, at: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let key = self.certificates.all.get(at)?.key.load();
        let (leaf, issuer) = (key.cert.first()?, key.cert.get(1)?);
        certificate::read(leaf).ok()?;
        Some((leaf.to_vec(), issuer.to_vec()))
    }
}
