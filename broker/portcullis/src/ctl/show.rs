//! Answers as a person reads them: a table for a list, a line for each field of an object.
//!
//! Pure: text comes out. Knows nothing of single commands.

use comfy_table::{ContentArrangement, Table};
use serde_json::{Map, Value};

use super::column::{Column, Form};
use crate::api::printable;

/// A table, its columns as wide as what is in them; on a terminal at most `width` together.
pub(super) fn table(
    rows: &[Value],
    columns: &[Column],
    header: bool,
    width: Option<u16>,
) -> String {
    let cells = rows.iter().map(|row| columns.iter().map(|column| column.cell(row)).collect());
    let titles = header.then(|| columns.iter().map(|column| column.title.to_owned()).collect());
    grid(titles, cells.collect(), width)
}

fn grid(titles: Option<Vec<String>>, rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    match width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    if let Some(titles) = titles {
        table.set_header(titles);
    }
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

/// A line for each field, then a table for each list of objects.
pub(super) fn fields(value: &Value, width: Option<u16>) -> String {
    let Value::Object(object) = value else { return Form::Plain.write(value) + "\n" };
    let (mut lines, mut lists) = (Vec::new(), Vec::new());
    flatten("", object, &mut lines, &mut lists);
    let longest = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for (name, value) in lines {
        out.push_str(format!("{name:<longest$}  {value}").trim_end());
        out.push('\n');
    }
    for (name, rows) in lists {
        out.push_str(&format!("\n{name}:\n"));
        out.push_str(&objects(rows, width));
    }
    out
}

type Lists<'a> = Vec<(String, &'a [Value])>;

fn flatten<'a>(
    before: &str,
    object: &'a Map<String, Value>,
    lines: &mut Vec<(String, String)>,
    lists: &mut Lists<'a>,
) {
    for (name, value) in object {
        let path = format!("{before}{}", printable(name));
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                flatten(&format!("{path}."), inner, lines, lists);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => lists.push((path, items)),
            value => lines.push((path, Form::of_field(name).write(value))),
        }
    }
}

/// Objects with the same fields more or less.
fn objects(rows: &[Value], width: Option<u16>) -> String {
    let mut names: Vec<&String> = Vec::new();
    for name in rows.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let cell = |row: &Value, name: &str| {
        row.get(name).map_or_else(|| "-".to_owned(), |value| Form::of_field(name).write(value))
    };
    let cells = rows.iter().map(|row| names.iter().map(|name| cell(row, name)).collect());
    let titles = names.iter().map(|name| printable(name).to_uppercase().replace('_', " "));
    grid(Some(titles.collect()), cells.collect(), width)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::column::column, *};

    const COLUMNS: &[Column] = &[column("NAME", "/name"), column("COUNT", "/count")];

    #[test]
    fn a_list_is_a_table() {
        let rows = [json!({ "name": "a", "count": 1 }), json!({ "name": "long\u{1b}[2J" })];
        let expect = "NAME          COUNT\na             1\nlong\\u{1b}[2J -\n";
        assert_eq!(table(&rows, COLUMNS, true, None), expect);
        assert_eq!(table(&rows[..1], COLUMNS, false, None), "a 1\n");
    }

    #[test]
    fn a_table_is_not_wider_than_the_terminal() {
        let rows = [json!({ "name": "word ".repeat(40), "count": 1 })];
        let text = table(&rows, COLUMNS, true, Some(40));
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }

    #[test]
    fn an_object_is_a_line_for_each_field() {
        let value = json!({
            "name": "a", "described": { "version": "1\u{7}" }, "since_unix": 60,
            "empty": [], "none": null,
            "walk": [{ "link": "gate", "said": "allow" }, { "link": "x", "why": "no\nline" }],
        });
        let expect = "\
described.version  1\\u{7}
empty              -
name               a
none               -
since_unix         1970-01-01T00:01:00Z

walk:
LINK SAID  WHY
gate allow -
x    -     no\\u{a}line
";
        assert_eq!(fields(&value, None), expect);
    }
}
