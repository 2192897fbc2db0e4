//! Owns how much of everything one peer and all peers together may use: connection rates and
//! counts, lengths and counts of what packets carry, back-off after failed logins, bans of clients
//! that flap, the level of load and what publishers may cost under it.
//!
//! Knows nothing of sockets, packets, sessions and clocks: `now` is passed in. Connection limits
//! are asked by the listeners, sizes by `server` and `session`, back-off and flapping by CONNECT.
//!
//! Start reading at [`Config`]: its `Default` is what the documentation promises.
//!
//! Invariants: each table that a peer can fill has a bound and an answer to "what when full"; no
//! rate, burst or count of 0 means "unlimited"; keys chosen by peers are hashed with a seed drawn
//! at run time; a clock that stands still or jumps forward breaks nothing.

#![forbid(unsafe_code)]

mod address;
mod bans;
mod client_rate;
mod config;
mod connection_rate;
mod credits;
mod flapping;
mod handshake;
mod login_backoff;
mod overload;
mod range;
mod rates;
mod recent;
mod session_count;
mod sizes;
mod token_bucket;

pub use address::AddressPrefix;
pub use bans::{BANS_MAX, Ban, BanOrigin, BanTarget, Bans, NewBan, Suspect, TooManyBans};
pub use client_rate::ClientRate;
pub use config::Config;
pub use connection_rate::{
    ConnectionRate, ConnectionRateConfig, Refusal, connections_for_descriptors,
};
pub use credits::{Cost, Credits};
pub use flapping::{Banned, Flapping, FlappingConfig};
pub use handshake::HandshakeConfig;
pub use login_backoff::{BackedOff, Claimant, LoginBackoff, LoginBackoffConfig};
pub use overload::{LEVEL_MAX, Load, Overload, OverloadConfig, memory_for_machine};
pub use range::OutOfRange;
pub use rates::{RATE_RANGES, RatesConfig};
pub use session_count::SessionCount;
pub use sizes::{RANGES, SizeExceeded, Sizes};
pub use token_bucket::{InvalidRate, Rate, TokenBucket, Wait};
