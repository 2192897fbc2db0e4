//! A guest of the tests that does what the table `[config]` of its manifest says: an authenticator
//! and an authorizer whose answers a test can write down. `settings` documents the keys.

mod settings;

use portcullis_plugin::{
    Answer, Attribute, Authenticator, Authorizer, Config, Connection, Credentials, Error, Grant,
    HoldsFor, Outcome, PermissionSet, Plugin, Subject, export,
};

use settings::{AnswerKind, Otherwise, Settings};

/// The guest.
#[derive(Debug)]
pub struct Good(Settings);

impl Plugin for Good {
    fn init(config: &Config) -> Result<Self, Error> {
        Ok(Self(config.parse()?))
    }
}

impl Authenticator for Good {
    fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        let name = connection.username.as_deref().unwrap_or_default();
        let known = match self.0.users.get(name) {
            Some(password) => credentials.password.as_deref() == Some(password.as_bytes()),
            None => self.0.anyone,
        };
        Ok(match (known, self.0.otherwise) {
            (true, _) => self.grant(connection).into(),
            (false, Otherwise::Next) => Outcome::Next,
            (false, Otherwise::Deny) => Outcome::deny(self.0.reason_code, self.0.reason.as_str()),
        })
    }
}

impl Authorizer for Good {
    fn permissions(&self, _: &Subject) -> Result<Answer, Error> {
        Ok(match self.0.answer {
            AnswerKind::Next => Answer::Next,
            AnswerKind::DenyAll => Answer::DenyAll,
            AnswerKind::Rules => Answer::Permissions(PermissionSet {
                rules: self.0.rules.iter().map(settings::Rule::compile).collect(),
                ttl_seconds: self.0.ttl_seconds,
                holds_for: HoldsFor::Client,
            }),
        })
    }
}

export!(Good with authenticator, authorizer);

impl Good {
    fn grant(&self, connection: &Connection) -> Grant {
        let settings = &self.0;
        let own = connection.username.clone().filter(|name| !name.is_empty());
        Grant {
            principal: match settings.principal.as_deref() {
                Some("") => None,
                Some(name) => Some(name.to_owned()),
                None => own.or_else(|| Some(connection.client_id.clone())),
            },
            groups: settings.groups.clone(),
            attributes: attributes(&settings.attributes),
            permissions: settings.granted_rules.iter().map(settings::Rule::compile).collect(),
            expires_at_unix: settings.expires_at_unix,
            session_expiry_seconds_max: settings.session_expiry_seconds_max,
            limits: settings.limits.map(Into::into),
            user_properties: attributes(&settings.user_properties),
        }
    }
}

fn attributes(pairs: &[(String, String)]) -> Vec<Attribute> {
    pairs.iter().map(|(name, value)| Attribute::new(name.as_str(), value.as_str())).collect()
}

#[cfg(test)]
mod tests;
