//! Takes back permissions that the broker keeps: it asks again, and what is no longer allowed stops.
//! `[grants] cache_control = true`.

use crate::bindings::portcullis::plugin::cache_control;

/// Of one client.
pub fn invalidate_client(client_id: &str) {
    cache_control::invalidate_client(client_id);
}

/// Of all clients of a principal.
pub fn invalidate_principal(principal: &str) {
    cache_control::invalidate_principal(principal);
}

/// Of everybody. At most once a second; what is over is done at the end of that second.
pub fn invalidate_all() {
    cache_control::invalidate_all();
}
