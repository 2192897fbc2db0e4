//! The table `[config]` of the manifest, checked. Knows nothing of clients.

use std::collections::BTreeMap;

use portcullis_plugin::{Error, Rule};
use serde::Deserialize;

use crate::field::Field;

/// All that the operator says.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Who the client is; none = that is for others to say.
    pub(crate) principal: Option<Field>,
    /// What the value begins with, and ends with: only such values count, and both are cut off.
    pub(crate) prefix: String,
    pub(crate) suffix: String,
    pub(crate) client_id: Option<ClientId>,
    pub(crate) no_certificate: Otherwise,
    /// Only certificates of these authorities; empty = of all that the listener trusts.
    pub(crate) issuers: Vec<String>,
    pub(crate) other_issuer: Otherwise,
    pub(crate) groups: Vec<Field>,
    pub(crate) attributes: Vec<(String, Field)>,
    pub(crate) permissions: Vec<Permission>,
}

/// What the Client Identifier must be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientId {
    /// The principal.
    Principal,
    /// One of the values of a field.
    Field(Field),
}

/// What to say of a client that is none of ours.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Otherwise {
    /// Refuse it.
    Deny,
    /// Leave it to the next link.
    Next,
}

/// Rules, and for which certificates.
#[derive(Debug)]
pub(crate) struct Permission {
    /// Each field has one of its values.
    pub(crate) conditions: Vec<(Field, Vec<String>)>,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    principal: Option<String>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    suffix: String,
    client_id: Option<String>,
    no_certificate: Option<Otherwise>,
    #[serde(default)]
    issuers: Vec<String>,
    other_issuer: Option<Otherwise>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    permissions: Vec<WrittenPermission>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPermission {
    #[serde(default, rename = "where")]
    conditions: BTreeMap<String, OneOrMany>,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<Written> for Settings {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self, Error> {
        read(written).map_err(|why| Error::misconfigured(format!("[config] {why}")))
    }
}

fn read(written: Written) -> Result<Settings, String> {
    let principal = written.principal.map(|name| Field::parse("principal", &name)).transpose()?;
    match &principal {
        Some(field) if field.is_of_issuer() => {
            return Err("principal: the issuer is the same for many clients".to_owned());
        }
        None if !(written.prefix.is_empty() && written.suffix.is_empty()) => {
            return Err("prefix and suffix: are of the principal, which is not given".to_owned());
        }
        _ => {}
    }
    let client_id = match written.client_id.as_deref() {
        None => None,
        Some("principal") if principal.is_none() => {
            return Err("client_id: there is no principal".to_owned());
        }
        Some("principal") => Some(ClientId::Principal),
        Some(name) => Some(ClientId::Field(Field::parse("client_id", name)?)),
    };
    if written.issuers.is_empty() && written.other_issuer.is_some() {
        return Err("other_issuer: goes with issuers".to_owned());
    }
    let issuers = written.issuers.iter().map(|text| Field::WholeIssuer.expected(text));
    let issuers = issuers.collect::<Result<_, _>>().map_err(|why| format!("issuers: {why}"))?;
    let groups = written.groups.iter().map(|name| Field::parse("groups", name));
    let attributes = written.attributes.into_iter();
    let attributes =
        attributes.map(|(name, field)| Ok((name, Field::parse("attributes", &field)?)));
    Ok(Settings {
        principal,
        prefix: written.prefix,
        suffix: written.suffix,
        client_id,
        no_certificate: written.no_certificate.unwrap_or(Otherwise::Next),
        issuers,
        other_issuer: written.other_issuer.unwrap_or(Otherwise::Deny),
        groups: groups.collect::<Result<_, _>>()?,
        attributes: attributes.collect::<Result<_, String>>()?,
        permissions: permissions(written.permissions)?,
    })
}

fn permissions(written: Vec<WrittenPermission>) -> Result<Vec<Permission>, String> {
    let count: usize = written.iter().map(|it| it.rules.len()).sum();
    if count > RULES_MAX {
        return Err(format!("permissions: {count} rules; at most {RULES_MAX} are allowed"));
    }
    let read = written.into_iter().map(|WrittenPermission { conditions, rules }| {
        if rules.is_empty() {
            return Err("permissions: an entry has no rules".to_owned());
        }
        let conditions = conditions.into_iter().map(|(name, values)| condition(&name, values));
        Ok(Permission { conditions: conditions.collect::<Result<_, _>>()?, rules })
    });
    read.collect()
}

fn condition(name: &str, values: OneOrMany) -> Result<(Field, Vec<String>), String> {
    let field = Field::parse("permissions: where", name)?;
    let values = match values {
        OneOrMany::One(value) => vec![value],
        OneOrMany::Many(values) => values,
    };
    if values.is_empty() {
        return Err(format!("permissions: where: {name} has no values"));
    }
    let expected = values.iter().map(|text| field.expected(text));
    let expected = expected.collect::<Result<_, _>>();
    let expected = expected.map_err(|why| format!("permissions: where: {name}: {why}"))?;
    Ok((field, expected))
}

/// What the contract allows in one answer.
const RULES_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
