//! Pages on plugins: all of them, one of them, and the chains that they are links of.
//!
//! Knows nothing of Wasm; asks the API.

use serde_json::Value;

use super::{
    ask::{Reader, address},
    block::{
        Action, Actions, Block, Facts, Form, FormKind, Input, InputKind, Lines, Notice, Row, Step,
        Steps, Table,
    },
    frame::Page,
    lists::{Cursor, List, no_inputs},
    show::{self, Cell, Look, Tone, rows, text},
};
use crate::{
    call::{Answer, Call},
    route::Verb,
};

const PLUGIN: &str = "/api/v1/plugins/{name}";
const SHADOW: &str = "/api/v1/plugins/{name}/shadow";
const PROMOTE: &str = "/api/v1/plugins/{name}/promote";
const EVENTS: &str = "/api/v1/events";
const UPLOADS: &str = "/api/v1/events?types=plugin_upload";
const APPROVE: &str = "/api/v1/plugins/{name}/approve";

const STATES: &[(&str, Tone)] = &[
    ("live", Tone::Good),
    ("live_old", Tone::Warning),
    ("failed", Tone::Bad),
    ("waiting_for_grant", Tone::Warning),
    ("waiting_for_approval", Tone::Warning),
    ("removed", Tone::Bad),
];

pub(super) static PLUGINS: List = List {
    path: "/plugins",
    title: "Plugins",
    intro: "The components that decide. One that is not live refuses wherever a chain names it.",
    route: "/api/v1/plugins",
    rows: "plugins",
    columns: &[
        ("Plugin", |row| plugin(row, "name")),
        ("State", |row| show::word(row, "state", STATES)),
        ("Version", |row| show::plain(row, "described.version")),
        ("Hooks", |row| show::chips(row, "hooks")),
        ("Control", |row| show::plain(row, "control")),
        ("Memory", |row| show::bytes(row, "memory_peak_bytes")),
        ("Calls", |row| show::number(row, "calls")),
        ("Failures", |row| show::number(row, "failures")),
        ("Time per call", per_call),
        ("Error", |row| show::plain(row, "error")),
    ],
    filters: no_inputs,
    fixed: &[],
    cursor: Cursor::None,
    empty: (
        "There is no plugin, so nobody gets in.",
        "Put NAME.wasm into the folder of plugins, or upload one below.",
    ),
    actions: super::lists::no_actions,
    forms: |reader| upload(reader, None).into_iter().collect(),
    refresh: 5,
};

/// The name of a plugin, which leads to its page; what is built into the broker has none.
pub(super) fn plugin(row: &Value, member: &str) -> Cell {
    match text(row, member).as_str() {
        DENY_ALL => show::code(row, member),
        name => show::code(row, member).leads_to("/plugins/{name}", "name", name),
    }
}

/// Stands at the end of every chain, as a part of the broker.
const DENY_ALL: &str = "deny-all";

/// Mean time of a call.
fn per_call(row: &Value) -> Cell {
    let count = |member| show::at(row, member).as_u64().unwrap_or_default();
    match (count("call_microseconds"), count("calls")) {
        (_, 0) => Cell::none(),
        (micros, calls) => Cell::new(show::in_microseconds(micros / calls), Look::Number),
    }
}

/// The form that uploads a component: a new plugin, or another version of one.
fn upload(reader: &Reader, name: Option<&str>) -> Option<Form> {
    if !reader.may(Verb::Put, PLUGIN) {
        return None;
    }
    Some(Form {
        title: if name.is_some() { "Upload another version" } else { "Upload a plugin" },
        intro: "It is checked, compiled and tested before it takes the place of what is live; if \
            that fails, nothing changes. Grants, order and control stay those of its manifest.",
        kind: FormKind::Upload { verb: "PUT", url: PLUGIN, done: "", events: events(reader) },
        inputs: component(name),
        submit: "Upload",
        folded: false,
    })
}

fn events(reader: &Reader) -> Option<&'static str> {
    reader.may(Verb::Get, EVENTS).then_some(UPLOADS)
}

fn component(name: Option<&str>) -> Vec<Input> {
    let input = Input::new("name", "Name", InputKind::Text).required();
    let input =
        input.hint("1 to 64 letters, digits, - and _; taken from the file where it is empty.");
    vec![
        Input::new("file", "Component (.wasm)", InputKind::File).required(),
        input.value(name.unwrap_or_default()),
    ]
}

