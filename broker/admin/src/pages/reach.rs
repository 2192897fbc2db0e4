//! Pages that look at all rules at once: who can reach a topic, and which rules never decide.
//!
//! Knows nothing of rules; asks the API.

use serde_json::Value;

use super::{
    ask::Reader,
    block::{Block, Input, InputKind, Notice},
    devices,
    frame::Page,
    lists::{self, Cursor, List, asked, no_actions, no_forms},
    plugins::plugin,
    show::{self, Cell, Tone, rows},
    system::table,
};
use crate::call::{Answer, Call};

static REACH: List = List {
    path: "/reach",
    title: "Who can reach a topic",
    intro: "Connected clients that may publish to a topic or get its messages, and the rule that \
        lets them.",
    route: "/api/v1/permissions/reach",
    rows: "clients",
    columns: &[
        ("Client", |row| devices::client(row, "client_id")),
        ("Principal", |row| show::code(row, "principal")),
        ("Listener", |row| show::plain(row, "listener")),
        ("Allowed by", |row| plugin(row, "plugin")),
        ("Rule", |row| show::number(row, "rule")),
    ],
    filters: inputs,
    fixed: &[("limit", "100")],
    cursor: Cursor::Next("after"),
    empty: (
        "Nobody here can.",
        "A page looks at so many clients at most: if there is a next page, go on.",
    ),
    actions: no_actions,
    forms: no_forms,
    refresh: 0,
};

fn inputs() -> Vec<Input> {
    let activities = [("publish", "publish to it"), ("subscribe", "get its messages")];
    vec![
        Input::new("topic", "Topic", InputKind::Search).required(),
        Input::choice("activity", "who may", &activities),
    ]
}

/// Rules are known of connections; whoever is away is asked about when it comes.
fn only_connected() -> Notice {
    Notice {
        tone: Tone::Quiet,
        title: "Connected clients only".to_owned(),
        text: "A session whose client is away keeps no rules: plugins are asked again when it \
            comes back. Who may answers for it, with its principal."
            .to_owned(),
    }
}

/// `/reach`
pub(super) async fn reach(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let query = lists::query_of(&call)?;
    let mut page = if asked(&query, "topic").is_empty() {
        let mut page = Page::new(&reader, REACH.path, REACH.title);
        page.intro = REACH.intro;
        page.blocks.push(Block::Form(lists::search(inputs())));
        page
    } else {
        lists::filled(&REACH, &query, &reader).await?
    };
    page.notices.push(only_connected());
    page.answer()
}

/// `/rules`
pub(super) async fn rules(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let never = reader.get("/api/v1/permissions/unreachable", &[], &[]).await?;
    let unused = reader.get("/api/v1/permissions/unused", &[], &[]).await?;
    let mut page = Page::new(&reader, "/rules", "Rules that do nothing");
    page.intro =
        "Rules of connected clients that can never decide, and those that have not decided yet.";
    page.notices.push(only_connected());
    if [&never, &unused].iter().any(|found| show::at(found, "complete").as_bool() == Some(false)) {
        page.notices.push(Notice {
            tone: Tone::Warning,
            title: "Not everything was looked at".to_owned(),
            text: "There are too many clients or rules: some may be missing, and one told as \
                unused may be used by a client that was not looked at."
                .to_owned(),
        });
    }
    page.blocks.push(Block::Table(table(
        "Never decide: rules before them cover them".to_owned(),
        (&["From", "Rule", "Effect", "Topic filter", "Covered by rule", "Clients"], |row| {
            let mut cells = rule(row);
            cells.push(show::number(row, "covered_by"));
            cells.push(show::number(row, "clients"));
            cells
        }),
        rows(&never, "rules"),
        ("Every rule can decide.", "Only rules of clients that are connected are looked at."),
    )));
    page.blocks.push(Block::Table(table(
        "Have not decided since they came in force".to_owned(),
        (&["From", "Rule", "Effect", "Topic filter", "Watched for", "Clients"], |row| {
            let mut cells = rule(row);
            cells.push(show::seconds(row, "watched_seconds"));
            cells.push(show::number(row, "clients"));
            cells
        }),
        rows(&unused, "rules"),
        ("Every rule has decided something.", "Rights that nobody uses would stand here."),
    )));
    page.answer()
}

fn rule(row: &Value) -> Vec<Cell> {
    vec![
        plugin(row, "plugin"),
        show::number(row, "rule"),
        show::word(row, "effect", &[("allow", Tone::Good), ("deny", Tone::Bad)]),
        show::code(row, "filter"),
    ]
}
