//! What is kept of events, in one bundle for those who show it.
//!
//! Knows nothing of HTTP.

use std::sync::Arc;

use crate::{AccessLog, History};

/// What is kept of events.
#[derive(Clone, Debug)]
pub struct Records {
    /// `None` = it is switched off.
    pub access_log: Option<Arc<AccessLog>>,
    /// The latest events of each client.
    pub history: Arc<History>,
}

impl Records {
    /// Nothing is kept on disk; what happens to clients is, in memory.
    pub fn in_memory(metrics: &crate::Metrics) -> Self {
        let history = History::start(crate::HistoryConfig::default(), metrics);
        Self { access_log: None, history }
    }
}