/// The form that uploads a candidate, which is asked beside the live version.
fn candidate(reader: &Reader, name: &str) -> Option<Form> {
    reader.may(Verb::Post, SHADOW).then(|| Form {
        title: "Try a version in the shadow",
        intro: "It is asked whatever the live version is asked, and its answers count for nothing: \
            the report says where they differ. Another candidate takes the place of the one \
            before.",
        kind: FormKind::Upload {
            verb: "POST",
            url: SHADOW,
            done: "The candidate is asked in the shadow.",
            events: events(reader),
        },
        inputs: component(Some(name)),
        submit: "Upload to the shadow",
        folded: false,
    })
}

/// `/plugins/{name}`
pub(super) async fn plugin_page(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let name = call.path("name")?;
    // Before the report of its candidate: what is promoted is what was read, or nothing.
    let (plugin, etag) = reader.get_with_etag(PLUGIN, &[("name", &name)]).await?;
    let mut page = Page::new(&reader, "/plugins", name.clone());
    page.above = Some(("/plugins", "Plugins"));
    page.refresh = 5;
    page.actions = actions(&reader, &plugin);
    page.notices = notices(&plugin);
    page.blocks.push(Block::Facts(facts(&plugin)));
    page.blocks.push(Block::Facts(calls(&plugin)));
    page.blocks.push(Block::Table(hooks(&plugin)));
    page.blocks.push(Block::Table(grants(&plugin)));
    page.blocks.push(Block::Table(versions(&plugin)));
    if let Some(report) = reader.get_if_any(SHADOW, &[("name", &name)], &[]).await? {
        page.blocks.extend(shadow((&reader, &name), &report, etag.as_deref()));
    }
    page.blocks.extend(upload(&reader, Some(&name)).map(Block::Form));
    page.blocks.extend(candidate(&reader, &name).map(Block::Form));
    page.answer()
}

fn actions(reader: &Reader, plugin: &Value) -> Vec<Action> {
    let name = text(plugin, "name");
    let state = text(plugin, "state");
    let button = |verb, template: &str, words| {
        Action::new(reader, (verb, template), &[("name", &name)], words)
    };
    let mut actions = Vec::new();
    if state == "waiting_for_approval" {
        let approve = button(Verb::Post, APPROVE, ("Approve", "The waiting version is live."));
        let asks =
            rows(plugin, "waiting.asks").iter().filter_map(Value::as_str).collect::<Vec<_>>();
        let version = text(plugin, "waiting.version");
        let confirm = format!(
            "Version {} of {name} goes live. It may then use what its predecessor did not: {}.",
            show::shortened(&version),
            asks.join(", ")
        );
        // What was read is what is approved: another version that came in the meantime is refused.
        let url = address(APPROVE, &[("name", &name)], &[("version", &version)]);
        actions.extend(approve.map(|action| Action { url, ..action.confirmed(confirm) }));
    }
    if state == "disabled" {
        actions.extend(button(
            Verb::Post,
            "/api/v1/plugins/{name}/enable",
            ("Enable", "The plugin is enabled."),
        ));
    } else if state == "removed" {
        let forget = button(Verb::Delete, PLUGIN, ("Forget", "The plugin is forgotten."));
        let confirm = format!(
            "{name} leaves the list and its link goes away. Where a chain names it, that chain \
                goes on refusing."
        );
        actions.extend(forget.map(|action| action.confirmed(confirm).then("/plugins")));
    } else {
        actions.extend(button(
            Verb::Post,
            "/api/v1/plugins/{name}/reload",
            ("Reload", "The plugin was loaded again."),
        ));
        let live = text(plugin, "version");
        if rows(plugin, "kept").iter().any(|kept| text(kept, "version") != live) {
            let back = button(
                Verb::Post,
                "/api/v1/plugins/{name}/rollback",
                ("Roll back", "The version before is live."),
            );
            let confirm = format!(
                "The version before the live one answers for {name}, until its files change or \
                    are reloaded."
            );
            actions.extend(back.map(|action| action.confirmed(confirm)));
        }
        let disable = button(
            Verb::Post,
            "/api/v1/plugins/{name}/disable",
            ("Disable", "The plugin is disabled."),
        );
        let confirm = format!(
            "{name} leaves the default chain. A chain that names it refuses everybody until it is \
                enabled again."
        );
        actions.extend(disable.map(|action| action.confirmed(confirm)));
    }
    actions
}

