//! Standard output and standard error as commands use them: whether somebody looks, how wide it is, a line that is
//! written over.
//!
//! No colours anywhere, so there are none to switch off.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::{api::printable, failure::Failure};

/// Between two states of a progress line.
const REDRAWN_EVERY: Duration = Duration::from_millis(100);
const BAR: usize = 24;

/// The columns of standard output; `None` = nobody looks, lines may be as long as they are.
pub(super) fn width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(width, _)| width).filter(|width| *width > 0)
}

/// Writes to standard output.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Writes to standard output, which may be a file.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => {
            Failure::Refused("standard output was closed before the end".to_owned())
        }
        _ => Failure::Refused(format!("standard output: {error}")),
    })
}

/// Writes text of others: on a terminal without what a terminal would obey, elsewhere as it is.
pub(super) fn print_theirs(text: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() { print(&lines_for_terminal(text)) } else { print(text) }
}

/// Writes JSON as it came. On a terminal characters that it would obey are written as JSON's own escapes: another
/// spelling of the same.
pub(super) fn print_json(text: &str) -> Result<(), Failure> {
    let text = text.trim_end();
    let shown = if io::stdout().is_terminal() { json_for_terminal(text) } else { text.to_owned() };
    print(&(shown + "\n"))
}

fn lines_for_terminal(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| match line.strip_suffix('\n') {
        Some(line) => printable(line) + "\n",
        None => printable(line),
    });
    lines.collect()
}

fn json_for_terminal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let mut buffer = [0; 4];
        // Line ends and tabs between values are the API's own.
        if matches!(c, '\n' | '\t') || printable(c.encode_utf8(&mut buffer)).starts_with(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// A line on standard error that is written over; nothing where nobody looks.
pub(crate) struct Progress {
    drawn: Option<Instant>,
    shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { drawn: None, shown: io::stderr().is_terminal() }
    }

    /// Draws it, but not too often.
    pub(crate) fn draw(&mut self, line: impl FnOnce() -> String) {
        if self.shown && self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAWN_EVERY) {
            self.drawn = Some(Instant::now());
            write_over(&line());
        }
    }

    /// Says something where nobody looks at lines that are written over.
    pub(crate) fn say(&self, line: &str) {
        if !self.shown {
            eprintln!("{}", printable(line));
        }
    }

    /// Takes it away.
    pub(super) fn end(&mut self) {
        if self.drawn.take().is_some() {
            write_over("");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn write_over(line: &str) {
    let mut out = io::stderr().lock();
    // A progress line that cannot be written is no reason to stop.
    let _unseen = write!(out, "\r\u{1b}[K{line}").and_then(|()| out.flush());
}

/// `[#####.....]  42 %`
pub(crate) fn bar(done: u64, all: u64) -> String {
    let part = if all == 0 { 1.0 } else { (done as f64 / all as f64).min(1.0) };
    let filled = (part * BAR as f64) as usize;
    format!("[{}{}] {:3.0} %", "#".repeat(filled), ".".repeat(BAR - filled), part * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_a_terminal_says_the_same() {
        let text = "{\"a\": \"x\u{9b}31m\u{202e}\u{e0041}é\",\n \"b\": 1}";
        let shown = json_for_terminal(text);
        assert!(shown.contains("\\u009b31m\\u202e\\udb40\\udc41é"), "{shown}");
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parsed(&shown), parsed(text));
    }

    #[test]
    fn text_on_a_terminal_keeps_its_lines() {
        assert_eq!(lines_for_terminal("a\u{1b}[1m\nb\r\n"), "a\\u{1b}[1m\nb\\u{d}\n");
    }

    #[test]
    fn bars_are_full_at_the_end() {
        assert_eq!(bar(0, 10), format!("[{}]   0 %", ".".repeat(24)));
        assert_eq!(bar(5, 10), format!("[{}{}]  50 %", "#".repeat(12), ".".repeat(12)));
        assert_eq!(bar(11, 10), format!("[{}] 100 %", "#".repeat(24)));
        assert_eq!(bar(0, 0), format!("[{}] 100 %", "#".repeat(24)));
    }
}
