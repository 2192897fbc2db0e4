//! Whether the authorities of clients say, when asked, that a certificate is revoked.
//!
//! Owns answers until they are over, and how many questions there are at once. Asked after the handshake and before CONNACK,
//! and again for those who are connected.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rustls::{crypto::aws_lc_rs, pki_types::CertificateDer};
use tokio::sync::Semaphore;

use super::{
    OcspPolicy, TlsConfig, certificate,
    fetch::{Ask, fetch},
    live::Peer,
    ocsp::{ANSWER_BYTES_MAX, Answer, NotGood, QUESTION, Question, Status},
    signature::sha256,
};
use crate::broker::unix_now;

/// What responders said, until that is over.
pub(super) struct Clients {
    known: Mutex<HashMap<[u8; 32], Known>>,
    at_once: Semaphore,
}

#[derive(Clone)]
struct Known {
    status: Result<Status, String>,
    until: u64,
}

impl Default for Clients {
    fn default() -> Self {
        Self { known: Mutex::default(), at_once: Semaphore::new(QUESTIONS_AT_ONCE) }
    }
}

impl Clients {
    /// Whether a client may come in, or stay.
    pub(super) async fn ask(&self, config: &TlsConfig, peer: &Peer) -> Result<(), NotGood> {
        if config.ocsp == OcspPolicy::Off {
            return Ok(());
        }
        let status = self.status(config, peer).await;
        match (status, config.ocsp) {
            (Ok(Status::Good), _) => Ok(()),
            (Ok(Status::Revoked), _) => Err(NotGood::Revoked),
            (Ok(Status::Unknown) | Err(_), OcspPolicy::Soft | OcspPolicy::Off) => Ok(()),
            (Ok(Status::Unknown), OcspPolicy::Hard) => {
                Err(NotGood::Unknown("the responder does not know it".to_owned()))
            }
            (Err(why), OcspPolicy::Hard) => Err(NotGood::Unknown(why)),
        }
    }

    /// Whether nothing is known any more about a client that was asked about.
    pub(super) fn is_over(&self, peer: &Peer, now: u64) -> bool {
        let key = key(&peer.chain);
        // Without a session, its first question may be on its way.
        peer.is_attached() && self.known.lock().get(&key).is_none_or(|known| known.until <= now)
    }

    async fn status(&self, config: &TlsConfig, peer: &Peer) -> Result<Status, String> {
        let key = key(&peer.chain);
        let known = self.known.lock().get(&key).cloned();
        if let Some(known) = known.filter(|known| unix_now() < known.until) {
            return known.status;
        }
        let _turn = self.at_once.acquire().await.map_err(|error| error.to_string())?;
        let answer = question(config, peer).await;
        let now = unix_now();
        let (status, until) = match answer {
            Ok(answer) => {
                let soon = now + ENDLESS_FOR;
                (Ok(answer.status), answer.next_update.unwrap_or(soon))
            }
            Err(why) => (Err(why), now + FAILURE_FOR),
        };
        if let Err(why) = &status {
            tracing::warn!(event = "ocsp_unanswered", cause = %telemetry::EscapedDisplay(why));
        }
        self.put(key, Known { status: status.clone(), until }, now);
        status
    }

    /// When it is full, what is over goes; then everything: it is asked for again.
    fn put(&self, key: [u8; 32], answer: Known, now: u64) {
        let mut known = self.known.lock();
        if known.len() >= ANSWERS_KEPT {
            known.retain(|_, known| now < known.until);
        }
        if known.len() >= ANSWERS_KEPT {
            known.clear();
        }
        known.insert(key, answer);
    }
}

fn key(chain: &[CertificateDer<'_>]) -> [u8; 32] {
    chain.first().map(|leaf| sha256(leaf)).unwrap_or_default()
}

async fn question(config: &TlsConfig, peer: &Peer) -> Result<Answer, String> {
    let leaf = peer.chain.first().ok_or("there is no certificate")?;
    let leaf = certificate::read(leaf).map_err(|error| error.to_string())?;
    let url = match &config.ocsp_url {
        Some(url) => url.clone(),
        None => {
            let named = certificate::responders(&leaf);
            let allowed = |url: &String| config.ocsp_allow.iter().any(|a| url.starts_with(a));
            named.into_iter().find(allowed).ok_or("it names no responder that may be asked")?
        }
    };
    let serial = leaf.tbs_certificate.serial_number.as_bytes();
    let question = Question::new(serial, &peer.proven.issuer)?;
    put(&url, &question).await.map(|(answer, _)| answer)
}

/// Asks a responder. Also returns the answer as it came.
pub(super) async fn put(url: &str, question: &Question) -> Result<(Answer, Arc<[u8]>), String> {
    let ask = Ask {
        url,
        question: Some((QUESTION, question.to_der()?)),
        bytes_max: ANSWER_BYTES_MAX,
        timeout: ANSWER_WITHIN,
    };
    let named = |why: String| format!("{url}: {why}");
    let der = fetch(ask).await.map_err(named)?;
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let answer = question.read(&der, algorithms.all, unix_now()).map_err(named)?;
    Ok((answer, Arc::from(der)))
}

const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const QUESTIONS_AT_ONCE: usize = 64;
const ANSWERS_KEPT: usize = 65_536;
/// For how long a responder that did not answer about somebody is not asked about it again, in seconds.
const FAILURE_FOR: u64 = 10;
/// For how long an answer without an end is kept, in seconds.
const ENDLESS_FOR: u64 = 60;
