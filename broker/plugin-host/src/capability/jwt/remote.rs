//! A JWK set at a URL: fetched when it is needed, kept, fetched again.
//!
//! Tokens come from strangers, requests go to the issuer: no number of tokens, whatever keys they
//! name, makes more than one request at a time and more than one in [`Pace::apart`]. While the issuer
//! does not answer, the last set is good until it is too old. Where nothing could be asked, because
//! there was no connection, the next try comes sooner: an issuer that is back is found at once.

use std::{
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use hyper::{
    HeaderMap, Method, StatusCode,
    body::Bytes,
    header::{ACCEPT, HeaderValue, LOCATION},
};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use url::Url;

use super::{
    KeyUrl,
    key_set::{Key, Set, key_set},
};
use crate::capability::{
    http_client::exchange::{Failed, Outgoing, exchange},
    tls::{Tls, is_loopback},
};

const SET_BYTES_MAX: usize = 256 << 10;
const REDIRECTS_MAX: usize = 3;
/// Left of a call for its answer, when keys are waited for.
const REST: Duration = Duration::from_millis(50);
/// Tokens with unknown keys that wait for a fetch: the others do not have to, and calls of the plugin
/// are left for those whose keys are known.
const WAITING_MAX: usize = 16;

/// How often, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two requests, whatever for.
    pub(super) apart: Duration,
    /// The same while there are no keys at all, and after a try that found no connection.
    pub(super) first_apart: Duration,
    /// For one fetch with its redirects.
    pub(super) at_most: Duration,
}

const PACE: Pace = Pace {
    apart: Duration::from_secs(10),
    first_apart: Duration::from_secs(1),
    at_most: Duration::from_secs(5),
};

/// Keys of an issuer.
pub(super) struct Remote(Arc<Issuer>);

struct Issuer {
    url: Url,
    tls: Tls,
    algorithms: Vec<Algorithm>,
    refresh: Duration,
    stale_max: Duration,
    pace: Pace,
    waiting: Semaphore,
    fetched: Mutex<Fetched>,
}

/// What is there.
#[derive(Default)]
struct Fetched {
    keys: Option<(Arc<[Key]>, Moment)>,
    tried: Option<Moment>,
    /// Whether the last try failed: said once.
    failed: bool,
    /// Whether the last try found no connection, so that nothing was asked.
    unreached: bool,
    /// Closed when the fetch in progress is over.
    in_progress: Option<watch::Receiver<()>>,
}

impl Remote {
    /// The error is a sentence.
    pub(super) fn new(source: &KeyUrl, algorithms: Vec<Algorithm>) -> Result<Self, String> {
        Self::with_pace(source, algorithms, PACE)
    }

    pub(super) fn with_pace(
        source: &KeyUrl,
        algorithms: Vec<Algorithm>,
        pace: Pace,
    ) -> Result<Self, String> {
        if algorithms.iter().any(|algorithm| algorithm.family() == AlgorithmFamily::Hmac) {
            return Err("a set of public keys is not for HS256 and its like".to_owned());
        }
        let url = Url::parse(&source.url).map_err(|error| format!("jwks_url: {error}"))?;
        let host = url.host_str().unwrap_or_default();
        let plain = url.scheme() == "http" && is_loopback(host);
        let user = !url.username().is_empty() || url.password().is_some();
        if host.is_empty() || user || !(plain || url.scheme() == "https") {
            return Err("jwks_url: allowed: https://HOST/PATH, http: for this machine".to_owned());
        }
        let protocols: &[&[u8]] = &[b"http/1.1"];
        let tls = match &source.ca {
            Some(_) if plain => return Err("ca: there is no TLS to judge by it".to_owned()),
            Some(pem) => Tls::trusting(pem, protocols).map_err(|what| format!("ca: {what}"))?,
            None => Tls::offering(protocols),
        };
        let KeyUrl { refresh, stale_max, .. } = *source;
        Ok(Self(Arc::new(Issuer {
            url,
            tls,
            algorithms,
            refresh,
            stale_max,
            pace,
            waiting: Semaphore::new(WAITING_MAX),
            fetched: Mutex::default(),
        })))
    }

    /// Keys that may be used; the error is a sentence.
    pub(super) async fn current(&self, until: Instant) -> Result<Arc<[Key]>, String> {
        let Issuer { refresh, stale_max, pace, .. } = *self.0;
        match self.0.age() {
            Some(age) if age <= refresh => {}
            Some(age) if age <= stale_max => {
                let fetching = self.fetch(pace.apart);
                // Just over it: the next set comes meanwhile. Long over it: nobody was here.
                if age > refresh.saturating_mul(2) {
                    wait(fetching, until).await;
                }
            }
            _ => wait(self.fetch(pace.first_apart), until).await,
        }
        match &self.0.fetched.lock().keys {
            Some((keys, since)) if since.elapsed() <= stale_max => Ok(Arc::clone(keys)),
            Some(_) => Err("the keys are too old, and no newer ones can be had".to_owned()),
            None => Err("the keys cannot be had".to_owned()),
        }
    }

