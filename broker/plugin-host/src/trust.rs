//! Whose plugins are loaded: Ed25519 signatures over component and manifest together, and pinned
//! hashes. Knows nothing of folders.
//!
//! What is signed names the plugin, so that a signature of one is none of another:
//!
//! ```text
//! "portcullis-plugin-signature-1\0"  name  0x00  SHA-256 of the component
//!                                    0x00 = no manifest | 0x01 SHA-256 of the manifest
//! ```
//!
//! `NAME.sig` holds lines `ed25519 KEY SIGNATURE`: the first 16 hexadecimal digits of the SHA-256 of the
//! public key, and the 64 bytes of the signature in base64.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{
    Signature, Signer, SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey,
        spki::der::pem::LineEnding,
    },
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::candidate::hex;

const DOMAIN: &[u8] = b"portcullis-plugin-signature-1\0";
const ALGORITHM: &str = "ed25519";
/// Lines of a signature file.
const LINES_MAX: usize = 16;
/// Digits that name a key.
const KEY_ID_DIGITS: usize = 16;

/// Whom the operator trusts. `Default` trusts whoever can write the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    keys: BTreeMap<String, VerifyingKey>,
    require_signature: bool,
    pins: BTreeMap<String, String>,
}

/// The parts of a plugin that are signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Name of the plugin.
    pub name: &'a str,
    /// The component or core module, as it lies in the folder.
    pub wasm: &'a [u8],
    /// The text of its manifest, if it has one.
    pub manifest: Option<&'a str>,
}

impl Trust {
    /// `keys` = public keys in PEM; `pins` = SHA-256 of a plugin's file in hexadecimal, by its name.
    /// Errors are sentences.
    pub fn new(
        keys: &[String],
        require_signature: bool,
        pins: BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let mut trusted = BTreeMap::new();
        for pem in keys {
            let key = VerifyingKey::from_public_key_pem(pem)
                .map_err(|error| format!("is no Ed25519 public key in PEM: {error}"))?;
            trusted.insert(key_id(&key), key);
        }
        if require_signature && trusted.is_empty() {
            return Err("require_signature without trusted_keys would refuse every plugin".into());
        }
        Ok(Self { keys: trusted, require_signature, pins })
    }

    /// Whether a plugin may be loaded; errors are sentences. `signature` = the contents of `NAME.sig`.
    pub(crate) fn judge(&self, signed: Signed<'_>, signature: Option<&str>) -> Result<(), String> {
        if let Some(pin) = self.pins.get(signed.name) {
            let hash = hex(&Sha256::digest(signed.wasm));
            if !hash.eq_ignore_ascii_case(pin) {
                return Err(format!("its SHA-256 is {hash}, and plugins.pins wants {pin}"));
            }
        }
        if self.keys.is_empty() {
            return Ok(());
        }
        match signature {
            None if self.require_signature => {
                Err(format!("has no {}.sig, and plugins.require_signature is set", signed.name))
            }
            None => Ok(()),
            Some(text) => self.verify(signed, text),
        }
    }

    /// One good signature of a trusted key will do; a bad one of a trusted key never does.
    fn verify(&self, signed: Signed<'_>, text: &str) -> Result<(), String> {
        let name = signed.name;
        let message = message(signed);
        let mut good = false;
        for (line, (id, signature)) in
            (1..).zip(parse(text).map_err(|e| format!("{name}.sig: {e}"))?)
        {
            let Some(key) = self.keys.get(&id) else { continue };
            key.verify_strict(&message, &signature).map_err(|_| {
                format!(
                    "{name}.sig:{line}: the signature of key {id} is not one of this component \
                     with this manifest under the name {name}"
                )
            })?;
            good = true;
        }
        match good {
            true => Ok(()),
            false if self.require_signature => Err(format!(
                "{name}.sig: none of its signatures is by a key of plugins.trusted_keys"
            )),
            false => Ok(()),
        }
    }
}

fn parse(text: &str) -> Result<Vec<(String, Signature)>, String> {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.len() > LINES_MAX {
        return Err(format!("{} lines; at most {LINES_MAX}", lines.len()));
    }
    let mut signatures = Vec::with_capacity(lines.len());
    for (number, line) in (1..).zip(lines) {
        let malformed = || format!("line {number}: must be `{ALGORITHM} KEY SIGNATURE`");
        let mut words = line.split_ascii_whitespace();
        let (Some(ALGORITHM), Some(id), Some(signature), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed());
        };
        let bytes = STANDARD.decode(signature).map_err(|_| malformed())?;
        let signature = Signature::from_slice(&bytes).map_err(|_| malformed())?;
        signatures.push((id.to_owned(), signature));
    }
    Ok(signatures)
}

fn message(signed: Signed<'_>) -> Vec<u8> {
    let mut message = DOMAIN.to_vec();
    message.extend_from_slice(signed.name.as_bytes());
    message.push(0);
    message.extend_from_slice(&Sha256::digest(signed.wasm));
    match signed.manifest {
        None => message.push(0),
        Some(text) => {
            message.push(1);
            message.extend_from_slice(&Sha256::digest(text.as_bytes()));
        }
    }
    message
}

fn key_id(key: &VerifyingKey) -> String {
    let mut id = hex(&Sha256::digest(key.as_bytes()));
    id.truncate(KEY_ID_DIGITS);
    id
}

