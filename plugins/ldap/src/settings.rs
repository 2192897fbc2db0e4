//! The table `[config]` of the manifest, checked. Knows nothing of clients.

use portcullis_plugin::{DistinguishedName, Error, Rule, host::ldap::Scope};
use serde::Deserialize;

use crate::filter::{Filter, Place};

/// All that the operator says.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `[ldap.NAME]` of the broker's configuration.
    pub(crate) source: String,
    pub(crate) method: Method,
    pub(crate) user: UserFrom,
    /// Where users are searched.
    pub(crate) base: String,
    pub(crate) scope: Scope,
    pub(crate) filter: Filter,
    /// The attribute that names the principal.
    pub(crate) principal: String,
    /// Whether a user is called as the directory writes it, to the letter.
    pub(crate) is_exact: bool,
    /// What the password of a user who is not there is tried on.
    pub(crate) decoy: String,
    pub(crate) unknown_user: UnknownUser,
    pub(crate) groups: Option<Groups>,
    pub(crate) permissions: Vec<Permission>,
    pub(crate) ttl_seconds: u32,
}

/// How a password is tried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// By a bind as the user.
    Bind,
    /// By a comparison with this attribute.
    Compare(String),
    /// Not at all: others say who the client is, the directory what it may do.
    Lookup,
}

/// What a user is called by.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum UserFrom {
    /// User Name of CONNECT.
    #[default]
    Username,
    /// Client Identifier.
    ClientId,
    /// Common Name of the client's certificate.
    CommonName,
}

/// What to say of a user who is not in the directory.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnknownUser {
    /// Refuse, as if the password were wrong.
    #[default]
    Deny,
    /// Leave it to the others.
    Next,
}

/// Where it stands who is in which group.
#[derive(Debug)]
pub(crate) enum Groups {
    /// In an attribute of the user that has names of groups, of which those within `base` count.
    MemberOf { attribute: String, base: DistinguishedName },
    /// In the groups.
    Search { base: String, scope: Scope, filter: Filter, name: String },
}

