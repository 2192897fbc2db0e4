//! Refuses everyone. It is a link like any other, and the last of every chain: no word from the
//! links before it means that nobody vouched for the client.

use portcullis_plugin::{
    Authenticator, Config, Connection, Credentials, Error, Outcome, Plugin, export, reason_code,
};

/// The plugin; it has no state and no configuration.
#[derive(Debug)]
pub struct DenyAll;

impl Plugin for DenyAll {
    fn init(_: &Config) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Authenticator for DenyAll {
    fn authenticate(&self, _: &Connection, _: &Credentials) -> Result<Outcome, Error> {
        Ok(Outcome::deny(reason_code::NOT_AUTHORIZED, "no plugin allowed this client"))
    }
}

export!(DenyAll with authenticator);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_whoever_comes() {
        let credentials =
            Credentials { password: Some(b"right".to_vec()), ..Credentials::default() };
        let outcome = DenyAll.authenticate(&Connection::default(), &credentials).unwrap();
        assert_eq!(outcome, Outcome::deny(0x87, "no plugin allowed this client"));
    }
}
