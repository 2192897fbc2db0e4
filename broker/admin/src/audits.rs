//! `/api/v1/audit`: searching the audit log.
//!
//! Knows nothing of its files.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    audit::{Action, Search},
    call::{Answer, Call},
    field::{Fields, MASK},
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
    /// The newest first, as they are in the file but for what its reader may not see of clients: `seq`, `time`, `previous`, `action`, and where there
    /// is one `user`, `by`, `from`, `route`, `target`, `status`, `cause`, `left_out`.
    #[schema(value_type = Vec<Object>)]
    records: Vec<Value>,
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
    let fields = call.fields();
    call.json_answer(&AuditPage {
        day: found.day,
        records: found.records.into_iter().map(|record| shown(record, fields)).collect(),
        next: found.next,
        days: found.days,
        head: AuditHead { seq, hash },
    })
}

/// A line for somebody with these rights. Who administers, and from where, is what the log is for.
fn shown(mut record: Value, fields: Fields) -> Value {
    let refused = record.get("action").is_some_and(|action| action == "refused");
    let Some(line) = record.as_object_mut() else { return MASK.into() };
    for (name, value) in line {
        let Some(text) = value.as_str() else { continue };
        let masked = match name.as_str() {
            "target" => fields.show_target(text).into_owned(),
            "cause" => fields.show_sentence(text).into_owned(),
            // As it was asked for, with client ids and topics in its path.
            "route" if refused => {
                let (verb, path) = text.split_once(' ').unwrap_or(("", text));
                format!("{verb} {}", fields.show_target(path))
            }
            _ => continue,
        };
        *value = masked.into();
    }
    record
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::field::Field;

    #[test]
    fn who_may_not_read_a_field_sees_the_mask() {
        let change = json!({ "seq": 1, "action": "change", "user": "ann", "target": "SECRET",
            "route": "DELETE /api/v1/clients/{client_id}/session", "cause": "SECRET" });
        let refused = json!({ "seq": 2, "action": "refused", "user": "ann",
            "route": "GET /api/v1/clients/SECRET", "cause": "SECRET" });
        for line in [&change, &refused] {
            assert_eq!(shown(line.clone(), Fields::all()), *line);
            let masked = shown(line.clone(), Fields::default());
            assert!(!masked.to_string().contains("SECRET"), "{masked}");
            assert_eq!(masked["user"], "ann");
        }
        let some = Fields::default().with(Field::ClientId).with(Field::Topic);
        assert_eq!(shown(change.clone(), some)["target"], "SECRET");
        assert_eq!(shown(change, some)["cause"], "***");
        assert_eq!(shown(refused.clone(), Fields::default())["route"], "GET ***");
        assert_eq!(shown(refused, some)["route"], "GET /api/v1/clients/SECRET");
    }
}
