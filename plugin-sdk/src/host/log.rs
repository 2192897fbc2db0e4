//! The broker's log. At most 16 KiB a second per plugin; what is over is dropped and counted. Never
//! log a secret.

pub use crate::bindings::portcullis::plugin::log::Level;
use crate::bindings::portcullis::plugin::log::{self, Field};

/// Writes one line with named values beside the message. Control characters are escaped by the
/// broker.
pub fn emit(level: Level, message: &str, fields: &[(&str, &str)]) {
    if cfg!(not(target_arch = "wasm32")) {
        eprintln!("{level:?}: {message} {fields:?}");
        return;
    }
    let fields: Vec<Field> = fields
        .iter()
        .map(|(key, value)| Field { key: (*key).to_owned(), value: (*value).to_owned() })
        .collect();
    log::emit(level, message, &fields);
}

/// Whether a line of this level would be written at all: ask before formatting something costly.
#[must_use]
pub fn enabled(level: Level) -> bool {
    cfg!(not(target_arch = "wasm32")) || log::enabled(level)
}

/// The finest level.
pub fn trace(message: &str) {
    emit(Level::Trace, message, &[]);
}

/// For developers.
pub fn debug(message: &str) {
    emit(Level::Debug, message, &[]);
}

/// Normal events.
pub fn info(message: &str) {
    emit(Level::Info, message, &[]);
}

/// Something an operator should look at.
pub fn warn(message: &str) {
    emit(Level::Warn, message, &[]);
}

/// Something that does not work.
pub fn error(message: &str) {
    emit(Level::Error, message, &[]);
}
