//! The lines of an `acl_file`, read as mosquitto reads them: words are parted by spaces and by nothing else, `#` is a
//! comment only as first character, the rest of a line is the topic with its spaces. What mosquitto refuses to start
//! with is an error.

use super::{ImportError, Note};

/// What a line says of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Deny,
    Read,
    Write,
    Both,
}

/// A line `topic` or `pattern`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) line: usize,
    pub(crate) access: Access,
    pub(crate) topic: String,
}

/// All lines, in lists as mosquitto keeps them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// By user, in the order in which users first appear; none = clients without User Name.
    pub(crate) users: Users,
    pub(crate) patterns: Vec<Entry>,
}

/// Reads a file.
pub(crate) fn parse(text: &str) -> Result<Parsed, ImportError> {
    let mut parsed = Parsed::default();
    let mut user = None;
    for (number, line) in (1..).zip(text.split('\n')) {
        let refuse = |text: String| ImportError::Line(Note::new(number, text));
        if line.contains('\0') {
            return Err(refuse("holds a NUL character".to_owned()));
        }
        let line = line.trim_end_matches(is_blank);
        if line.starts_with('#') {
            continue;
        }
        let Some((word, rest)) = word(line) else { continue };
        match word {
            "topic" | "pattern" => {
                let entry = entry(number, rest).map_err(refuse)?;
                if word == "pattern" {
                    parsed.patterns.push(entry);
                } else {
                    push(&mut parsed.users, user.as_ref(), entry);
                }
            }
            "user" => {
                let name = rest.trim_matches(is_blank);
                if name.is_empty() {
                    return Err(refuse("`user` without a name; mosquitto refuses it".to_owned()));
                }
                user = Some(name.to_owned());
            }
            word => {
                return Err(refuse(format!("unknown word {word:?}; mosquitto refuses it")));
            }
        }
    }
    Ok(parsed)
}

type Users = Vec<(Option<String>, Vec<Entry>)>;

fn push(users: &mut Users, user: Option<&String>, entry: Entry) {
    match users.iter_mut().find(|(found, _)| found.as_ref() == user) {
        Some((_, entries)) => entries.push(entry),
        None => users.push((user.cloned(), vec![entry])),
    }
}

/// The first word, parted by spaces, and what is behind the one space that ends it.
fn word(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches(' ');
    if line.is_empty() {
        return None;
    }
    Some(line.split_once(' ').unwrap_or((line, "")))
}

/// `[read|write|readwrite|deny] TOPIC`, behind the first word.
fn entry(line: usize, rest: &str) -> Result<Entry, String> {
    let Some((first, rest)) = word(rest) else {
        return Err("without a topic; mosquitto refuses it".to_owned());
    };
    let (access, topic) = match (first, rest) {
        (topic, "") => (Access::Both, topic),
        ("read", rest) => (Access::Read, rest),
        ("write", rest) => (Access::Write, rest),
        ("readwrite", rest) => (Access::Both, rest),
        ("deny", rest) => (Access::Deny, rest),
        (word, _) => return Err(format!("unknown access {word:?}; mosquitto refuses it")),
    };
    let topic = topic.trim_matches(is_blank);
    topic::TopicFilter::check(topic)
        .map_err(|error| format!("{topic:?} is no topic filter ({error}); mosquitto refuses it"))?;
    Ok(Entry { line, access, topic: topic.to_owned() })
}

/// C's `isspace`.
const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0B' | '\x0C')
}
