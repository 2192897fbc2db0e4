//! The story of a token: found, judged, read, granted. Knows the host only as a trait, so that all of
//! it runs in native tests.

use portcullis_plugin::{
    Connection, Credentials, Denial, Error, Grant, Opening, Outcome, Step,
    host::http_client::{self, Request, Response},
    reason_code,
};
use serde_json::Value;

use crate::{
    claims::Claims,
    introspection, permissions,
    settings::{Place, Settings},
    token::{self, Shape},
};

/// What the plugin needs from its host.
pub(crate) trait TokenHost {
    /// The claims, as JSON, of a token that a verifier accepts.
    fn verify(&self, verifier: &str, token: &str) -> Result<String, VerifyError>;
    /// A request and its response.
    fn send(&self, request: &Request) -> Result<Response, http_client::Error>;
    /// Seconds since 1970.
    fn now_unix(&self) -> u64;
}

/// Why a verifier did not accept a token.
#[derive(Debug)]
pub(crate) enum VerifyError {
    /// There is no such verifier.
    Unknown(String),
    /// The token is no good; a phrase that fits behind "token: ".
    Refused(String),
    /// It cannot be judged now.
    Unavailable(String),
}

/// Judges clients by their tokens.
#[derive(Debug)]
pub(crate) struct Gate<H> {
    host: H,
    settings: Settings,
}

/// What became of a token.
enum Judged {
    /// It holds, and for how long.
    Holds(Claims, u64),
    /// It does not; a phrase that fits behind "token: ".
    Refused(String),
    /// It is none.
    NoToken,
}

