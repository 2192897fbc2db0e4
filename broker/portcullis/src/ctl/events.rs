//! Server-Sent Events and JSON lines as they come in pieces, each event as one line for the terminal.
//!
//! Pure: bytes go in, lines come out. Memory is bounded by the longest line that is taken.

use serde_json::Value;

use super::column::Form;
use crate::{
    api::{printable, strange},
    failure::Failure,
};

/// Longest line of a stream: an event with a payload.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Puts lines together.
pub(crate) struct Lines {
    json: bool,
    /// What came of the line that is not whole.
    begun: Vec<u8>,
    /// `event:` of the one that is being read.
    kind: Option<String>,
    data: String,
    /// `id:` of the last one that had one.
    last_id: Option<String>,
}

impl Lines {
    /// `json`: the data of each event as it is.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, begun: Vec::new(), kind: None, data: String::new(), last_id: None }
    }

    /// Where a stream that ended here goes on.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The events that are whole with this piece, a line each.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<Vec<String>, Failure> {
        let mut out = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if self.begun.len() + self.data.len() > LINE_BYTES_MAX {
                return Err(Failure::Refused("an event is longer than 16 MiB".to_owned()));
            }
            if part.ends_with(b"\n") {
                let line = String::from_utf8(std::mem::take(&mut self.begun));
                let line = line.map_err(|_| strange("text"))?;
                out.extend(self.line(line.trim_end_matches(['\n', '\r'])));
            }
        }
        Ok(out)
    }

    fn line(&mut self, line: &str) -> Option<String> {
        if line.starts_with('{') {
            return Some(self.shown(None, line));
        }
        // A space behind the colon is not part of the value.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.kind = Some(value.to_owned()),
            "id" => self.last_id = Some(printable(value)),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "" if line.is_empty() => {
                let (kind, data) = (self.kind.take(), std::mem::take(&mut self.data));
                return (!data.is_empty()).then(|| self.shown(kind.as_deref(), &data));
            }
            // Comments keep the connection alive.
            _ => {}
        }
        None
    }

    fn shown(&self, kind: Option<&str>, data: &str) -> String {
        if self.json {
            // One line each, and nothing that a terminal would obey; JSON has no such characters outside
            // of texts but blanks.
            return data.replace(['\n', '\r'], " ");
        }
        let Ok(Value::Object(mut fields)) = serde_json::from_str(data) else {
            return printable(data);
        };
        let mut words = Vec::new();
        let time = ["at", "at_unix", "time", "at_ms", "at_unix_ms"].into_iter().find_map(|name| {
            let value = fields.remove(name)?;
            let form = if name.ends_with("_ms") { Form::TimeMilliseconds } else { Form::Time };
            Some(form.write(&value))
        });
        words.extend(time);
        let kind = kind.map(printable).or_else(|| {
            ["type", "kind", "event"].into_iter().find_map(|name| match fields.remove(name) {
                Some(Value::String(kind)) => Some(printable(&kind)),
                _ => None,
            })
        });
        words.extend(kind);
        words.push(Form::Plain.write(&Value::Object(fields)));
        words.join(" ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(json: bool, text: &str, piece: usize) -> Vec<String> {
        let mut lines = Lines::new(json);
        let pieces = text.as_bytes().chunks(piece);
        pieces.flat_map(|piece| lines.take(piece).unwrap()).collect()
    }

    const EVENTS: &str = ": alive\n\nid: 7\nevent: connected\ndata: {\"at\": 60,\n\
                          data: \"client_id\": \
                          \"a\\u001bü\"}\n\nevent: gap\ndata: {}\r\n\r\n";

    #[test]
    fn an_event_is_a_line_however_it_is_cut() {
        let mut lines = Lines::new(true);
        lines.take(EVENTS.as_bytes()).unwrap();
        assert_eq!(lines.last_id(), Some("7"));
        for piece in 1..EVENTS.len() {
            let expect = ["1970-01-01T00:01:00Z connected client_id=a\\u{1b}ü", "gap"];
            assert_eq!(all(false, EVENTS, piece), expect, "{piece}");
            let json = all(true, EVENTS, piece);
            assert_eq!(json, ["{\"at\": 60, \"client_id\": \"a\\u001bü\"}", "{}"], "{piece}");
        }
    }

    #[test]
    fn json_lines_are_lines() {
        let text = "{\"type\":\"publish\",\"qos\":1}\n{\"type\":\"x\\u0007\"}\n";
        assert_eq!(all(false, text, 5), ["publish qos=1", "x\\u{7}"]);
        assert_eq!(all(true, text, 5).len(), 2);
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut lines = Lines::new(false);
        let piece = vec![b'x'; 1 << 20];
        let taken = (0..17).map(|_| lines.take(&piece)).find_map(Result::err);
        assert!(taken.unwrap().to_string().contains("longer than 16 MiB"));
    }
}
