//! Pages on decisions: the latest, one with its walk through the chain, and "who may".
//!
//! Knows nothing of how decisions are made; asks the API.

use serde_json::{Value, json};

use super::{
    ask::Reader,
    block::{Block, Facts, Notice, Row, Step, Steps, Table},
    devices,
    frame::Page,
    lists::{self, Cursor, List, asked, find, no_actions, no_forms},
    plugins::plugin,
    show::{self, Cell, Look, Tone, rows, text},
};
use crate::{
    call::{Answer, Call},
    pages::block::{Input, InputKind},
};

const DECISION: &str = "/api/v1/decisions/{id}";
const CAN: &str = "/api/v1/permissions/can";

const COLUMNS: &[lists::Column] = &[
    ("Decision", decision),
    ("When", |row| show::time(row, "at")),
    ("About", about),
    ("Outcome", outcome),
    ("Client", client),
    ("Principal", |row| show::code(row, "principal")),
    ("Address", |row| show::code(row, "remote")),
    ("Why", |row| show::plain(row, "reason")),
    ("Took", |row| show::microseconds(row, "microseconds")),
];

pub(super) static DECISIONS: List = List {
    path: "/decisions",
    title: "Decisions",
    intro: "The latest answers of the gate, newest first. Each can say why it came out so.",
    route: "/api/v1/decisions",
    rows: "decisions",
    columns: COLUMNS,
    filters: || vec![find("client_id", "Client id"), devices::outcome()],
    fixed: &[("limit", "50")],
    cursor: Cursor::LastRow("before", "id"),
    empty: (
        "No decision fits.",
        "Nobody has knocked since the start, or older ones gave way to newer ones. The access log \
            goes back further.",
    ),
    actions: no_actions,
    forms: no_forms,
    refresh: 5,
};

/// Decisions as a table on another page.
pub(super) fn table(title: &str, answer: &Value) -> Table {
    let cells = |row: &Value| COLUMNS.iter().map(|(_, cell)| cell(row)).collect();
    Table {
        title: title.to_owned(),
        columns: COLUMNS.iter().map(|(title, _)| *title).collect(),
        rows: rows(answer, "decisions")
            .iter()
            .map(|row| Row { cells: cells(row), actions: Vec::new() })
            .collect(),
        empty: ("None of the latest decisions is about it.", "Older ones gave way to newer ones."),
        next: None,
        first: None,
    }
}

fn decision(row: &Value) -> Cell {
    show::code(row, "id").leads_to("/decisions/{id}", "id", &text(row, "id"))
}

/// Leads to the page of the client, which is there for one that was refused as well; a login to the
/// API has a user in its place.
fn client(row: &Value) -> Cell {
    match text(row, "about").as_str() {
        "admin_login" => show::code(row, "client_id"),
        _ => devices::client(row, "client_id"),
    }
}

fn about(row: &Value) -> Cell {
    let word = match text(row, "about").as_str() {
        "connect" => "connect",
        "again" => "authenticates again",
        "permissions" => "permissions",
        "publish" => "publish",
        "subscribe" => "subscribe",
        "admin_login" => "login to the API",
        other => return Cell::plain(other),
    };
    match text(row, "topic") {
        topic if topic.is_empty() => Cell::plain(word),
        topic => Cell::plain(format!("{word} {}", show::visible(&topic))),
    }
}

fn outcome(row: &Value) -> Cell {
    show::flag(row, "permitted", ("permitted", Tone::Good), ("refused", Tone::Bad))
}

/// `/decisions/{id}`
pub(super) async fn decision_page(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let id = call.path("id")?;
    let decision = reader.get(DECISION, &[("id", &id)], &[]).await?;
    let mut page = Page::new(&reader, "/decisions", format!("Decision {}", text(&decision, "id")));
    page.above = Some(("/decisions", "Decisions"));
    let permitted = show::at(&decision, "permitted").as_bool() == Some(true);
    let (word, tone) = if permitted { ("Permitted", Tone::Good) } else { ("Refused", Tone::Bad) };
    let reason = show::visible(&text(&decision, "reason"));
    let why = if permitted { "Every link that had to allow did.".to_owned() } else { reason };
    page.notices.push(Notice { tone, title: word.to_owned(), text: why });
    page.blocks.push(Block::Facts(Facts {
        title: "Question".to_owned(),
        facts: vec![
            ("About", about(&decision)),
            ("When", show::time(&decision, "at")),
            ("Client", client(&decision)),
            ("Principal", show::code(&decision, "principal")),
            ("Listener", show::plain(&decision, "listener")),
            ("Address", show::code(&decision, "remote")),
            ("Chain generation", show::number(&decision, "generation")),
            ("Took", show::microseconds(&decision, "microseconds")),
            ("Recorded calls", show::number(&decision, "recorded")),
        ],
    }));
    let end = Some((word.to_owned(), tone));
    page.blocks.push(Block::Steps(Steps {
        title: "Walk through the chain".to_owned(),
        steps: walk(&decision),
        end,
    }));
    if !rows(&decision, "rules").is_empty() {
        let steps = rules(rows(&decision, "rules"));
        let title = "What rules said".to_owned();
        page.blocks.push(Block::Steps(Steps { title, steps, end: None }));
    }
    page.answer()
}

