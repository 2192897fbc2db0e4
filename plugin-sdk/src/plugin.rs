//! The trait that every plugin implements, and its configuration. Called through `Instance`.

use crate::{Error, host};

/// A plugin: the state that one instance keeps between calls.
///
/// The host may run many instances side by side, may drop one at any time, and sends any client to
/// any of them: what is kept here is a cache, never the truth.
pub trait Plugin: Sized + 'static {
    /// Reads and validates the configuration. Runs once per instance, so it should be quick.
    ///
    /// # Errors Whatever is wrong with the configuration. The new generation then never goes live,
    /// and the one before it stays.
    fn init(config: &Config) -> Result<Self, Error>;

    /// Checks that take time, such as reading a whole file. Runs after [`init`](Self::init) in one
    /// instance of each new generation, before it goes live.
    ///
    /// # Errors
    /// As for [`init`](Self::init).
    fn self_test(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The table `[config]` of the plugin's manifest.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config;

impl Config {
    /// The value of a top-level key: text as it is, anything else as JSON; none when the key does
    /// not exist.
    pub fn get(&self, key: &str) -> Option<String> {
        host::config::get(key)
    }

    /// The whole table as JSON; `{}` when there is none.
    pub fn json(&self) -> String {
        host::config::json()
    }

    /// Refuses any configuration, for a plugin that has none: a key nobody reads is a mistake that
    /// should be seen.
    ///
    /// # Errors
    /// The table holds a key.
    pub fn expect_empty(&self) -> Result<(), Error> {
        let json = self.json();
        if json.chars().filter(|c| !c.is_whitespace()).eq("{}".chars()) {
            return Ok(());
        }
        Err(Error::misconfigured("[config]: this plugin has no configuration keys"))
    }

    /// The whole table as a value. Put `#[serde(deny_unknown_fields)]` on the type, so that a
    /// misspelt key is an error and not a silent default.
    ///
    /// # Errors
    /// The table does not fit the type.
    #[cfg(feature = "serde")]
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.json())
            .map_err(|error| Error::misconfigured(format!("[config]: {error}")))
    }
}
