//! The table `[config]` of the manifest, and its checks.

use portcullis_plugin::Error;
use serde::Deserialize;

use crate::{ese, parameter::Parameter, stored::Form};

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    source: String,
    schema: Option<Schema>,
    authentication: Option<Authentication>,
    groups: Option<Statement>,
    superuser: Option<Statement>,
    permissions: Option<Statement>,
    permissions_ttl_seconds: Option<u32>,
    #[serde(default)]
    unknown_user: UnknownUser,
    #[serde(default)]
    allow_plain: bool,
}

/// A schema that is known here.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum Schema {
    #[serde(rename = "hivemq-ese")]
    HiveMqEse,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Authentication {
    query: String,
    parameters: Vec<Parameter>,
    #[serde(default)]
    hash: Form,
    example_hash: Option<String>,
}

/// A statement of the operator.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statement {
    pub(crate) query: String,
    pub(crate) parameters: Vec<Parameter>,
}

/// What to say of a user who is not in the database.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnknownUser {
    /// Refuse, as if the password were wrong.
    #[default]
    Deny,
    /// Leave it to the next link.
    Next,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) source: String,
    pub(crate) login: Option<LoginSettings>,
    pub(crate) permissions: Option<PermissionSettings>,
}

/// How a client proves who it is.
#[derive(Debug)]
pub(crate) struct LoginSettings {
    pub(crate) statement: Statement,
    pub(crate) groups: Option<Statement>,
    pub(crate) form: Form,
    /// A hash that an unknown user's password is verified against.
    pub(crate) example_hash: String,
    /// Where a better one is found: a row like those of `statement`.
    pub(crate) example: Option<String>,
    pub(crate) unknown_user: UnknownUser,
    pub(crate) allow_plain: bool,
}

/// How its permissions are found.
#[derive(Debug)]
pub(crate) struct PermissionSettings {
    pub(crate) superuser: Option<Statement>,
    pub(crate) statement: Option<Statement>,
    pub(crate) is_ese: bool,
    pub(crate) ttl_seconds: Option<u32>,
}

impl Settings {
    /// # Errors
    /// A sentence on what does not fit.
    pub(crate) fn checked(self) -> Result<Checked, Error> {
        if self.source.is_empty() {
            return Err(wrong("source: is empty, wanted a name of [grants] sql"));
        }
        if self.permissions_ttl_seconds.is_some_and(|ttl| !(1..=3_600).contains(&ttl)) {
            return Err(wrong("permissions_ttl_seconds: allowed: 1 to 3600"));
        }
        match self.schema {
            Some(Schema::HiveMqEse) => self.of_ese(),
            None => self.of_queries(),
        }
    }

    fn of_ese(self) -> Result<Checked, Error> {
        let tables = [
            ("authentication", self.authentication.is_some()),
            ("groups", self.groups.is_some()),
            ("permissions", self.permissions.is_some()),
        ];
        if let Some((name, _)) = tables.iter().find(|(_, is_there)| *is_there) {
            return Err(wrong(&format!("{name}: the schema has its own statement for that")));
        }
        let login = LoginSettings {
            statement: ese::users(),
            groups: Some(ese::roles()),
            form: Form::Ese,
            example_hash: ese::EXAMPLE_HASH.to_owned(),
            example: Some(ese::EXAMPLE.to_owned()),
            unknown_user: self.unknown_user,
            allow_plain: self.allow_plain,
        };
        let permissions = PermissionSettings {
            superuser: checked(self.superuser, "superuser", true)?,
            statement: Some(ese::permissions()),
            is_ese: true,
            ttl_seconds: self.permissions_ttl_seconds,
        };
        Ok(Checked { source: self.source, login: Some(login), permissions: Some(permissions) })
    }

    fn of_queries(self) -> Result<Checked, Error> {
        if self.authentication.is_none() && self.permissions.is_none() && self.superuser.is_none() {
            return Err(wrong(
                "one of authentication, permissions, superuser and schema is needed",
            ));
        }
        let is_plain = |it: &Authentication| it.hash == Form::Plain;
        if self.authentication.as_ref().is_some_and(is_plain) && !self.allow_plain {
            return Err(wrong("authentication.hash: plain needs allow_plain = true"));
        }
        if self.groups.is_some() && self.authentication.is_none() {
            return Err(wrong("groups: only with authentication"));
        }
        let has_permissions = self.permissions.is_some() || self.superuser.is_some();
        let groups = checked(self.groups, "groups", true)?;
        let login = self.authentication.map(|it| -> Result<LoginSettings, Error> {
            let statement = Statement { query: it.query, parameters: it.parameters };
            let statement = checked(Some(statement), "authentication", false)?;
            let missing = || wrong("authentication.parameters: the first says whom it is about");
            Ok(LoginSettings {
                statement: statement.filter(|it| !it.parameters.is_empty()).ok_or_else(missing)?,
                groups,
                form: it.hash,
                example_hash: it.example_hash.unwrap_or_else(|| it.hash.example().to_owned()),
                example: None,
                unknown_user: self.unknown_user,
                allow_plain: self.allow_plain,
            })
        });
        let permissions = PermissionSettings {
            superuser: checked(self.superuser, "superuser", true)?,
            statement: checked(self.permissions, "permissions", true)?,
            is_ese: false,
            ttl_seconds: self.permissions_ttl_seconds,
        };
        let login = login.transpose()?;
        let permissions = has_permissions.then_some(permissions);
        Ok(Checked { source: self.source, login, permissions })
    }
}

/// Before somebody logs in, there is no principal.
fn checked(
    statement: Option<Statement>,
    what: &str,
    has_principal: bool,
) -> Result<Option<Statement>, Error> {
    let Some(statement) = statement else {
        return Ok(None);
    };
    if statement.query.trim().is_empty() {
        return Err(wrong(&format!("{what}.query: is empty")));
    }
    if !has_principal && statement.parameters.contains(&Parameter::Principal) {
        let why = "principal: is not known before the login, allowed: username";
        return Err(wrong(&format!("{what}.parameters: {why}")));
    }
    Ok(Some(statement))
}

fn wrong(what: &str) -> Error {
    Error::misconfigured(format!("[config] {what}"))
}

#[cfg(test)]
pub(crate) mod tests;
