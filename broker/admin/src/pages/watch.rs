//! Pages on what happened: the access log, the audit log, and the history of one client.
//!
//! Knows nothing of files; asks the API.

use serde_json::Value;

use super::{
    block::{Input, InputKind, Row, Table},
    devices,
    lists::{Column, Cursor, List, filter, find, no_actions, no_forms},
    show::{self, Cell, Tone, rows, text},
};

const KINDS: &[(&str, Tone)] = &[
    ("connected", Tone::Good),
    ("authenticated", Tone::Good),
    ("connect_refused", Tone::Bad),
    ("connection_refused", Tone::Bad),
    ("publish_denied", Tone::Bad),
    ("subscribe_denied", Tone::Bad),
    ("will_refused", Tone::Bad),
    ("protocol_violation", Tone::Bad),
    ("taken_over", Tone::Warning),
    ("reading_paused", Tone::Warning),
    ("lost", Tone::Bad),
];

pub(super) static ACCESS_LOG: List = List {
    path: "/access-log",
    title: "Access log",
    intro: "Who came, who went and who was refused, day by day, the latest first. The same lines \
        stand in the files of the access log.",
    route: "/api/v1/access_log",
    rows: "lines",
    columns: &[
        ("Time (UTC)", moment),
        ("What", |row| show::word(row, "type", KINDS)),
        ("Client", |row| devices::client(row, "client_id")),
        ("Principal", |row| show::code(row, "principal")),
        ("Address", |row| show::code(row, "remote")),
        ("Why", why),
        ("Topic", |row| show::code(row, "topic")),
        ("Decision", decision),
        ("Times", |row| show::number(row, "count")),
    ],
    filters: || {
        vec![
            Input::new("day", "Day (UTC)", InputKind::Text).hint("YYYY-MM-DD, empty = today"),
            find("client_id", "Client id"),
            find("principal", "Principal"),
            find("address", "IP address"),
            filter(
                "type",
                "What",
                &[
                    ("connected", "connected"),
                    ("disconnected", "disconnected"),
                    ("authenticated", "authenticated"),
                    ("connect_refused", "connect refused"),
                    ("connection_refused", "connection refused"),
                    ("publish_denied", "publish denied"),
                    ("subscribe_denied", "subscribe denied"),
                    ("taken_over", "taken over"),
                    ("will_refused", "will refused"),
                    ("protocol_violation", "protocol violation"),
                    ("repeated", "repeated"),
                    ("lost", "lost"),
                ],
            ),
        ]
    },
    fixed: &[("limit", "100")],
    cursor: Cursor::Next("before"),
    empty: (
        "No line fits.",
        "One page looks at 8 MiB: if there is a next page, go on. Otherwise choose another day, \
            or fewer conditions.",
    ),
    actions: no_actions,
    forms: no_forms,
    refresh: 0,
};

const ACTIONS: &[(&str, Tone)] = &[("refused", Tone::Bad), ("login", Tone::Good)];

pub(super) static AUDIT: List = List {
    path: "/audit",
    title: "Audit log",
    intro: "Who changed what here, who logged in and who was turned away; newest first. Each line \
        holds the hash of the one before.",
    route: "/api/v1/audit",
    rows: "records",
    columns: &[
        ("Line", |row| show::number(row, "seq")),
        ("Time (UTC)", moment),
        ("Action", |row| show::word(row, "action", ACTIONS)),
        ("User", |row| show::code(row, "user")),
        ("By", |row| show::plain(row, "by")),
        ("From", |row| show::code(row, "from")),
        ("Route", |row| show::code(row, "route")),
        ("Target", |row| show::code(row, "target")),
        ("Status", |row| show::number(row, "status")),
        ("Why", |row| show::plain(row, "cause")),
    ],
    filters: || {
        vec![
            Input::new("day", "Day (UTC)", InputKind::Text).hint("YYYY-MM-DD, empty = today"),
            find("user", "User"),
            filter(
                "action",
                "Action",
                &[
                    ("change", "change"),
                    ("login", "login"),
                    ("logout", "logout"),
                    ("refused", "refused"),
                    ("start", "start"),
                ],
            ),
        ]
    },
    fixed: &[("limit", "100")],
    cursor: Cursor::Next("before"),
    empty: ("No line fits.", "Choose another day, or fewer conditions."),
    actions: no_actions,
    forms: no_forms,
    refresh: 0,
};

/// `2026-01-31 13:05:09`, of a text of RFC 3339.
fn moment(row: &Value) -> Cell {
    let time = text(row, "time");
    let (seconds, _) = time.split_once('.').unwrap_or((&time, ""));
    Cell::new(seconds.trim_end_matches('Z').replacen('T', " ", 1), show::Look::Number)
}

/// The reason, and what the operator is told beside it.
fn why(row: &Value) -> Cell {
    match (text(row, "reason"), text(row, "cause")) {
        (reason, cause) if cause.is_empty() => match reason.is_empty() {
            true => Cell::none(),
            false => Cell::plain(show::visible(&reason.replace('_', " "))),
        },
        (_, cause) => Cell::plain(show::visible(&cause)),
    }
}

fn decision(row: &Value) -> Cell {
    show::code(row, "decision").leads_to("/decisions/{id}", "id", &text(row, "decision"))
}

const HISTORY: &[Column] = &[
    ("Time (UTC)", moment),
    ("What", |row| show::word(row, "type", KINDS)),
    ("Times", |row| show::number(row, "times")),
    ("Address", |row| show::code(row, "remote")),
    ("Why", why),
    ("Topic", |row| show::code(row, "topic")),
    ("Decision", decision),
];

/// The history of a client, as a table on its page.
pub(super) fn history(answer: &Value) -> Table {
    let events = rows(answer, "events").iter();
    let cells = |event| HISTORY.iter().map(|(_, cell)| cell(event)).collect();
    Table {
        title: "History".to_owned(),
        columns: HISTORY.iter().map(|(title, _)| *title).collect(),
        rows: events.map(|event| Row { cells: cells(event), actions: Vec::new() }).collect(),
        empty: ("Nothing is remembered of it.", "What is older than [history] keep is forgotten."),
        next: None,
        first: None,
    }
}
