//! `/livez` and `/readyz`.
//!
//! Knows nothing of how listeners and plugins work; asks them for their problems.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    AdminState,
    call::{Answer, Call, json},
};

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Live {
    /// Always true.
    live: bool,
}

/// Whether the broker can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// No problem is left. Then the status is 200, otherwise 503.
    pub(crate) ready: bool,
    /// What is in the way, as sentences.
    pub(crate) problems: Vec<String>,
    /// What an operator should know although the broker is ready.
    pub(crate) warnings: Vec<String>,
}

impl Ready {
    /// Listeners are bound, every configured plugin is loaded, and the further checks agree.
    pub(crate) fn of(state: &AdminState) -> Self {
        let mut problems = Vec::new();
        if state.broker.listeners().is_empty() {
            problems.push("no listener is bound".to_owned());
        }
        problems.extend(state.plugins.not_ready());
        problems.extend(state.ready_checks.iter().flat_map(|check| check()));
        Self { ready: problems.is_empty(), problems, warnings: state.plugins.warnings() }
    }
}

/// `GET /livez`
pub(crate) async fn live(_call: Call) -> Answer {
    json(StatusCode::OK, &Live { live: true })
}

/// `GET /readyz`
pub(crate) async fn ready(call: Call) -> Answer {
    let ready = Ready::of(&call.shared.state);
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &ready)
}
