//! `[listeners.tls]`: certificates of ours, who must show one, what is spoken.
//!
//! Knows nothing of what is in the files: `server` reads them, and `portcullis check` says what is wrong with them.

use std::{ops::RangeInclusive, path::Path, time::Duration};

use server::{
    CRL_REFRESH, CertificateFiles, ClientAuth, CrlSource, IdentityFrom, OcspPolicy, TlsConfig,
    TlsVersion, cipher_suites, groups,
};

use super::{document::Located, table::Table, unit::Unit};

/// Least and most time between two fetches of a revocation list, in milliseconds.
const CRL_REFRESH_RANGE: RangeInclusive<u64> = 1_000..=7 * 24 * 3_600 * 1_000;

/// Reads the table; `None` = it is at fault.
pub(super) fn read(mut table: Table<'_>, folder: &Path) -> Option<TlsConfig> {
    let first = read_files(&table, folder);
    let mut certificates: Vec<_> = first.into_iter().collect();
    for more in table.tables("certificates") {
        certificates.extend(read_files(&more, folder));
        more.finish();
    }
    let client_ca = table.string("client_ca").map(|file| folder.join(file.value));
    let client_auth = read_client_auth(&table, client_ca.is_some());
    let identity = table.choice("identity", &IdentityFrom::NAMES, IdentityFrom::Off);
    if client_auth == ClientAuth::None && identity != IdentityFrom::Off {
        let what = "clients show no certificate, allowed: off, or client_auth = \"required\"";
        table.refuse_whole("identity", what);
    }
    let crl = read_crl(&table, folder, client_auth);
    let refresh = CRL_REFRESH.as_millis() as u64;
    let refresh = table.number("crl_refresh", Unit::Time, CRL_REFRESH_RANGE, refresh);
    let versions = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
    let (ocsp, ocsp_url, ocsp_allow) = read_ocsp(&table, client_auth);
    let config = TlsConfig {
        certificates,
        client_auth,
        client_ca,
        crl,
        crl_points: read_points(&table, client_auth),
        crl_refresh: Duration::from_millis(refresh),
        ocsp,
        ocsp_url,
        ocsp_allow,
        stapling: table.boolean("stapling", false),
        cache: None,
        min_version: table.choice("min_version", &versions, TlsVersion::V1_2),
        cipher_suites: read_names(&table, "cipher_suites", &cipher_suites()),
        groups: read_names(&table, "groups", &groups()),
        identity,
    };
    table.finish();
    (!config.certificates.is_empty()).then_some(config)
}

fn read_files(table: &Table<'_>, folder: &Path) -> Option<CertificateFiles> {
    let what = "a file in PEM is needed: our certificate, then those up to its authority";
    let cert = table.required("cert", what);
    let key = table.required("key", "a file in PEM is needed: the private key of cert");
    Some(CertificateFiles { cert: folder.join(cert?.value), key: folder.join(key?.value) })
}

/// Who names authorities wants certificates of them.
fn read_client_auth(table: &Table<'_>, has_authorities: bool) -> ClientAuth {
    let words = [
        ("none", ClientAuth::None),
        ("optional", ClientAuth::Optional),
        ("required", ClientAuth::Required),
    ];
    let default = if has_authorities { ClientAuth::Required } else { ClientAuth::None };
    let client_auth = table.choice("client_auth", &words, default);
    if client_auth != ClientAuth::None && !has_authorities {
        let what = "a file in PEM is needed: the authorities that sign certificates of clients";
        table.refuse_missing("client_ca", what);
    }
    client_auth
}

fn read_crl(table: &Table<'_>, folder: &Path, client_auth: ClientAuth) -> Vec<CrlSource> {
    let lists = table.strings("crl").unwrap_or_default();
    if let (Some(first), ClientAuth::None) = (lists.first(), client_auth) {
        let what = "clients show no certificate, allowed: only with client_ca";
        table.refuse("crl", &first.span, what.to_owned());
    }
    let source = |list: Located<String>| {
        if list.value.contains("://") {
            check_url(table, "crl", &list);
            CrlSource::Url(list.value)
        } else {
            CrlSource::File(folder.join(list.value))
        }
    };
    lists.into_iter().map(source).collect()
}

fn read_points(table: &Table<'_>, client_auth: ClientAuth) -> Vec<String> {
    let points = table.strings("crl_points").unwrap_or_default();
    if let (Some(first), ClientAuth::None) = (points.first(), client_auth) {
        let what = "clients show no certificate, allowed: only with client_ca";
        table.refuse("crl_points", &first.span, what.to_owned());
    }
    points.iter().for_each(|prefix| check_url(table, "crl_points", prefix));
    points.into_iter().map(|prefix| prefix.value).collect()
}

type Ocsp = (OcspPolicy, Option<String>, Vec<String>);

fn read_ocsp(table: &Table<'_>, client_auth: ClientAuth) -> Ocsp {
    let words = [("off", OcspPolicy::Off), ("soft", OcspPolicy::Soft), ("hard", OcspPolicy::Hard)];
    let ocsp = table.choice("ocsp", &words, OcspPolicy::Off);
    let url = table.string("ocsp_url");
    if let Some(url) = &url {
        check_url(table, "ocsp_url", url);
    }
    let allow = table.strings("ocsp_allow").unwrap_or_default();
    for prefix in &allow {
        check_url(table, "ocsp_allow", prefix);
    }
    if ocsp != OcspPolicy::Off && client_auth == ClientAuth::None {
        let what = "clients show no certificate, allowed: off, or client_auth = \"required\"";
        table.refuse_whole("ocsp", what);
    }
    if ocsp != OcspPolicy::Off && url.is_none() && allow.is_empty() {
        let what = "somebody must be asked: a URL, or beginnings of those that certificates name \
                    in ocsp_allow";
        table.refuse_missing("ocsp_url", what);
    }
    (ocsp, url.map(|url| url.value), allow.into_iter().map(|prefix| prefix.value).collect())
}

/// A host that stands for itself: a beginning of a URL must not be that of another one.
fn check_url(table: &Table<'_>, key: &str, url: &Located<String>) {
    let rest = url.value.strip_prefix("http://");
    let host = rest.and_then(|rest| rest.split_once('/')).map(|(host, _)| host);
    let is_host = |host: &str| {
        let part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        !host.is_empty() && host.bytes().all(part)
    };
    if !host.is_some_and(is_host) || !url.value.bytes().all(|byte| byte.is_ascii_graphic()) {
        let what = "is no URL that is fetched, allowed: http://HOST/ or http://HOST:PORT/ and a \
                    path (what comes is signed, and looked up while no TLS is there yet)";
        table.refuse(key, &url.span, what.to_owned());
    }
}

fn read_names(table: &Table<'_>, key: &'static str, all: &[&str]) -> Vec<String> {
    let names = table.strings(key).unwrap_or_default();
    for name in names.iter().filter(|name| !all.contains(&name.value.as_str())) {
        table.refuse(key, &name.span, format!("is not known, allowed: {}", all.join(" | ")));
    }
    names.into_iter().map(|name| name.value).collect()
}
