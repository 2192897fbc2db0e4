//! `[secrets.NAME]`, `[keys.NAME]`, `[jwt.NAME]` and, each in a file of its own, databases and
//! directories: what manifests of plugins may be granted by name.

mod ldap;
mod sql;

use std::{collections::BTreeMap, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use plugin_host::{Aead, KeyRing, KeySource, KeyUrl, Secret, Sources, Verifier, VerifierSettings};
use zeroize::Zeroizing;

use super::{
    document::{Document, Located},
    problem::Problems,
    table::Table,
    unit::Unit,
};

/// Reads them all.
pub(super) fn read(root: &mut Table<'_>) -> Sources {
    Sources {
        secrets: each(root.named_tables("secrets"), read_secret),
        keys: each(root.named_tables("keys"), read_keys),
        jwt: each(root.named_tables("jwt"), read_verifier),
        sql: each(root.named_tables("sql"), sql::read),
        ldap: each(root.named_tables("ldap"), ldap::read),
    }
}

/// Those of `[given]` in a file of cases, where they are written as in a configuration. `given.files`
/// and the cases are not looked at.
pub(crate) fn given(file: &Path, text: &str) -> Result<Sources, Problems> {
    let folder = file.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let environment = |name: &str| std::env::var(name).ok();
    let document = Document::new(text, folder, &environment);
    let mut table = document.root().table("given");
    let sources = read(&mut table);
    let _ = table.table("files");
    table.finish();
    let (problems, _) = document.into_parts();
    match problems.is_empty() {
        true => Ok(sources),
        false => Err(Problems::new(file.to_owned(), problems)),
    }
}

fn each<T>(
    tables: Vec<(Located<String>, Table<'_>)>,
    read: impl Fn(&mut Table<'_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    for (name, mut table) in tables {
        super::listeners::check_name(&table, "", &name);
        let value = read(&mut table);
        table.finish();
        found.extend(value.map(|value| (name.value, value)));
    }
    found
}

fn read_secret(table: &mut Table<'_>) -> Option<Secret> {
    let (value, user) = (table.secret("value"), table.string("user"));
    if !table.has("value") {
        table.refuse_missing("value", "the secret is needed: \"file:PATH\" or \"${env:NAME}\"");
    }
    let value = value?;
    if value.value.is_empty() {
        table.refuse_secret("value", &value.span, "is empty".to_owned());
        return None;
    }
    let secret = Zeroizing::new(into_bytes(value.value));
    match user {
        None => Some(Secret::new(secret.to_vec())),
        Some(user) if user.value.contains(':') => {
            table.refuse("user", &user.span, "has a colon, which no user of HTTP has".to_owned());
            None
        }
        Some(user) => {
            let both = Zeroizing::new([user.value.as_bytes(), b":", &secret].concat());
            Some(Secret::new(STANDARD.encode(&both).into_bytes()))
        }
    }
}

/// The words of `[keys.NAME] algorithm`.
const ALGORITHMS: [(&str, Aead); 2] = [
    (Aead::Aes256Gcm.name(), Aead::Aes256Gcm),
    (Aead::ChaCha20Poly1305.name(), Aead::ChaCha20Poly1305),
];

fn read_keys(table: &mut Table<'_>) -> Option<KeyRing> {
    let algorithm = table.choice("algorithm", &ALGORITHMS, Aead::default());
    let managed = table.boolean("managed", false);
    let tables = table.tables("key");
    if managed {
        if !tables.is_empty() {
            table.refuse_missing("key", "the keys of a managed ring are in DATA_DIR/keys");
        }
        return Some(KeyRing::managed(algorithm));
    }
    let wanted = tables.len();
    let mut keys = Vec::new();
    for key in tables {
        keys.extend(read_key(&key));
        key.finish();
    }
    if keys.len() < wanted {
        // Each fault was told.
        return None;
    }
    match KeyRing::new(algorithm, keys) {
        Ok(ring) => Some(ring),
        Err(what) => {
            table.refuse_missing("key", &format!("{what}, allowed: one [[keys.NAME.key]] or more"));
            None
        }
    }
}

fn read_key(table: &Table<'_>) -> Option<(u32, Vec<u8>)> {
    let id = table.number("id", Unit::Count, 1..=u64::from(u32::MAX), 0);
    if id == 0 {
        table.refuse_missing("id", "each key needs a number of its own");
    }
    let value = table.secret("value");
    if !table.has("value") {
        table.refuse_missing("value", "32 bytes in base64 are needed, such as \"file:PATH\"");
    }
    let value = value?;
    let text = Zeroizing::new(into_bytes(value.value));
    match STANDARD.decode(text.trim_ascii()) {
        Ok(bytes) if bytes.len() == KeyRing::KEY_BYTES => Some((u32::try_from(id).ok()?, bytes)),
        _ => {
            let what = "is not 32 bytes in base64, such as `openssl rand -base64 32` prints";
            table.refuse_secret("value", &value.span, what.to_owned());
            None
        }
    }
}

/// How far clocks may differ, in milliseconds: least, most and default.
const LEEWAY: (u64, u64, u64) = (0, 60, 5);

fn read_verifier(table: &mut Table<'_>) -> Option<Verifier> {
    let issuer = table.required("issuer", "tokens of any issuer would do");
    let audience = strings(table, "audience", "tokens for anybody would do");
    let algorithms = strings(table, "algorithms", "such as algorithms = [\"RS256\"]");
    let (least, most, default) = LEEWAY;
    let leeway = table.number("leeway", Unit::Seconds, least..=most, default);
    let sources = [
        table.string("public_key").map(|key| KeySource::PublicKey(key.value)),
        table.string("key_set").map(|set| KeySource::KeySet(set.value)),
        table.secret("secret").map(|it| KeySource::Secret(Secret::new(into_bytes(it.value)))),
        read_key_url(table).map(KeySource::Url),
    ];
    let mut sources = sources.into_iter().flatten();
    let (Some(keys), None) = (sources.next(), sources.next()) else {
        table.refuse_missing(
            "public_key",
            "one of public_key, key_set, secret and jwks_url is needed",
        );
        return None;
    };
    let settings = VerifierSettings {
        keys,
        algorithms: algorithms?,
        issuer: issuer?.value,
        audience: audience?,
        leeway: Duration::from_secs(leeway),
    };
    match Verifier::new(settings) {
        Ok(verifier) => Some(verifier),
        Err(what) => {
            table.refuse_missing("algorithms", &what);
            None
        }
    }
}

/// After how long keys are fetched again, and how long they are good while that fails, in seconds:
/// least, most and default.
const REFRESH: (u64, u64, u64) = (60, 86_400, 3_600);
const STALE_MAX: (u64, u64, u64) = (60, 30 * 86_400, 86_400);

fn read_key_url(table: &Table<'_>) -> Option<KeyUrl> {
    let url = table.string("jwks_url");
    let ca = table.string("ca").map(|pem| pem.value);
    let seconds = |key, (least, most, default)| {
        Duration::from_secs(table.number(key, Unit::Seconds, least..=most, default))
    };
    let (refresh, stale_max) = (seconds("refresh", REFRESH), seconds("stale_max", STALE_MAX));
    let Some(url) = url else {
        let unused = ["ca", "refresh", "stale_max"].into_iter().find(|key| table.has(key));
        if let Some(key) = unused {
            table.refuse_whole(key, "means nothing without jwks_url");
        }
        return None;
    };
    if stale_max < refresh {
        table.refuse_whole("stale_max", "is out of range, allowed: refresh or more");
        return None;
    }
    Some(KeyUrl { url: url.value, ca, refresh, stale_max })
}

/// A list that must not be empty.
fn strings(table: &Table<'_>, key: &'static str, what: &str) -> Option<Vec<String>> {
    let list: Vec<String> =
        table.strings(key).unwrap_or_default().into_iter().map(|item| item.value).collect();
    if list.is_empty() {
        table.refuse_missing(key, what);
        return None;
    }
    Some(list)
}

/// Connections to one server: least, most and default.
const CONNECTIONS: (u64, u64, u64) = (1, 64, 4);

fn connections(table: &Table<'_>) -> usize {
    let (least, most, default) = CONNECTIONS;
    let count = table.number("connections", Unit::Count, least..=most, default);
    usize::try_from(count).unwrap_or(1)
}

/// A time that a call of a plugin may wait, in milliseconds.
fn duration(table: &Table<'_>, key: &'static str, default: u64) -> Duration {
    Duration::from_millis(table.number(key, Unit::Time, 10..=60_000, default))
}

/// The same memory: nothing is left behind.
fn into_bytes(mut text: Zeroizing<String>) -> Vec<u8> {
    std::mem::take(&mut *text).into_bytes()
}
