//! Interface `random`: bytes from the operating system.

use crate::{bindings::portcullis::plugin::random::Host, instance::State};

/// Bytes of one call.
const LENGTH_MAX: u32 = 4096;

impl Host for State {
    fn bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        if length > LENGTH_MAX {
            return Err(wasmtime::format_err!(
                "asked for {length} random bytes; at most {LENGTH_MAX} are given"
            ));
        }
        let mut bytes = vec![0; length as usize];
        getrandom::fill(&mut bytes)
            .map_err(|error| wasmtime::format_err!("no random numbers: {error}"))?;
        Ok(bytes)
    }
}
