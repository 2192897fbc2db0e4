//! Log lines about what a plugin did with something sensitive; never the thing itself.

use super::Lent;

/// A secret went into the plugin's memory. Said once a generation and name: it may happen in every
/// call.
pub(super) fn revealed(lent: &Lent, secret: &str) {
    let first = lent.revealed.lock().insert(secret.to_owned());
    if first {
        let (plugin, generation) = (&*lent.plugin, &*lent.generation);
        tracing::info!(event = "secret_revealed", plugin, generation, secret, "secret revealed");
    }
}
