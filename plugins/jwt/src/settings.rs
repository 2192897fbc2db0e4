//! The table `[config]` of the manifest, and what of it cannot be meant.

use std::collections::BTreeMap;

use portcullis_plugin::{Error, host::http_client};
use rules::ConfiguredRule;
use serde::Deserialize;
use serde_json::Value;

/// What the operator wrote.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Names of `[jwt.NAME]`, asked in this order.
    #[serde(default)]
    pub(crate) verifiers: Vec<String>,
    /// Where tokens stand.
    #[serde(default = "in_password")]
    pub(crate) from: Vec<Place>,
    /// Authentication Method of tokens in AUTH.
    #[serde(default = "method")]
    pub(crate) method: String,
    /// The claim that names the client; empty leaves that to other links.
    #[serde(default = "subject")]
    pub(crate) principal_claim: String,
    /// Claims with groups.
    #[serde(default)]
    pub(crate) group_claims: Vec<String>,
    /// Attributes and the claims that they are taken from.
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
    /// Claims and what they must be.
    #[serde(default)]
    pub(crate) require: BTreeMap<String, Value>,
    /// The claim with rules as EMQX has them.
    pub(crate) acl_claim: Option<String>,
    /// The claim with scopes.
    #[serde(default = "scope")]
    pub(crate) scope_claim: String,
    /// Rules of a scope.
    #[serde(default)]
    pub(crate) scopes: BTreeMap<String, Vec<ConfiguredRule>>,
    /// Rules of a group.
    #[serde(default)]
    pub(crate) roles: BTreeMap<String, Vec<ConfiguredRule>>,
    /// Who is asked about opaque tokens.
    pub(crate) introspection: Option<Introspection>,
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// Password of CONNECT.
    Password,
    /// User Name of CONNECT.
    Username,
    /// Authentication Data of CONNECT and AUTH.
    Auth,
}

/// `[config.introspection]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Introspection {
    /// Its address.
    pub(crate) url: String,
    /// One of these a token must be meant for; an empty list leaves that to the issuer.
    pub(crate) audience: Vec<String>,
    /// Whether it may be `http:` over the network.
    #[serde(default)]
    pub(crate) allow_plain: bool,
    /// Who must have issued it.
    pub(crate) issuer: Option<String>,
    /// How the broker proves who it is.
    pub(crate) authorization: Authorization,
    /// What every opaque token begins with.
    #[serde(default)]
    pub(crate) prefix: String,
    /// Whether JWTs are asked about as well, once they are verified.
    #[serde(default)]
    pub(crate) also_jwt: bool,
    /// The longest that an answer holds, in seconds.
    #[serde(default = "an_hour")]
    pub(crate) valid_seconds_max: u64,
    /// How long an answer is waited for.
    #[serde(default = "timeout")]
    pub(crate) timeout_ms: u32,
}

/// The header `authorization`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Authorization {
    /// What stands before the secret: `Basic ` or `Bearer `.
    pub(crate) prefix: String,
    /// Name of a secret in `[grants]`.
    pub(crate) secret: String,
}

fn in_password() -> Vec<Place> {
    vec![Place::Password]
}

fn method() -> String {
    "OAUTH2-JWT".to_owned()
}

fn subject() -> String {
    "sub".to_owned()
}

fn scope() -> String {
    "scope".to_owned()
}

const fn an_hour() -> u64 {
    3_600
}

const fn timeout() -> u32 {
    1_500
}

/// Verifiers that one token may be shown to.
const VERIFIERS_MAX: usize = 8;
/// Of claims, attributes, scopes and roles.
const NAMES_MAX: usize = 64;
const METHOD_BYTES_MAX: usize = 256;

