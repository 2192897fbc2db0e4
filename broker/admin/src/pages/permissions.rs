//! The rules that are in force for a client, as a table: what each is about, and what there is beside rules.
//!
//! Knows nothing of how rules decide; shows what the API says.

use serde_json::Value;

use super::{
    block::{Row, Table},
    plugins::plugin,
    show::{self, Cell, Look, Tone, rows, text},
};

/// The rules in force, link by link; none while it is not connected.
pub(super) fn in_force(client: &Value) -> Option<Table> {
    let links = show::at(client, "permissions").as_array()?;
    Some(Table {
        title: "Permissions in force".to_owned(),
        columns: vec!["From", "Rule", "Effect", "Activity", "Topic filter", "Only", "Has decided"],
        rows: links.iter().flat_map(link).collect(),
        empty: ("No rule is about it.", "What no rule allows is denied."),
        next: None,
        first: None,
    })
}

/// The rules of a link; what they leave unsaid has a row of its own, for it decides as well.
fn link(link: &Value) -> Vec<Row> {
    let from = plugin(link, "plugin");
    let mut found: Vec<_> = rows(link, "rules").iter().map(|rule| row(&from, rule)).collect();
    let mut say = |badge, words: String| {
        let cells = vec![
            from.clone(),
            Cell::none(),
            badge,
            Cell::none(),
            Cell::none(),
            Cell::plain(words),
            Cell::none(),
        ];
        found.push(Row { cells, actions: Vec::new() });
    };
    match text(link, "answer").as_str() {
        "deny_all" => {
            say(Cell::badge("deny", Tone::Bad), "it denies everything to this client".to_owned());
        }
        "next" => say(Cell::badge("no word", Tone::Quiet), "it says nothing on it".to_owned()),
        _ => {}
    }
    let dropped: Vec<_> = rows(link, "dropped").iter().map(ToString::to_string).collect();
    if !dropped.is_empty() {
        let words = format!(
            "allow rules {} fell away: the client id or principal cannot be filled in safely",
            dropped.join(", ")
        );
        say(Cell::badge("dropped", Tone::Warning), words);
    }
    if show::at(link, "more").as_bool() == Some(true) {
        let words = "there are more rules than are shown here; Who may looks at all of them";
        say(Cell::badge("cut", Tone::Warning), words.to_owned());
    }
    found
}

fn row(from: &Cell, rule: &Value) -> Row {
    let used = match show::at(rule, "covered_by").as_u64() {
        Some(other) => Cell::badge(format!("never: rule {other} covers it"), Tone::Warning),
        None => show::flag(rule, "used", ("yes", Tone::Good), ("not yet", Tone::Quiet)),
    };
    let cells = vec![
        from.clone(),
        show::number(rule, "rule"),
        show::word(rule, "effect", &[("allow", Tone::Good), ("deny", Tone::Bad)]),
        activity(rule),
        show::code(rule, "filter"),
        conditions(rule),
        used,
    ];
    Row { cells, actions: Vec::new() }
}

fn activity(rule: &Value) -> Cell {
    let words = ["publish", "subscribe"].into_iter();
    let words = words.filter(|word| show::at(rule, word).is_object()).map(str::to_owned);
    Cell::new("", Look::Chips(words.collect()))
}

/// What an operation must be for the rule to be about it, in words; most rules ask nothing.
fn conditions(rule: &Value) -> Cell {
    let mut words = Vec::new();
    for (activity, yes, no) in
        [("publish", "retained", "not retained"), ("subscribe", "shared", "not shared")]
    {
        let asked = show::at(rule, activity);
        if !asked.is_object() {
            continue;
        }
        let levels: Vec<_> = rows(asked, "qos").iter().map(ToString::to_string).collect();
        if levels.len() < QOS_LEVELS {
            words.push(format!("{activity} QoS {}", levels.join(" ")));
        }
        match text(asked, "flag").as_str() {
            "yes" => words.push(yes.to_owned()),
            "no" => words.push(no.to_owned()),
            _ => {}
        }
    }
    let share_name = text(rule, "share_name");
    if !share_name.is_empty() {
        words.push(format!("share name {}", show::visible(&share_name)));
    }
    if words.is_empty() { Cell::none() } else { Cell::new("", Look::Chips(words)) }
}

const QOS_LEVELS: usize = 3;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What stands in a row, cell by cell.
    fn read(row: &Row) -> Vec<String> {
        let words = row.cells.iter().map(|cell| match &cell.look {
            Look::Chips(words) => words.join(", "),
            Look::None => String::new(),
            _ => cell.text.clone(),
        });
        words.collect()
    }

    #[test]
    fn what_decides_is_shown() {
        let any = json!({ "qos": [0, 1, 2], "flag": "any" });
        let client = json!({ "permissions": [
            { "plugin": "acl", "answer": "rules", "dropped": [3, 5], "more": true, "rules": [
                { "rule": 1, "effect": "allow", "filter": "a/#", "publish": any, "subscribe": any,
                  "share_name": null, "used": false, "covered_by": null },
                { "rule": 2, "effect": "deny", "filter": "b",
                  "publish": { "qos": [1, 2], "flag": "yes" }, "subscribe": null,
                  "share_name": null, "used": true, "covered_by": null },
                { "rule": 4, "effect": "allow", "filter": "c", "publish": null,
                  "subscribe": { "qos": [0, 1, 2], "flag": "yes" }, "share_name": "workers",
                  "used": false, "covered_by": 1 },
            ] },
            { "plugin": "closed", "answer": "deny_all", "dropped": [], "more": false, "rules": [] },
            { "plugin": "silent", "answer": "next", "dropped": [], "more": false, "rules": [] },
        ] });
        let table = in_force(&client).unwrap();
        let rows: Vec<_> = table.rows.iter().map(read).collect();
        assert_eq!(rows[0], ["acl", "1", "allow", "publish, subscribe", "a/#", "", "not yet"]);
        let retained = "publish QoS 1 2, retained";
        assert_eq!(rows[1], ["acl", "2", "deny", "publish", "b", retained, "yes"]);
        let covered = "never: rule 1 covers it";
        let shared = "shared, share name workers";
        assert_eq!(rows[2], ["acl", "4", "allow", "subscribe", "c", shared, covered]);
        let said: Vec<_> = rows[3..].iter().map(|row| (&*row[0], &*row[2], &*row[5])).collect();
        assert!(matches!(said[0], ("acl", "dropped", words) if words.contains("rules 3, 5")));
        assert!(matches!(said[1], ("acl", "cut", _)), "{said:?}");
        assert_eq!(said[2], ("closed", "deny", "it denies everything to this client"));
        assert_eq!(said[3], ("silent", "no word", "it says nothing on it"));
        assert_eq!(rows.len(), 7);
    }
}
