//! Runs a command of the table: sends its request, follows pages, shows the answer.
//!
//! Knows nothing of single commands.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use hyper::header::ETAG;
use serde_json::Value;

use super::{
    column::Column,
    command::{Command, Next, Pages, View},
    commands::ALL,
    events::Lines,
    line::Asked,
    show,
    terminal::{self, Progress, print, print_json, print_theirs},
};
use crate::{
    api::{Answer, Broker, Request, printable, strange},
    failure::Failure,
    plugin::remote::COMPONENT,
    stages,
};

/// Sends what was asked for and prints the answer; `json` = as it is.
pub(super) async fn run(broker: &Broker, asked: &Asked, json: bool) -> Result<(), Failure> {
    match (asked.command.view, asked.command.pages) {
        (View::Table { rows, columns, none }, pages) => {
            let list = List { rows, columns, none, pages, json };
            list.run(broker, asked).await
        }
        (View::Fields | View::Done(_), _) => {
            let answer = send(broker, asked.request(&[])?).await?;
            if shows_version(asked.command) {
                print_version(&answer);
            }
            let body = answer.whole().await?;
            one(asked.command, &body, json)
        }
        (View::Text(field), _) => {
            let answer = broker.send(asked.request(&[])?).await?;
            text(answer, field, json).await
        }
        (View::Bytes, _) => {
            let answer = broker.send(asked.request(&[])?).await?;
            save(answer, asked.given.out.as_deref()).await
        }
        (View::Stream, _) => follow(broker.send(asked.request(&[])?).await?, json).await,
    }
}

/// Whether a command shows one thing whose version another command takes.
fn shows_version(shown: &Command) -> bool {
    let mut all = ALL.iter().copied().flatten();
    shown.method == "GET"
        && matches!(shown.view, View::Fields)
        && all.any(|other| other.takes_version() && other.path.starts_with(shown.path))
}

/// Names the version of what is shown on standard error, so that scripts and files get the rest alone.
fn print_version(answer: &Answer) {
    let version = answer.headers.get(ETAG).and_then(|value| value.to_str().ok());
    if let Some(version) = version {
        let bare = version.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        eprintln!("version {}", printable(bare.unwrap_or(version)));
    }
}

/// Shows an answer that is one object, or nothing.
fn one(command: &Command, body: &[u8], json: bool) -> Result<(), Failure> {
    if body.is_empty() {
        let done = match command.view {
            View::Done(done) => done,
            _ => "done",
        };
        return if json { Ok(()) } else { print(&format!("{done}\n")) };
    }
    let text = std::str::from_utf8(body).map_err(|_| strange("text"))?;
    if json {
        return print_json(text);
    }
    let value: Value = serde_json::from_str(text).map_err(|_| strange("JSON"))?;
    print(&show::fields(&value, terminal::width()))
}

/// Shows a text in an answer.
async fn text(answer: Answer, field: &str, json: bool) -> Result<(), Failure> {
    print_version(&answer);
    let body = answer.whole().await?;
    let whole = std::str::from_utf8(&body).map_err(|_| strange("text"))?;
    if json {
        return print_json(whole);
    }
    let value: Value = serde_json::from_str(whole).map_err(|_| strange("JSON"))?;
    let text = value.get(field).and_then(Value::as_str).ok_or_else(|| strange(field))?;
    print_theirs(text)
}

/// A list, page by page.
struct List {
    rows: &'static str,
    columns: &'static [Column],
    none: &'static str,
    pages: Option<Pages>,
    json: bool,
}

impl List {
    async fn run(&self, broker: &Broker, asked: &Asked) -> Result<(), Failure> {
        let given = &asked.given;
        let mut left = if given.everything { u64::MAX } else { given.rows.unwrap_or(u64::MAX) };
        let one_page = !given.everything && given.rows.is_none();
        let mut complete = true;
        let mut cursor: Option<String> = None;
        let mut first = true;
        loop {
            let mut more = Vec::new();
            if let Some(pages) = self.pages {
                if !one_page {
                    more.push(("limit", left.min(pages.most).to_string()));
                }
                more.extend(cursor.clone().map(|at| (pages.cursor, at)));
            }
            let body = broker.send(asked.request(&more)?).await?.whole().await?;
            let text = std::str::from_utf8(&body).map_err(|_| strange("text"))?;
            let page: Value = serde_json::from_str(text).map_err(|_| strange("JSON"))?;
            let rows = page.get(self.rows).and_then(Value::as_array);
            let rows = rows.ok_or_else(|| strange(self.rows))?;
            self.show(text, rows, first)?;
            first = false;
            left = left.saturating_sub(rows.len() as u64);
            if complete && page.get("complete") == Some(&Value::Bool(false)) {
                complete = false;
                eprintln!("not everything was looked at: there may be more than is listed");
            }
            let next = self.next(&page, rows);
            if one_page {
                if let Some(hint) = self.hint(&page, rows, next.is_some()) {
                    eprintln!("{hint}: --limit ROWS or --all");
                }
                return Ok(());
            }
            if next.is_none() || left == 0 || rows.is_empty() && next == cursor {
                return Ok(());
            }
            if next == cursor {
                return Err(strange("next page"));
            }
            cursor = next;
        }
    }

    fn show(&self, text: &str, rows: &[Value], first: bool) -> Result<(), Failure> {
        if self.json {
            return print_json(text);
        }
        match rows {
            [] if first => print(&format!("{}\n", self.none)),
            [] => Ok(()),
            rows => print(&show::table(rows, self.columns, first, terminal::width())),
        }
    }

