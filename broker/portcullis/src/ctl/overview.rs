//! `portcullis ctl overview`: what one wants to know first, on one page.

use serde_json::{Map, Value};

use super::{
    column::Column,
    command::View,
    commands::ALL,
    show,
    terminal::{self, print, print_json},
};
use crate::{
    api::{Broker, strange},
    failure::Failure,
};

/// What is asked for, and where it stands in the JSON.
const PARTS: [(&str, &str); 3] = [
    ("status", "/api/v1/status"),
    ("listeners", "/api/v1/listeners"),
    ("plugins", "/api/v1/plugins"),
];

/// How the lists are shown: as the commands of these words do.
const LISTS: [(&str, &str); 2] = [("listeners", "listeners"), ("plugins", "plugins list")];

/// Prints it; `json` = the answers as fields of one object.
pub(super) async fn run(broker: &Broker, json: bool) -> Result<(), Failure> {
    let mut answers = Map::new();
    for (name, path) in PARTS {
        answers.insert(name.to_owned(), broker.ask("GET", path, None).await?);
    }
    if json {
        return print_json(&Value::Object(answers).to_string());
    }
    print(&text(&answers, terminal::width())?)
}

fn text(answers: &Map<String, Value>, width: Option<u16>) -> Result<String, Failure> {
    let status = answers.get("status").ok_or_else(|| strange("status"))?;
    let mut out = show::fields(status, width);
    for (name, words) in LISTS {
        let rows = answers.get(name).and_then(|answer| answer.get(name)?.as_array());
        let rows = rows.ok_or_else(|| strange(name))?;
        out.push('\n');
        out.push_str(&show::table(rows, columns(words), true, width));
    }
    Ok(out)
}

fn columns(words: &str) -> &'static [Column] {
    let command = ALL.iter().copied().flatten().find(|command| command.words == words);
    match command.map(|command| command.view) {
        Some(View::Table { columns, .. }) => columns,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_page_has_status_listeners_and_plugins() {
        let answers = json!({
            "status": { "ready": false, "problems": ["gate: \u{1b}[31m is gone"] },
            "listeners": { "listeners": [{ "name": "mqtt", "address": "127.0.0.1:1883" }] },
            "plugins": { "plugins": [{ "name": "acl-file", "state": "live" }] },
        });
        let text = text(answers.as_object().unwrap(), None).unwrap();
        for part in [
            "ready     no",
            "gate: \\u{1b}[31m is gone",
            "ADDRESS",
            "127.0.0.1:1883",
            "acl-file live",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
        assert!(self::text(&Map::new(), None).is_err());
    }
}
