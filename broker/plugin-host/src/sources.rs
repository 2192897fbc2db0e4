//! What the broker's configuration lends by name: secrets, keys, token verifiers, databases,
//! directories. A manifest grants names; knows nothing of who was granted which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use parking_lot::RwLock;
use zeroize::Zeroizing;

use crate::{
    capability::{jwt::Verifier, keys::KeyRing, ldap::LdapSource, sql::SqlSource},
    manifest::Grants,
};

/// Everything that manifests may name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// `[secrets.NAME]`.
    pub secrets: BTreeMap<String, Secret>,
    /// `[keys.NAME]`.
    pub keys: BTreeMap<String, KeyRing>,
    /// `[jwt.NAME]`.
    pub jwt: BTreeMap<String, Verifier>,
    /// `[sql.NAME]`.
    pub sql: BTreeMap<String, SqlSource>,
    /// `[ldap.NAME]`.
    pub ldap: BTreeMap<String, LdapSource>,
}

/// Bytes that are never shown and leave no trace in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// As text, if it is UTF-8.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How often each of them was changed in this process. Goes into the identity of the generations
/// that use it, so that a change makes new ones; what it holds does not, because the identity is
/// told to everybody and a short secret could be guessed from it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Revisions(BTreeMap<(&'static str, String), u64>);

impl Revisions {
    /// Those of what was granted and did change.
    pub(crate) fn of<'a>(&self, grants: &'a Grants) -> Vec<(&'static str, &'a str, u64)> {
        let lists = [
            ("secrets", &grants.secrets),
            ("keys", &grants.keys),
            ("jwt", &grants.jwt),
            ("sql", &grants.sql),
            ("ldap", &grants.ldap),
        ];
        let granted = lists
            .into_iter()
            .flat_map(|(table, names)| names.iter().map(move |name| (table, name.as_str())));
        granted
            .filter_map(|(table, name)| {
                let revision = *self.0.get(&(table, name.to_owned()))?;
                Some((table, name, revision))
            })
            .collect()
    }

    fn note<T: PartialEq>(
        &mut self,
        table: &'static str,
        old: &BTreeMap<String, T>,
        new: &BTreeMap<String, T>,
    ) {
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for name in names.into_iter().filter(|name| old.get(*name) != new.get(*name)) {
            *self.0.entry((table, name.clone())).or_default() += 1;
        }
    }
}

/// The sources in force.
#[derive(Debug, Default)]
pub(crate) struct Lendable(RwLock<(Arc<Sources>, Revisions)>);

impl Lendable {
    pub(crate) fn new(sources: Sources) -> Self {
        Self(RwLock::new((Arc::new(sources), Revisions::default())))
    }

    pub(crate) fn current(&self) -> Arc<Sources> {
        Arc::clone(&self.0.read().0)
    }

    pub(crate) fn revisions(&self) -> Revisions {
        self.0.read().1.clone()
    }

    /// Whether anything is different now.
    pub(crate) fn replace(&self, mut new: Sources) -> bool {
        let mut in_force = self.0.write();
        let (old, revisions) = &mut *in_force;
        if **old == new {
            return false;
        }
        revisions.note("secrets", &old.secrets, &new.secrets);
        revisions.note("keys", &old.keys, &new.keys);
        revisions.note("jwt", &old.jwt, &new.jwt);
        revisions.note("sql", &old.sql, &new.sql);
        revisions.note("ldap", &old.ldap, &new.ldap);
        keep(&old.jwt, &mut new.jwt);
        keep(&old.sql, &mut new.sql);
        keep(&old.ldap, &mut new.ldap);
        *old = Arc::new(new);
        true
    }
}

/// What did not change goes on with its connections and with what it has learnt.
fn keep<T: Clone + PartialEq>(old: &BTreeMap<String, T>, new: &mut BTreeMap<String, T>) {
    for (name, value) in new {
        if let Some(same) = old.get(name).filter(|same| *same == value) {
            *value = same.clone();
        }
    }
}

/// What was granted to one generation, found in the configuration.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    /// By name.
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// By name.
    pub(crate) keys: BTreeMap<String, KeyRing>,
    /// By name.
    pub(crate) jwt: BTreeMap<String, Verifier>,
    /// By name.
    pub(crate) sql: BTreeMap<String, SqlSource>,
    /// By name.
    pub(crate) ldap: BTreeMap<String, LdapSource>,
}

impl Granted {
    /// The error is a sentence about what the configuration does not have.
    pub(crate) fn find(sources: &Sources, grants: &Grants) -> Result<Self, String> {
        Ok(Self {
            secrets: pick("secrets", &sources.secrets, &grants.secrets)?,
            keys: pick("keys", &sources.keys, &grants.keys)?,
            jwt: pick("jwt", &sources.jwt, &grants.jwt)?,
            sql: pick("sql", &sources.sql, &grants.sql)?,
            ldap: pick("ldap", &sources.ldap, &grants.ldap)?,
        })
    }
}

fn pick<T: Clone>(
    table: &str,
    all: &BTreeMap<String, T>,
    names: &[String],
) -> Result<BTreeMap<String, T>, String> {
    let found = names.iter().map(|name| match all.get(name) {
        Some(value) => Ok((name.clone(), value.clone())),
        None => Err(format!(
            "[grants] {table} names {name:?}, but the broker's configuration has no \
             [{table}.{name}]"
        )),
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let sources = Sources {
            secrets: BTreeMap::from([("a".to_owned(), Secret::new(b"hush".to_vec()))]),
            ..Sources::default()
        };
        assert_eq!(format!("{:?}", sources.secrets), "{\"a\": ***}");
    }

    #[test]
    fn only_who_uses_what_changed_notices() {
        let with = |value: &str| Sources {
            secrets: BTreeMap::from([
                ("a".to_owned(), Secret::new(value.as_bytes().to_vec())),
                ("b".to_owned(), Secret::new(b"same".to_vec())),
            ]),
            ..Sources::default()
        };
        let lendable = Lendable::new(with("one"));
        let uses = |name: &str| Grants { secrets: vec![name.to_owned()], ..Grants::default() };
        assert!(!lendable.replace(with("one")));
        assert!(lendable.revisions().of(&uses("a")).is_empty());
        assert!(lendable.replace(with("two")));
        assert_eq!(lendable.revisions().of(&uses("a")), [("secrets", "a", 1)]);
        assert!(lendable.revisions().of(&uses("b")).is_empty());
        assert!(lendable.replace(Sources::default()));
        assert!(lendable.replace(with("two")));
        assert_eq!(lendable.revisions().of(&uses("a")), [("secrets", "a", 3)]);
    }
}
