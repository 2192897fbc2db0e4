//! The host's keys as rules use them.

use portcullis_plugin::{Error, host};

use crate::{
    bound::{self, Kind, Stamp},
    pseudonym::Pseudonyms,
    rules::{Rules, Seal},
};

/// What came out of a seal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) stamp: Option<u64>,
    pub(crate) payload: Vec<u8>,
}

/// None = not authentic, for whatever reason.
///
/// # Errors
/// There is no such key.
pub(crate) fn open(
    seal: &Seal,
    kind: Kind,
    topic: &str,
    name: &str,
    sealed: &[u8],
) -> Result<Option<Opened>, Error> {
    let Ok(bound) = bound::associated_data(kind, seal.stamp, topic, name) else {
        return Ok(None);
    };
    let opened = match seal.client_key {
        true => host::keys::open_for(&seal.ring, name, sealed, &bound),
        false => host::keys::open(&seal.ring, sealed, &bound),
    };
    match opened {
        Ok(plaintext) => {
            let split = bound::split(seal.stamp, plaintext);
            Ok(split.map(|(stamp, payload)| Opened { stamp, payload }))
        }
        // Too long, it or its name: nobody sealed that.
        Err(host::keys::Error::NotAuthentic | host::keys::Error::Unsuitable(_)) => Ok(None),
        Err(host::keys::Error::Unknown(ring)) => Err(unknown(&ring)),
    }
}

/// # Errors
/// There is no such key, or something is too long.
pub(crate) fn seal(seal: &Seal, topic: &str, name: &str, payload: &[u8]) -> Result<Vec<u8>, Error> {
    let bound = bound::associated_data(Kind::Broker, seal.stamp, topic, name)
        .map_err(|bound::TooLong| Error::internal("topic or name cannot be bound"))?;
    let stamped;
    let plaintext = match seal.stamp {
        Stamp::None => payload,
        Stamp::Counter | Stamp::Timestamp => {
            stamped = bound::stamped(host::clock::now_unix_ms(), payload);
            &stamped
        }
    };
    let sealed = match seal.client_key {
        true => host::keys::seal_for(&seal.ring, name, plaintext, &bound),
        false => host::keys::seal(&seal.ring, plaintext, &bound),
    };
    sealed.map_err(|error| match error {
        host::keys::Error::Unknown(ring) => unknown(&ring),
        host::keys::Error::Unsuitable(text) => Error::internal(text),
        host::keys::Error::NotAuthentic => Error::internal("nothing was sealed"),
    })
}

/// Everything that the rules name is there, before a message needs it.
///
/// # Errors
/// What the manifest has to grant.
pub(crate) fn try_out(rules: &Rules, pseudonyms: Option<&Pseudonyms>) -> Result<(), Error> {
    for of in rules.seals() {
        seal(of, "", "self-test", b"").map(drop)?;
    }
    if let Some(pseudonyms) = pseudonyms {
        pseudonyms.of("self-test").map(drop)?;
    }
    Ok(())
}

fn unknown(ring: &str) -> Error {
    Error::misconfigured(format!(
        "[[config.rules]] key = {ring:?}: add it to [grants] keys, and [keys.{ring}] to the \
         broker's configuration"
    ))
}
