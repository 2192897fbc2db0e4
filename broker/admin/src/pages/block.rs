//! What pages are built of: tables, facts, forms, steps. Each has one template, so that all pages
//! look alike.
//!
//! Knows nothing of what is shown.

use askama::Template;
use serde_json::Value;

use super::{
    ask::{Pairs, Reader, address},
    show::{Cell, Tone},
};
use crate::route::Verb;

/// A part of a page.
pub(super) enum Block {
    Tiles(Tiles),
    Charts(Charts),
    Facts(Facts),
    Actions(Actions),
    Table(Table),
    Form(Form),
    Steps(Steps),
    Notice(Notice),
    Lines(Lines),
    Tail(Tail),
}

/// Numbers at a glance.
#[derive(Template)]
#[template(path = "block/tiles.html")]
pub(super) struct Tiles {
    pub(super) tiles: Vec<Tile>,
}

/// One number.
pub(super) struct Tile {
    pub(super) label: &'static str,
    /// Kept up to date by the script, from this member of the overview.
    pub(super) live: Option<&'static str>,
    pub(super) value: Cell,
    pub(super) href: Option<&'static str>,
}

/// Lines over time, drawn by the script from `/api/v1/overview`.
#[derive(Template)]
#[template(path = "block/charts.html")]
pub(super) struct Charts {
    pub(super) charts: &'static [Chart],
}

/// One drawing.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What its numbers are: `rate`, `count`, `bytes`, `level` or `milliseconds`.
    pub(super) unit: &'static str,
    /// Member of a sample, and what it is called.
    pub(super) series: &'static [(&'static str, &'static str)],
}

/// Names and values.
#[derive(Template)]
#[template(path = "block/facts.html")]
pub(super) struct Facts {
    pub(super) title: String,
    pub(super) facts: Vec<(&'static str, Cell)>,
}

/// Rows and columns; on a phone each row is a card.
#[derive(Template)]
#[template(path = "block/table.html")]
pub(super) struct Table {
    pub(super) title: String,
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
    /// What stands there instead of rows: what it means, and what to do next.
    pub(super) empty: (&'static str, &'static str),
    /// Where the next page is, and the first one.
    pub(super) next: Option<String>,
    pub(super) first: Option<String>,
}

/// One row.
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) actions: Vec<Action>,
}

impl Table {
    /// Whether some row can be acted on.
    fn has_actions(&self) -> bool {
        self.rows.iter().any(|row| !row.actions.is_empty())
    }

    /// Cells of a row with the titles of their columns.
    fn titled<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'static str, &'a Cell)> {
        self.columns.iter().copied().zip(&row.cells)
    }
}

/// A button that asks a route of the API.
#[derive(Template)]
#[template(path = "block/action.html")]
pub(super) struct Action {
    pub(super) label: &'static str,
    pub(super) verb: &'static str,
    pub(super) url: String,
    pub(super) body: Option<String>,
    /// What is about to happen, for whoever must confirm it.
    pub(super) confirm: Option<String>,
    pub(super) danger: bool,
    /// What is said when it is done.
    pub(super) done: &'static str,
    /// Where to go then; without it the page is read again.
    pub(super) then: Option<&'static str>,
    /// The version that was shown; another one stays as it is.
    pub(super) etag: Option<String>,
}

/// Buttons below what they are about.
#[derive(Template)]
#[template(path = "block/actions.html")]
pub(super) struct Actions {
    pub(super) actions: Vec<Action>,
}

impl Action {
    /// A button, if the reader may use the route.
    pub(super) fn new(
        reader: &Reader,
        (verb, template): (Verb, &str),
        path: Pairs<'_>,
        (label, done): (&'static str, &'static str),
    ) -> Option<Self> {
        let hidden = path.iter().any(|(_, value)| *value == crate::field::MASK);
        if hidden || !reader.may(verb, template) {
            return None;
        }
        Some(Self {
            label,
            verb: verb.name(),
            url: address(template, path, &[]),
            body: None,
            confirm: None,
            danger: false,
            done,
            then: None,
            etag: None,
        })
    }

