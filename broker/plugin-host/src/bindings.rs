//! The WIT contract as Rust: records, the traits of the host's interfaces, and typed calls of each
//! exported hook.
//!
//! Generated from `wit/`. Each hook's `GuestIndices` is looked up on its own, so that a component
//! needs to export only the hooks that it has.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated code: the documentation is in wit/"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "every-hook",
    imports: {
        "portcullis:plugin/files.lookup": async | trappable,
        "portcullis:plugin/crypto.verify-password": async | trappable,
        "portcullis:plugin/state.get": async | trappable,
        "portcullis:plugin/state.set": async | trappable,
        "portcullis:plugin/state.compare-and-set": async | trappable,
        "portcullis:plugin/state.increment": async | trappable,
        "portcullis:plugin/state.delete": async | trappable,
        "portcullis:plugin/http-client.send": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    require_store_data_send: true,
});
