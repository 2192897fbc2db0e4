//! `/api/v1/audit`: searching the audit log.
//!
//! Knows nothing of its files.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    audit::{Action, Search},
    call::{Answer, Call},
    problem::Problem,
};

/// Which lines to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// `YYYY-MM-DD` in UTC; today if nothing is said.
    day: Option<String>,
    /// Only of this user.
    user: Option<String>,
    /// Only of this kind.
    action: Option<Action>,
    /// Only lines with a smaller number: the `next` of the page before.
    before: Option<u64>,
    /// At most so many lines.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// Lines of one day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// The day.
    day: String,
    /// The newest first, as they are in the file: `seq`, `time`, `previous`, `action`, and where there
    /// is one `user`, `by`, `from`, `route`, `target`, `status`, `cause`, `left_out`.
    #[schema(value_type = Vec<Object>)]
    records: Vec<serde_json::Value>,
    /// Give this as `before` for the next page; null = this is the last of the day.
    next: Option<u64>,
    /// The days that there are, the newest first.
    days: Vec<String>,
    /// The end of the chain of hashes: whoever notes it can tell later whether anything before it was
    /// changed.
    head: AuditHead,
}

/// The end of the chain.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditHead {
    /// Number of the last line.
    seq: u64,
    /// Its SHA-256, in hexadecimal.
    hash: String,
}

/// `GET /api/v1/audit`
pub(crate) async fn search(call: Call) -> Answer {
    let AuditQuery { day, user, action, before, limit } = call.query()?;
    if !(1..=1_000).contains(&limit) {
        let problem = Problem::invalid(format!("limit = {limit} is out of range"));
        return Err(problem.about("limit").allowed("1 to 1000"));
    }
    let search = Search { day, user, action, before, limit };
    if !search.has_day() {
        return Err(Problem::invalid("day is no day").about("day").allowed("YYYY-MM-DD"));
    }
    let found = call.shared.audit.search(search).await?;
    let (seq, hash) = call.shared.audit.head();
    call.json_answer(&AuditPage {
        day: found.day,
        records: found.records,
        next: found.next,
        days: found.days,
        head: AuditHead { seq, hash },
    })
}