    pub(super) fn sends(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    /// It asks first, and says what will happen.
    pub(super) fn confirmed(mut self, what: String) -> Self {
        self.confirm = Some(what);
        self.danger = true;
        self
    }

    /// Only what was shown is changed.
    pub(super) fn only_if(mut self, etag: Option<&str>) -> Self {
        self.etag = etag.map(str::to_owned);
        self
    }

    pub(super) fn then(mut self, page: &'static str) -> Self {
        self.then = Some(page);
        self
    }
}

/// What is filled in.
#[derive(Template)]
#[template(path = "block/form.html")]
pub(super) struct Form {
    pub(super) title: &'static str,
    pub(super) intro: &'static str,
    pub(super) kind: FormKind,
    pub(super) inputs: Vec<Input>,
    pub(super) submit: &'static str,
    /// Whether it is folded up until somebody wants it.
    pub(super) folded: bool,
}

/// Where a form goes.
pub(super) enum FormKind {
    /// To this page again, with what was filled in as its query; needs no script.
    Search,
    /// To a route of the API, as JSON. Names in braces in the address are taken from the inputs.
    Sent {
        verb: &'static str,
        url: String,
        done: &'static str,
        then: Option<&'static str>,
        /// Member of the answer that is shown, once.
        shows: Option<&'static str>,
        /// The version that is changed; another one stays as it is.
        etag: Option<String>,
    },
    /// A file to a route of the API, whose address takes the name from the input `name`.
    Upload {
        verb: &'static str,
        url: &'static str,
        /// What is said when it is there; empty: the state that the plugin is in then.
        done: &'static str,
        /// Where the broker tells how far it is, for those who may know.
        events: Option<&'static str>,
    },
}

/// One thing to fill in.
pub(super) struct Input {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) kind: InputKind,
    pub(super) value: String,
    pub(super) hint: &'static str,
    pub(super) required: bool,
}

/// How it is filled in, and what becomes of it in JSON.
pub(super) enum InputKind {
    Text,
    Search,
    Password,
    /// A whole number.
    Number,
    Check,
    /// Long text.
    Area,
    Choice(Vec<(String, String)>),
    /// Any of these words, each with a box: a list.
    Several(Vec<String>),
    /// A moment in UTC, which becomes seconds since 1970.
    Moment,
    /// The same with numbers.
    NumberChoice(Vec<(String, String)>),
    File,
}

impl Input {
    pub(super) fn new(name: &'static str, label: &'static str, kind: InputKind) -> Self {
        Self { name, label, kind, value: String::new(), hint: "", required: false }
    }

    pub(super) fn choice(
        name: &'static str,
        label: &'static str,
        choices: &[(&str, &str)],
    ) -> Self {
        let choices = choices.iter().map(|(value, text)| ((*value).to_owned(), (*text).to_owned()));
        Self::new(name, label, InputKind::Choice(choices.collect()))
    }

    pub(super) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    pub(super) fn value(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }
}

/// What happened one after the other.
#[derive(Template)]
#[template(path = "block/steps.html")]
pub(super) struct Steps {
    pub(super) title: String,
    pub(super) steps: Vec<Step>,
    pub(super) end: Option<(String, Tone)>,
}

/// One of them.
pub(super) struct Step {
    pub(super) name: Cell,
    pub(super) verdict: Cell,
    pub(super) detail: String,
    pub(super) beside: Vec<Cell>,
}

/// A sentence that must be seen. Those about a whole page stand at its top, see `Page`.
#[derive(Template)]
#[template(path = "block/notice.html")]
pub(super) struct Notice {
    pub(super) tone: Tone,
    pub(super) title: String,
    pub(super) text: String,
}

/// Text as machines write it.
#[derive(Template)]
#[template(path = "block/lines.html")]
pub(super) struct Lines {
    pub(super) title: &'static str,
    pub(super) lines: Vec<String>,
}

/// Lines that come one after the other, for as long as somebody looks.
#[derive(Template)]
#[template(path = "block/tail.html")]
pub(super) struct Tail {
    /// A stream of server-sent events.
    pub(super) url: String,
}