    /// What is there after one more fetch, if it is time for one. The error is a sentence: there may
    /// be newer keys than are known.
    pub(super) async fn newer(&self, until: Instant) -> Result<Arc<[Key]>, String> {
        if let Some(fetching) = self.fetch(self.0.pace.apart)
            && let Ok(_place) = self.0.waiting.try_acquire()
        {
            wait(Some(fetching), until).await;
        }
        let fetched = self.0.fetched.lock();
        match &fetched.keys {
            _ if fetched.in_progress.is_some() => {
                Err("its key is not known, and newer ones are being fetched".to_owned())
            }
            Some((keys, _)) if !fetched.failed => Ok(Arc::clone(keys)),
            _ => Err("its key is not known, and newer ones cannot be had".to_owned()),
        }
    }

    /// The fetch in progress, or a new one if the last began long enough ago. It goes on if nobody
    /// waits for it any more.
    fn fetch(&self, apart: Duration) -> Option<watch::Receiver<()>> {
        let mut fetched = self.0.fetched.lock();
        if let Some(in_progress) = &fetched.in_progress {
            return Some(in_progress.clone());
        }
        let apart = if fetched.unreached { self.0.pace.first_apart.min(apart) } else { apart };
        if fetched.tried.is_some_and(|tried| tried.elapsed() < apart) {
            return None;
        }
        let (done, in_progress) = watch::channel(());
        fetched.tried = Some(Moment::now());
        fetched.in_progress = Some(in_progress.clone());
        let issuer = Arc::clone(&self.0);
        tokio::spawn(async move {
            let keys = tokio::time::timeout(issuer.pace.at_most, issuer.ask()).await;
            issuer.take(keys.unwrap_or_else(|_| Err(no_set("it does not answer in time"))));
            drop(done);
        });
        Some(in_progress)
    }
}

async fn wait(fetching: Option<watch::Receiver<()>>, until: Instant) {
    if let Some(mut fetching) = fetching {
        let until = until.checked_sub(REST).unwrap_or(until);
        // It ends by being closed.
        let _ = tokio::time::timeout_at(until, fetching.changed()).await;
    }
}

impl Issuer {
    fn age(&self) -> Option<Duration> {
        self.fetched.lock().keys.as_ref().map(|(_, since)| since.elapsed())
    }

    fn take(&self, keys: Result<Vec<Key>, NoSet>) {
        let mut fetched = self.fetched.lock();
        fetched.in_progress = None;
        fetched.unreached = matches!(keys, Err(NoSet::Unreached(_)));
        let (failed, url) = (fetched.failed, self.url.as_str());
        match keys {
            Ok(keys) => {
                fetched.keys = Some((keys.into(), Moment::now()));
                fetched.failed = false;
                drop(fetched);
                if failed {
                    tracing::info!(event = "key_set_fetched", url, "a JWK set is there again");
                }
            }
            Err(NoSet::Unreached(error) | NoSet::Other(error)) => {
                fetched.failed = true;
                drop(fetched);
                if !failed {
                    tracing::warn!(event = "key_set_failed", url, error, "a JWK set is not there");
                }
            }
        }
    }

    async fn ask(&self) -> Result<Vec<Key>, NoSet> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let host = url.host_str().unwrap_or_default().to_owned();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port = url.port_or_known_default().unwrap_or(443);
            let found = tokio::net::lookup_host((host, port)).await;
            let addresses: Vec<_> =
                found.map_err(|error| NoSet::Unreached(format!("{host}: {error}")))?.collect();
            let incoming = exchange(&self.tls, &addresses, request(url.clone())).await;
            let incoming = incoming.map_err(|failed| match failed {
                Failed::Unreached(text) => NoSet::Unreached(text),
                Failed::TooLarge(text) | Failed::Connection(text) => NoSet::Other(text),
            })?;
            if incoming.status == StatusCode::OK {
                let text = std::str::from_utf8(&incoming.body).map_err(no_set)?;
                return key_set(text, &self.algorithms, Set::Fetched).map_err(NoSet::Other);
            }
            let location =
                incoming.headers.get(LOCATION).filter(|_| incoming.status.is_redirection());
            let Some(location) = location else {
                return Err(no_set(format!("it answers {}", incoming.status)));
            };
            let next = location.to_str().ok().and_then(|location| url.join(location).ok());
            url = next.ok_or_else(|| no_set("it redirects to what is no URL"))?;
            if url.origin() != self.url.origin() {
                return Err(no_set("it redirects to another server"));
            }
        }
        Err(no_set(format!("it redirects more than {REDIRECTS_MAX} times")))
    }
}

/// Why there is no set, in a sentence.
enum NoSet {
    /// There was no connection.
    Unreached(String),
    /// Everything else.
    Other(String),
}

fn no_set(what: impl std::fmt::Display) -> NoSet {
    NoSet::Other(what.to_string())
}

fn request(url: Url) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let (method, body) = (Method::GET, Bytes::new());
    Outgoing { method, url, headers, body, response_bytes_max: SET_BYTES_MAX }
}

#[cfg(test)]
mod tests;
