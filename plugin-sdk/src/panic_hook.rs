//! Tells the broker's log why a plugin panicked. Without it the host sees only that an instruction
//! `unreachable` ran: the standard library has nowhere to print to.

use std::panic::PanicHookInfo;

use crate::host;

/// Sends panic messages to the log from now on.
pub(crate) fn install() {
    // Native tests keep the standard hook: there is no host to tell.
    if cfg!(not(target_arch = "wasm32")) {
        return;
    }
    std::panic::set_hook(Box::new(|info| host::log::error(&describe(info))));
}

/// On one line; the standard text puts a line end between place and message.
fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    match info.location() {
        Some(location) => format!("panicked at {location}: {message}"),
        None => format!("panicked: {message}"),
    }
}
