//! Pages on what the broker holds: subscriptions, the tree of topics, retained messages; and
//! publishing one.
//!
//! Knows nothing of trees; asks the API.

use serde_json::Value;

use super::{
    ask::{Reader, address},
    block::{Action, Block, Facts, Form, FormKind, Input, InputKind, Lines, Notice, Row, Table},
    devices,
    frame::Page,
    lists::{self, Cursor, List, asked, find, no_forms},
    show::{self, Cell, Tone, rows, text},
};
use crate::{
    call::{Answer, Call},
    route::Verb,
};

const OF_CLIENT: &str = "/api/v1/clients/{client_id}/subscriptions";
const RETAINED: &str = "/api/v1/retained/{topic}";
const PUBLISH: &str = "/api/v1/publish";

pub(super) static SUBSCRIPTIONS: List = List {
    path: "/subscriptions",
    title: "Subscriptions",
    intro: "Who gets what: the subscriptions of all sessions, in the order of clients and filters.",
    route: "/api/v1/subscriptions",
    rows: "subscriptions",
    columns: &[
        ("Client", |row| devices::client(row, "client_id")),
        ("Topic filter", |row| show::code(row, "filter")),
        ("QoS", |row| show::number(row, "qos")),
        ("Options", options),
        ("Identifier", |row| show::number(row, "identifier")),
        ("Since", |row| show::time(row, "since_unix")),
    ],
    filters: || {
        vec![
            find("matching", "Gets messages of topic"),
            find("prefix", "Filter begins with"),
            find("client_id", "Client id"),
        ]
    },
    fixed: &[("limit", "100")],
    cursor: Cursor::Next("after"),
    empty: (
        "No subscription fits.",
        "If there is a next page, go on: a page looks at so many sessions at most. Otherwise ask \
            for less.",
    ),
    actions: |reader, row| {
        let (client, filter) = (text(row, "client_id"), text(row, "filter"));
        unsubscribe(reader, &client, &filter).into_iter().collect()
    },
    forms: no_forms,
    refresh: 0,
};

/// The button that ends a subscription.
pub(super) fn unsubscribe(reader: &Reader, client: &str, filter: &str) -> Option<Action> {
    if filter == crate::field::MASK {
        return None;
    }
    let words = ("Unsubscribe", "The subscription is ended.");
    let route = (Verb::Delete, OF_CLIENT);
    let mut action = Action::new(reader, route, &[("client_id", client)], words)?;
    action.url = address(OF_CLIENT, &[("client_id", client)], &[("filter", filter)]);
    let (client, filter) = (show::visible(client), show::visible(filter));
    Some(action.confirmed(format!(
        "{client} gets nothing more for {filter}. It is not told, and may subscribe again."
    )))
}

/// The options of a subscription that are set, in words.
pub(super) fn options(row: &Value) -> Cell {
    let set = |member: &str| show::at(row, member).as_bool() == Some(true);
    let retained = match show::at(row, "retain_handling").as_u64() {
        Some(1) => Some("retained only if new"),
        Some(2) => Some("no retained"),
        _ => None,
    };
    let words = [
        set("no_local").then_some("no local"),
        set("retain_as_published").then_some("retain as published"),
        retained,
    ];
    let words: Vec<_> = words.into_iter().flatten().map(str::to_owned).collect();
    if words.is_empty() { Cell::none() } else { Cell::new("", show::Look::Chips(words)) }
}

pub(super) static RETAINED_LIST: List = List {
    path: "/retained",
    title: "Retained messages",
    intro: "The last message of a topic that whoever subscribes gets at once.",
    route: "/api/v1/retained",
    rows: "messages",
    columns: &[
        ("Topic", |row| {
            show::code(row, "topic").leads_to("/retained/{topic}", "topic", &text(row, "topic"))
        }),
        ("Payload", |row| show::bytes(row, "payload_bytes")),
        ("QoS", |row| show::number(row, "qos")),
        ("Published by", publisher),
        ("Handed out", |row| {
            show::flag(row, "withheld", ("withheld", Tone::Warning), ("yes", Tone::Good))
        }),
    ],
    filters: || vec![find("filter", "Topic filter")],
    fixed: &[("limit", "100")],
    cursor: Cursor::Next("after"),
    empty: (
        "No retained message fits.",
        "Those of the broker itself are shown with a filter such as $SYS/#. If there is a next \
            page, go on.",
    ),
    actions: |reader, row| forget(reader, &text(row, "topic")).into_iter().collect(),
    forms: |reader| publish(reader).into_iter().collect(),
    refresh: 0,
};

/// A client leads to its page; a plugin, or a user of the API, is no client.
fn publisher(message: &Value) -> Cell {
    let publisher = text(message, "publisher");
    match publisher.split_once('/') {
        Some(("$api", _)) => show::code(message, "publisher"),
        Some(("$plugin", name)) => {
            show::code(message, "publisher").leads_to("/plugins/{name}", "name", name)
        }
        _ => devices::client(message, "publisher"),
    }
}

fn forget(reader: &Reader, topic: &str) -> Option<Action> {
    let words = ("Forget", "The message is no longer retained.");
    let route = (Verb::Delete, RETAINED);
    let action = Action::new(reader, route, &[("topic", topic)], words)?;
    let topic = show::visible(topic);
    Some(action.confirmed(format!(
        "The message retained for {topic} is gone for good; whoever subscribes from now on gets \
            none."
    )))
}

