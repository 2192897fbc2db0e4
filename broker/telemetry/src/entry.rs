//! One event in JSON, on one line whatever is in it: the form of the access log.
//!
//! Knows nothing of files. Owns which fields are written, how long they may be, and which letters
//! are never written as they are.

use std::{borrow::Cow, fmt::Write};

use serde::{Deserialize, Serialize};

use crate::{Happening, calendar, escaped::is_deceptive, shown_username};

/// Bytes of one text; what is longer is cut, and ends with `…`.
const TEXT_BYTES_MAX: usize = 1_024;

/// An event as it is written down. What does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry<'a> {
    /// RFC 3339 in UTC with milliseconds.
    pub time: Cow<'a, str>,
    /// Name of the kind ([`crate::HappeningKind::name`]), `repeated` or `lost`.
    #[serde(rename = "type")]
    pub kind: Cow<'a, str>,
    /// Client Identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Cow<'a, str>>,
    /// The authenticated principal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Cow<'a, str>>,
    /// User Name as claimed, `(a token)` in place of one that is a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Cow<'a, str>>,
    /// Name of the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<Cow<'a, str>>,
    /// Address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<Cow<'a, str>>,
    /// `3.1.1` or `5.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Cow<'a, str>>,
    /// Name of a Reason Code or of what takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// Names the decision in the admin API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Cow<'a, str>>,
    /// The plugin that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Cow<'a, str>>,
    /// Why, for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cow<'a, str>>,
    /// Topic Name or Topic Filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Cow<'a, str>>,
    /// The client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<EntryCertificate<'a>>,
    /// Whether a session went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_present: Option<bool>,
    /// Whether the client ended the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_client: Option<bool>,
    /// Bytes read from the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<u64>,
    /// Bytes written to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    /// How long it was connected, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_ms: Option<u64>,
    /// How many events the line stands for, where it stands for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Kind of the events that a `repeated` line stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Cow<'a, str>>,
}

/// Which certificate it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryCertificate<'a> {
    /// Subject distinguished name (RFC 4514).
    pub subject: Cow<'a, str>,
    /// Serial number, lower-case hexadecimal.
    pub serial: Cow<'a, str>,
    /// SHA-256 of the DER encoding, lower-case hexadecimal.
    pub sha256: Cow<'a, str>,
}

impl<'a> Entry<'a> {
    /// What is written of an event.
    pub fn of(happening: &Happening<'a>) -> Self {
        let certificate = happening.certificate.map(|certificate| EntryCertificate {
            subject: cut(certificate.subject),
            serial: cut(certificate.serial),
            sha256: hex(certificate.sha256).into(),
        });
        Self {
            time: calendar::timestamp(happening.at_unix_ms).into(),
            kind: happening.kind.name().into(),
            client_id: happening.client_id.map(shown_username).map(cut),
            principal: happening.principal.map(shown_username).map(cut),
            username: happening.username.map(shown_username).map(cut),
            listener: happening.listener.map(cut),
            remote: happening.remote.map(|remote| remote.to_string().into()),
            protocol: happening.protocol.map(Cow::Borrowed),
            reason: happening.reason.map(cut),
            decision: happening.decision.map(|decision| decision.to_string().into()),
            plugin: happening.plugin.map(cut),
            cause: happening.cause.map(|cause| Cow::Owned(cut(&cause.to_string()).into_owned())),
            topic: happening.topic.map(cut),
            certificate,
            session_present: happening.session_present,
            by_client: happening.by_client,
            bytes_received: happening.bytes_received,
            bytes_sent: happening.bytes_sent,
            connected_ms: happening.connected_ms,
            count: happening.count,
            of: None,
        }
    }

    /// As one line of JSON with a line feed at its end and none before it. Letters that terminals
    /// and editors obey rather than show are written `\uXXXX`.
    pub fn line(&self) -> String {
        json_line(self)
    }
}

/// Any value as one line of JSON, without letters that terminals and editors obey.
pub(crate) fn json_line<T: Serialize>(value: &T) -> String {
    // A struct of texts and numbers has a form in JSON.
    let mut json = serde_json::to_string(value).unwrap_or_default();
    if json.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        json.push('\n');
        return json;
    }
    let mut line = String::with_capacity(json.len() + 1);
    for letter in json.chars() {
        // JSON itself escapes those below 0x20; everything else is inside of a text.
        if is_deceptive(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(letter);
        }
    }
    line.push('\n');
    line
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HappeningKind;

    #[test]
    fn nothing_that_a_client_says_breaks_the_line_and_all_of_it_comes_back() {
        let evil =
            "a\r\n{\"type\":\"connected\"}\u{1b}[2J\u{85}\u{2028}\u{202e}\u{7f}\u{e0041}ä\"\\";
        let happening = Happening {
            client_id: Some(evil),
            cause: Some(&evil),
            topic: Some(evil),
            at_unix_ms: 1,
            ..Happening::of(HappeningKind::ConnectRefused)
        };
        let line = Entry::of(&happening).line();
        assert!(line.ends_with("}\n"));
        let odd = is_deceptive;
        assert!(!line.trim_end_matches('\n').contains(odd), "{line:?}");
        assert!(line.contains('ä'));
        let read: Entry<'_> = serde_json::from_str(&line).unwrap();
        assert_eq!(read.client_id.as_deref(), Some(evil));
        assert_eq!(read.time, "1970-01-01T00:00:00.001Z");
        assert_eq!(read, Entry::of(&happening));
    }

    #[test]
    fn long_texts_are_cut_and_tokens_are_not_written() {
        let long = "ä".repeat(TEXT_BYTES_MAX);
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
        let happening = Happening {
            client_id: Some(&long),
            username: Some(token),
            principal: Some(token),
            ..Happening::of(HappeningKind::Connected)
        };
        let entry = Entry::of(&happening);
        let client_id = entry.client_id.as_deref().unwrap_or_default();
        assert!(client_id.len() <= TEXT_BYTES_MAX + 4 && client_id.ends_with('…'));
        assert!(!entry.line().contains("eyJ"));
    }
}
