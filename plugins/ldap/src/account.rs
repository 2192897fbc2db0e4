//! What an entry of the directory says about a user or a group, and what a failure of the directory
//! means. Knows nothing of questions.

use std::str;

use portcullis_plugin::{
    DistinguishedName, Error,
    host::ldap::{Entry, Error as LdapError},
};

use crate::settings::{Groups, Settings};

/// A user of the directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) dn: String,
    /// As the directory writes it, which may differ in case from what the client says.
    pub(crate) principal: String,
    member_of: Vec<String>,
}

/// Longer than any name that people give.
const NAME_BYTES_MAX: usize = 256;
/// Groups of one user.
const GROUPS_MAX: usize = 1_000;

/// Whether this may be somebody's name: not empty, not too long, no control character.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

impl Account {
    /// Reads a user's entry. The error is a sentence for the operator: a user who cannot be read is no
    /// user.
    pub(crate) fn read(entry: Entry, settings: &Settings) -> Result<Self, String> {
        let principal = values(&entry, &settings.principal)?;
        let [principal] = principal.as_slice() else {
            let (count, name) = (principal.len(), &settings.principal);
            return Err(format!("{}: has {count} values of {name} instead of one", entry.dn));
        };
        if !is_name(principal) {
            let name = &settings.principal;
            return Err(format!("{}: its {name} is empty, too long or has a control", entry.dn));
        }
        let principal = principal.clone();
        let member_of = match &settings.groups {
            Some(Groups::MemberOf { attribute, .. }) => values(&entry, attribute)?,
            _ => Vec::new(),
        };
        Ok(Self { dn: entry.dn, principal, member_of })
    }

    /// Names of the groups within `base` that the user's entry has.
    ///
    /// # Errors
    /// One of them is no name, or there are too many: a group that is passed over could be one that a
    /// rule denies.
    pub(crate) fn groups_within(&self, base: &DistinguishedName) -> Result<Vec<String>, Error> {
        let mut groups = Vec::new();
        for text in &self.member_of {
            let wrong = |why: &str| Error::unavailable(format!("{}: its group {why}", self.dn));
            let group = DistinguishedName::parse(text).map_err(wrong)?;
            if group.is_within(base) {
                let name = group.own_value().filter(|name| is_name(name));
                groups.push(name.ok_or_else(|| wrong("has no name that can be used"))?.to_owned());
            }
        }
        bounded(groups)
    }
}

/// Names of the groups that were found.
///
/// # Errors
/// As [`Account::groups_within`].
pub(crate) fn names_of_groups(found: Vec<Entry>, name: &str) -> Result<Vec<String>, Error> {
    let mut groups = Vec::new();
    for entry in found {
        let names = values(&entry, name).map_err(Error::unavailable)?;
        if names.is_empty() || !names.iter().all(|name| is_name(name)) {
            let text = format!("{}: its {name} is no name that can be used", entry.dn);
            return Err(Error::unavailable(text));
        }
        groups.extend(names);
    }
    bounded(groups)
}

fn bounded(groups: Vec<String>) -> Result<Vec<String>, Error> {
    if groups.len() > GROUPS_MAX {
        return Err(Error::unavailable(format!("a user is in over {GROUPS_MAX} groups")));
    }
    Ok(groups)
}

/// All values of an attribute, as text.
fn values(entry: &Entry, name: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    for (found, bytes) in &entry.attributes {
        let (kind, options) = found.split_once(';').unwrap_or((found, ""));
        if !kind.eq_ignore_ascii_case(name) {
            continue;
        }
        // Active Directory sends long lists in parts: those behind the first would be missing.
        if options.to_ascii_lowercase().starts_with("range=") {
            return Err(format!("{}: {name} comes in parts: use groups.filter", entry.dn));
        }
        for bytes in bytes {
            let text = str::from_utf8(bytes);
            let text = text.map_err(|_| format!("{}: a value of {name} is not UTF-8", entry.dn))?;
            values.push(text.to_owned());
        }
    }
    Ok(values)
}

/// A failure of the directory as one of the plugin.
pub(crate) fn failed(error: &LdapError) -> Error {
    let text = sentence(error);
    match error {
        LdapError::Denied(_) | LdapError::Malformed(_) => Error::Misconfigured(text),
        LdapError::Timeout => Error::Timeout(text),
        LdapError::Unavailable(_) | LdapError::Refused(_) => Error::Unavailable(text),
        LdapError::TooLarge => Error::Internal(text),
    }
}

/// The same in words.
pub(crate) fn sentence(error: &LdapError) -> String {
    match error {
        LdapError::Denied(why) | LdapError::Malformed(why) => format!("directory: {why}"),
        LdapError::Timeout => "the directory does not answer in time".to_owned(),
        LdapError::Unavailable(why) => format!("the directory is not there: {why}"),
        LdapError::Refused(why) => format!("the directory refuses: {why}"),
        LdapError::TooLarge => "the directory finds too much for one user".to_owned(),
    }
}

#[cfg(test)]
mod tests;
