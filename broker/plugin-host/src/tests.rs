//! Tests over the whole host, with guests written in WebAssembly text.

mod approval;
mod breaker;
pub(crate) mod calls;
mod encodings;
mod every_import;
mod folder;
mod frozen;
mod golden;
pub(crate) mod guest;
mod hand_over;
mod lent;
mod limits;
mod log_lines;
mod manage;
mod meddler;
mod reload;
mod rollback;
mod shadow;
mod shipped;
mod speed;
mod wasi;
