//! What the warden needs of its host, and the host that it has.

use portcullis_plugin::{Error, host};

/// State, a clock, and the permissions that the broker keeps.
pub(crate) trait WardenHost {
    /// A value and its version.
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u64)>, Error>;
    /// Sets a value, for some seconds or for good.
    fn set(&self, key: &str, value: &[u8], seconds: Option<u32>) -> Result<(), Error>;
    /// Sets it if it is still of this version; whether it was.
    fn replace(&self, key: &str, version: Option<u64>, value: &[u8]) -> Result<bool, Error>;
    /// Counts up a number that begins anew after some seconds.
    fn count(&self, key: &str, seconds: u32) -> Result<i64, Error>;
    /// Removes a value.
    fn delete(&self, key: &str) -> Result<(), Error>;
    /// Milliseconds since 1970.
    fn now_unix_ms(&self) -> u64;
    /// A text of bounded length for one of any length.
    fn digest(&self, text: &str) -> String;
    /// Has the broker ask again what a client may do.
    fn ask_again(&self, whose: Whose<'_>);
    /// Tells the operator.
    fn tell(&self, message: &str, fields: &[(&str, &str)]);
}

/// Whose permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose<'a> {
    Client(&'a str),
    Principal(&'a str),
}

/// The functions of the broker.
#[derive(Debug)]
pub(crate) struct Broker;

impl WardenHost for Broker {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u64)>, Error> {
        let entry = host::state::get(key).map_err(unavailable)?;
        Ok(entry.map(|entry| (entry.value, entry.version)))
    }

    fn set(&self, key: &str, value: &[u8], seconds: Option<u32>) -> Result<(), Error> {
        host::state::set(key, value, seconds).map(drop).map_err(unavailable)
    }

    fn replace(&self, key: &str, version: Option<u64>, value: &[u8]) -> Result<bool, Error> {
        let set = host::state::compare_and_set(key, version, value, None).map_err(unavailable)?;
        Ok(set.is_some())
    }

    fn count(&self, key: &str, seconds: u32) -> Result<i64, Error> {
        host::state::increment(key, 1, Some(seconds)).map_err(unavailable)
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        host::state::delete(key).map(drop).map_err(unavailable)
    }

    fn now_unix_ms(&self) -> u64 {
        host::clock::now_unix_ms()
    }

    fn digest(&self, text: &str) -> String {
        let digest = host::crypto::sha256(text.as_bytes());
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
        digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect()
    }

    fn ask_again(&self, whose: Whose<'_>) {
        match whose {
            Whose::Client(client_id) => host::cache_control::invalidate_client(client_id),
            Whose::Principal(principal) => host::cache_control::invalidate_principal(principal),
        }
    }

    fn tell(&self, message: &str, fields: &[(&str, &str)]) {
        host::log::emit(host::log::Level::Warn, message, fields);
        host::metrics::add("quarantined", 1);
    }
}

fn unavailable(error: host::state::Error) -> Error {
    match error {
        host::state::Error::Quota(text) | host::state::Error::Unavailable(text) => {
            Error::unavailable(format!("state: {text}"))
        }
    }
}
