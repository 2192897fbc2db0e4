//! Distribution points: where certificates of clients say that lists about them are published.
//!
//! Owns which of them are fetched: those of chains whose signatures are good, as far as the operator permits their URL, and not
//! more than a bounded number.

use std::{collections::BTreeSet, fs, path::Path};

use parking_lot::Mutex;

use super::{TlsConfig, staples::write};

/// Points of certificates that came.
#[derive(Debug, Default)]
pub(super) struct Points(Mutex<BTreeSet<String>>);

/// More than any public authority has in use at a time.
const POINTS_MAX: usize = 64;
/// Of a URL.
const URL_BYTES_MAX: usize = 1_024;
/// Where they outlive the process, in the cache.
const FILE: &str = "points";

impl Points {
    /// Those that an earlier process knew.
    pub(super) fn kept(config: &TlsConfig) -> Self {
        let points = Self::default();
        let text =
            config.cache.as_ref().and_then(|folder| fs::read_to_string(folder.join(FILE)).ok());
        let urls: Vec<_> = text.unwrap_or_default().lines().map(str::to_owned).collect();
        points.learn(&config.crl_points, &urls);
        points
    }

    /// A certificate with these came, and nobody knows whether it is revoked.
    pub(super) fn learn(&self, permitted: &[String], urls: &[String]) {
        let mut known = self.0.lock();
        for url in urls.iter().filter(|url| is_permitted(permitted, url)) {
            if known.contains(url) {
                continue;
            }
            if known.len() >= POINTS_MAX {
                tracing::warn!(
                    event = "tls_crl_points_full",
                    points = POINTS_MAX,
                    "certificates name more distribution points than are fetched"
                );
                return;
            }
            known.insert(url.clone());
        }
    }

    /// Those that the configuration permits now.
    pub(super) fn of(&self, config: &TlsConfig) -> Vec<String> {
        let known = self.0.lock();
        known.iter().filter(|url| is_permitted(&config.crl_points, url)).cloned().collect()
    }
}

/// Writes them where the next process finds them. Waits for the disk.
pub(super) fn keep_points(folder: &Path, points: &[String]) {
    write(folder, FILE, points.join("\n").as_bytes());
}

/// A beginning that ends behind the host cannot be that of another host: the configuration sees to it.
fn is_permitted(permitted: &[String], url: &str) -> bool {
    url.len() <= URL_BYTES_MAX
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && permitted.iter().any(|prefix| url.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_permitted_and_not_without_end() {
        let permitted = ["http://pki.example/".to_owned()];
        let points = Points::default();
        let named = ["http://pki.example/a.crl", "http://pki.example.evil/a", "http://10.0.0.1/"];
        points.learn(&permitted, &named.map(str::to_owned));
        points.learn(&permitted, &["http://pki.example/a\nb".to_owned()]);
        points.learn(&permitted, &[format!("{}{}", permitted[0], "a".repeat(URL_BYTES_MAX))]);
        assert_eq!(points.0.lock().len(), 1);
        for number in 0..200 {
            points.learn(&permitted, &[format!("http://pki.example/{number}")]);
        }
        assert_eq!(points.0.lock().len(), POINTS_MAX);
        points.learn(&[], &["http://pki.example/other".to_owned()]);
        assert_eq!(points.0.lock().len(), POINTS_MAX);
    }
}
