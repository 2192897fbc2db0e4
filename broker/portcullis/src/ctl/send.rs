//! Runs a command of the table: sends its request, follows pages, shows the answer.
//!
//! Knows nothing of single commands.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyper::header::ETAG;
use serde_json::Value;

use super::{
    column::Column,
    command::{Command, Next, Pages, View},
    events::Lines,
    line::Asked,
    show,
    terminal::{self, Progress, bar, print, print_json, print_theirs},
};
use crate::{
    api::{Answer, Broker, Request, printable, strange},
    failure::Failure,
};

/// Between two looks at how much of an upload went out.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Sends what was asked for and prints the answer; `json` = as it is.
pub(super) async fn run(broker: &Broker, asked: &Asked, json: bool) -> Result<(), Failure> {
    match (asked.command.view, asked.command.pages) {
        (View::Table { rows, columns, none }, pages) => {
            let list = List { rows, columns, none, pages, json };
            list.run(broker, asked).await
        }
        (View::Fields | View::Done(_), _) => {
            let answer = with_progress(broker, asked.request(&[])?).await?;
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

/// Shows a text in an answer. Its version goes to standard error, so that a file gets the text alone.
async fn text(answer: Answer, field: &str, json: bool) -> Result<(), Failure> {
    let version = answer.headers.get(ETAG).and_then(|value| value.to_str().ok()).map(printable);
    let body = answer.whole().await?;
    let whole = std::str::from_utf8(&body).map_err(|_| strange("text"))?;
    if let Some(version) = version {
        eprintln!("version {version}");
    }
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
            let next = self.next(&page, rows, one_page);
            if next.is_none() || left == 0 || rows.is_empty() && next == cursor {
                return Ok(());
            }
            if one_page {
                if !self.json {
                    eprintln!("there are more: --limit ROWS or --all");
                }
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

    /// Behind what the next page begins.
    fn next(&self, page: &Value, rows: &[Value], one_page: bool) -> Option<String> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        match self.pages?.next {
            Next::Field(field) => page.get(field).and_then(text),
            // Nobody says whether there are more: asked for one page, that is all.
            Next::LastRow(_) if one_page => None,
            Next::LastRow(pointer) => {
                rows.last().and_then(|row| row.pointer(pointer)).and_then(text)
            }
        }
    }
}

/// Sends a request; what goes up with it is seen going.
async fn with_progress(broker: &Broker, request: Request) -> Result<Answer, Failure> {
    let all = request.content.as_ref().map_or(0, |content| content.bytes.len() as u64);
    if request.content.as_ref().is_none_or(|content| content.media_type == "application/json") {
        return broker.send(request).await;
    }
    let sent = Arc::clone(&request.sent);
    let mut progress = Progress::new();
    let sending = broker.send(request);
    tokio::pin!(sending);
    loop {
        tokio::select! {
            answer = &mut sending => return answer,
            () = tokio::time::sleep(LOOK_EVERY) => progress.draw(|| {
                match sent.load(Ordering::Relaxed) {
                    sent if sent < all => format!("sending  {}", bar(sent, all)),
                    _ => format!("sending  {}  the broker compiles and checks it", bar(1, 1)),
                }
            }),
        }
    }
}

/// Bytes into a new file, or to standard output.
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
    while let Some(piece) = answer.piece().await? {
        for line in lines.take(&piece)? {
            print(&(line + "\n"))?;
        }
    }
    Ok(())
}

/// Any request, for what has no command.
pub(super) async fn raw(broker: &Broker, request: Request) -> Result<(), Failure> {
    save(broker.send(request).await?, None).await
}