/// The line of `NAME.sig`, made with a private key in PEM (PKCS #8). Errors are sentences.
pub fn sign(private_key_pem: &str, signed: Signed<'_>) -> Result<String, String> {
    let key = SigningKey::from_pkcs8_pem(private_key_pem)
        .map_err(|error| format!("is no Ed25519 private key in PEM (PKCS #8): {error}"))?;
    let signature = STANDARD.encode(key.sign(&message(signed)).to_bytes());
    Ok(format!("{ALGORITHM} {} {signature}\n", key_id(&key.verifying_key())))
}

/// A new key pair in PEM: private (PKCS #8), public. Errors are sentences.
pub fn new_key() -> Result<(Zeroizing<String>, String), String> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|error| format!("no random numbers: {error}"))?;
    let key = SigningKey::from_bytes(&seed);
    let private = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    let public = key.verifying_key().to_public_key_pem(LineEnding::LF);
    Ok((private, public.map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: Signed<'_> =
        Signed { name: "gate", wasm: b"\0asm...", manifest: Some("order = 1\n") };

    fn trust(keys: &[&str], require_signature: bool) -> Trust {
        let keys: Vec<_> = keys.iter().map(|pem| (*pem).to_owned()).collect();
        Trust::new(&keys, require_signature, BTreeMap::new()).unwrap()
    }

    #[test]
    fn a_signature_is_of_one_plugin_as_it_is() {
        let (private, public) = new_key().unwrap();
        let line = sign(&private, PLUGIN).unwrap();
        let trust = trust(&[&public], true);
        assert_eq!(trust.judge(PLUGIN, Some(&line)), Ok(()));
        let others = [
            Signed { name: "other", ..PLUGIN },
            Signed { wasm: b"\0asm..!", ..PLUGIN },
            Signed { manifest: Some("order = 2\n"), ..PLUGIN },
            Signed { manifest: None, ..PLUGIN },
            Signed { manifest: Some(""), ..PLUGIN },
        ];
        for other in others {
            let refused = trust.judge(other, Some(&line)).unwrap_err();
            assert!(refused.contains("is not one of this component"), "{refused}");
        }
    }

    #[test]
    fn who_signed_matters() {
        let ((mine, my_public), (theirs, _)) = (new_key().unwrap(), new_key().unwrap());
        let (good, foreign) = (sign(&mine, PLUGIN).unwrap(), sign(&theirs, PLUGIN).unwrap());
        let both = format!("{foreign}{good}");
        let (strict, lax) = (trust(&[&my_public], true), trust(&[&my_public], false));
        assert_eq!(strict.judge(PLUGIN, Some(&both)), Ok(()));
        assert!(strict.judge(PLUGIN, Some(&foreign)).unwrap_err().contains("none of its"));
        assert!(strict.judge(PLUGIN, Some("")).unwrap_err().contains("none of its"));
        assert!(strict.judge(PLUGIN, None).unwrap_err().contains("has no gate.sig"));
        assert_eq!(lax.judge(PLUGIN, None), Ok(()));
        assert_eq!(lax.judge(PLUGIN, Some(&foreign)), Ok(()));
        // What a trusted key is said to have signed and has not is refused in any case.
        let forged =
            foreign.replace(foreign.split(' ').nth(1).unwrap(), good.split(' ').nth(1).unwrap());
        assert!(lax.judge(PLUGIN, Some(&forged)).is_err());
        assert_eq!(Trust::default().judge(PLUGIN, Some("nonsense")), Ok(()));
    }

    #[test]
    fn malformed_files_are_refused_with_their_line() {
        let (_, public) = new_key().unwrap();
        let trust = trust(&[&public], false);
        for text in ["rsa a b", "ed25519 a", "ed25519 a b c d", "ed25519 a !!!!", "ed25519 a AAAA"]
        {
            let refused = trust.judge(PLUGIN, Some(text)).unwrap_err();
            assert!(refused.contains("gate.sig: line 1: must be"), "{text}: {refused}");
        }
        let long = "ed25519 a b\n".repeat(LINES_MAX + 1);
        assert!(trust.judge(PLUGIN, Some(&long)).unwrap_err().contains("at most 16"));
    }

    #[test]
    fn a_pin_is_about_the_file() {
        let hash = hex(&Sha256::digest(PLUGIN.wasm));
        let pins = |pin: &str| BTreeMap::from([("gate".to_owned(), pin.to_owned())]);
        let trust = |pin: &str| Trust::new(&[], false, pins(pin)).unwrap();
        assert_eq!(trust(&hash).judge(PLUGIN, None), Ok(()));
        assert_eq!(trust(&hash.to_uppercase()).judge(PLUGIN, None), Ok(()));
        let wrong = "0".repeat(64);
        assert!(trust(&wrong).judge(PLUGIN, None).unwrap_err().contains(&hash));
        let other = Signed { name: "other", ..PLUGIN };
        assert_eq!(trust(&wrong).judge(other, None), Ok(()));
    }

    #[test]
    fn keys_are_checked() {
        assert!(Trust::new(&["nonsense".to_owned()], false, BTreeMap::new()).is_err());
        assert!(Trust::new(&[], true, BTreeMap::new()).is_err());
        let (private, public) = new_key().unwrap();
        assert!(Trust::new(&[private.to_string()], false, BTreeMap::new()).is_err());
        assert!(sign(&public, PLUGIN).is_err());
    }
}
