//! Answers about our own certificates, handed to clients with them (OCSP stapling).
//!
//! Owns when one is fetched: at half of its life, so that a responder may be down for the other half. None is handed out
//! after its end. They outlive the process as files in `cache`.

use std::{collections::HashMap, fs, io::Write, path::Path, sync::Arc};

use parking_lot::Mutex;
use rustls::{crypto::aws_lc_rs, sign::CertifiedKey};

use super::{
    certificate,
    clients::put,
    identity::hex,
    loaded::Loaded,
    ocsp::{Answer, Question, Status},
    signature::{content, sha256},
    trust::Issuer,
};

/// Answers by the SHA-256 of the certificate.
#[derive(Default)]
pub(super) struct Staples {
    known: Mutex<HashMap<[u8; 32], Staple>>,
}

struct Staple {
    /// `None` = there was no answer yet.
    answer: Option<(Answer, Arc<[u8]>)>,
    /// When to ask, seconds since 1970.
    ask_at: u64,
}

impl Staples {
    /// Puts the answers that are still good beside the certificates, and takes away those that are not. Reads those of an
    /// earlier process when a certificate is seen for the first time.
    pub(super) fn apply(&self, loaded: &Loaded, now: u64) {
        for (at, served) in loaded.certificates.all.iter().enumerate() {
            let Some((leaf, question)) = question(loaded, at) else { continue };
            let mut known = self.known.lock();
            let staple = known.entry(leaf).or_insert_with(|| Staple {
                answer: kept(loaded, &leaf, &question, now),
                ask_at: 0,
            });
            if let (0, Some((answer, _))) = (staple.ask_at, &staple.answer) {
                staple.ask_at = half_life(answer);
            }
            let good = |(answer, _): &&(Answer, Arc<[u8]>)| {
                answer.next_update.is_some_and(|end| now < end) && answer.status == Status::Good
            };
            let der = staple.answer.as_ref().filter(good).map(|(_, der)| der.to_vec());
            let wanted = der.filter(|_| loaded.config.stapling);
            let current = served.key.load_full();
            if current.ocsp != wanted {
                served.key.store(Arc::new(CertifiedKey { ocsp: wanted, ..(*current).clone() }));
            }
        }
    }

    /// Asks about every certificate whose answer is old.
    pub(super) async fn refresh(&self, loaded: &Loaded, now: u64) {
        if !loaded.config.stapling {
            return;
        }
        for (at, served) in loaded.certificates.all.iter().enumerate() {
            let Some((leaf, question)) = question(loaded, at) else { continue };
            let due = self.known.lock().get(&leaf).is_none_or(|staple| staple.ask_at <= now);
            let Some(url) = served.responders.first().filter(|_| due) else { continue };
            match put(url, &question).await {
                Ok((answer, der)) => {
                    if answer.status != Status::Good {
                        tracing::error!(
                            event = "own_certificate_not_good",
                            certificate = served.file,
                            status = ?answer.status,
                            "the authority of our own certificate says that it is not good"
                        );
                    }
                    keep(loaded, &leaf, &der);
                    let ask_at = half_life(&answer).max(now + RETRY);
                    let staple = Staple { answer: Some((answer, der)), ask_at };
                    self.known.lock().insert(leaf, staple);
                }
                Err(cause) => {
                    tracing::warn!(
                        event = "staple_not_fetched",
                        certificate = served.file,
                        cause = %telemetry::EscapedDisplay(&cause),
                        "there is no new answer about our own certificate"
                    );
                    if let Some(staple) = self.known.lock().get_mut(&leaf) {
                        staple.ask_at = now + RETRY;
                    }
                }
            }
        }
        self.apply(loaded, now);
    }
}

/// The hash of a certificate of ours and the question about it, if its issuer is known.
fn question(loaded: &Loaded, at: usize) -> Option<([u8; 32], Question)> {
    let (leaf, issuer) = loaded.issuer_of(at)?;
    let read = certificate::read(&leaf).ok()?;
    let issuer = issuer_of(&issuer)?;
    let serial = read.tbs_certificate.serial_number.as_bytes();
    Some((sha256(&leaf), Question::new(serial, &issuer).ok()?))
}

fn issuer_of(der: &[u8]) -> Option<Issuer> {
    use x509_cert::der::Encode;
    let read = certificate::read(der).ok()?;
    let name = read.tbs_certificate.subject.to_der().ok()?;
    let key = read.tbs_certificate.subject_public_key_info.to_der().ok()?;
    Some(Issuer { name: content(&name).to_vec(), key })
}

fn half_life(answer: &Answer) -> u64 {
    let end = answer.next_update.unwrap_or(answer.this_update);
    answer.this_update + end.saturating_sub(answer.this_update) / 2
}

fn kept(
    loaded: &Loaded,
    leaf: &[u8; 32],
    question: &Question,
    now: u64,
) -> Option<(Answer, Arc<[u8]>)> {
    let file = loaded.config.cache.as_ref()?.join(format!("{}.ocsp", hex(leaf)));
    let der = fs::read(file).ok()?;
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let answer = question.read(&der, algorithms.all, now).ok()?;
    Some((answer, Arc::from(der)))
}

fn keep(loaded: &Loaded, leaf: &[u8; 32], der: &[u8]) {
    if let Some(folder) = &loaded.config.cache {
        write(folder, &format!("{}.ocsp", hex(leaf)), der);
    }
}

/// Writes a file in one step. What cannot be kept is fetched again: that is only slower.
pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let written = fs::create_dir_all(folder).and_then(|()| {
        let beside = folder.join(format!(".{name}.new"));
        let mut file = fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(beside, folder.join(name))
    });
    if let Err(error) = written {
        tracing::warn!(event = "tls_cache_not_written", folder = %folder.display(), %error);
    }
}

/// The name of a fetched list in the cache.
pub(super) fn name_of_list(url: &str) -> String {
    format!("{}.crl", hex(&sha256(url.as_bytes())))
}

/// How long after a failure it is asked again, in seconds.
const RETRY: u64 = 60;