/// The form that publishes a message.
fn publish(reader: &Reader) -> Option<Form> {
    if !reader.may(Verb::Post, PUBLISH) {
        return None;
    }
    let qos = [("0", "0"), ("1", "1"), ("2", "2")];
    let qos = qos.map(|(value, text)| (value.to_owned(), text.to_owned()));
    Some(Form {
        title: "Publish a message",
        intro: "It is judged like that of a client, and inbound transforms work on it.",
        kind: FormKind::Sent {
            verb: "POST",
            url: PUBLISH.to_owned(),
            done: "The message is published.",
            then: None,
            shows: None,
            etag: None,
        },
        inputs: vec![
            Input::new("topic", "Topic", InputKind::Text).required(),
            Input::new("qos", "QoS", InputKind::NumberChoice(qos.into())),
            Input::new("retain", "Retained", InputKind::Check),
            Input::new("payload", "Payload", InputKind::Area),
        ],
        submit: "Publish",
        folded: true,
    })
}

/// `/retained/{topic}`
pub(super) async fn retained_page(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let topic = call.path("topic")?;
    let message = reader.get(RETAINED, &[("topic", &topic)], &[]).await?;
    let mut page = Page::new(&reader, "/retained", show::visible(&topic));
    page.above = Some(("/retained", "Retained messages"));
    page.actions.extend(forget(&reader, &topic).map(|action| action.then("/retained")));
    page.blocks.push(Block::Facts(Facts {
        title: String::new(),
        facts: vec![
            ("Payload", show::bytes(&message, "payload_bytes")),
            ("QoS", show::number(&message, "qos")),
            ("Published by", publisher(&message)),
            ("Expires in", show::seconds(&message, "message_expiry_seconds")),
            ("Content type", show::plain(&message, "content_type")),
            ("Response topic", show::code(&message, "response_topic")),
            ("Correlation data", show::code(&message, "correlation_data_base64")),
            ("User properties", properties(&message)),
        ],
    }));
    let (title, payload) = match text(&message, "payload") {
        payload if payload.is_empty() => ("Payload in base64", text(&message, "payload_base64")),
        payload => ("Payload", payload),
    };
    let lines = payload.lines().map(show::visible).collect();
    page.blocks.push(Block::Lines(Lines { title, lines }));
    page.answer()
}

fn properties(message: &Value) -> Cell {
    let pairs = rows(message, "user_properties").iter().map(|pair| {
        let half = |place| pair.get(place).and_then(Value::as_str).unwrap_or_default();
        format!("{} = {}", show::visible(half(0)), show::visible(half(1)))
    });
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() { Cell::none() } else { Cell::new("", show::Look::Chips(pairs)) }
}

/// `/topics`
pub(super) async fn topics(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let query = lists::query_of(&call)?;
    let (prefix, after) = (asked(&query, "prefix"), asked(&query, "after"));
    let asked = [("prefix", prefix.as_str()), ("after", after.as_str()), ("limit", "200")];
    let asked: Vec<_> = asked.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let level = reader.get("/api/v1/topics", &[], &asked).await?;
    let mut page = Page::new(&reader, "/topics", "Topics");
    page.intro = "The tree of topics, one level at a time: where messages are retained, and what \
        is subscribed to.";
    if show::at(&level, "complete").as_bool() == Some(false) {
        page.notices.push(Notice {
            tone: Tone::Warning,
            title: "Not everything was counted".to_owned(),
            text: "There is too much below. Counts are lower bounds, and names may be missing: go \
                one level down."
                .to_owned(),
        });
    }
    page.blocks.push(Block::Facts(Facts { title: String::new(), facts: way(&prefix) }));
    let found = rows(&level, "topics");
    let more = show::at(&level, "more").as_bool() == Some(true);
    let next = found.last().filter(|_| more).map(|last| {
        let after = text(last, "name");
        address("/topics", &[], &[("prefix", &prefix), ("after", &after)])
    });
    page.blocks.push(Block::Table(Table {
        title: String::new(),
        columns: vec!["Level", "Retained here", "Retained below", "Subscriptions here", "Below"],
        rows: found.iter().map(child).collect(),
        empty: (
            "There is nothing below.",
            "Go up, or look at the retained messages and subscriptions.",
        ),
        next,
        first: (!after.is_empty()).then(|| address("/topics", &[], &[("prefix", &prefix)])),
    }));
    page.answer()
}

/// Where the reader is, with a link to each level above.
fn way(prefix: &str) -> Vec<(&'static str, Cell)> {
    let mut top = Cell::plain("top");
    top.href = (!prefix.is_empty()).then(|| "/topics".to_owned());
    let mut way = vec![("Where", top)];
    if let Some((above, _)) = prefix.rsplit_once('/') {
        let mut cell = Cell::new(show::visible(above), show::Look::Code);
        cell.href = Some(address("/topics", &[], &[("prefix", above)]));
        way.push(("One level up", cell));
    }
    if !prefix.is_empty() {
        way.push(("Below", Cell::new(show::visible(prefix), show::Look::Code)));
    }
    way
}

fn child(row: &Value) -> Row {
    let topic = text(row, "topic");
    let mut name = show::code(row, "name");
    if text(row, "name").is_empty() {
        name = Cell::plain("(empty)");
    }
    let count = |member| show::at(row, member).as_u64().unwrap_or_default();
    if count("retained_below") + count("subscriptions_below") > 0 && !topic.is_empty() {
        name.href = Some(address("/topics", &[], &[("prefix", &topic)]));
    }
    let mut retained = show::flag(row, "retained", ("retained", Tone::Good), ("none", Tone::Quiet));
    if show::at(row, "retained").as_bool() == Some(true) {
        retained = retained.leads_to("/retained/{topic}", "topic", &topic);
    } else {
        retained = Cell::none();
    }
    let cells = vec![
        name,
        retained,
        show::number(row, "retained_below"),
        show::number(row, "subscriptions"),
        show::number(row, "subscriptions_below"),
    ];
    Row { cells, actions: Vec::new() }
}
