//! TLS of a listener: certificates, keys, authorities and lists, and their replacement while clients are connected.
//!
//! Owns what is in force ([`Tls::current`]) and what could not be replaced. What is bad stays out and is told; what was good
//! stays in force. Start reading at [`handshake`] for one connection, at `loaded.rs` for what it is judged by, and at
//! `keep.rs` for what happens while the listener serves.

mod authorities;
mod certificate;
mod clients;
mod config;
mod crl;
mod encrypted;
mod fetch;
mod files;
pub(crate) mod handshake;
mod identity;
mod keep;
mod live;
mod loaded;
mod ocsp;
mod points;
mod policy;
mod revocation;
mod served;
mod shown;
mod signature;
mod slots;
mod staples;
mod trust;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::pki_types::UnixTime;
use tokio::sync::Notify;

use self::{
    certificate::Unreadable,
    clients::Clients,
    files::PEM_BYTES_MAX,
    live::Live,
    loaded::{Fetched, Loaded, load},
    ocsp::NotGood,
    points::Points,
    staples::{Staples, name_of_list},
};
pub use self::{
    config::{
        CRL_REFRESH, CertificateFiles, ClientAuth, CrlSource, OcspPolicy, TlsConfig, TlsVersion,
    },
    files::Fault,
    identity::IdentityFrom,
    policy::{cipher_suites, groups},
    shown::{AuthorityInfo, CertificateInfo, ListenerCertificates, RevocationListInfo},
};
pub(crate) use self::{
    encrypted::{Encrypted, Opened},
    handshake::Secured,
    keep::keep,
    live::Peer,
    slots::Handshakes,
};
use crate::broker::unix_now;

/// TLS of one listener.
pub(crate) struct Tls {
    listener: Arc<str>,
    alpn: &'static [&'static [u8]],
    config: ArcSwap<TlsConfig>,
    current: ArcSwap<Loaded>,
    live: Arc<Live>,
    clients: Clients,
    staples: Staples,
    fetched: Mutex<Fetched>,
    /// One at a time: of two reloads the later one must win.
    loading: Mutex<()>,
    /// What the last reload could not replace, by the key that names it.
    failed: Mutex<BTreeMap<&'static str, String>>,
    reloads: AtomicU64,
    /// There may be something new.
    changed: Arc<Notify>,
}

/// What `tls` and `wss` offer as the protocol above.
const MQTT: &[&[u8]] = &[b"mqtt"];
const HTTP: &[&[u8]] = &[b"http/1.1", b"mqtt"];

/// The state of TLS on a listener, for status and gauges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsStatus {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Files of our certificates, and when each is over, seconds since 1970.
    pub certificates: Vec<(String, u64)>,
    /// When the first revocation list goes stale.
    pub crl_next_update: Option<u64>,
    /// Certificates on those lists.
    pub revoked: u64,
    /// Connected clients with a certificate.
    pub clients: u64,
    /// When the first of their certificates is over.
    pub clients_expire: Option<u64>,
    /// What the last reload could not replace, with the sentence.
    pub failed: Vec<(&'static str, String)>,
    /// Changes that were put in force.
    pub reloads: u64,
}

/// Everything that is wrong with the files of a listener. Reads them, and changes nothing.
pub fn check_tls(config: &TlsConfig) -> Vec<Fault> {
    let config = Arc::new(config.clone());
    let now = unix_now();
    let (loaded, mut faults) = load(&config, MQTT, None, (&Fetched::default(), now));
    let Some(loaded) = loaded else { return faults };
    faults.extend(loaded.untimely(now));
    if config.stapling {
        for (at, served) in loaded.certificates.all.iter().enumerate() {
            let file = Path::new(&served.file);
            if loaded.issuer_of(at).is_none() {
                let what = "stapling needs the certificate of its issuer behind it";
                faults.push(Fault::new("cert", file, what));
            } else if served.responders.is_empty() {
                faults.push(Fault::new("cert", file, "stapling: it names no OCSP responder"));
            }
        }
    }
    faults
}

