//! Pages on devices: clients, one client, bans.
//!
//! Knows nothing of sessions; asks the API.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{
    ask::Reader,
    block::{Action, Block, Facts, Form, FormKind, Input, InputKind, Notice, Row, Table},
    decisions,
    frame::Page,
    holdings,
    lists::{Cursor, List, filter, find, no_inputs},
    permissions,
    plugins::plugin,
    show::{self, Cell, Tone, rows, text},
    watch,
};
use crate::{
    call::{Answer, Call},
    route::Verb,
};

const CLIENT: &str = "/api/v1/clients/{client_id}";
const CONNECTION: &str = "/api/v1/clients/{client_id}/connection";
const SESSION: &str = "/api/v1/clients/{client_id}/session";
const HISTORY: &str = "/api/v1/clients/{client_id}/history";
const BANS: &str = "/api/v1/bans";
const BAN: &str = "/api/v1/bans/{id}";
const INVALIDATE: &str = "/api/v1/permissions/invalidate";

pub(super) static CLIENTS: List = List {
    path: "/clients",
    title: "Clients",
    intro: "Every client that has a session, connected or not, in the order of their ids.",
    route: "/api/v1/clients",
    rows: "clients",
    columns: &[
        ("Client", |row| client(row, "client_id")),
        ("State", state),
        ("Principal", |row| show::code(row, "principal")),
        ("Listener", |row| show::plain(row, "listener")),
        ("Address", |row| show::code(row, "remote")),
        ("MQTT", |row| show::plain(row, "protocol")),
        ("Subscriptions", |row| show::number(row, "subscription_count")),
        ("In flight", |row| show::number(row, "in_flight")),
        ("Queued", |row| show::number(row, "queued")),
        ("Since", |row| show::time(row, "since_unix")),
    ],
    filters: || {
        vec![
            find("prefix", "Client id begins with"),
            find("principal", "Principal"),
            find("address", "Address or range"),
            filter("connected", "State", &[("true", "connected"), ("false", "away")]),
        ]
    },
    fixed: &[("limit", "100")],
    cursor: Cursor::Next("after"),
    empty: (
        "No client has a session that fits.",
        "If there is a next page, go on. Otherwise ask for less; why a client was refused stands \
            under Decisions.",
    ),
    actions: |reader, row| disconnect(reader, row).into_iter().collect(),
    forms: super::lists::no_forms,
    refresh: 10,
};

pub(super) static BAN_LIST: List = List {
    path: "/bans",
    title: "Bans",
    intro: "Who is kept out, whatever plugins say. Who is banned while connected is disconnected.",
    route: BANS,
    rows: "bans",
    columns: &[
        ("Ban", |row| show::number(row, "id")),
        ("Whom", whom),
        ("Reason", |row| show::plain(row, "reason")),
        ("Made by", |row| show::word(row, "origin", &[("flapping", Tone::Warning)])),
        ("Since", |row| show::time(row, "since_unix")),
        ("Until", |row| match text(row, "until_unix") {
            until if until.is_empty() => Cell::plain("until lifted by hand"),
            _ => show::time(row, "until_unix"),
        }),
    ],
    filters: no_inputs,
    fixed: &[("limit", "100")],
    cursor: Cursor::Next("after"),
    empty: ("Nobody is banned.", "Ban a client below, or on its own page."),
    actions: |reader, row| {
        let id = text(row, "id");
        let lift = (Verb::Delete, BAN);
        let action = Action::new(reader, lift, &[("id", &id)], ("Lift", "The ban is lifted."));
        let confirm = format!("Ban {id} ends now, and whom it is about may connect again.");
        action.map(|action| action.confirmed(confirm)).into_iter().collect()
    },
    forms: |reader| {
        let form = Form {
            title: "Ban somebody",
            intro: "Fill in one of the first four, or client id and principal together for that \
                client of that principal.",
            kind: FormKind::Sent {
                verb: "POST",
                url: BANS.to_owned(),
                done: "Banned.",
                then: None,
                shows: None,
                etag: None,
            },
            inputs: vec![
                Input::new("client_id", "Client id", InputKind::Text),
                Input::new("principal", "Principal", InputKind::Text),
                Input::new("address", "Address or range", InputKind::Text)
                    .hint("For example 192.0.2.0/24."),
                Input::new("certificate", "Certificate", InputKind::Text)
                    .hint("SHA-256 of its DER encoding, 64 hexadecimal digits."),
                Input::new("reason", "Reason", InputKind::Text)
                    .hint("For people, at most 256 characters."),
                Input::new("seconds", "Seconds", InputKind::Number)
                    .hint("How long, up to ten years; empty = until it is lifted."),
            ],
            submit: "Ban",
            folded: true,
        };
        if reader.may(Verb::Post, BANS) { vec![form] } else { Vec::new() }
    },
    refresh: 0,
};

/// A client id that leads to its page.
pub(super) fn client(row: &Value, member: &str) -> Cell {
    show::code(row, member).leads_to("/clients/{client_id}", "client_id", &text(row, member))
}