    /// Whether the list goes on behind this page, as far as the answer tells.
    fn hint(&self, page: &Value, rows: &[Value], has_next: bool) -> Option<&'static str> {
        let more = page.get("more").and_then(Value::as_bool);
        match (self.pages?, more) {
            (_, Some(true)) | (Pages { next: Next::Field(_), .. }, _) if has_next => {
                Some("there are more")
            }
            (pages, None) if has_next && rows.len() as u64 >= pages.usual => {
                Some("this page is full, there may be more")
            }
            _ => None,
        }
    }

    /// Behind what the next page begins.
    fn next(&self, page: &Value, rows: &[Value]) -> Option<String> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        match self.pages?.next {
            Next::Field(field) => page.get(field).and_then(text),
            Next::LastRow(_) if page.get("more") == Some(&Value::Bool(false)) => None,
            Next::LastRow(pointer) => {
                rows.last().and_then(|row| row.pointer(pointer)).and_then(text)
            }
        }
    }
}

/// Sends a request; a component is seen going.
async fn send(broker: &Broker, request: Request) -> Result<Answer, Failure> {
    match &request.content {
        Some(content) if content.media_type == COMPONENT => stages::upload(broker, request).await,
        _ => broker.send(request).await,
    }
}

/// Bytes into a new file, or to standard output. A file with half of them does not stay.
async fn save(mut answer: Answer, out: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = out else {
        // Cut between two characters: what is printed is whole.
        let mut rest = Vec::new();
        while let Some(piece) = answer.piece().await? {
            rest.extend_from_slice(&piece);
            let whole = whole_characters(&rest);
            match std::str::from_utf8(rest.get(..whole).unwrap_or_default()) {
                Ok(text) => print_theirs(text)?,
                Err(_) => print_binary(&rest)?,
            }
            rest.drain(..whole);
        }
        return if rest.is_empty() { Ok(()) } else { print_binary(&rest) };
    };
    let mut file = create(path)?;
    let received = receive(answer, &mut file, path).await;
    if received.is_err() {
        remove_half(path);
    }
    received
}

/// Takes away what is no whole answer: nobody shall take it for one.
pub(super) fn remove_half(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        eprintln!("portcullis: {} is not whole, and stays: {error}", path.display());
    }
}

async fn receive(mut answer: Answer, file: &mut File, path: &Path) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure::Refused(format!("{}: {error}", path.display()));
    let mut progress = Progress::new();
    let mut received = 0;
    while let Some(piece) = answer.piece().await? {
        file.write_all(&piece).map_err(cannot)?;
        received += piece.len() as u64;
        progress.draw(|| format!("received {}", super::column::bytes(received)));
    }
    progress.end();
    file.sync_all().map_err(cannot)
}

/// Bytes that are no text are for files and pipes.
fn print_binary(bytes: &[u8]) -> Result<(), Failure> {
    if terminal::width().is_some() {
        let what = "the answer is no text: send it to a file";
        return Err(Failure::Refused(what.to_owned()));
    }
    terminal::print_bytes(bytes)
}

/// How many of the bytes are whole characters; all of them when they are no text.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

/// A new file for the user alone.
pub(super) fn create(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}

/// Prints what comes, line by line, until it ends.
async fn follow(mut answer: Answer, json: bool) -> Result<(), Failure> {
    let mut lines = Lines::new(json);
    let ended = loop {
        match answer.piece().await {
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
            Ok(Some(piece)) => {
                for line in lines.take(&piece)? {
                    print(&(line + "\n"))?;
                }
            }
        }
    };
    if let Some(id) = lines.last_id() {
        eprintln!("the stream ended: --last-event-id {id} goes on behind its last event");
    }
    ended
}

/// Any request, for what has no command.
pub(super) async fn raw(broker: &Broker, request: Request) -> Result<(), Failure> {
    save(broker.send(request).await?, None).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hint(next: Option<Next>, page: &Value, rows: usize) -> Option<&'static str> {
        let pages = next.map(|next| Pages { cursor: "after", next, usual: 2, most: 10 });
        let list = List { rows: "rows", columns: &[], none: "", pages, json: false };
        let rows = vec![json!({ "name": "x" }); rows];
        let next = list.next(page, &rows);
        list.hint(page, &rows, next.is_some())
    }

    /// What a change may be bound to is said, and no version of anything else.
    #[test]
    fn versions_are_those_that_commands_take() {
        let all = ALL.iter().copied().flatten().filter(|command| shows_version(command));
        let words: Vec<_> = all.map(|command| command.words).collect();
        assert_eq!(words, ["plugins show", "plugins shadow", "users show", "roles show"]);
    }

    /// Nobody takes a part of a list for all of it.
    #[test]
    fn a_list_that_goes_on_says_so() {
        let (field, last) = (Some(Next::Field("next")), Some(Next::LastRow("/name")));
        let (more, full) = (Some("there are more"), Some("this page is full, there may be more"));
        for (next, page, rows, expect) in [
            (field, json!({ "next": "x" }), 1, more),
            (field, json!({ "next": null }), 2, None),
            (last, json!({ "more": true }), 1, more),
            (last, json!({ "more": false }), 2, None),
            (last, json!({}), 2, full),
            (last, json!({}), 1, None),
            (None, json!({}), 9, None),
        ] {
            assert_eq!(hint(next, &page, rows), expect, "{page} {rows}");
        }
    }
}
