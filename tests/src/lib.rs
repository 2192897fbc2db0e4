//! Owns what the integration tests stand on: a broker inside the test, plugins made of plain Rust,
//! a client that speaks packet by packet, and short names for packets.
//!
//! Knows nothing of Wasm. Everything that waits is bounded by [`WAIT`]; nothing sleeps to
//! synchronise: a PINGREQ that was answered proves that all before it was handled.
//!
//! Start reading at [`Broker`] and [`Client`]; the tests are in `it/`.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "support of tests: a broken expectation ends the test, at the line that had it"
)]

mod authority;
mod broker;
mod client;
mod disk;
mod doorman;
mod meddler;
pub mod packets;
#[cfg(test)]
mod prebuilt;
mod steps;
pub mod websocket;

pub use authority::{
    Authority, Files, Holder, Until, Wish, client_config, connector, forgetful, handshake,
};
pub use broker::{Broker, Setup};
pub use client::{Client, Message, WAIT, Wire};
pub use disk::{Call, Disk};
pub use doorman::{Doorman, Mood, User, allow, deny};
pub use meddler::Meddler;
pub use packets::BOTH;
pub use steps::STEPS;