fn walk(decision: &Value) -> Vec<Step> {
    let steps = rows(decision, "walk").iter().map(|step| {
        let mut beside = vec![
            show::plain(step, "hook"),
            show::microseconds(step, "microseconds"),
            show::hash(step, "generation"),
        ];
        if show::at(step, "cached").as_bool() == Some(true) {
            beside.push(Cell::badge("cached", Tone::Quiet));
        }
        Step {
            name: plugin(step, "plugin"),
            verdict: verdict(step, "verdict"),
            detail: show::visible(&text(step, "detail")),
            beside,
        }
    });
    steps.collect()
}

fn rules(words: &[Value]) -> Vec<Step> {
    let steps = words.iter().map(|word| {
        let rule = text(word, "rule");
        let rule = (!rule.is_empty()).then(|| Cell::plain(format!("rule {rule}")));
        let verdict = match verdict(word, "effect") {
            Cell { look: Look::None, .. } => Cell::badge("no word", Tone::Quiet),
            verdict => verdict,
        };
        Step {
            name: plugin(word, "plugin"),
            verdict,
            detail: show::visible(&text(word, "detail")),
            beside: rule.into_iter().collect(),
        }
    });
    steps.collect()
}

fn verdict(step: &Value, member: &str) -> Cell {
    let tones = [
        ("allow", Tone::Good),
        ("deny", Tone::Bad),
        ("failure", Tone::Bad),
        ("challenge", Tone::Warning),
    ];
    show::word(step, member, &tones)
}

/// `/who-may`
pub(super) async fn who_may(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let query = lists::query_of(&call)?;
    let asked = |name: &str| asked(&query, name);
    let (client_id, topic) = (asked("client_id"), asked("topic"));
    let action = if asked("action") == "subscribe" { "subscribe" } else { "publish" };
    let mut page = Page::new(&reader, "/who-may", "Who may");
    page.intro = "May a client publish or subscribe, and which rule says so? Of one that is \
        connected its permissions in force are asked; of another, with principal and listener, \
        what plugins say now. Nothing happens.";
    let inputs = vec![
        Input::new("client_id", "Client id", InputKind::Search).value(&client_id).required(),
        Input::choice(
            "action",
            "wants to",
            &[("publish", "publish to"), ("subscribe", "subscribe to")],
        )
        .value(action),
        Input::new("topic", "Topic or filter", InputKind::Text).value(&topic).required(),
        Input::choice("qos", "QoS", &[("0", "0"), ("1", "1"), ("2", "2")]).value(asked("qos")),
        Input::new("retain", "Retained", InputKind::Check).value(asked("retain")),
    ];
    let mut inputs = inputs;
    inputs.push(Input::new("principal", "As principal", InputKind::Text).value(asked("principal")));
    inputs.push(Input::new("listener", "At listener", InputKind::Text).value(asked("listener")));
    let groups = Input::new("groups", "In groups", InputKind::Text).value(asked("groups"));
    inputs.push(groups.hint("With commas between them."));
    let mut form = lists::search(inputs);
    form.submit = "Ask";
    page.blocks.push(Block::Form(form));
    if !client_id.is_empty() && !topic.is_empty() {
        let question = json!({
            "client_id": client_id,
            "action": action,
            "topic": topic,
            "qos": asked("qos").parse::<u8>().unwrap_or_default(),
            "retain": !asked("retain").is_empty(),
            "principal": Some(asked("principal")).filter(|text| !text.is_empty()),
            "listener": Some(asked("listener")).filter(|text| !text.is_empty()),
            "groups": words(&asked("groups")),
        });
        page.blocks.extend(judged(&reader, &question).await);
    }
    page.answer()
}

/// What stands between commas.
fn words(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// What came out, or why the question could not be answered.
async fn judged(reader: &Reader, question: &Value) -> Vec<Block> {
    let answer = match reader.question(CAN, question).await {
        Ok(answer) => answer,
        Err(problem) => {
            let text = show::visible(&problem.detail);
            let title = "No answer".to_owned();
            return vec![Block::Notice(Notice { tone: Tone::Warning, title, text })];
        }
    };
    let allowed = show::at(&answer, "allowed").as_bool() == Some(true);
    let (title, tone) = if allowed { ("Yes", Tone::Good) } else { ("No", Tone::Bad) };
    let notice =
        Notice { tone, title: title.to_owned(), text: show::visible(&text(&answer, "reason")) };
    let steps = rules(rows(&answer, "walk"));
    let end = Some((title.to_owned(), tone));
    let title = "What each link says".to_owned();
    vec![Block::Notice(notice), Block::Steps(Steps { title, steps, end })]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_between_commas() {
        assert_eq!(words(" staff,, night shift ,"), ["staff", "night shift"]);
        assert!(words("").is_empty());
    }
}
