//! Pages that are a list: what is asked, which columns it has, what can be done with a row.
//!
//! Knows nothing of how tables look. To add one, write a [`List`] and a line in `PAGES`.

use axum::extract::Query;
use serde_json::Value;

use super::{
    ask::{Reader, address},
    block::{Action, Block, Form, FormKind, Input, InputKind, Row, Table},
    frame::Page,
    show::Cell,
};
use crate::{
    call::{Answer, Call},
    problem::Problem,
};

/// A page that is a list.
pub(super) struct List {
    pub(super) path: &'static str,
    pub(super) title: &'static str,
    /// One sentence: what this is.
    pub(super) intro: &'static str,
    /// The route that is asked, and the member of its answer that has the rows.
    pub(super) route: &'static str,
    pub(super) rows: &'static str,
    pub(super) columns: &'static [Column],
    pub(super) filters: fn() -> Vec<Input>,
    /// Parameters that are asked with in any case.
    pub(super) fixed: &'static [(&'static str, &'static str)],
    pub(super) cursor: Cursor,
    /// What it means that there is nothing, and what to do.
    pub(super) empty: (&'static str, &'static str),
    pub(super) actions: fn(&Reader, &Value) -> Vec<Action>,
    pub(super) forms: fn(&Reader) -> Vec<Form>,
    /// How often it is read again, in seconds; 0 = never.
    pub(super) refresh: u32,
}

/// A column: its title, and how a row fills it.
pub(super) type Column = (&'static str, fn(&Value) -> Cell);

/// How the next page is asked for.
pub(super) enum Cursor {
    /// There is only one.
    None,
    /// With this parameter, set to `next` of this one.
    Next(&'static str),
    /// With this parameter, set to this member of the last row.
    LastRow(&'static str, &'static str),
}

/// For lists without filters, actions or forms.
pub(super) fn no_inputs() -> Vec<Input> {
    Vec::new()
}

pub(super) fn no_actions(_: &Reader, _: &Value) -> Vec<Action> {
    Vec::new()
}

pub(super) fn no_forms(_: &Reader) -> Vec<Form> {
    Vec::new()
}

/// The query string of a page: at most what its filters know; others are left alone.
pub(super) fn query_of(call: &Call) -> Result<Vec<(String, String)>, Problem> {
    Query::try_from_uri(&call.parts.uri)
        .map(|Query(pairs)| pairs)
        .map_err(|rejection| Problem::invalid(rejection.body_text()))
}

/// The value of a parameter of the page, empty where there is none.
pub(super) fn asked(query: &[(String, String)], name: &str) -> String {
    let found = query.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// The page of a list.
pub(super) async fn page(list: &'static List, call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    filled(list, &query_of(&call)?, &reader).await?.answer()
}

/// The same, for whoever adds something to it.
pub(super) async fn filled(
    list: &'static List,
    query: &[(String, String)],
    reader: &Reader,
) -> Result<Page, Problem> {
    let mut filters = (list.filters)();
    for filter in &mut filters {
        filter.value = asked(query, filter.name);
    }
    let cursor = match list.cursor {
        Cursor::None => None,
        Cursor::Next(parameter) | Cursor::LastRow(parameter, _) => Some(parameter),
    };
    let at = cursor.map(|name| asked(query, name)).unwrap_or_default();
    let mut pairs: Vec<(&str, &str)> = list.fixed.to_vec();
    pairs.extend(filters.iter().map(|filter| (filter.name, filter.value.as_str())));
    let here: Vec<_> = pairs.iter().copied().filter(|pair| !list.fixed.contains(pair)).collect();
    pairs.extend(cursor.map(|name| (name, at.as_str())));
    pairs.retain(|(_, value)| !value.is_empty());
    let answer = reader.get(list.route, &[], &pairs).await?;
    let rows = super::show::rows(&answer, list.rows);
    let next = next(list, &answer, rows).zip(cursor);
    let table = Table {
        title: String::new(),
        columns: list.columns.iter().map(|(title, _)| *title).collect(),
        rows: rows.iter().map(|row| row_of(list, reader, row)).collect(),
        empty: list.empty,
        next: next.map(|(value, name)| {
            let mut pairs = here.clone();
            pairs.push((name, &value));
            address(list.path, &[], &pairs)
        }),
        first: (!at.is_empty()).then(|| address(list.path, &[], &here)),
    };
    let mut page = Page::new(reader, list.path, list.title);
    page.intro = list.intro;
    page.refresh = list.refresh;
    if !filters.is_empty() {
        page.blocks.push(Block::Form(search(filters)));
    }
    page.blocks.push(Block::Table(table));
    page.blocks.extend((list.forms)(reader).into_iter().map(Block::Form));
    Ok(page)
}

fn row_of(list: &List, reader: &Reader, row: &Value) -> Row {
    Row {
        cells: list.columns.iter().map(|(_, cell)| cell(row)).collect(),
        actions: (list.actions)(reader, row),
    }
}

fn next(list: &List, answer: &Value, rows: &[Value]) -> Option<String> {
    let next = match list.cursor {
        Cursor::None => String::new(),
        Cursor::Next(_) => super::show::text(answer, "next"),
        Cursor::LastRow(_, member) if rows.len() >= ROWS => {
            rows.last().map(|row| super::show::text(row, member)).unwrap_or_default()
        }
        Cursor::LastRow(..) => String::new(),
    };
    (!next.is_empty()).then_some(next)
}

/// A form that asks for the same page with these inputs.
pub(super) fn search(inputs: Vec<Input>) -> Form {
    Form { title: "", intro: "", kind: FormKind::Search, inputs, submit: "Show", folded: false }
}

/// A choice of how a filter is set; the first leaves it open.
pub(super) fn filter(name: &'static str, label: &'static str, choices: &[(&str, &str)]) -> Input {
    let mut all = vec![("", "all")];
    all.extend(choices);
    Input::choice(name, label, &all)
}

/// A filter by text.
pub(super) fn find(name: &'static str, label: &'static str) -> Input {
    Input::new(name, label, InputKind::Search)
}

/// Rows on a page where the API has no other answer to "is there more".
pub(super) const ROWS: usize = 50;