impl Settings {
    /// # Errors
    /// A sentence for the operator about the first mistake.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.verifiers.is_empty() && self.introspection.is_none() {
            return Err(wrong("verifiers", "names no verifier, and there is no introspection"));
        }
        if self.verifiers.len() > VERIFIERS_MAX || self.verifiers.iter().any(String::is_empty) {
            return Err(wrong("verifiers", &format!("allowed: up to {VERIFIERS_MAX} names")));
        }
        if self.from.is_empty() {
            return Err(wrong("from", "allowed: one or more of password, username and auth"));
        }
        if self.method.is_empty() || self.method.len() > METHOD_BYTES_MAX {
            return Err(wrong("method", &format!("allowed: 1 to {METHOD_BYTES_MAX} bytes")));
        }
        self.check_claims()?;
        for (table, names) in [("scopes", &self.scopes), ("roles", &self.roles)] {
            check_count(table, names.len())?;
            for (name, list) in names {
                check_rules(table, name, list)?;
            }
        }
        self.introspection.as_ref().map_or(Ok(()), Introspection::check)
    }

    fn check_claims(&self) -> Result<(), Error> {
        check_count("group_claims", self.group_claims.len())?;
        check_count("attributes", self.attributes.len())?;
        check_count("require", self.require.len())?;
        let acl = self.acl_claim.iter().map(|claim| ("acl_claim", claim));
        let named = [("scope_claim", &self.scope_claim)].into_iter().chain(acl);
        let groups = self.group_claims.iter().map(|claim| ("group_claims", claim));
        let attributes = self.attributes.values().map(|claim| ("attributes", claim));
        let required = self.require.keys().map(|claim| ("require", claim));
        for (key, claim) in named.chain(groups).chain(attributes).chain(required) {
            if claim.is_empty() {
                return Err(wrong(key, "a claim has a name, or is a path such as /realm/roles"));
            }
        }
        if self.attributes.keys().any(String::is_empty) {
            return Err(wrong("attributes", "an attribute has a name"));
        }
        self.require.iter().try_for_each(|(claim, wanted)| self.check_required(claim, wanted))
    }

    fn check_required(&self, claim: &str, wanted: &Value) -> Result<(), Error> {
        let one = |value: &Value| match value {
            Value::String(text) => self.check_template(claim, text),
            Value::Number(_) | Value::Bool(_) => Ok(()),
            _ => Err(wrong("require", &format!("{claim}: allowed: a text, a number, true, false"))),
        };
        match wanted {
            Value::Array(list) if list.is_empty() => {
                Err(wrong("require", &format!("{claim}: nothing is in this list")))
            }
            Value::Array(list) => list.iter().try_for_each(one),
            value => one(value),
        }
    }

    fn check_template(&self, claim: &str, text: &str) -> Result<(), Error> {
        for part in text.split("${").skip(1) {
            if part.starts_with("username}") && self.from.contains(&Place::Username) {
                let what =
                    format!("{claim}: ${{username}} is the token itself where `from` has it");
                return Err(wrong("require", &what));
            }
            if !part.starts_with("username}") && !part.starts_with("clientid}") {
                let what = format!("{claim}: the variables are ${{clientid}} and ${{username}}");
                return Err(wrong("require", &what));
            }
        }
        Ok(())
    }
}

impl Introspection {
    fn check(&self) -> Result<(), Error> {
        if !self.url.starts_with("https://") && !self.url.starts_with("http://") {
            return Err(wrong("introspection.url", "allowed: https:, or http:"));
        }
        if !http_client::is_protected(&self.url) && !self.allow_plain {
            let what = "tokens would cross the network in the clear; allowed: https:, http: to \
                        this machine, others with allow_plain = true";
            return Err(wrong("introspection.url", what));
        }
        if self.authorization.secret.is_empty() {
            return Err(wrong("introspection.authorization.secret", "names no secret"));
        }
        if !(1..=86_400).contains(&self.valid_seconds_max) {
            return Err(wrong("introspection.valid_seconds_max", "allowed: 1 to 86400"));
        }
        if !(10..=30_000).contains(&self.timeout_ms) {
            return Err(wrong("introspection.timeout_ms", "allowed: 10 to 30000"));
        }
        Ok(())
    }
}

fn check_count(key: &str, count: usize) -> Result<(), Error> {
    match count > NAMES_MAX {
        true => Err(wrong(key, &format!("{count} are too many; at most {NAMES_MAX}"))),
        false => Ok(()),
    }
}

fn check_rules(table: &str, name: &str, list: &[ConfiguredRule]) -> Result<(), Error> {
    for (index, rule) in list.iter().enumerate() {
        let place = format!("{table}.{name:?}: rule {}", index + 1);
        rule.rule().map_err(|what| wrong(&place, &what))?;
    }
    Ok(())
}

fn wrong(key: &str, what: &str) -> Error {
    Error::misconfigured(format!("[config] {key}: {what}"))
}

#[cfg(test)]
pub(crate) mod tests;
