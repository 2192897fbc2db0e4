//! Turns what wasmtime says about a call that went wrong into what an operator reads. Decides
//! nothing.

use access::{PluginFailure, PluginFailureKind};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::{
    bindings::portcullis::plugin::types::PluginError,
    budget::{MemoryCap, Meter, Stop},
    exports::NotExported,
};

/// Bytes of guest-made text in a message.
const TEXT_BYTES_MAX: usize = 512;

/// Why a call (or an instantiation) failed. `meter` and `memory` are those of its store.
pub(crate) fn classify(
    error: &wasmtime::Error,
    meter: &Meter,
    memory: &MemoryCap,
) -> PluginFailure {
    let budget = meter.budget();
    if let Some(stop) = meter.stopped() {
        return match stop {
            Stop::Cpu => failure(
                PluginFailureKind::CpuBudget,
                format!("used more than {} ms of CPU", budget.cpu.as_millis()),
            ),
            Stop::Deadline => failure(
                PluginFailureKind::Deadline,
                format!("took longer than {} ms", budget.wall.as_millis()),
            ),
        };
    }
    if let Some(missing) = error.downcast_ref::<NotExported>() {
        return failure(PluginFailureKind::Missing, missing.to_string());
    }
    if error.is::<PoolConcurrencyLimitError>() {
        let message = "the engine has no free instance slot".to_owned();
        return failure(PluginFailureKind::Busy, message);
    }
    let text = format!("{error:#}");
    // wasmtime keeps the type of this error to itself.
    if text.contains("fuel allocated for hostcalls") {
        let message = "sent more than 2 MiB to the host in one call".to_owned();
        return failure(PluginFailureKind::TooLarge, message);
    }
    if error.downcast_ref::<Trap>() != Some(&Trap::StackOverflow) && memory.hit() {
        let mebibytes = memory.bytes_max() >> 20;
        let message = format!("wanted more than its {mebibytes} MiB of memory");
        return failure(PluginFailureKind::Memory, message);
    }
    failure(PluginFailureKind::Trap, printable(&text))
}

/// The failure that a plugin reported itself.
pub(crate) fn reported(error: PluginError) -> PluginFailure {
    let (kind, text) = match error {
        PluginError::Unavailable(text) => (PluginFailureKind::Unavailable, text),
        PluginError::Timeout(text) => (PluginFailureKind::Timeout, text),
        PluginError::Misconfigured(text) => (PluginFailureKind::Misconfigured, text),
        PluginError::Internal(text) => (PluginFailureKind::Internal, text),
    };
    failure(kind, printable(&text))
}

pub(crate) fn failure(kind: PluginFailureKind, message: impl Into<String>) -> PluginFailure {
    PluginFailure { kind, message: message.into() }
}

/// `text` on one line, bounded, control characters escaped: guests write it, operators read it.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(TEXT_BYTES_MAX));
    for character in text.chars() {
        if out.len() >= TEXT_BYTES_MAX {
            out.push('…');
            break;
        }
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_text_is_one_bounded_line() {
        assert_eq!(printable("a\n\u{1b}[31mb"), "a\\n\\u{1b}[31mb");
        assert!(printable(&"x".repeat(10_000)).len() < TEXT_BYTES_MAX + 4);
    }
}