fn notices(plugin: &Value) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut say = |tone, title: &str, text: String| {
        notices.push(Notice { tone, title: title.to_owned(), text });
    };
    let error = text(plugin, "error");
    if !error.is_empty() {
        say(Tone::Bad, "Last error", show::visible(&error));
    }
    let asks = rows(plugin, "waiting.asks").iter().filter_map(Value::as_str).collect::<Vec<_>>();
    if !asks.is_empty() {
        let text =
            format!("It asks for more than its predecessor: {}.", show::visible(&asks.join(", ")));
        say(Tone::Warning, "A version waits for approval", text);
    }
    if !show::at(plugin, "held").is_null() {
        let because = match text(plugin, "held.because").as_str() {
            "probation" => "the newer one failed too often after it went live",
            "start" => "the files in the folder did not load when the broker started",
            _ => "an administrator rolled it back",
        };
        say(
            Tone::Warning,
            "An earlier version answers",
            format!(
                "Because {because}. Its files stay where they are; reload it to try them again."
            ),
        );
    }
    if show::at(plugin, "on_probation").as_bool() == Some(true) {
        say(
            Tone::Quiet,
            "On probation",
            "It went live just now, and its predecessor comes back \
            by itself if it fails too often."
                .to_owned(),
        );
    }
    if show::at(plugin, "breaker.open").as_bool() == Some(true) {
        say(
            Tone::Bad,
            "Its breaker is open",
            "Calls of many addresses break; it is asked for nobody, and they are refused."
                .to_owned(),
        );
    }
    notices
}

fn facts(plugin: &Value) -> Facts {
    Facts {
        title: "Component".to_owned(),
        facts: vec![
            ("State", show::word(plugin, "state", STATES)),
            ("Calls itself", show::plain(plugin, "described.name")),
            ("Version", show::plain(plugin, "described.version")),
            ("Hooks", show::chips(plugin, "hooks")),
            ("Imports", show::chips(plugin, "imports")),
            ("Control", show::plain(plugin, "control")),
            ("Order", show::number(plugin, "order")),
            ("Generation", show::hash(plugin, "generation")),
            ("Generations so far", show::number(plugin, "generations")),
        ],
    }
}

fn calls(plugin: &Value) -> Facts {
    Facts {
        title: "Calls of this generation".to_owned(),
        facts: vec![
            ("Calls", show::number(plugin, "calls")),
            ("Without a decision", show::number(plugin, "failures")),
            ("Time in all", show::microseconds(plugin, "call_microseconds")),
            ("Time per call", per_call(plugin)),
            ("Addresses not asked for", show::number(plugin, "breaker.open_addresses")),
            ("Refused by the breaker", show::number(plugin, "breaker.refused")),
            ("Most memory after a call", show::bytes(plugin, "memory_peak_bytes")),
            ("Most memory it may have", show::bytes(plugin, "memory_max_bytes")),
            ("Calls at once, at most", show::number(plugin, "pool.places")),
            ("Calls now", show::number(plugin, "pool.in_use")),
            ("Calls that wait", show::number(plugin, "pool.waiting")),
            ("Warm instances", show::number(plugin, "pool.idle")),
        ],
    }
}

fn hooks(plugin: &Value) -> Table {
    let mean = |row: &Value| {
        let micros = show::at(row, "mean_seconds").as_f64().unwrap_or_default() * 1e6;
        match show::at(row, "calls").as_u64() {
            None | Some(0) => Cell::none(),
            Some(_) => Cell::new(show::in_microseconds(micros as u64), Look::Number),
        }
    };
    let row = |row: &Value| Row {
        cells: vec![show::code(row, "hook"), show::number(row, "calls"), mean(row)],
        actions: Vec::new(),
    };
    Table {
        title: "Calls by hook".to_owned(),
        columns: vec!["Hook", "Calls", "Time per call"],
        rows: rows(plugin, "hook_calls").iter().map(row).collect(),
        empty: ("It exports no hook.", "No generation answers, or nothing ever asks it."),
        next: None,
        first: None,
    }
}

/// What its manifest lends it; whoever wants to change that edits the manifest.
fn grants(plugin: &Value) -> Table {
    let row = |row: &Value| Row {
        cells: vec![show::code(row, "key"), show::chips(row, "values")],
        actions: Vec::new(),
    };
    Table {
        title: "Grants".to_owned(),
        columns: vec!["Grant", "What"],
        rows: rows(plugin, "grants").iter().map(row).collect(),
        empty: ("It is lent nothing.", "[grants] of NAME.toml beside it would."),
        next: None,
        first: None,
    }
}

fn versions(plugin: &Value) -> Table {
    let live = text(plugin, "version");
    let row = |kept: &Value| {
        let live = !live.is_empty() && text(kept, "version") == live;
        let state = match show::at(kept, "proven").as_bool() {
            _ if live => Cell::badge("live", Tone::Good),
            Some(true) => Cell::badge("proven", Tone::Quiet),
            _ => Cell::badge("not proven", Tone::Warning),
        };
        let cells = vec![
            show::hash(kept, "version"),
            state,
            show::plain(kept, "described.version"),
            show::time(kept, "since_unix"),
        ];
        Row { cells, actions: Vec::new() }
    };
    Table {
        title: "Versions that can be gone back to".to_owned(),
        columns: vec!["Hash", "State", "Version", "First live"],
        rows: rows(plugin, "kept").iter().map(row).collect(),
        empty: ("There is none.", "A version is kept once it has been live."),
        next: None,
        first: None,
    }
}

