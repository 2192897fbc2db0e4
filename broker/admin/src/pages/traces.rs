//! Pages on traces: all of them, and one with its records as they come.
//!
//! Knows nothing of packets; asks the API.

use serde_json::Value;

use super::{
    ask::{Reader, address},
    block::{Action, Block, Facts, Form, FormKind, Input, InputKind, Tail},
    frame::Page,
    lists::{Cursor, List, no_inputs},
    show::{self, Cell, Look, Tone, text},
};
use crate::{
    call::{Answer, Call},
    route::Verb,
};

const TRACES: &str = "/api/v1/traces";
const TRACE: &str = "/api/v1/traces/{id}";
const STOP: &str = "/api/v1/traces/{id}/stop";
const DOWNLOAD: &str = "/api/v1/traces/{id}/download";
const LIVE: &str = "/api/v1/traces/{id}/live";

const STATES: &[(&str, Tone)] = &[
    ("running", Tone::Good),
    ("waiting", Tone::Quiet),
    ("full", Tone::Warning),
    ("failed", Tone::Bad),
];

pub(super) static TRACE_LIST: List = List {
    path: "/traces",
    title: "Traces",
    intro: "Everything that is said with some devices, packet by packet, with what plugins \
        answered.",
    route: TRACES,
    rows: "traces",
    columns: &[
        ("Trace", |row| show::plain(row, "name").leads_to("/traces/{id}", "id", &text(row, "id"))),
        ("State", |row| show::word(row, "state", STATES)),
        ("What", what),
        ("Records", |row| show::number(row, "records")),
        ("Size", |row| show::bytes(row, "bytes")),
        ("Lost", |row| show::number(row, "lost")),
        ("Begins (UTC)", |row| moment(row, "start")),
        ("Ends (UTC)", |row| moment(row, "end")),
    ],
    filters: no_inputs,
    fixed: &[],
    cursor: Cursor::None,
    empty: (
        "There is no trace.",
        "Start one below; a trace of one device costs the others nothing.",
    ),
    actions: |reader, trace| actions(reader, trace, None),
    forms: |reader| begin(reader).into_iter().collect(),
    refresh: 5,
};

fn moment(row: &Value, member: &str) -> Cell {
    match text(row, member) {
        moment if moment.is_empty() => Cell::none(),
        moment => Cell::new(moment.replacen('T', " ", 1).replace('Z', ""), Look::Number),
    }
}

/// What a trace records, in words.
fn what(trace: &Value) -> Cell {
    let members = ["client_id", "topic", "address", "principal", "plugin"];
    let words = members.into_iter().filter_map(|member| {
        let value = text(trace, member);
        let word = member.trim_end_matches("_id");
        (!value.is_empty()).then(|| format!("{word} {}", show::visible(&value)))
    });
    let words: Vec<_> = words.collect();
    if words.is_empty() { Cell::plain("everything") } else { Cell::new("", Look::Chips(words)) }
}

fn actions(reader: &Reader, trace: &Value, then: Option<&'static str>) -> Vec<Action> {
    let (id, name) = (text(trace, "id"), show::visible(&text(trace, "name")));
    let path = [("id", id.as_str())];
    let open = matches!(text(trace, "state").as_str(), "running" | "waiting");
    let words = ("Stop", "The trace is stopped.");
    let stop = Action::new(reader, (Verb::Put, STOP), &path, words).filter(|_| open);
    let words = ("Delete", "The trace is gone.");
    let delete = Action::new(reader, (Verb::Delete, TRACE), &path, words);
    let confirm = format!("The trace {name} and all of its records are deleted.");
    let delete = delete.map(|action| Action { then, ..action.confirmed(confirm) });
    stop.into_iter().chain(delete).collect()
}

/// The form that starts a trace.
fn begin(reader: &Reader) -> Option<Form> {
    if !reader.may(Verb::Post, TRACES) {
        return None;
    }
    Some(Form {
        title: "Start a trace",
        intro: "Fill in what it is about; several together mean all of them. Payloads are \
            recorded only for whoever may read them, and only if asked for.",
        kind: FormKind::Sent {
            verb: "POST",
            url: TRACES.to_owned(),
            done: "The trace is started.",
            then: None,
            shows: None,
            etag: None,
        },
        inputs: vec![
            Input::new("name", "Name", InputKind::Text).required(),
            Input::new("client_id", "Client id", InputKind::Text)
                .hint("With * at its end: all that begin so."),
            Input::new("topic", "Topic filter", InputKind::Text),
            Input::new("address", "Address or range", InputKind::Text),
            Input::new("principal", "Principal", InputKind::Text),
            Input::new("plugin", "Plugin", InputKind::Text),
            Input::new("start_unix", "Begins (UTC)", InputKind::Moment)
                .hint("Up to 7 days ahead; empty = now."),
            Input::new("duration_seconds", "Seconds", InputKind::Number).hint("At most a day."),
            Input::new("max_bytes", "Bytes of records", InputKind::Number)
                .hint("1024 to 1 GiB; empty = 10 MiB. Then it is full."),
            Input::new("max_events_per_second", "Records a second", InputKind::Number)
                .hint("1 to 10000; empty = 1000. What comes faster is lost and counted."),
            Input::new("payload_bytes", "Bytes of payloads", InputKind::Number)
                .hint("Up to 65536 of each; empty = none."),
        ],
        submit: "Start",
        folded: true,
    })
}

/// `/traces/{id}`
pub(super) async fn trace_page(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let id = call.path("id")?;
    let path = [("id", id.as_str())];
    let trace = reader.get(TRACE, &path, &[]).await?;
    let mut page = Page::new(&reader, "/traces", show::visible(&text(&trace, "name")));
    page.above = Some(("/traces", "Traces"));
    page.refresh = 5;
    page.actions = actions(&reader, &trace, Some("/traces"));
    let mut file = Cell::plain("records as NDJSON");
    file.href = Some(address(DOWNLOAD, &path, &[]));
    page.blocks.push(Block::Facts(Facts {
        title: String::new(),
        facts: vec![
            ("State", show::word(&trace, "state", STATES)),
            ("What", what(&trace)),
            ("Begins (UTC)", moment(&trace, "start")),
            ("Ends (UTC)", moment(&trace, "end")),
            ("Records", show::number(&trace, "records")),
            ("Size", show::bytes(&trace, "bytes")),
            ("At most", show::bytes(&trace, "max_bytes")),
            ("Records a second at most", show::number(&trace, "max_events_per_second")),
            ("Lost, too fast", show::number(&trace, "lost")),
            ("Bytes of payloads", show::number(&trace, "payload_bytes")),
            ("Download", file),
        ],
    }));
    page.blocks.push(Block::Tail(Tail { url: address(LIVE, &path, &[]) }));
    page.answer()
}
