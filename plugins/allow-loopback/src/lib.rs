//! Accepts every client of this machine, under the name that it claims. For development only: it
//! proves nothing. Clients from elsewhere are left to the next link. It gives no permissions: an
//! authorizer has to stand beside it.

use std::net::IpAddr;

use portcullis_plugin::{
    Authenticator, Config, Connection, Credentials, Error, Outcome, Plugin, export, host,
};

/// The plugin; it has no state and no configuration.
#[derive(Debug)]
pub struct AllowLoopback;

impl Plugin for AllowLoopback {
    fn init(config: &Config) -> Result<Self, Error> {
        config.expect_empty()?;
        Ok(Self)
    }

    fn self_test(&self) -> Result<(), Error> {
        host::log::warn("every client of this machine gets in: for development only");
        Ok(())
    }
}

impl Authenticator for AllowLoopback {
    fn authenticate(&self, connection: &Connection, _: &Credentials) -> Result<Outcome, Error> {
        if !is_loopback(&connection.remote_address) {
            return Ok(Outcome::Next);
        }
        Ok(Outcome::allow(claimed_name(connection)))
    }
}

export!(AllowLoopback with authenticator);

/// An address that cannot be read is not of this machine.
fn is_loopback(address: &str) -> bool {
    address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// User name, else client identifier, else `anonymous`.
fn claimed_name(connection: &Connection) -> &str {
    [connection.username.as_deref(), Some(connection.client_id.as_str())]
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty())
        .unwrap_or("anonymous")
}

#[cfg(test)]
mod tests;
