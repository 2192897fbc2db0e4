//! Who let a client in, and why: the decision on its CONNECT, as far as that is among the latest.

use access::About;
use serde::Serialize;
use utoipa::ToSchema;

use super::{shown_groups, unknown};
use crate::{
    call::{Answer, Call},
    decisions::Decision,
    field::Field,
};

/// Who let a client in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explained {
    /// Client Identifier.
    client_id: String,
    /// Whether a connection is up.
    connected: bool,
    /// Who it proved to be.
    principal: String,
    /// The plugin that named the principal.
    authenticated_by: String,
    /// Groups that plugins gave it.
    groups: Vec<String>,
    /// Generation of the chains that its permissions came from.
    generation: u64,
    /// The latest decision that let it in; null = it is not among those that are kept.
    admitted: Option<Decision>,
    /// The latest decision that refused it something, a connection or an operation; null = none is kept.
    refused: Option<Decision>,
}

/// `GET /api/v1/clients/{client_id}/explain`
pub(crate) async fn explain(call: Call) -> Answer {
    let client_id = call.path("client_id")?;
    let state = &call.shared.state;
    let info = state.broker.client(&client_id).ok_or_else(|| unknown(&client_id))?;
    let fields = call.fields();
    let decisions = state.gate.decisions();
    let admitted = decisions.latest(None, 1, |record| {
        *record.client_id == *client_id
            && matches!(record.about, About::Connect | About::Again)
            && record.refusal.is_none()
    });
    let refused = decisions
        .latest(None, 1, |record| *record.client_id == *client_id && record.refusal.is_some());
    let show = |field, text: &str| fields.show(field, text.to_owned()).into_owned();
    let shown = |found: &[std::sync::Arc<access::DecisionRecord>]| {
        found.first().map(|record| Decision::of(record, fields))
    };
    call.json_answer(&Explained {
        client_id: show(Field::ClientId, &client_id),
        connected: info.connected,
        principal: show(Field::Username, &info.principal),
        authenticated_by: info.authenticated_by.to_string(),
        groups: shown_groups(info.groups, fields),
        generation: info.generation,
        admitted: shown(&admitted),
        refused: shown(&refused),
    })
}
