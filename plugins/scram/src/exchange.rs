//! The two steps: a client says who it is and gets salt, iterations and a nonce; it proves that it
//! knows the password, and the server proves that it knows what is stored of it.
//!
//! Between the steps the host keeps what was said, and nothing that is secret: what is stored is
//! looked up again. Whoever was taken out meanwhile is not let in.

use portcullis_plugin::{Error, Grant, Step, reason_code};

use crate::{
    base64,
    credential::{self, Credential},
    message::{ClientFinal, ClientFirst},
    method::Method,
    settings::Settings,
    store::Host,
};

const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 18;

/// Judges clients.
#[derive(Debug)]
pub(crate) struct Exchange<H> {
    host: H,
    settings: Settings,
}

/// What the first step leaves to the second, line by line: nothing in it has an end of line.
struct State<'a> {
    method: &'a str,
    username: &'a str,
    header: &'a str,
    client_first: &'a str,
    server_first: &'a str,
}

impl<H: Host> Exchange<H> {
    pub(crate) fn new(host: H, settings: Settings) -> Self {
        Self { host, settings }
    }

    /// That there is a secret, and a place to look credentials up.
    ///
    /// # Errors
    /// There is none. A database that does not answer is asked again for each client.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.host.secret_hmac(b"")?;
        match self.host.credentials("nobody") {
            Err(Error::Unavailable(_) | Error::Timeout(_)) => Ok(()),
            other => other.map(drop),
        }
    }

    /// # Errors
    /// Credentials cannot be looked up, or are not what they should be.
    pub(crate) fn begin(&self, method: &str, data: Option<&[u8]>) -> Result<Step, Error> {
        let Some(method) = Method::named(method) else {
            return Ok(Step::Next);
        };
        let Ok(first) = ClientFirst::parse(data.unwrap_or_default()) else {
            return Ok(Step::deny(reason_code::NOT_AUTHORIZED));
        };
        let (credential, _) = self.credential(method, &first.username)?;
        let nonce = base64::encode(&self.host.random(NONCE_BYTES));
        let server_first = format!(
            "r={}{nonce},s={},i={}",
            first.nonce,
            base64::encode(&credential.salt),
            credential.iterations
        );
        let state = State {
            method: method.name(),
            username: &first.username,
            header: first.header,
            client_first: first.bare,
            server_first: &server_first,
        };
        Ok(Step::challenge(server_first.clone().into_bytes(), state.write()))
    }

    /// # Errors
    /// As [`Self::begin`].
    pub(crate) fn proceed(
        &self,
        method: &str,
        data: Option<&[u8]>,
        state: &[u8],
    ) -> Result<Step, Error> {
        let no_state = || Error::internal("the first step left something else");
        let state = State::read(state).ok_or_else(no_state)?;
        let method = Method::named(method).filter(|_| state.method == method);
        let method = method.ok_or_else(no_state)?;
        let refused = Step::deny(reason_code::NOT_AUTHORIZED);
        let Ok(last) = ClientFinal::parse(data.unwrap_or_default()) else {
            return Ok(refused);
        };
        let nonce = state.server_first.strip_prefix("r=").and_then(|it| it.split(',').next());
        let is_same = nonce.is_some_and(|nonce| nonce == last.nonce)
            && last.channel_binding == base64::encode(state.header.as_bytes());
        let proof = base64::decode(last.proof).filter(|proof| proof.len() == method.bytes());
        let Some(proof) = proof.filter(|_| is_same) else {
            return Ok(refused);
        };
        let (credential, is_known) = self.credential(method, state.username)?;
        let said = format!("{},{},{}", state.client_first, state.server_first, last.without_proof);
        let said = said.as_bytes();
        let client_key = method.client_key(&credential.stored_key, said, &proof)?;
        let signature = method.hmac(&credential.server_key, said)?;
        let is_right = self.host.equal(&method.hash(&client_key), &credential.stored_key);
        if !(is_right && is_known) {
            return Ok(refused);
        }
        let signature = format!("v={}", base64::encode(&signature));
        Ok(Step::success(Grant::new(state.username), Some(signature.into_bytes())))
    }

    /// What is stored, and true; for who has nothing, what could be, always with the same salt.
    fn credential(&self, method: Method, username: &str) -> Result<(Credential, bool), Error> {
        // Made for everybody: whether it is needed makes no difference in time.
        let of_nobody = self.of_nobody(method, username)?;
        let stored = self.host.credentials(username)?;
        let mut own = stored.iter().filter(|text| credential::method(text) == Some(method));
        match (own.next(), own.next()) {
            (None, _) => Ok((of_nobody, false)),
            (Some(text), None) => match Credential::parse(method, text) {
                Ok(credential) => Ok((credential, true)),
                Err(why) => {
                    Err(Error::misconfigured(format!("a credential of {username:?} {why}")))
                }
            },
            _ => Err(Error::misconfigured(format!(
                "{username:?} has more than one credential for {}",
                method.name()
            ))),
        }
    }

    fn of_nobody(&self, method: Method, username: &str) -> Result<Credential, Error> {
        let made = |what: &str| {
            let data = format!("{what}\n{}\n{username}", method.name());
            self.host.secret_hmac(data.as_bytes())
        };
        let mut salt = made("salt")?;
        salt.truncate(SALT_BYTES);
        let stored_key = method.hash(&made("stored key")?);
        let server_key = method.hash(&made("server key")?);
        Ok(Credential { iterations: self.settings.iterations, salt, stored_key, server_key })
    }
}

impl<'a> State<'a> {
    fn write(&self) -> Vec<u8> {
        let Self { method, username, header, client_first, server_first } = self;
        [*method, username, header, client_first, server_first].join("\n").into_bytes()
    }

    fn read(state: &'a [u8]) -> Option<Self> {
        let lines: Vec<&str> = str::from_utf8(state).ok()?.split('\n').collect();
        let [method, username, header, client_first, server_first] = *lines.as_slice() else {
            return None;
        };
        Some(Self { method, username, header, client_first, server_first })
    }
}

#[cfg(test)]
mod tests;
