//! Pages on what is wrong, certificates and the configuration.
//!
//! Knows nothing of files and TLS; asks the API.

use serde_json::Value;

use super::{
    ask::Reader,
    block::{Action, Block, Facts, Form, FormKind, Input, InputKind, Notice, Row, Table},
    frame::Page,
    lists::{Cursor, List, no_actions, no_forms, no_inputs},
    show::{self, Cell, Tone, rows, text},
};
use crate::{
    call::{Answer, Call},
    route::Verb,
};

const CONFIG: &str = "/api/v1/config";
const RELOAD: &str = "/api/v1/config/reload";

const SEVERITIES: &[(&str, Tone)] =
    &[("critical", Tone::Bad), ("error", Tone::Bad), ("warning", Tone::Warning)];

pub(super) static ALARMS: List = List {
    path: "/alarms",
    title: "Alarms",
    intro: "What is wrong now, the worst first. An alarm goes away by itself when its reason does.",
    route: "/api/v1/alarms",
    rows: "alarms",
    columns: &[
        ("Severity", |row| show::word(row, "severity", SEVERITIES)),
        ("What", |row| show::plain(row, "what")),
        ("What to do", |row| show::plain(row, "advice")),
        ("Since", |row| show::time(row, "since_unix")),
        ("Alarm", |row| show::code(row, "id")),
    ],
    filters: no_inputs,
    fixed: &[],
    cursor: Cursor::None,
    empty: ("Nothing is wrong.", "Alarms come by themselves; they are also a metric and events."),
    actions: no_actions,
    forms: no_forms,
    refresh: 5,
};

/// `/certificates`
pub(super) async fn certificates(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let answer = reader.get("/api/v1/certificates", &[], &[]).await?;
    let mut page = Page::new(&reader, "/certificates", "Certificates");
    page.intro = "Our certificates at each listener with TLS, who signs those of clients, and \
        when they end.";
    page.refresh = 30;
    if rows(&answer, "listeners").is_empty() {
        page.notices.push(Notice {
            tone: Tone::Quiet,
            title: "No listener speaks TLS.".to_owned(),
            text: "A listener with transport = \"tls\" or \"wss\" and [listeners.tls] does."
                .to_owned(),
        });
    }
    for listener in rows(&answer, "listeners") {
        page.notices.extend(failures(listener));
        page.blocks.extend(of_listener(listener));
    }
    page.answer()
}

/// What was read from the disk and could not be used.
fn failures(listener: &Value) -> impl Iterator<Item = Notice> {
    let name = text(listener, "listener");
    rows(listener, "failed").iter().map(move |failed| {
        let half = |place| failed.get(place).and_then(Value::as_str).unwrap_or_default();
        Notice {
            tone: Tone::Bad,
            title: format!("{name}: {} could not be replaced", half(0)),
            text: show::visible(half(1)),
        }
    })
}

fn of_listener(listener: &Value) -> Vec<Block> {
    let name = text(listener, "listener");
    let mut blocks = Vec::new();
    blocks.push(Block::Table(table(
        format!("{name}: our certificates"),
        (&["Subject", "Names", "Issuer", "Good until", "Key", "OCSP", "File"], |row| {
            vec![
                show::code(row, "subject"),
                show::chips(row, "names"),
                show::code(row, "issuer"),
                ends(row),
                show::plain(row, "key"),
                show::flag(row, "stapled", ("stapled", Tone::Good), ("not stapled", Tone::Quiet)),
                show::code(row, "file"),
            ]
        }),
        rows(listener, "certificates"),
        ("There is none.", "[listeners.tls] cert names them."),
    )));
    blocks.push(Block::Table(table(
        format!("{name}: authorities of clients"),
        (&["Subject", "Issuer", "Good until"], |row| {
            vec![show::code(row, "subject"), show::code(row, "issuer"), ends(row)]
        }),
        rows(listener, "authorities"),
        ("Clients are not asked for certificates.", "[listeners.tls] client_ca would."),
    )));
    if !rows(listener, "revocation_lists").is_empty() {
        blocks.push(Block::Table(table(
            format!("{name}: revocation lists"),
            (&["Issuer", "Revoked", "Next one due", "State"], |row| {
                let state = show::flag(row, "stale", ("stale", Tone::Bad), ("good", Tone::Good));
                vec![
                    show::code(row, "issuer"),
                    show::number(row, "revoked"),
                    show::time(row, "next_update_unix"),
                    state,
                ]
            }),
            rows(listener, "revocation_lists"),
            ("There is none.", ""),
        )));
    }
    let spans = [
        ("Over", "over"),
        ("In a day", "within_a_day"),
        ("In a week", "within_a_week"),
        ("In 30 days", "within_a_month"),
        ("In 90 days", "within_a_quarter"),
        ("In a year", "within_a_year"),
        ("Later", "later"),
    ];
    let clients = show::at(listener, "clients");
    blocks.push(Block::Facts(Facts {
        title: format!("{name}: certificates of connected clients, by their end"),
        facts: spans
            .iter()
            .map(|(label, member)| (*label, show::number(clients, member)))
            .collect(),
    }));
    blocks
}