fn shadow(about: (&Reader, &str), report: &Value, etag: Option<&str>) -> Vec<Block> {
    let hooks = show::at(report, "by_hook").as_object().into_iter().flatten();
    let hooks = hooks.map(|(hook, count)| format!("{hook}: {count}")).collect::<Vec<_>>();
    let hooks = if hooks.is_empty() { Cell::none() } else { Cell::new("", Look::Chips(hooks)) };
    let facts = Facts {
        title: "Candidate in shadow mode".to_owned(),
        facts: vec![
            ("Hash", show::hash(report, "version")),
            ("Version", show::plain(report, "described.version")),
            ("Asked for", show::seconds(report, "seconds")),
            ("Questions both answered", show::number(report, "calls")),
            ("Answered otherwise", show::number(report, "differences")),
            ("Of these by hook", hooks),
            ("No room for", show::number(report, "dropped")),
        ],
    };
    let lines = rows(report, "last").iter().flat_map(|difference| {
        let head = format!("{} of {}", text(difference, "hook"), text(difference, "client_id"));
        let lines = rows(difference, "lines").iter().filter_map(Value::as_str);
        std::iter::once(head).chain(lines.map(|line| format!("    {line}"))).collect::<Vec<_>>()
    });
    let lines: Vec<_> = lines.map(|line| show::visible(&line)).collect();
    let mut blocks = vec![Block::Facts(facts), Block::Actions(fate(about, report, etag))];
    if !lines.is_empty() {
        blocks.push(Block::Lines(Lines { title: "Where its answers differ", lines }));
    }
    blocks
}

/// What can become of a candidate.
fn fate((reader, name): (&Reader, &str), report: &Value, etag: Option<&str>) -> Actions {
    let path = [("name", name)];
    let words = ("Promote", "The candidate is live.");
    let promote = Action::new(reader, (Verb::Post, PROMOTE), &path, words);
    let confirm = format!(
        "The candidate {} takes the place of the live version of {name}.",
        show::shortened(&text(report, "version"))
    );
    let promote = promote.map(|action| action.confirmed(confirm));
    let drop = Action::new(reader, (Verb::Delete, SHADOW), &path, ("Drop", "It is dropped."));
    let confirm = format!("The candidate of {name} is asked no more, and its report is gone.");
    let drop = drop.map(|action| action.confirmed(confirm));
    let actions = promote.into_iter().chain(drop).map(|action| action.only_if(etag));
    Actions { actions: actions.collect() }
}

/// `/chains`
pub(super) async fn chains(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let answer = reader.get("/api/v1/listeners", &[], &[]).await?;
    let mut page = Page::new(&reader, "/chains", "Chains");
    page.intro = "Who is asked at each listener, in order. At the end of every chain stands \
        deny-all: who nobody allowed is refused.";
    page.refresh = 10;
    for listener in rows(&answer, "listeners") {
        page.blocks.push(Block::Facts(Facts {
            title: format!("Listener {}", text(listener, "name")),
            facts: vec![
                ("Transport", show::plain(listener, "transport")),
                ("Address", show::code(listener, "address")),
                ("Connections", show::number(listener, "connections")),
            ],
        }));
        let title = format!("Chain of {}", text(listener, "name"));
        page.blocks.push(Block::Steps(chain(title, rows(listener, "chain"))));
    }
    if let Some(links) = show::at(&answer, "admin_chain").as_array() {
        let title = "Chain of logins to the control center and the API".to_owned();
        page.blocks.push(Block::Steps(chain(title, links)));
    }
    page.answer()
}

fn chain(title: String, links: &[Value]) -> Steps {
    let links = links.iter().filter(|link| text(link, "plugin") != DENY_ALL);
    let end = Some(("deny-all: whoever nobody allowed is refused".to_owned(), Tone::Bad));
    Steps { title, steps: links.map(link).collect(), end }
}

fn link(link: &Value) -> Step {
    let detail = match text(link, "control").as_str() {
        "required" => "must allow; the chain goes on but can only refuse",
        "requisite" => "must allow; anything else refuses at once",
        "optional" => "never decides",
        _ => "its allow skips the sufficient and optional links behind it, its deny refuses",
    };
    Step {
        name: plugin(link, "plugin"),
        verdict: show::flag(link, "live", ("live", Tone::Good), ("not live: refuses", Tone::Bad)),
        detail: detail.to_owned(),
        beside: vec![show::plain(link, "control"), show::hash(link, "generation")],
    }
}
