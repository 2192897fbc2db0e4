//! The integration tests: dialogues over real sockets with a broker inside the test process.
//!
//! One binary, one module per subject; the support library is `tests/src`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a broken expectation ends the test"
)]

mod bans;
mod claimed;
mod compliance;
mod concurrency;
mod conformance;
mod connect;
mod durable;
mod exchange;
mod flow;
mod for_plugins;
mod fuzz;
mod grants;
mod handle;
mod limits;
mod limits_of_protocol;
mod listener_rules;
mod malformed;
mod outbound;
mod overload;
mod pace;
mod permissions;
mod program;
mod publish;
mod refusal;
mod retained;
mod retained_scale;
mod sessions;
mod shared;
mod shutdown;
mod slow_disk;
mod slow_reader;
mod space;
mod subscribe;
mod sys;
mod takeover;
mod tidy;
mod topic_alias;
mod transport_proxy;
mod transport_tls;
mod transport_tls_certificates;
mod transport_tls_ocsp;
mod transport_tls_openssl;
mod transport_unix;
mod transport_websocket;
mod will;
