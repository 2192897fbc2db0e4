//! The table `[config]` of the manifest.

use portcullis_plugin::Error;
use serde::Deserialize;

use crate::credential::ITERATIONS;

/// It.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// A secret of `[grants]`: salts of unknown users are made with it.
    pub(crate) secret: String,
    /// What unknown users are told; what most of the known ones have.
    #[serde(default = "iterations")]
    pub(crate) iterations: u32,
    /// A database in the place of the file.
    pub(crate) sql: Option<Sql>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sql {
    pub(crate) source: String,
    /// With one parameter, the name.
    pub(crate) query: String,
}

/// As `portcullis passwd --scram` makes them.
fn iterations() -> u32 {
    32_768
}

impl Settings {
    pub(crate) fn checked(self) -> Result<Self, Error> {
        if !ITERATIONS.contains(&self.iterations) {
            return Err(Error::misconfigured("[config] iterations: allowed: 4096 to 1000000"));
        }
        if self.secret.is_empty() {
            let what = "[config] secret: is empty, wanted a name of [grants] secrets";
            return Err(Error::misconfigured(what));
        }
        Ok(self)
    }
}