type Columns = (&'static [&'static str], fn(&Value) -> Vec<Cell>);

/// A table without actions and pages.
pub(super) fn table(
    title: String,
    (columns, cells): Columns,
    found: &[Value],
    empty: (&'static str, &'static str),
) -> Table {
    let row = |row| Row { cells: cells(row), actions: Vec::new() };
    Table {
        title,
        columns: columns.to_vec(),
        rows: found.iter().map(row).collect(),
        empty,
        next: None,
        first: None,
    }
}

/// When a certificate ends; whoever reads it sees from afar that it is soon.
fn ends(row: &Value) -> Cell {
    let Some(unix) = show::at(row, "not_after_unix").as_u64() else { return Cell::none() };
    let days = unix.saturating_sub(crate::call::unix_now()) / 86_400;
    match days {
        0 => Cell::badge(format!("{} UTC, over or today", show::utc(unix)), Tone::Bad),
        1..30 => Cell::badge(format!("{} UTC, {days} days", show::utc(unix)), Tone::Warning),
        _ => show::time(row, "not_after_unix"),
    }
}

/// `/config`
pub(super) async fn config(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let (answer, etag) = reader.get_with_etag(CONFIG, &[]).await?;
    let mut page = Page::new(&reader, "/config", "Configuration");
    page.intro = "What is in force, without secrets. Live settings take effect at a reload, \
        others at a restart.";
    let words = ("Reload", "The configuration file was read again.");
    let reload = Action::new(&reader, (Verb::Post, RELOAD), &[], words);
    page.actions.extend(reload);
    let waiting: Vec<_> = rows(&answer, "needs_restart")
        .iter()
        .filter_map(Value::as_str)
        .map(show::visible)
        .collect();
    if !waiting.is_empty() {
        page.notices.push(Notice {
            tone: Tone::Warning,
            title: "Some settings wait for a restart".to_owned(),
            text: waiting.join(", "),
        });
    }
    page.blocks.push(Block::Facts(Facts {
        title: String::new(),
        facts: vec![("File", show::code(&answer, "file"))],
    }));
    page.blocks.push(Block::Table(table(
        "Settings".to_owned(),
        (&["Key", "Value", "From", "Takes effect"], |row| {
            vec![
                show::code(row, "key"),
                show::code(row, "value"),
                show::word(row, "from", &[("file", Tone::Good)]),
                show::word(row, "takes_effect", &[("live", Tone::Good)]),
            ]
        }),
        rows(&answer, "settings"),
        ("There is no setting.", ""),
    )));
    page.blocks.extend(edit(&reader, &answer, etag).map(Block::Form));
    page.answer()
}

/// The form that replaces the file of the version that was shown.
fn edit(reader: &Reader, answer: &Value, etag: Option<String>) -> Option<Form> {
    if !reader.may(Verb::Put, CONFIG) {
        return None;
    }
    let file = Input::new("text", "The file", InputKind::Area)
        .value(text(answer, "text"))
        .hint("Secrets show as ***: left so, they stay what they are.")
        .required();
    Some(Form {
        title: "Change the configuration file",
        intro: "Only where [admin] edit_config = true. It is checked first; a file with a fault \
                changes nothing. A copy of the one before is kept beside it.",
        kind: FormKind::Sent {
            verb: "PUT",
            url: CONFIG.to_owned(),
            done: "The configuration is saved and reloaded.",
            then: Some("/config"),
            shows: None,
            etag,
        },
        inputs: vec![file],
        submit: "Check and save",
        folded: true,
    })
}
