//! Topics that say nothing: a device publishes to PREFIX/DIGITS, and only who has the secret knows what that is.
//!
//! DIGITS are the first 16 bytes, in lower-case hexadecimal, of HMAC-SHA256(secret, "portcullis-topic-1/" TOPIC). They
//! cannot be turned back; so the plugin makes those of all topics that this client may mean, and compares.

use std::{cell::RefCell, collections::HashMap, fmt::Write, rc::Rc};

use portcullis_plugin::{Client, Error, host};

use crate::rules::Named;

/// The table `[config.pseudonyms]`, checked.
#[derive(Debug)]
pub(crate) struct Pseudonyms {
    /// `[secrets.NAME]`.
    pub(crate) secret: String,
    pub(crate) prefix: String,
    /// Topics, with `${client}` where the client's name stands.
    pub(crate) topics: Vec<String>,
    pub(crate) client: Named,
    /// What clients may mean, by name.
    pub(crate) known: RefCell<HashMap<String, Rc<HashMap<String, String>>>>,
}

/// What a topic is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// No pseudonym.
    Plain,
    /// A pseudonym of this topic.
    Topic(String),
    /// A pseudonym that this client has not.
    Unknown,
}

impl Pseudonyms {
    /// # Errors
    /// There is no such secret.
    pub(crate) fn meaning(&self, topic: &str, publisher: &Client) -> Result<Meaning, Error> {
        let digits = topic.strip_prefix(self.prefix.as_str()).and_then(|it| it.strip_prefix('/'));
        let Some(digits) = digits else {
            return Ok(Meaning::Plain);
        };
        let name = match self.client {
            Named::Principal => &publisher.principal,
            _ => &publisher.client_id,
        };
        let found = self.all_of(name)?.get(digits).cloned();
        Ok(found.map_or(Meaning::Unknown, Meaning::Topic))
    }

    /// The part of a topic name that stands for `topic`.
    ///
    /// # Errors
    /// There is no such secret.
    pub(crate) fn of(&self, topic: &str) -> Result<String, Error> {
        let data = format!("{PURPOSE}{topic}");
        let mac = host::keys::hmac(host::keys::Hash::Sha256, &self.secret, data.as_bytes());
        let mac = mac.map_err(|_| {
            let secret = &self.secret;
            Error::misconfigured(format!(
                "[config.pseudonyms] secret = {secret:?}: add it to [grants] secrets, and \
                 [secrets.{secret}] to the broker's configuration"
            ))
        })?;
        Ok(digits(&mac))
    }

    fn all_of(&self, name: &str) -> Result<Rc<HashMap<String, String>>, Error> {
        if let Some(known) = self.known.borrow().get(name) {
            return Ok(Rc::clone(known));
        }
        let mut all = HashMap::new();
        for topic in topics_of(&self.topics, name) {
            all.insert(self.of(&topic)?, topic);
        }
        let all = Rc::new(all);
        let mut known = self.known.borrow_mut();
        if known.len() >= NAMES_MAX {
            // Clients choose their names; what is forgotten is made again.
            known.clear();
        }
        known.insert(name.to_owned(), Rc::clone(&all));
        Ok(all)
    }
}

fn digits(mac: &[u8]) -> String {
    mac.iter().take(DIGEST_BYTES).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The topics of one client. A name that is no level of a topic stands for none.
fn topics_of(templates: &[String], name: &str) -> Vec<String> {
    let is_level = !name.is_empty() && !name.contains(['/', '+', '#', '\0']);
    let mine = templates.iter().filter(|template| is_level || !template.contains(VARIABLE));
    mine.map(|template| template.replace(VARIABLE, name)).collect()
}

/// Nothing here may change: devices have such topics.
const PURPOSE: &str = "portcullis-topic-1/";
const DIGEST_BYTES: usize = 16;
/// Stands for the name of the client.
pub(crate) const VARIABLE: &str = "${client}";
/// Names that an instance remembers the pseudonyms of.
const NAMES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_half_of_a_mac() {
        let mac: Vec<u8> = (0..32).collect();
        assert_eq!(digits(&mac), "000102030405060708090a0b0c0d0e0f");
    }

    #[test]
    fn a_name_that_is_no_level_stands_for_nothing() {
        let templates = ["a/${client}/b".to_owned(), "c".to_owned()];
        assert_eq!(topics_of(&templates, "press"), ["a/press/b", "c"]);
        for name in ["", "x/y", "+", "#", "x\0"] {
            assert_eq!(topics_of(&templates, name), ["c"], "{name:?}");
        }
    }
}