fn state(row: &Value) -> Cell {
    show::flag(row, "connected", ("connected", Tone::Good), ("away", Tone::Quiet))
}

fn whom(row: &Value) -> Cell {
    let kinds = [
        ("client_id", "client"),
        ("principal", "principal"),
        ("address", "address"),
        ("certificate", "certificate"),
    ];
    let named = kinds.iter().filter_map(|(member, word)| {
        let text = text(row, member);
        (!text.is_empty()).then(|| format!("{word} {}", show::visible(&text)))
    });
    Cell::new(named.collect::<Vec<_>>().join(", "), show::Look::Code)
}

fn disconnect(reader: &Reader, client: &Value) -> Option<Action> {
    if show::at(client, "connected").as_bool() != Some(true) {
        return None;
    }
    let id = text(client, "client_id");
    let words = ("Disconnect", "The connection was ended.");
    let action = Action::new(reader, (Verb::Delete, CONNECTION), &[("client_id", &id)], words)?;
    Some(action.confirmed(format!(
        "The connection of {} ends with DISCONNECT 0x98. Its session stays, its Will Message is \
         published, and it may connect again at once.",
        show::visible(&id)
    )))
}

/// `/clients/{client_id}`
pub(super) async fn client_page(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let id = call.path("client_id")?;
    let path = [("client_id", id.as_str())];
    let asked = reader.get(CLIENT, &path, &[]).await;
    let query = [("client_id", id.as_str()), ("limit", "20")];
    let decided = reader.get_if_any("/api/v1/decisions", &[], &query).await?;
    let history = reader.get_if_any(HISTORY, &path, &[]).await?;
    let client = match asked {
        Ok(client) => client,
        // Who was refused, or has ended its session, is looked for as well.
        Err(problem) if problem.status == StatusCode::NOT_FOUND => {
            let known = |answer: &Option<Value>, member| {
                answer.as_ref().is_some_and(|answer| !rows(answer, member).is_empty())
            };
            if !known(&decided, "decisions") && !known(&history, "events") {
                return Err(problem);
            }
            json!({ "client_id": id })
        }
        Err(problem) => return Err(problem),
    };
    let mut page = Page::new(&reader, "/clients", show::visible(&text(&client, "client_id")));
    page.above = Some(("/clients", "Clients"));
    page.refresh = 5;
    page.actions = client_actions(&reader, &client);
    if show::at(&client, "connected").is_null() {
        page.notices.push(Notice {
            tone: Tone::Quiet,
            title: "It has no session".to_owned(),
            text: "What is left is what was decided on it and what happened to it.".to_owned(),
        });
    } else {
        page.blocks.push(Block::Facts(connection(&client)));
        page.blocks.push(Block::Facts(session(&client)));
        page.blocks.extend(more_facts(&client).into_iter().map(Block::Facts));
        page.blocks.push(Block::Table(subscription_table(&reader, &client)));
        page.blocks.extend(permissions::in_force(&client).map(Block::Table));
    }
    let decided = decided.map(|found| decisions::table("Recent decisions", &found));
    page.blocks.extend(decided.map(Block::Table));
    page.blocks.extend(history.as_ref().map(watch::history).map(Block::Table));
    page.answer()
}

fn client_actions(reader: &Reader, client: &Value) -> Vec<Action> {
    let id = text(client, "client_id");
    let mut actions: Vec<_> = disconnect(reader, client).into_iter().collect();
    let words = ("End session", "The session is gone.");
    let session = !show::at(client, "connected").is_null();
    let end = Action::new(reader, (Verb::Delete, SESSION), &[("client_id", &id)], words);
    let end = end.filter(|_| session);
    let confirm = format!(
        "The session of {} ends, and its connection: subscriptions and waiting messages are gone \
            for good.",
        show::visible(&id)
    );
    actions.extend(end.map(|action| action.confirmed(confirm).then("/clients")));
    let again = Action::new(
        reader,
        (Verb::Post, INVALIDATE),
        &[],
        ("Ask permissions again", "Its permissions are asked for again."),
    );
    let connected = show::at(client, "connected").as_bool() == Some(true);
    let again = again.filter(|_| connected);
    actions.extend(again.map(|action| action.sends(&json!({ "client_id": id }))));
    let ban = Action::new(reader, (Verb::Post, BANS), &[], ("Ban", "The client is banned."));
    actions.extend(ban.map(|action| {
        let reason = "banned in the control center";
        let confirm = format!(
            "Client {} is disconnected and kept out, whoever uses the id, until the ban is lifted \
                under Bans.",
            show::visible(&id)
        );
        action.sends(&json!({ "client_id": id, "reason": reason })).confirmed(confirm)
    }));
    if id == crate::field::MASK { Vec::new() } else { actions }
}

fn connection(client: &Value) -> Facts {
    Facts {
        title: "Connection".to_owned(),
        facts: vec![
            ("State", state(client)),
            ("Since", show::time(client, "since_unix")),
            ("Principal", show::code(client, "principal")),
            ("User name sent", show::code(client, "username")),
            ("Authenticated by", plugin(client, "authenticated_by")),
            ("Groups", show::chips(client, "groups")),
            ("Attributes", attributes(client)),
            ("Identity ends", show::time(client, "identity_ends_unix")),
            ("Listener", show::plain(client, "listener")),
            ("Address", show::code(client, "remote")),
            ("Protocol", show::plain(client, "protocol")),
            ("Keep alive", show::seconds(client, "keep_alive_seconds")),
        ],
    }
}

