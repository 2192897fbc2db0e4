//! *state-transfer*: what an instance keeps in memory is handed over to the next generation.

use crate::{Error, Plugin};

/// Hands over what must not be lost at a reload, though it may be lost at any other time.
pub trait StateTransfer: Plugin {
    /// What is handed over, at most 1 MiB.
    ///
    /// # Errors
    /// Nothing is handed over then.
    fn export_state(&self) -> Result<Vec<u8>, Error>;

    /// Takes over, after [`Plugin::init`], what a plugin of this `version` left.
    ///
    /// # Errors
    /// The new generation does not go live.
    fn import_state(&self, version: &str, state: &[u8]) -> Result<(), Error>;
}
