//! A guest of the tests that calls what the host lends: the username says which function, the lines of
//! the password are its arguments, and the Reason String of the denial is what came of it. It never
//! lets anybody in.

mod calls;

use portcullis_plugin::{
    Authenticator, Config, Connection, Credentials, Error, Outcome, Plugin, export, reason_code,
};

/// The guest.
#[derive(Debug)]
pub struct Lent;

impl Plugin for Lent {
    fn init(_: &Config) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Authenticator for Lent {
    fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        let function = connection.username.as_deref().unwrap_or_default();
        let password = credentials.password.as_deref().unwrap_or_default();
        let text = String::from_utf8_lossy(password);
        let arguments: Vec<&str> = text.split('\n').collect();
        let told = calls::call(function, &arguments);
        Ok(Outcome::deny(reason_code::NOT_AUTHORIZED, told))
    }
}

export!(Lent with authenticator);
