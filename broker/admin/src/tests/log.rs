//! The log as a test sees it: one text a line.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};

/// Collects each line as ` field=value ...`.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// From now on it has what this thread logs. `try_out` logs something: tracing may have found out on another
    /// thread, this very moment, that nobody listens to it, and asks nobody again.
    pub(super) fn listen(&self, try_out: impl Fn()) -> DefaultGuard {
        let guard = tracing::subscriber::set_default(self.clone());
        try_out();
        while self.0.lock().unwrap().is_empty() {
            tracing::callsite::rebuild_interest_cache();
            try_out();
        }
        self.0.lock().unwrap().clear();
        guard
    }

    /// Those with this message.
    pub(super) fn of(&self, message: &str) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.contains(message)).cloned().collect()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}
