//! Pages on the broker itself: overview and keys.
//!
//! Knows nothing of MQTT; asks the API.

use serde_json::Value;

use super::{
    ask::Reader,
    block::{
        Action, Block, Chart, Charts, Form, FormKind, Input, InputKind, Notice, Row, Table, Tile,
        Tiles,
    },
    decisions,
    frame::Page,
    show::{self, Tone, rows, text},
};
use crate::{
    call::{Answer, Call},
    route::Verb,
};

const RING: &str = "/api/v1/keys/{ring}";
const ROTATE: &str = "/api/v1/keys/{ring}/rotate";
const RETIRE: &str = "/api/v1/keys/{ring}/{key}";

static CHARTS: &[Chart] = &[
    Chart {
        title: "Connections",
        unit: "count",
        series: &[("connections", "connections"), ("sessions", "sessions")],
    },
    Chart {
        title: "Messages",
        unit: "rate",
        series: &[("messages_in", "in"), ("messages_out", "out"), ("messages_dropped", "dropped")],
    },
    Chart { title: "Bytes", unit: "bytes", series: &[("bytes_in", "in"), ("bytes_out", "out")] },
    Chart {
        title: "Decisions",
        unit: "rate",
        series: &[
            ("connects_accepted", "let in"),
            ("connects_refused", "refused"),
            ("operations_denied", "denied"),
        ],
    },
    Chart {
        title: "Time in plugins",
        unit: "milliseconds",
        series: &[("plugin_milliseconds", "per second")],
    },
    Chart { title: "Level of load", unit: "level", series: &[("overload_level", "level")] },
];

/// `/`
pub(super) async fn overview(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let status = reader.get("/api/v1/status", &[], &[]).await?;
    let mut page = Page::new(&reader, "/", "Overview");
    page.refresh = 5;
    page.notices = readiness(&status);
    if let Some(found) = reader.get_if_any("/api/v1/alarms", &[], &[]).await? {
        page.notices.extend(alarms(&found));
    }
    page.blocks.push(Block::Tiles(tiles(&status)));
    page.blocks.push(Block::Charts(Charts { charts: CHARTS }));
    let refused = [("refused", "true"), ("limit", "8")];
    if let Some(found) = reader.get_if_any("/api/v1/decisions", &[], &refused).await? {
        let mut table = decisions::table("Latest refusals", &found);
        table.empty = ("Nobody was refused lately.", "Refusals appear here with their reason.");
        page.blocks.push(Block::Table(table));
    }
    page.answer()
}

fn readiness(status: &Value) -> Vec<Notice> {
    let say = |tone, title: &str, member: &str| {
        let sentences = rows(status, member).iter().filter_map(Value::as_str);
        let sentences: Vec<_> = sentences.map(show::visible).collect();
        (!sentences.is_empty()).then(|| Notice {
            tone,
            title: title.to_owned(),
            text: sentences.join(". "),
        })
    };
    let problems = say(Tone::Bad, "Not ready", "problems");
    problems.into_iter().chain(say(Tone::Warning, "Worth a look", "warnings")).collect()
}

/// The worst of what is wrong; the page of alarms says what to do.
fn alarms(found: &Value) -> Option<Notice> {
    let standing = rows(found, "alarms");
    let worst = text(standing.first()?, "severity");
    let tone = match worst.as_str() {
        "critical" => Tone::Bad,
        "warning" => Tone::Warning,
        _ => Tone::Quiet,
    };
    let first: Vec<_> = standing.iter().take(3).map(|alarm| text(alarm, "what")).collect();
    let title = match standing.len() {
        1 => "An alarm".to_owned(),
        many => format!("{many} alarms"),
    };
    Some(Notice { tone, title, text: show::visible(&first.join(". ")) })
}

fn tiles(status: &Value) -> Tiles {
    let tile = |label, member, href| Tile {
        label,
        live: Some(member),
        value: show::number(status, member),
        href,
    };
    let ready = show::flag(status, "ready", ("ready", Tone::Good), ("not ready", Tone::Bad));
    Tiles {
        tiles: vec![
            Tile { label: "Broker", live: None, value: ready, href: None },
            tile("Connections", "connections", Some("/clients")),
            tile("Sessions", "sessions", Some("/clients")),
            tile("Subscriptions", "subscriptions", Some("/subscriptions")),
            tile("Retained", "retained_messages", Some("/retained")),
            tile("Level of load", "overload_level", None),
            Tile {
                label: "Up for",
                live: None,
                value: show::seconds(status, "uptime_seconds"),
                href: None,
            },
            Tile {
                label: "Version",
                live: None,
                value: show::plain(status, "version"),
                href: None,
            },
        ],
    }
}