/// When the first certificate of each chain that a listener shows is over, seconds since 1970, or why
/// that is not known. Reads certificates only, never keys.
pub fn certificate_ends(config: &TlsConfig) -> Vec<(PathBuf, Result<u64, String>)> {
    let end = |file: &Path| -> Result<u64, String> {
        let sentence = |fault: Fault| fault.sentence;
        let bytes = files::read("cert", file, PEM_BYTES_MAX).map_err(sentence)?;
        let chain = files::certificates("cert", file, &bytes).map_err(sentence)?;
        let ends = chain.iter().map(|der| Ok(certificate::validity(&certificate::read(der)?).1));
        let ends: Result<Vec<u64>, Unreadable> = ends.collect();
        let first = ends.map_err(|why| why.to_string())?.into_iter().min();
        first.ok_or_else(|| "has no certificate".to_owned())
    };
    let files = config.certificates.iter().map(|files| &files.cert);
    files.map(|file| (file.clone(), end(file))).collect()
}

impl Tls {
    /// Reads everything; blocks. There is no start with something that cannot be read.
    pub(crate) fn load(
        listener: &str,
        config: &Arc<TlsConfig>,
        over_http: bool,
    ) -> Result<Self, Vec<Fault>> {
        let alpn = if over_http { HTTP } else { MQTT };
        let mut fetched = kept_lists(config);
        let (mut loaded, mut faults) = load(config, alpn, None, (&fetched, unix_now()));
        if !faults.is_empty() && !fetched.lists.is_empty() {
            // What an earlier process fetched is fetched again; until then it refuses.
            fetched.lists.clear();
            (loaded, faults) = load(config, alpn, None, (&fetched, unix_now()));
        }
        let Some(loaded) = loaded.filter(|_| faults.is_empty()) else { return Err(faults) };
        let tls = Self {
            listener: listener.into(),
            alpn,
            config: ArcSwap::new(Arc::clone(config)),
            current: ArcSwap::new(loaded),
            live: Arc::default(),
            clients: Clients::default(),
            staples: Staples::default(),
            fetched: Mutex::new(fetched),
            loading: Mutex::new(()),
            failed: Mutex::default(),
            reloads: AtomicU64::new(0),
            changed: Arc::new(Notify::new()),
        };
        tls.staples.apply(&tls.current(), unix_now());
        for fault in tls.current().untimely(unix_now()) {
            tls.alarm(&fault);
        }
        Ok(tls)
    }

    /// What is in force.
    fn current(&self) -> Arc<Loaded> {
        self.current.load_full()
    }

    /// Another configuration; [`Tls::reload`] puts it in force.
    pub(crate) fn set_config(&self, config: &Arc<TlsConfig>) {
        self.config.store(Arc::clone(config));
    }

    /// Reads everything again and puts in force what can be; blocks. Who is revoked by it goes at once. Returns what is wrong.
    pub(crate) fn reload(&self) -> Vec<Fault> {
        let _turn = self.loading.lock();
        let (config, before) = (self.config.load_full(), self.current());
        let fetched = self.fetched.lock().clone();
        let (loaded, faults) = load(&config, self.alpn, Some(&before), (&fetched, unix_now()));
        let loaded = loaded.unwrap_or_else(|| Arc::clone(&before));
        if !Arc::ptr_eq(&loaded, &before) {
            self.staples.apply(&loaded, unix_now());
            self.current.store(Arc::clone(&loaded));
            self.reloads.fetch_add(1, Ordering::Relaxed);
            let cut = loaded.trust.as_ref().map_or(0, |t| self.live.sweep(t, UnixTime::now()));
            let revoked = loaded.trust.as_ref().map_or(0, |trust| trust.revocation.len());
            tracing::info!(
                event = "tls_reloaded",
                listener = %self.listener,
                revoked,
                cut,
                "certificates, authorities and lists are in force"
            );
        }
        self.note(&loaded, &faults);
        faults
    }

