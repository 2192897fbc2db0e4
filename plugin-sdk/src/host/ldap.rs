//! Questions to the directories of `[grants] ldap`.

use crate::bindings::portcullis::plugin::ldap;
/// How far a search goes, what it finds, and why there is no answer.
pub use crate::bindings::portcullis::plugin::ldap::{Entry, Error, Scope};

/// Whether the directory takes this password for this name. An empty one never.
///
/// # Errors
/// No grant for this source, or the directory does not answer. Never a reason to allow.
pub fn bind(source: &str, dn: &str, password: &[u8]) -> Result<bool, Error> {
    ldap::bind(source, dn, password)
}

/// Whether an attribute of an entry has this value.
///
/// # Errors
/// As [`bind`].
pub fn compare(source: &str, dn: &str, attribute: &str, value: &[u8]) -> Result<bool, Error> {
    ldap::compare(source, dn, attribute, value)
}

/// What to search, for [`search`].
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// Where to begin.
    pub base: &'a str,
    /// How far.
    pub scope: Scope,
    /// A filter, with `{}` for each of `values`, which are escaped.
    pub filter: &'a str,
    /// What a client said belongs here, never into the filter.
    pub values: &'a [&'a str],
    /// Attributes that are wanted; none = all.
    pub attributes: &'a [&'a str],
}

/// Entries that match. At most 1,000 and 1 MiB.
///
/// # Errors
/// As [`bind`].
pub fn search(source: &str, search: Search<'_>) -> Result<Vec<Entry>, Error> {
    let owned = |texts: &[&str]| -> Vec<String> { texts.iter().map(|&it| it.to_owned()).collect() };
    let (values, attributes) = (owned(search.values), owned(search.attributes));
    let Search { base, scope, filter, .. } = search;
    ldap::search(source, base, scope, filter, &values, &attributes)
}

/// A value as it may stand in a distinguished name.
#[must_use]
pub fn escape_dn(value: &str) -> String {
    ldap::escape_dn(value)
}