/// What plugins said of it, as pairs.
fn attributes(client: &Value) -> Cell {
    let pairs = rows(client, "attributes").iter().map(|pair| {
        let half = |place| pair.get(place).and_then(Value::as_str).unwrap_or_default();
        format!("{} = {}", show::visible(half(0)), show::visible(half(1)))
    });
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() { Cell::none() } else { Cell::new("", show::Look::Chips(pairs)) }
}

fn session(client: &Value) -> Facts {
    Facts {
        title: "Session".to_owned(),
        facts: vec![
            ("In flight", show::number(client, "in_flight")),
            ("Queued", show::number(client, "queued")),
            ("Bytes queued", show::bytes(client, "queued_bytes")),
            ("Dropped", show::number(client, "dropped")),
            ("QoS 2 not released", show::number(client, "awaiting_release")),
            (
                "Survives a restart",
                show::flag(client, "stored", ("yes", Tone::Good), ("no", Tone::Quiet)),
            ),
            ("Expires after", show::seconds(client, "session_expiry_interval")),
            ("Expires in", show::seconds(client, "expires_in_seconds")),
            (
                "Began with",
                show::flag(
                    client,
                    "clean_start",
                    ("clean start", Tone::Quiet),
                    ("what was there", Tone::Quiet),
                ),
            ),
            ("Chain generation", show::number(client, "generation")),
        ],
    }
}

/// Certificate, will, bounds and attributes, where there are such.
fn more_facts(client: &Value) -> Vec<Facts> {
    let there = |member: &str| show::at(client, member).is_object();
    let mut all = Vec::new();
    if there("certificate") {
        all.push(Facts {
            title: "Certificate".to_owned(),
            facts: vec![
                ("Subject", show::code(client, "certificate.subject")),
                ("Issuer", show::code(client, "certificate.issuer")),
                ("Serial number", show::code(client, "certificate.serial")),
                ("Names", show::chips(client, "certificate.names")),
                ("Good until", show::time(client, "certificate.not_after_unix")),
                ("SHA-256", show::code(client, "certificate.sha256")),
            ],
        });
    }
    if there("will") {
        all.push(Facts {
            title: "Will Message".to_owned(),
            facts: vec![
                ("Topic", show::code(client, "will.topic")),
                ("Payload", show::bytes(client, "will.payload_bytes")),
                ("Payload in base64", show::code(client, "will.payload_base64")),
                ("QoS", show::number(client, "will.qos")),
                ("Retained", show::plain(client, "will.retain")),
                ("Delay", show::seconds(client, "will.delay_seconds")),
                ("Expires after", show::seconds(client, "will.expiry_seconds")),
            ],
        });
    }
    let bounds: Vec<_> = BOUNDS
        .iter()
        .filter(|(_, member)| !show::at(client, member).is_null())
        .map(|(name, member)| (*name, show::number(client, member)))
        .collect();
    if !bounds.is_empty() {
        all.push(Facts { title: "Bounds that plugins set".to_owned(), facts: bounds });
    }
    all
}

const BOUNDS: &[(&str, &str)] = &[
    ("Messages a second", "grant.messages_per_second"),
    ("Messages at once", "grant.messages_burst"),
    ("Bytes a second", "grant.bytes_per_second"),
    ("Receive maximum", "grant.receive_maximum"),
    ("In flight", "grant.in_flight_max"),
    ("Messages queued", "grant.queue_messages_max"),
    ("Bytes queued", "grant.queue_bytes_max"),
    ("Bytes of a packet", "grant.packet_bytes_max"),
    ("Keep alive in seconds", "grant.keep_alive_seconds_max"),
    ("Subscriptions", "grant.subscriptions_max"),
    ("Session expiry in seconds", "grant.session_expiry_seconds_max"),
];

fn subscription_table(reader: &Reader, client: &Value) -> Table {
    let id = text(client, "client_id");
    let row = |subscription: &Value| Row {
        cells: vec![
            show::code(subscription, "filter"),
            show::number(subscription, "qos"),
            holdings::options(subscription),
            show::time(subscription, "since_unix"),
        ],
        actions: holdings::unsubscribe(reader, &id, &text(subscription, "filter"))
            .into_iter()
            .collect(),
    };
    Table {
        title: "Subscriptions".to_owned(),
        columns: vec!["Topic filter", "QoS", "Options", "Since"],
        rows: rows(client, "subscriptions").iter().map(row).collect(),
        empty: ("It is subscribed to nothing.", "It only publishes, or has not subscribed yet."),
        next: None,
        first: None,
    }
}

/// The filter by outcome that lists of decisions have.
pub(super) fn outcome() -> Input {
    filter("refused", "Outcome", &[("true", "refused"), ("false", "permitted")])
}
