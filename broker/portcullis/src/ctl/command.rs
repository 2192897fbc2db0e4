//! What a row of the table of commands says: the words, the route, the arguments and where each goes, how the answer is
//! shown.
//!
//! Knows nothing of single commands, of the command line and of HTTP.

use super::column::Column;

/// One command over one route.
pub(super) struct Command {
    /// `status`, or a group and a verb: `clients show`.
    pub(super) words: &'static str,
    /// What it does, a sentence without full stop.
    pub(super) about: &'static str,
    /// Method of the route.
    pub(super) method: &'static str,
    /// Path of the route, as the OpenAPI document writes it.
    pub(super) path: &'static str,
    pub(super) arguments: &'static [Argument],
    pub(super) view: View,
    /// How the list goes on behind a page.
    pub(super) pages: Option<Pages>,
}

/// One argument.
#[derive(Clone, Copy)]
pub(super) struct Argument {
    /// As on the command line, without dashes before it.
    pub(super) name: &'static str,
    /// As in the API.
    pub(super) field: &'static str,
    pub(super) help: &'static str,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

/// Where an argument goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A parameter of the path: a word in its place on the command line.
    Path,
    /// A parameter of the query: an option.
    Query,
    /// A field of the JSON body, `a.b` = a field of a field: an option.
    Body,
    /// The same: a word in its place on the command line.
    BodyWord,
    /// The component that goes up: a file.
    Component,
    /// A header.
    Header(&'static str),
}

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    /// True when it stands there.
    Flag,
    /// `true` or `false`.
    Boolean,
    Words(&'static [&'static str]),
    /// May stand there several times: a list.
    List,
    /// The name of a file whose text it is, `-` = standard input.
    TextFile,
    /// The name of a file whose bytes it is in base64, `-` = standard input.
    BinaryFile,
    /// Password or the like: from a file, `-` = standard input; one end of line is left out.
    SecretFile,
    /// Any JSON.
    Json,
}

/// How an answer is shown where nobody asks for JSON.
#[derive(Clone, Copy)]
pub(super) enum View {
    /// A list of objects, a line each.
    Table { rows: &'static str, columns: &'static [Column], none: &'static str },
    /// One object: a line for each field.
    Fields,
    /// Nothing comes back: this is said instead.
    Done(&'static str),
    /// A text of many lines in this field, with its version on standard error.
    Text(&'static str),
    /// Bytes for a file or standard output.
    Bytes,
    /// Lines that come while they happen: Server-Sent Events, or JSON lines.
    Stream,
}

/// How a list goes on behind a page.
#[derive(Clone, Copy)]
pub(super) struct Pages {
    /// Parameter that says behind what.
    pub(super) cursor: &'static str,
    /// Where the answer, or its last row, says what comes next.
    pub(super) next: Next,
    /// Rows of a page when nobody says how many.
    pub(super) usual: u64,
    /// Most rows of one page.
    pub(super) most: u64,
}

/// Rows of a page of most lists when nobody says how many.
const USUAL: u64 = 100;

/// What says where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A field of the answer; null = there is no more.
    Field(&'static str),
    /// A JSON pointer into the last row; a page without rows = there is no more.
    LastRow(&'static str),
}

const fn command(
    method: &'static str,
    words: &'static str,
    path: &'static str,
    about: &'static str,
    view: View,
) -> Command {
    Command { words, about, method, path, arguments: &[], view, pages: None }
}

/// A command that shows one object.
pub(super) const fn show(words: &'static str, path: &'static str, about: &'static str) -> Command {
    command("GET", words, path, about, View::Fields)
}

/// A command that shows the rows of a list.
pub(super) const fn list(
    words: &'static str,
    path: &'static str,
    about: &'static str,
    (rows, columns, none): (&'static str, &'static [Column], &'static str),
) -> Command {
    command("GET", words, path, about, View::Table { rows, columns, none })
}

pub(super) const fn post(words: &'static str, path: &'static str, about: &'static str) -> Command {
    command("POST", words, path, about, View::Fields)
}

pub(super) const fn put(words: &'static str, path: &'static str, about: &'static str) -> Command {
    command("PUT", words, path, about, View::Fields)
}

pub(super) const fn delete(
    words: &'static str,
    path: &'static str,
    about: &'static str,
) -> Command {
    command("DELETE", words, path, about, View::Done("done"))
}

impl Command {
    pub(super) const fn with(mut self, arguments: &'static [Argument]) -> Self {
        self.arguments = arguments;
        self
    }

    pub(super) const fn shown(mut self, view: View) -> Self {
        self.view = view;
        self
    }

    /// For an answer without content.
    pub(super) const fn says(mut self, done: &'static str) -> Self {
        self.view = View::Done(done);
        self
    }

    /// Pages that name what comes next in the field `next`.
    pub(super) const fn paged(mut self, cursor: &'static str, most: u64) -> Self {
        self.pages = Some(Pages { cursor, next: Next::Field("next"), usual: USUAL, most });
        self
    }

    /// Pages that go on behind what stands in the last row.
    pub(super) const fn paged_behind(
        mut self,
        cursor: &'static str,
        pointer: &'static str,
        (usual, most): (u64, u64),
    ) -> Self {
        self.pages = Some(Pages { cursor, next: Next::LastRow(pointer), usual, most });
        self
    }

    /// Whether it takes the version of what it changes.
    pub(super) fn takes_version(&self) -> bool {
        self.arguments.iter().any(|argument| argument.place == IF_MATCH.place)
    }

    /// The group and the verb; `None` = it stands alone.
    pub(super) fn in_group(&self) -> (Option<&'static str>, &'static str) {
        match self.words.split_once(' ') {
            Some((group, verb)) => (Some(group), verb),
            None => (None, self.words),
        }
    }
}

/// A parameter of the path.
pub(super) const fn path(name: &'static str, field: &'static str, help: &'static str) -> Argument {
    argument(name, field, help, Place::Path).required()
}

/// A parameter of the query.
pub(super) const fn query(name: &'static str, field: &'static str, help: &'static str) -> Argument {
    argument(name, field, help, Place::Query)
}

/// A field of the body, as an option.
pub(super) const fn body(name: &'static str, field: &'static str, help: &'static str) -> Argument {
    argument(name, field, help, Place::Body)
}

/// A field of the body, as a word in its place.
pub(super) const fn word(name: &'static str, field: &'static str, help: &'static str) -> Argument {
    argument(name, field, help, Place::BodyWord).required()
}

/// Where a stream that broke off goes on.
pub(super) const LAST_EVENT_ID: Argument = argument(
    "last-event-id",
    "Last-Event-ID",
    "What came behind the event of this id first, as far as it is kept",
    Place::Header("Last-Event-ID"),
);

/// A component that goes up.
pub(super) const COMPONENT: Argument =
    argument("file", "", "Component; NAME.sig beside it goes with it", Place::Component).required();

/// What the version that a command shows is good for.
pub(super) const IF_MATCH: Argument = argument(
    "if-match",
    "If-Match",
    "Only if it is still this version, as the command that shows it says",
    Place::Header("If-Match"),
);

pub(super) const fn argument(
    name: &'static str,
    field: &'static str,
    help: &'static str,
    place: Place,
) -> Argument {
    Argument { name, field, help, place, kind: Kind::Text, required: false }
}

impl Argument {
    pub(super) const fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Whether it is a word in its place, not an option.
    pub(super) fn is_word(&self) -> bool {
        match self.place {
            Place::Path | Place::BodyWord | Place::Component => self.required,
            Place::Query | Place::Body | Place::Header(_) => false,
        }
    }
}