/// `/keys`
pub(super) async fn keys(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let answer = reader.get("/api/v1/keys", &[], &[]).await?;
    let mut page = Page::new(&reader, "/keys", "Keys");
    page.intro = "Key rings that plugins seal payloads with. What is in a key is never shown.";
    for ring in rows(&answer, "rings") {
        page.blocks.push(Block::Table(ring_table(&reader, ring)));
    }
    if rows(&answer, "rings").is_empty() {
        page.notices.push(Notice {
            tone: Tone::Quiet,
            title: "There is no key ring.".to_owned(),
            text: "A table [keys.NAME] of the configuration makes one.".to_owned(),
        });
    }
    page.blocks.extend(add_key(&reader, rows(&answer, "rings")).map(Block::Form));
    page.answer()
}

/// The form that adds a key to one of the rings that the broker keeps.
fn add_key(reader: &Reader, rings: &[Value]) -> Option<Form> {
    let managed = rings.iter().filter(|ring| is_managed(ring)).map(|ring| text(ring, "name"));
    let choices: Vec<_> = managed.map(|name| (name.clone(), name)).collect();
    if choices.is_empty() || !reader.may(Verb::Post, RING) {
        return None;
    }
    let number = Input::new("id", "Number", InputKind::Number);
    let value = Input::new("value", "Key", InputKind::Password);
    Some(Form {
        title: "Add a key",
        intro: "It only opens until the ring is rotated: so other brokers of the same devices can \
            be given it first.",
        kind: FormKind::Sent {
            verb: "POST",
            url: RING.to_owned(),
            done: "The key is added.",
            then: None,
            shows: None,
            etag: None,
        },
        inputs: vec![
            Input::new("ring", "Ring", InputKind::Choice(choices)),
            number.hint("Larger than all before; empty = the next."),
            value.hint("32 bytes in base64, never shown again; empty = a random one."),
        ],
        submit: "Add",
        folded: true,
    })
}

fn is_managed(ring: &Value) -> bool {
    show::at(ring, "managed").as_bool() == Some(true)
}

fn rotate(reader: &Reader, ring: &Value) -> Option<Action> {
    let name = text(ring, "name");
    if !is_managed(ring) {
        return None;
    }
    let words = ("Rotate", "A new key seals.");
    let action = Action::new(reader, (Verb::Post, ROTATE), &[("ring", &name)], words)?;
    Some(action.confirmed(format!(
        "Ring {name} gets a new key that seals from now on. The keys before go on opening."
    )))
}

fn ring_table(reader: &Reader, ring: &Value) -> Table {
    let name = text(ring, "name");
    let managed = is_managed(ring);
    let row = |key: &Value| {
        let id = text(key, "id");
        let words = ("Retire", "The key is retired.");
        let path = [("ring", name.as_str()), ("key", id.as_str())];
        let retire = Action::new(reader, (Verb::Delete, RETIRE), &path, words);
        let confirm = format!(
            "Key {id} of ring {name} is deleted for good: what was sealed with it can be opened \
                no more."
        );
        let opens = managed && text(key, "state") == "opens";
        let retire = retire.filter(|_| opens).map(|action| action.confirmed(confirm));
        // Beside the key that seals until then: a page may have many rings.
        let rotate = (text(key, "state") == "seals").then(|| rotate(reader, ring)).flatten();
        Row {
            cells: vec![
                show::number(key, "id"),
                show::word(key, "state", &[("seals", Tone::Good)]),
                show::time(key, "created_unix"),
                show::time(key, "retired_unix"),
            ],
            actions: rotate.into_iter().chain(retire).collect(),
        }
    };
    let kept = if managed { "kept by the broker" } else { "kept in the configuration" };
    Table {
        title: format!("{name} ({}, {kept})", text(ring, "algorithm")),
        columns: vec!["Key", "State", "Made", "Retired"],
        rows: rows(ring, "keys").iter().map(row).collect(),
        empty: ("The ring has no key.", "Add one below."),
        next: None,
        first: None,
    }
}