impl<H: TokenHost> Gate<H> {
    /// # Errors
    /// A mistake in the configuration.
    pub(crate) fn open(host: H, settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self { host, settings })
    }

    /// Whether every verifier is there.
    ///
    /// # Errors
    /// The name of one that is not.
    pub(crate) fn check_verifiers(&self) -> Result<(), Error> {
        for verifier in &self.settings.verifiers {
            // No token: refused before a key is needed.
            if let Err(VerifyError::Unknown(name)) = self.host.verify(verifier, "") {
                return Err(unknown(&name));
            }
        }
        Ok(())
    }

    /// Authentication Methods, if tokens come in AUTH.
    pub(crate) fn methods(&self) -> Vec<String> {
        let has_auth = self.settings.from.contains(&Place::Auth);
        has_auth.then(|| self.settings.method.clone()).into_iter().collect()
    }

    /// Says who may pass with what CONNECT carried.
    ///
    /// # Errors
    /// The token could not be judged.
    pub(crate) fn judge_connect(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        for place in &self.settings.from {
            let token = match place {
                Place::Password => {
                    let password = credentials.password.as_deref().unwrap_or_default();
                    std::str::from_utf8(password).unwrap_or_default()
                }
                Place::Username => connection.username.as_deref().unwrap_or_default(),
                Place::Auth => continue,
            };
            match self.granted(token, connection)? {
                Granted::Yes(grant) => return Ok(Outcome::Allow(*grant)),
                Granted::No(why) => {
                    return Ok(Outcome::Deny(Denial {
                        reason_code: reason_code::BAD_USER_NAME_OR_PASSWORD,
                        reason: Some(format!("token: {why}")),
                    }));
                }
                Granted::NoToken => {}
            }
        }
        Ok(Outcome::Next)
    }

    /// Says who may pass with what AUTH, or CONNECT with a method, carried.
    ///
    /// # Errors
    /// The token could not be judged.
    pub(crate) fn judge_auth(
        &self,
        connection: &Connection,
        opening: &Opening,
    ) -> Result<Step, Error> {
        if !self.methods().contains(&opening.method) {
            return Ok(Step::Next);
        }
        let data = opening.data.as_deref().unwrap_or_default();
        let granted = match token::of_auth(&opening.method, data) {
            Some(token) => self.granted(token, connection)?,
            None => Granted::NoToken,
        };
        let why = match granted {
            Granted::Yes(grant) => return Ok(Step::success(*grant, None)),
            Granted::No(why) => why,
            Granted::NoToken => "there is none".to_owned(),
        };
        let reason = Some(format!("token: {why}"));
        Ok(Step::Deny(Denial { reason_code: reason_code::NOT_AUTHORIZED, reason }))
    }

    fn granted(&self, token: &str, connection: &Connection) -> Result<Granted, Error> {
        let (claims, end) = match self.judge(token)? {
            Judged::Holds(claims, end) => (claims, end),
            Judged::Refused(why) => return Ok(Granted::No(why)),
            Judged::NoToken => return Ok(Granted::NoToken),
        };
        Ok(match self.grant(&claims, end, connection) {
            Ok(grant) => Granted::Yes(Box::new(grant)),
            Err(why) => Granted::No(why),
        })
    }

    /// What a token that holds is granted to whoever brought it.
    fn grant(&self, claims: &Claims, end: u64, connection: &Connection) -> Result<Grant, String> {
        let settings = &self.settings;
        claims.check_required(&settings.require, connection)?;
        let groups = claims.groups(&settings.group_claims)?;
        Ok(Grant {
            principal: claims.principal(&settings.principal_claim)?,
            attributes: claims.attributes(&settings.attributes)?,
            permissions: permissions::rules(settings, claims, &groups)?,
            groups,
            expires_at_unix: Some(end),
            ..Grant::default()
        })
    }

    fn judge(&self, token: &str) -> Result<Judged, Error> {
        let shape = token::shape(token);
        let introspection = self.settings.introspection.as_ref();
        match (shape, introspection) {
            (Shape::Jwt, _) if !self.settings.verifiers.is_empty() => self.judge_jwt(token),
            (Shape::Jwt | Shape::Opaque, Some(settings)) if token.starts_with(&settings.prefix) => {
                self.introspect(token)
            }
            _ => Ok(Judged::NoToken),
        }
    }

    fn judge_jwt(&self, token: &str) -> Result<Judged, Error> {
        let (mut refused, mut unavailable) = (Vec::new(), None);
        for verifier in &self.settings.verifiers {
            match self.host.verify(verifier, token) {
                Ok(json) => return self.verified(token, &json),
                Err(VerifyError::Unknown(name)) => return Err(unknown(&name)),
                Err(VerifyError::Refused(why)) => refused.push(why),
                Err(VerifyError::Unavailable(why)) => unavailable = Some((verifier, why)),
            }
        }
        // Whether it is good is not known as long as one of them cannot say.
        match unavailable {
            Some((verifier, why)) => Err(Error::unavailable(format!("verifier {verifier}: {why}"))),
            None => Ok(Judged::Refused(refused.join("; "))),
        }
    }

    fn verified(&self, token: &str, json: &str) -> Result<Judged, Error> {
        let Ok(Value::Object(claims)) = serde_json::from_str(json) else {
            return Err(Error::internal("the claims of the host are no object"));
        };
        let claims = Claims(claims);
        let end = match claims.time("exp") {
            Ok(Some(end)) if end > self.host.now_unix() => end,
            // Within the leeway of the verifier; but the connection would end at once.
            Ok(Some(_)) => return Ok(Judged::Refused("it has expired".to_owned())),
            Ok(None) => return Ok(Judged::Refused("it has no end".to_owned())),
            Err(why) => return Ok(Judged::Refused(why)),
        };
        if !self.settings.introspection.as_ref().is_some_and(|settings| settings.also_jwt) {
            return Ok(Judged::Holds(claims, end));
        }
        Ok(match self.introspect(token)? {
            Judged::Holds(_, until) => Judged::Holds(claims, end.min(until)),
            other => other,
        })
    }

    fn introspect(&self, token: &str) -> Result<Judged, Error> {
        let Some(settings) = &self.settings.introspection else { return Ok(Judged::NoToken) };
        let answer = self.host.send(&introspection::request(settings, token));
        let Some(claims) = introspection::answer(answer)? else {
            return Ok(Judged::Refused("its issuer says that it does not hold".to_owned()));
        };
        Ok(match introspection::check(settings, &claims, self.host.now_unix()) {
            Ok(end) => Judged::Holds(claims, end),
            Err(why) => Judged::Refused(why),
        })
    }
}

enum Granted {
    Yes(Box<Grant>),
    No(String),
    NoToken,
}

fn unknown(verifier: &str) -> Error {
    Error::misconfigured(format!(
        "[config] verifiers: {verifier:?} is not in [grants] jwt, or the broker's configuration \
         has no [jwt.{verifier}]"
    ))
}

#[cfg(test)]
mod tests;
