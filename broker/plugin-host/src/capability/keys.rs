//! Interface `keys`: HMAC with a secret, and authenticated encryption with keys that never enter a
//! guest. `keys/ring.rs` has the format, `keys/context.rs` how a key becomes one for a device.

mod context;
mod ring;

use hmac::{KeyInit, Mac};

pub use self::ring::{Aead, KeyRing};
use self::ring::{OVERHEAD_BYTES, SealError};
use crate::{
    bindings::portcullis::plugin::keys::{Error, Hash, Host},
    instance::State,
    sources::Secret,
};

/// Plaintext, associated data, and data of an HMAC.
const INPUT_BYTES_MAX: usize = 1 << 20;
/// What a key is made for.
const CONTEXT_BYTES_MAX: usize = 1_024;

fn too_long(what: &str, bytes: usize) -> Option<Error> {
    (bytes > INPUT_BYTES_MAX)
        .then(|| Error::Unsuitable(format!("{what} has {bytes} bytes, allowed: {INPUT_BYTES_MAX}")))
}

fn no_context(context: &str) -> Option<Error> {
    let bytes = context.len();
    let allowed = format!("context has {bytes} bytes, allowed: 1 to {CONTEXT_BYTES_MAX}");
    (!(1..=CONTEXT_BYTES_MAX).contains(&bytes)).then_some(Error::Unsuitable(allowed))
}

/// HMAC-SHA256 as plugins have it, for commands that make the same of a secret.
pub fn hmac_sha256(secret: &Secret, data: &[u8]) -> Option<Vec<u8>> {
    mac::<hmac::Hmac<sha2::Sha256>>(secret.expose(), data).ok()
}

impl Host for State {
    fn hmac(
        &mut self,
        hash: Hash,
        secret: String,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let Some(key) = self.lent.granted.secrets.get(&secret) else {
            return Ok(Err(Error::Unknown(secret)));
        };
        if let Some(error) = too_long("data", data.len()) {
            return Ok(Err(error));
        }
        Ok(Ok(match hash {
            Hash::Sha256 => mac::<hmac::Hmac<sha2::Sha256>>(key.expose(), &data)?,
            Hash::Sha512 => mac::<hmac::Hmac<sha2::Sha512>>(key.expose(), &data)?,
        }))
    }

    fn seal(
        &mut self,
        key: String,
        plaintext: Vec<u8>,
        associated_data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.seal_with_key(key, None, plaintext, &associated_data)
    }

    fn open(
        &mut self,
        key: String,
        sealed: Vec<u8>,
        associated_data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        Ok(self.open_with_key(key, None, &sealed, &associated_data))
    }

    fn seal_for(
        &mut self,
        key: String,
        context: String,
        plaintext: Vec<u8>,
        associated_data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        self.seal_with_key(key, Some(&context), plaintext, &associated_data)
    }

    fn open_for(
        &mut self,
        key: String,
        context: String,
        sealed: Vec<u8>,
        associated_data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        Ok(self.open_with_key(key, Some(&context), &sealed, &associated_data))
    }
}

impl State {
    fn seal_with_key(
        &self,
        key: String,
        context: Option<&str>,
        plaintext: Vec<u8>,
        associated_data: &[u8],
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let Some(ring) = self.lent.granted.keys.get(&key) else {
            return Ok(Err(Error::Unknown(key)));
        };
        let unsuitable = too_long("plaintext", plaintext.len())
            .or_else(|| too_long("associated data", associated_data.len()))
            .or_else(|| context.and_then(no_context));
        if let Some(error) = unsuitable {
            return Ok(Err(error));
        }
        match ring.seal(context, plaintext, associated_data) {
            Ok(sealed) => Ok(Ok(sealed)),
            Err(SealError::Empty) => Ok(Err(Error::Unsuitable(format!("{key} has no key")))),
            Err(SealError::Cipher) => Err(wasmtime::Error::msg("keys.seal: the cipher failed")),
        }
    }

    fn open_with_key(
        &self,
        key: String,
        context: Option<&str>,
        sealed: &[u8],
        associated_data: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let Some(ring) = self.lent.granted.keys.get(&key) else {
            return Err(Error::Unknown(key));
        };
        let unsuitable = too_long("what is sealed", sealed.len().saturating_sub(OVERHEAD_BYTES))
            .or_else(|| too_long("associated data", associated_data.len()))
            .or_else(|| context.and_then(no_context));
        match unsuitable {
            Some(error) => Err(error),
            None => ring.open(context, sealed, associated_data).ok_or(Error::NotAuthentic),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let mut mac = <M as KeyInit>::new_from_slice(key)
        .map_err(|_| wasmtime::Error::msg("keys.hmac: a key of this length is not taken"))?;
    mac.update(data);
    Ok(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn hex(text: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_of_the_rfc() {
        let data = b"what do ya want for nothing?";
        let mac256 = mac::<hmac::Hmac<sha2::Sha256>>(b"Jefe", data).unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(mac256, hex(expected));
    }
}
