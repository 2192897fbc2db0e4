//! Where the next page of a list begins, in a form that tells nobody what stands there: the place is a client identifier
//! or a topic, which whoever reads the list may not be permitted to see.
//!
//! Knows nothing of lists. The key is of this process: a cursor of an earlier one begins no page.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, problem::Problem};

/// Seals and opens cursors.
pub(crate) struct Cursors(LessSafeKey);

impl Cursors {
    /// With a new key.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn new() -> Result<Self, Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(Error::Random)?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| Error::CursorKey)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// A place in the list named `list`.
    pub(crate) fn seal<T: Serialize>(&self, list: &str, place: &T) -> Result<String, Problem> {
        let failed = || Problem::internal("the place of the next page could not be sealed");
        let mut text = serde_json::to_vec(place)
            .map_err(|_| Problem::internal("the place of the next page could not be written"))?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| failed())?;
        let sealing = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_in_place_append_tag(sealing, Aad::from(list), &mut text);
        sealed.map_err(|_| failed())?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &text].concat()))
    }

    /// The inverse, for the same list.
    pub(crate) fn open<T: DeserializeOwned>(&self, list: &str, cursor: &str) -> Result<T, Problem> {
        self.try_open(list, cursor).ok_or_else(|| {
            Problem::invalid("it is no place in this list")
                .about("after")
                .allowed("next of the page before, since the broker started")
        })
    }

    fn try_open<T: DeserializeOwned>(&self, list: &str, cursor: &str) -> Option<T> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let text = self.0.open_in_place(nonce, Aad::from(list), &mut sealed).ok()?;
        serde_json::from_slice(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_nothing_and_opens_only_its_own_list() {
        let cursors = Cursors::new().unwrap();
        let sealed = cursors.seal("clients", &"sensor-17".to_owned()).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"sensor"), "{sealed}");
        assert_ne!(sealed, cursors.seal("clients", &"sensor-17".to_owned()).unwrap());
        assert_eq!(cursors.open::<String>("clients", &sealed).unwrap(), "sensor-17");
        let elsewhere = Cursors::new().unwrap();
        let last = if sealed.ends_with('A') { "B" } else { "A" };
        let changed = format!("{}{last}", &sealed[..sealed.len() - 1]);
        for opened in [
            cursors.open::<String>("retained", &sealed),
            elsewhere.open("clients", &sealed),
            cursors.open("clients", &changed),
            cursors.open("clients", "sensor-17"),
            cursors.open("clients", ""),
        ] {
            assert_eq!(opened.unwrap_err().parameter.as_deref(), Some("after"));
        }
    }
}
