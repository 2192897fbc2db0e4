//! Hook *timer*: work that no client's call should wait for.

use crate::{Error, Plugin};

/// Is called again and again, once per plugin and not once per instance.
pub trait Timer: Plugin {
    /// Seconds between two calls, 1 to 86,400.
    fn interval_seconds(&self) -> u32;

    /// It is time.
    ///
    /// # Errors
    /// Counted and logged; the next call comes all the same.
    fn on_timer(&self) -> Result<(), Error>;
}
