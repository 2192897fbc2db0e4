//! A web service of the operator's decides: who may connect, what a client may do, whether it may do
//! this. Its replies have the shape that EMQX reads.
//!
//! - *Owns* what is asked (`request`, from templates of `template`), and what counts as a reply
//!   (`reply`).
//! - *Knows nothing of* connections to the service: the host makes them, to where `[grants]` allows.
//! - *Start reading at* `gate`.
//! - *Invariant*: a status or a body of any other shape than documented is an error, never a word;
//!   an empty password is never sent anywhere.

mod gate;
mod reply;
mod request;
mod settings;
mod template;

use portcullis_plugin::{
    Answer, Authenticator, Authorizer, Config, Connection, Credentials, Error, Operation,
    OperationAuthorizer, Outcome, Plugin, Ruling, Subject, export, host,
};

use gate::{Gate, Web};
use settings::Settings;

/// The plugin.
#[derive(Debug)]
pub struct Http(Gate<Broker>);

impl Plugin for Http {
    fn init(config: &Config) -> Result<Self, Error> {
        let settings: Settings = config.parse()?;
        Gate::open(Broker, settings).map(Self)
    }
}

impl Authenticator for Http {
    fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        self.0.authenticate(connection, credentials)
    }
}

impl Authorizer for Http {
    fn permissions(&self, subject: &Subject) -> Result<Answer, Error> {
        self.0.permissions(subject)
    }
}

impl OperationAuthorizer for Http {
    fn topics(&self) -> Vec<String> {
        self.0.topics()
    }

    fn authorize(&self, subject: &Subject, operation: &Operation) -> Result<Ruling, Error> {
        self.0.authorize(subject, operation)
    }
}

export!(Http with authenticator, authorizer, operation_authorizer);

/// The functions of the broker.
#[derive(Debug)]
struct Broker;

impl Web for Broker {
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
