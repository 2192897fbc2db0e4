//! `/api/v1/decisions`: what was decided lately, why, and what plugins were asked.
//!
//! Knows nothing of how decisions are made; asks the gate, which keeps them.

use access::{About, DecisionId, DecisionRecord, LinkReport, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::{
    call::{Answer, Call},
    field::{Field, Fields},
    page::may_choose_by,
    permissions::Word,
    problem::Problem,
};

/// Decisions on one page.
const PAGE_MAX: usize = 500;
const PAGE: usize = 50;

/// Which decisions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those on this Client Identifier (or user, for logins to the API).
    client_id: Option<String>,
    /// Only those that were refused (true) or permitted (false).
    refused: Option<bool>,
    /// Only those before this one: the last one of the page before.
    before: Option<String>,
    /// How many at most, 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
}

/// The latest decisions, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decisions {
    decisions: Vec<Decision>,
}

/// One decision.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decision {
    /// Its name, also in log lines.
    id: String,
    /// When it was made, seconds since 1970.
    at: u64,
    /// `connect`, `again`, `permissions`, `publish`, `subscribe` or `admin_login`.
    about: &'static str,
    /// Topic Name or Topic Filter of an operation.
    topic: Option<String>,
    /// QoS of an operation.
    qos: Option<u8>,
    /// Client Identifier; the user, for a login to the API.
    client_id: String,
    /// Who it proved to be.
    principal: Option<String>,
    /// Listener; empty for a login to the API.
    listener: String,
    /// IP address.
    remote: String,
    /// Generation of the chains that decided.
    generation: u64,
    /// Whether it was permitted.
    permitted: bool,
    /// Why it was refused, for the operator.
    reason: Option<String>,
    /// What each link of the chain said, in order.
    walk: Vec<Step>,
    /// What rules said on an operation.
    rules: Vec<Word>,
    /// How long it took.
    microseconds: u64,
    /// Calls of plugins that were recorded.
    recorded: usize,
}

/// What one link said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Step {
    /// Name of the plugin.
    plugin: String,
    /// Its generation.
    generation: String,
    /// The hook that was asked.
    hook: String,
    /// `allow`, `deny`, `next`, `challenge`, `failure` or `skipped`.
    verdict: &'static str,
    /// What it said about it.
    detail: Option<String>,
    /// The answer was there already.
    cached: bool,
    /// How long it took.
    microseconds: u64,
}

/// What plugins were asked in the course of a decision; for `portcullis plugin replay`.
#[derive(Serialize)]
struct Recording {
    decision: Decision,
    calls: Vec<Box<RawValue>>,
}

/// `GET /api/v1/decisions`
pub(crate) async fn list(call: Call) -> Answer {
    let query = call.query::<ListQuery>()?;
    let fields = call.fields();
    may_choose_by(fields, Field::ClientId, ("client_id", query.client_id.is_some()))?;
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::invalid(format!("a page has no {limit} decisions"))
            .about("limit")
            .allowed(format!("1 to {PAGE_MAX}")));
    }
    let before = query.before.as_deref().map(parse).transpose()?;
    let wanted = |record: &DecisionRecord| {
        query.client_id.as_deref().is_none_or(|id| *record.client_id == *id)
            && query.refused.is_none_or(|refused| record.refusal.is_some() == refused)
    };
    let found = call.shared.state.gate.decisions().latest(before, limit, wanted);
    let decisions = found.iter().map(|record| Decision::of(record, fields)).collect();
    call.json_answer(&Decisions { decisions })
}

/// `GET /api/v1/decisions/{id}`
pub(crate) async fn show(call: Call) -> Answer {
    let record = find(&call)?;
    call.json_answer(&Decision::of(&record, call.fields()))
}

/// `GET /api/v1/decisions/{id}/recording`
pub(crate) async fn recording(call: Call) -> Answer {
    call.fields().check_all("a recording")?;
    let record = find(&call)?;
    let calls = record.recordings.iter().map(|recording| RawValue::from_string(recording.json()));
    let calls = calls
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::internal(format!("a recording could not be written: {error}")))?;
    call.json_answer(&Recording { decision: Decision::of(&record, call.fields()), calls })
}

fn parse(text: &str) -> Result<DecisionId, Problem> {
    text.parse().map_err(|_| {
        Problem::invalid(format!("{text:?} names no decision")).allowed("16 hexadecimal digits")
    })
}

fn find(call: &Call) -> Result<std::sync::Arc<DecisionRecord>, Problem> {
    let id = parse(&call.path("id")?)?;
    let found = call.shared.state.gate.decisions().find(id);
    found.ok_or_else(|| Problem::not_found(format!("decision {id} is not among the latest")))
}

impl Decision {
    pub(crate) fn of(record: &DecisionRecord, fields: Fields) -> Self {
        let show = |field, text: String| fields.show(field, text).into_owned();
        let (about, topic, qos) = match &record.about {
            About::Connect => ("connect", None, None),
            About::Again => ("again", None, None),
            About::Permissions => ("permissions", None, None),
            About::Publish { topic, qos, .. } => ("publish", Some(topic.clone()), Some(qos)),
            About::Subscribe { filter, qos } => ("subscribe", Some(filter.clone()), Some(qos)),
            About::AdminLogin => ("admin_login", None, None),
        };
        Self {
            id: record.id.to_string(),
            at: record.at_unix,
            about,
            topic: topic.map(|topic| show(Field::Topic, topic)),
            qos: qos.map(|qos| qos.value()),
            client_id: show(Field::ClientId, record.client_id.to_string()),
            principal: record
                .principal
                .as_deref()
                .map(|name| show(Field::Username, name.to_owned())),
            listener: record.listener.to_string(),
            remote: show(Field::Address, record.remote.to_string()),
            generation: record.generation,
            permitted: record.refusal.is_none(),
            reason: record.refusal.clone().map(|why| fields.show_sentence(why).into_owned()),
            walk: record.links.iter().map(|link| Step::of(link, fields)).collect(),
            rules: record.rules.iter().map(|word| Word::of(word.clone(), fields)).collect(),
            microseconds: microseconds(record.elapsed),
            recorded: record.recordings.len(),
        }
    }
}

impl Step {
    /// What plugins say in their own words may name anything of a client.
    fn of(report: &LinkReport, fields: Fields) -> Self {
        let sentence = |text: String| fields.show_sentence(text).into_owned();
        let detail = match &report.verdict {
            Verdict::Deny(denial) => {
                let code = denial.reason_code.name();
                let said = denial.reason.clone().map(|reason| format!(": {}", sentence(reason)));
                Some(format!("{code}{}", said.unwrap_or_default()))
            }
            Verdict::Failure(failure) => Some(sentence(failure.to_string())),
            Verdict::Allow | Verdict::Next | Verdict::Challenge | Verdict::Skipped => None,
        };
        Self {
            plugin: report.plugin.to_string(),
            generation: report.generation.to_string(),
            hook: report.hook.to_string(),
            verdict: verdict_name(&report.verdict),
            detail,
            cached: report.cached,
            microseconds: microseconds(report.elapsed),
        }
    }
}

/// The word for a verdict.
pub(crate) fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny(_) => "deny",
        Verdict::Next => "next",
        Verdict::Challenge => "challenge",
        Verdict::Failure(_) => "failure",
        Verdict::Skipped => "skipped",
    }
}

fn microseconds(elapsed: std::time::Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}
