//! Tests over the whole host, with guests written in WebAssembly text.

mod calls;
pub(crate) mod guest;
mod reload;
mod shipped;
mod speed;
