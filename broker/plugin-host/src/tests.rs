//! Tests over the whole host, with guests written in WebAssembly text.

mod calls;
mod encodings;
mod folder;
mod frozen;
pub(crate) mod guest;
mod lent;
mod limits;
mod log_lines;
mod manage;
mod meddler;
mod reload;
mod shipped;
mod speed;
mod wasi;
