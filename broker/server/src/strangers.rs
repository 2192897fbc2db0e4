//! What all connections together hold of CONNECTs that are not whole yet.
//!
//! Owns the sum and the share of each. The first KiB of a connection is free: a usual CONNECT fits into it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::broker::Core;

/// The sum of all shares.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    held: AtomicUsize,
}

impl Strangers {
    /// Bytes that are held.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// There is no room for more.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("strangers_bytes exceeded: {maximum} bytes are held of CONNECTs that are not whole yet")]
pub(crate) struct NoRoom {
    maximum: usize,
}

/// What one connection holds; given back when dropped.
pub(crate) struct Share<'a> {
    core: &'a Core,
    bytes: usize,
}

impl<'a> Share<'a> {
    /// Nothing yet.
    pub(crate) fn new(core: &'a Core) -> Self {
        Self { core, bytes: 0 }
    }

    /// The connection holds so many bytes now, and is about to read more.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let wanted = bytes.saturating_sub(FREE_BYTES);
        let Some(more) = wanted.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return Ok(());
        };
        let core = self.core;
        // When memory is short, only those who need little are heard.
        let full = core.overload.is_memory_full();
        let maximum = if full { 0 } else { core.live.load().limits.sizes.strangers_bytes };
        let held = core.strangers.held.fetch_add(more, Ordering::Relaxed);
        self.bytes = wanted;
        if held.saturating_add(more) > maximum {
            return Err(NoRoom { maximum });
        }
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.core.strangers.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

const FREE_BYTES: usize = 1_024;
