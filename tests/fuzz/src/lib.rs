//! Owns what the fuzz targets check. A body takes any bytes and panics when the product is wrong.
//!
//! Knows nothing of libFuzzer: the same bodies run on stable over a fixed sample ([`smoke`]).
//!
//! Run a target from the repository root with
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz TARGET -- -max_total_time=300`.

#![forbid(unsafe_code)]

mod codec_decode;
#[cfg(feature = "configuration")]
mod configuration;
mod log_record;
mod ocsp_answer;
mod proxy_header;
mod revocation_list;
mod smoke;
mod topic_filter;
mod websocket_frames;
mod websocket_upgrade;

pub use codec_decode::codec_decode;
#[cfg(feature = "configuration")]
pub use configuration::configuration;
pub use log_record::log_record;
pub use ocsp_answer::ocsp_answer;
pub use proxy_header::proxy_header;
pub use revocation_list::revocation_list;
pub use smoke::{
    ANSWER_SEEDS, CODEC_SEEDS, CONFIGURATION_SEEDS, FRAME_SEEDS, LIST_SEEDS, PROXY_SEEDS,
    RECORD_SEEDS, TOPIC_SEEDS, UPGRADE_SEEDS, smoke,
};
pub use topic_filter::topic_filter;
pub use websocket_frames::websocket_frames;
pub use websocket_upgrade::websocket_upgrade;