/// Rules, and whose they are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Permission {
    /// Only for members of this group; none = for every user of the directory.
    pub(crate) group: Option<String>,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    source: String,
    method: Option<WrittenMethod>,
    user: Option<UserFrom>,
    base: String,
    scope: Option<WrittenScope>,
    filter: String,
    principal: Option<String>,
    exact: Option<bool>,
    password_attribute: Option<String>,
    decoy: Option<String>,
    unknown_user: Option<UnknownUser>,
    groups: Option<WrittenGroups>,
    #[serde(default)]
    permissions: Vec<Permission>,
    ttl_seconds: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenMethod {
    Bind,
    Compare,
    Lookup,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenScope {
    Base,
    One,
    Subtree,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGroups {
    member_of: Option<String>,
    base: String,
    scope: Option<WrittenScope>,
    filter: Option<String>,
    name: Option<String>,
}

impl TryFrom<Written> for Settings {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self, Error> {
        read(written).map_err(|why| Error::misconfigured(format!("[config] {why}")))
    }
}

fn read(written: Written) -> Result<Settings, String> {
    let method = method(&written)?;
    if written.source.is_empty() {
        return Err("source: is empty; it names an [ldap.NAME] of the broker".to_owned());
    }
    dn("base", &written.base)?;
    let decoy = match written.decoy {
        Some(decoy) => dn("decoy", &decoy).map(|_| decoy)?,
        None => format!("cn=portcullis-decoy,{}", written.base),
    };
    let filter = Filter::parse("filter", &written.filter, &[Place::User])?;
    let groups = written.groups.map(groups).transpose()?;
    permissions(&written.permissions, groups.is_some())?;
    let ttl_seconds = written.ttl_seconds.unwrap_or(TTL_SECONDS);
    if !(1..=TTL_SECONDS_MAX).contains(&ttl_seconds) {
        return Err(format!("ttl_seconds: {ttl_seconds}; allowed: 1 to {TTL_SECONDS_MAX}"));
    }
    Ok(Settings {
        source: written.source,
        method,
        user: written.user.unwrap_or_default(),
        base: written.base,
        scope: scope(written.scope),
        filter,
        principal: attribute("principal", written.principal, "uid")?,
        is_exact: written.exact.unwrap_or(true),
        decoy,
        unknown_user: written.unknown_user.unwrap_or_default(),
        groups,
        permissions: written.permissions,
        ttl_seconds,
    })
}

fn method(written: &Written) -> Result<Method, String> {
    let method = written.method.unwrap_or(WrittenMethod::Bind);
    if !matches!(method, WrittenMethod::Compare) && written.password_attribute.is_some() {
        return Err("password_attribute: goes with method = \"compare\"".to_owned());
    }
    match method {
        WrittenMethod::Bind => Ok(Method::Bind),
        WrittenMethod::Compare => {
            let name = written.password_attribute.clone();
            Ok(Method::Compare(attribute("password_attribute", name, "userPassword")?))
        }
        WrittenMethod::Lookup if written.user.is_some() || written.decoy.is_some() => {
            Err("user and decoy: go with a password, and method = \"lookup\" tries none".to_owned())
        }
        WrittenMethod::Lookup if written.exact == Some(false) => {
            Err("exact: method = \"lookup\" takes a principal to the letter only".to_owned())
        }
        WrittenMethod::Lookup if written.permissions.is_empty() => {
            Err("permissions: method = \"lookup\" does nothing without them".to_owned())
        }
        WrittenMethod::Lookup => Ok(Method::Lookup),
    }
}

fn groups(written: WrittenGroups) -> Result<Groups, String> {
    let base = dn("groups.base", &written.base)?;
    match (written.member_of, written.filter) {
        (Some(member_of), None) => {
            if written.scope.is_some() || written.name.is_some() {
                let what = "groups.scope and groups.name: go with groups.filter";
                return Err(what.to_owned());
            }
            let attribute = attribute("groups.member_of", Some(member_of), "memberOf")?;
            Ok(Groups::MemberOf { attribute, base })
        }
        (None, Some(filter)) => Ok(Groups::Search {
            base: written.base,
            scope: scope(written.scope),
            filter: Filter::parse("groups.filter", &filter, &[Place::Dn, Place::User])?,
            name: attribute("groups.name", written.name, "cn")?,
        }),
        _ => Err("groups: wants either member_of or filter".to_owned()),
    }
}

fn permissions(permissions: &[Permission], has_groups: bool) -> Result<(), String> {
    for permission in permissions {
        match &permission.group {
            Some(group) if group.is_empty() => {
                return Err("permissions: group is empty; leave it out to mean everybody".into());
            }
            Some(group) if !has_groups => {
                return Err(format!("permissions: group {group:?} without [config.groups]"));
            }
            _ => {}
        }
        if permission.rules.is_empty() {
            return Err("permissions: an entry has no rules".to_owned());
        }
    }
    let count: usize = permissions.iter().map(|it| it.rules.len()).sum();
    if count > RULES_MAX {
        return Err(format!("permissions: {count} rules; at most {RULES_MAX} are allowed"));
    }
    Ok(())
}

fn dn(key: &str, text: &str) -> Result<DistinguishedName, String> {
    if text.is_empty() {
        return Err(format!("{key}: is empty; it is a name such as \"ou=people,dc=example\""));
    }
    DistinguishedName::parse(text).map_err(|why| format!("{key}: {text:?} {why}"))
}

fn attribute(key: &str, name: Option<String>, default: &str) -> Result<String, String> {
    let name = name.unwrap_or_else(|| default.to_owned());
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if name.is_empty() || !name.chars().all(is_fine) {
        return Err(format!(
            "{key}: {name:?} is no attribute; letters, digits, - and . are allowed"
        ));
    }
    Ok(name)
}

fn scope(written: Option<WrittenScope>) -> Scope {
    match written {
        Some(WrittenScope::Base) => Scope::Base,
        Some(WrittenScope::One) => Scope::One,
        Some(WrittenScope::Subtree) | None => Scope::Subtree,
    }
}

/// What the contract allows in one answer.
const RULES_MAX: usize = 10_000;
const TTL_SECONDS: u32 = 60;
const TTL_SECONDS_MAX: u32 = 3_600;

#[cfg(test)]
mod tests;