    /// Remembers what is wrong, and says it when it is new.
    fn note(&self, loaded: &Loaded, faults: &[Fault]) {
        let untimely = loaded.untimely(unix_now());
        let all = faults.iter().chain(&untimely);
        let now: BTreeMap<_, _> = all.map(|f| (f.what, f.sentence.clone())).collect();
        let before = std::mem::replace(&mut *self.failed.lock(), now.clone());
        for fault in faults.iter().chain(&untimely) {
            if before.get(fault.what) != Some(&fault.sentence) {
                self.alarm(fault);
            }
        }
        for what in before.keys().filter(|what| !now.contains_key(*what)) {
            tracing::info!(event = "tls_mended", listener = %self.listener, what, "is good again");
        }
    }

    fn alarm(&self, fault: &Fault) {
        self.failed.lock().insert(fault.what, fault.sentence.clone());
        tracing::error!(
            event = "tls_reload_failed",
            listener = %self.listener,
            what = fault.what,
            cause = %telemetry::EscapedDisplay(&fault.sentence),
            "TLS: what was good before stays in force"
        );
    }

    /// Asks the responder of a client's authority, if that is wanted.
    async fn ask_responder(&self, peer: &Peer) -> Result<(), NotGood> {
        self.clients.ask(&self.config.load_full(), peer).await
    }

    /// For status and gauges.
    pub(crate) fn status(&self) -> TlsStatus {
        let loaded = self.current();
        let (clients, clients_expire) = self.live.totals();
        let certificates = loaded.certificates.all.iter();
        let revocation = loaded.trust.as_ref().map(|trust| &trust.revocation);
        let failed = self.failed.lock();
        TlsStatus {
            listener: Arc::clone(&self.listener),
            certificates: certificates.map(|s| (s.file.clone(), s.not_after)).collect(),
            crl_next_update: revocation.and_then(|revocation| revocation.next_update()),
            revoked: revocation.map_or(0, |revocation| revocation.len() as u64),
            clients,
            clients_expire,
            failed: failed.iter().map(|(what, why)| (*what, why.clone())).collect(),
            reloads: self.reloads.load(Ordering::Relaxed),
        }
    }
}

/// The lists that an earlier process fetched: they count as if they came just now, until they are stale.
fn kept_lists(config: &TlsConfig) -> Fetched {
    let urls = config.crl.iter().filter_map(|source| match source {
        CrlSource::Url(url) => Some(url),
        CrlSource::File(_) => None,
    });
    let points = Arc::new(Points::kept(config));
    let Some(folder) = &config.cache else { return Fetched { points, ..Fetched::default() } };
    let read = |url: &String| std::fs::read(folder.join(name_of_list(url))).ok();
    let urls = urls.cloned().chain(points.of(config));
    let lists = urls.filter_map(|url| Some((url.clone(), Arc::from(read(&url)?)))).collect();
    Fetched { lists, points }
}

/// For the fuzz targets.
pub(crate) fn list_length(der: &[u8]) -> Result<usize, String> {
    let read = crl::Unproven::read(der).map_err(|error| error.to_string())?;
    Ok(read.crl.len())
}

/// For the fuzz targets.
pub(crate) fn is_good_answer(
    der: &[u8],
    serial: &[u8],
    (name, key): (&[u8], &[u8]),
) -> Result<bool, String> {
    let issuer = trust::Issuer { name: name.to_vec(), key: key.to_vec() };
    let algorithms = rustls::crypto::aws_lc_rs::default_provider();
    let algorithms = algorithms.signature_verification_algorithms.all;
    let answer = ocsp::Question::new(serial, &issuer)?.read(der, algorithms, unix_now())?;
    Ok(answer.status == ocsp::Status::Good)
}
