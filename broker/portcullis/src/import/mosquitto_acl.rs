//! `acl_file` of mosquitto 2.0. There the lines of a user are looked at first, then the patterns; in each of the two
//! any `deny` that matches wins, else any line that matches and allows. So the rules of each list are written with
//! its denials first, and the first that matches decides as it did.
//!
//! | mosquitto | here |
//! |---|---|
//! | `topic` behind `user NAME` | rules with `user = NAME` |
//! | `topic` before any `user`: clients without User Name | left out, or rules of `--anonymous-as` |
//! | `pattern` | rules for everybody, behind those of users; `%c` and `%u` become variables |
//! | `read`, `write`, `readwrite`, none, `deny` | `allow` `subscribe`, `publish`, `all`, `all`; `deny` `all` |

mod lines;

use std::collections::BTreeSet;

use self::lines::{Access, Entry, Parsed};
use super::{
    ImportError, Imported, Note,
    written::{File, Written, check_count},
};

/// A file of rules that permits what the lines permit, or less.
pub(crate) fn convert(
    text: &str,
    anonymous_as: Option<&str>,
) -> Result<Imported<String>, ImportError> {
    let parsed = lines::parse(text)?;
    check_anonymous(anonymous_as, &parsed)?;
    let mut lost = Vec::new();
    let mut rules = Vec::new();
    for (user, entries) in &parsed.users {
        let Some(user) = user.as_deref().or(anonymous_as) else {
            lost.extend(entries.iter().map(|entry| Note::new(entry.line, ANONYMOUS)));
            continue;
        };
        if user.chars().any(char::is_control) {
            let text = "the user name holds a control character: left out, nobody can be called so";
            lost.extend(entries.iter().map(|entry| Note::new(entry.line, text)));
            continue;
        }
        let of_user = in_order(entries).filter_map(|entry| rule(entry, literal, &mut lost));
        rules.extend(of_user.map(|rule| Written { user: Some(user.to_owned()), ..rule }));
    }
    rules.extend(in_order(&parsed.patterns).filter_map(|entry| rule(entry, pattern, &mut lost)));
    check_count(&rules)?;
    lost.sort_by_key(|note| note.line);
    let has_patterns = parsed.patterns.iter().any(|entry| entry.access != Access::Deny);
    let file = File {
        origin: "an acl_file of mosquitto",
        // As mosquitto does for patterns, also for those that name only one of the two.
        deny_wildcard_names: has_patterns,
        rules,
        groups: [].into(),
    };
    let mut notes = vec![WIDE_SUBSCRIPTIONS];
    if has_patterns {
        notes.push(DANGEROUS_NAMES);
    }
    Ok(Imported { made: file.text()?, lost, notes })
}

/// A name that has lines of its own would get those of others.
fn check_anonymous(anonymous_as: Option<&str>, parsed: &Parsed) -> Result<(), ImportError> {
    let Some(name) = anonymous_as else { return Ok(()) };
    let users: BTreeSet<_> = parsed.users.iter().filter_map(|(user, _)| user.as_deref()).collect();
    if name.is_empty() || users.contains(name) {
        let text = format!("--anonymous-as {name:?}: name a user that the file does not have");
        return Err(ImportError::Whole(text));
    }
    Ok(())
}

/// Denials first.
fn in_order(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let denies = |entry: &&Entry| entry.access == Access::Deny;
    entries.iter().filter(denies).chain(entries.iter().filter(move |entry| !denies(entry)))
}

/// One rule, or a note why there is none.
fn rule(entry: &Entry, convert: fn(&str) -> String, lost: &mut Vec<Note>) -> Option<Written> {
    let Entry { line, access, topic } = entry;
    let (allow, activity) = match access {
        Access::Deny => (false, "all"),
        Access::Read => (true, "subscribe"),
        Access::Write => (true, "publish"),
        Access::Both => (true, "all"),
    };
    if topic == "$share" || topic.starts_with("$share/") {
        let text = "left out: topics that begin with $share/ are nobody's here";
        lost.push(Note::new(*line, text));
        return None;
    }
    if !topic.contains("${") {
        return Some(Written::new(*line, allow, activity, convert(topic)));
    }
    if allow {
        lost.push(Note::new(*line, "left out: ${ begins a variable here"));
        return None;
    }
    // Left out, it would be a hole.
    let wider: Vec<_> =
        topic.split('/').map(|level| if level.contains("${") { "+" } else { level }).collect();
    let wider = wider.join("/");
    let text = format!("${{ begins a variable here: denies {wider} instead, which is more");
    lost.push(Note::new(*line, text));
    Some(Written::new(*line, allow, activity, convert(&wider)))
}

fn literal(topic: &str) -> String {
    topic.to_owned()
}

/// `%c` and `%u` from left to right; any other `%` is one.
fn pattern(topic: &str) -> String {
    topic.replace("%c", "${clientid}").replace("%u", "${username}")
}

const ANONYMOUS: &str = "left out: it is for clients without User Name, and nobody gets in without \
                         one here; --anonymous-as USER makes rules of a principal of it";
const WIDE_SUBSCRIPTIONS: &str = "mosquitto grants every SUBSCRIBE and leaves out what may not be \
                                  read; here one is refused unless a rule covers its whole filter";
const DANGEROUS_NAMES: &str = "clients whose client identifier or user name holds + or # may do \
                               nothing; mosquitto denies them the patterns; a name with / gets no \
                               rule that it stands in";

#[cfg(test)]
mod tests;
