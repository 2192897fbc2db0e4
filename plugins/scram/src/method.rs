//! The two methods: hash functions, proofs and signatures of RFC 5802.

use hmac::{Hmac, KeyInit, Mac};
use portcullis_plugin::Error;
use sha2::{Digest, Sha256, Sha512};

/// All of them.
pub(crate) const METHODS: [Method; 2] = [Method::Sha256, Method::Sha512];

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Sha256,
    Sha512,
}

impl Method {
    pub(crate) fn named(name: &str) -> Option<Self> {
        METHODS.into_iter().find(|method| method.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// Bytes of a key, a proof or a signature.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    pub(crate) fn hash(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    pub(crate) fn hmac(self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
        let no_key = |_| Error::internal("a key of no use");
        Ok(match self {
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(no_key)?;
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).map_err(no_key)?;
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
        })
    }

    /// The key whose hash is stored, as the client's proof over this exchange tells it.
    pub(crate) fn client_key(
        self,
        stored_key: &[u8],
        exchange: &[u8],
        proof: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let signature = self.hmac(stored_key, exchange)?;
        Ok(signature.iter().zip(proof).map(|(a, b)| a ^ b).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn hmacs() {
        let hex =
            |bytes: Vec<u8>| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let data = b"what do ya want for nothing?";
        assert_eq!(
            hex(Method::Sha256.hmac(b"Jefe", data).unwrap()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(Method::Sha512.hmac(b"Jefe", data).unwrap()),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        );
        assert_eq!(Method::named("SCRAM-SHA-512"), Some(Method::Sha512));
        for other in ["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "scram-sha-256", ""] {
            assert_eq!(Method::named(other), None);
        }
    }
}
