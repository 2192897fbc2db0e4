//! Tells the broker's log why a plugin panicked. Without it the host sees only that an instruction
//! `unreachable` ran: the standard library has nowhere to print to.

use crate::host;

/// Sends panic messages to the log from now on.
pub(crate) fn install() {
    // Native tests keep the standard hook: there is no host to tell.
    if cfg!(not(target_arch = "wasm32")) {
        return;
    }
    std::panic::set_hook(Box::new(|info| {
        host::log::error(&info.to_string());
    }));
}
