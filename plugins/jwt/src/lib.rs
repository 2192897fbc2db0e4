//! Access tokens: JWTs that verifiers of the broker accept, opaque ones that their issuer vouches
//! for (RFC 7662). They come in the password, in the User Name or in AUTH.
//!
//! - *Owns* where a token may stand (`token`), what a client must have in it (`claims`), what it
//!   permits (`permissions`), and how its issuer is asked (`introspection`).
//! - *Knows nothing of* keys and signatures: the host judges those, by `[jwt.NAME]`.
//! - *Start reading at* `gate`.
//! - *Invariant*: a claim of another shape than expected is a refusal, an answer of another shape
//!   an error; neither is ever left out.

mod claims;
mod gate;
mod introspection;
mod permissions;
mod settings;
mod token;

use portcullis_plugin::{
    Authenticator, Config, Connection, Continuation, Credentials, EnhancedAuthenticator, Error,
    Opening, Outcome, Plugin, Step, export, host, reason_code,
};

use gate::{Gate, TokenHost, VerifyError};
use settings::Settings;

/// The plugin.
#[derive(Debug)]
pub struct Jwt(Gate<Broker>);

impl Plugin for Jwt {
    fn init(config: &Config) -> Result<Self, Error> {
        let settings: Settings = config.parse()?;
        Gate::open(Broker, settings).map(Self)
    }

    fn self_test(&self) -> Result<(), Error> {
        self.0.check_verifiers()
    }
}

impl Authenticator for Jwt {
    fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        self.0.judge_connect(connection, credentials)
    }
}

impl EnhancedAuthenticator for Jwt {
    fn methods(&self) -> Vec<String> {
        self.0.methods()
    }

    fn begin(&self, connection: &Connection, opening: &Opening) -> Result<Step, Error> {
        self.0.judge_auth(connection, opening)
    }

    /// Nobody was challenged.
    fn proceed(&self, _: &Connection, _: &Continuation) -> Result<Step, Error> {
        Ok(Step::deny(reason_code::NOT_AUTHORIZED))
    }
}

export!(Jwt with authenticator, enhanced_authenticator);

/// The functions of the broker.
#[derive(Debug)]
struct Broker;

impl TokenHost for Broker {
    fn verify(&self, verifier: &str, token: &str) -> Result<String, VerifyError> {
        host::jwt::verify(verifier, token).map_err(|error| match error {
            host::jwt::Error::Unknown(name) => VerifyError::Unknown(name),
            host::jwt::Error::Refused(text) => VerifyError::Refused(text),
            host::jwt::Error::Unavailable(text) => VerifyError::Unavailable(text),
        })
    }

    fn send(
        &self,
        request: &host::http_client::Request,
    ) -> Result<host::http_client::Response, host::http_client::Error> {
        host::http_client::send(request)
    }

    fn now_unix(&self) -> u64 {
        host::clock::now_unix_ms() / 1_000
    }
}
