//! Takes secrets out of the text of a configuration, which stays a configuration in all other respects.
//!
//! Knows where they stand, not what they are for. Comments go as well: nobody knows what is in them, and what was a secret
//! yesterday is often one still.

use std::ops::Range;

/// What stands where a secret was: a reference that a check of the configuration names.
const REFERENCE: &str = "\"${env:NOT_IN_THE_BACKUP}\"";
/// What stands where a comment was.
const COMMENT: &str = "# (a comment was left out)";

/// `secrets` = where values stand that are secret.
pub(super) fn strip(text: &str, secrets: &[Range<usize>]) -> String {
    let mut cuts: Vec<(Range<usize>, &str)> = secrets
        .iter()
        .filter(|span| !text.get((*span).clone()).is_some_and(is_reference))
        .map(|span| (span.clone(), REFERENCE))
        .collect();
    cuts.extend(comments(text).into_iter().map(|comment| (comment, COMMENT)));
    cuts.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, instead) in cuts {
        // A value that was asked for twice is cut once.
        if span.start < at {
            continue;
        }
        out.push_str(text.get(at..span.start).unwrap_or_default());
        out.push_str(instead);
        at = span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// Whether a value is nothing but a reference to where the secret is.
fn is_reference(value: &str) -> bool {
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    let Some(value) = quoted('"').or_else(|| quoted('\'')) else { return false };
    if let Some(path) = value.strip_prefix("file:") {
        return !path.contains(['"', '\n']);
    }
    let name = value.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Whether somebody wrote comments into it.
pub(super) fn has_comments(text: &str) -> bool {
    !comments(text).is_empty()
}

/// Where comments stand, with their `#`. Texts may hold that sign too.
fn comments(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let next = rest.chars().next().map_or(1, char::len_utf8);
        at += match next_token(rest) {
            Token::Comment(length) => {
                found.push(at..at + length);
                length
            }
            Token::Text(length) => length,
            Token::Other => next,
        };
    }
    found
}

enum Token {
    Comment(usize),
    Text(usize),
    Other,
}

fn next_token(rest: &str) -> Token {
    if rest.starts_with('#') {
        let line = rest.find('\n').unwrap_or(rest.len());
        return Token::Comment(rest.get(..line).unwrap_or(rest).trim_end().len());
    }
    for (quote, escapes) in [("\"\"\"", true), ("'''", false), ("\"", true), ("'", false)] {
        if let Some(body) = rest.strip_prefix(quote) {
            return Token::Text(quote.len() + end_of_text(body, quote, escapes));
        }
    }
    Token::Other
}

/// Bytes up to and with the closing quote.
fn end_of_text(body: &str, quote: &str, escapes: bool) -> usize {
    let mut at = 0;
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        if escapes && rest.starts_with('\\') {
            let escaped = rest.chars().nth(1).map_or(0, char::len_utf8);
            at += 1 + escaped;
        } else if rest.starts_with(quote) {
            // Up to two more quotes belong to the text that they end.
            let more = rest
                .bytes()
                .skip(quote.len())
                .take(2)
                .take_while(|byte| *byte == rest.as_bytes().first().copied().unwrap_or(0));
            return at + quote.len() + if quote.len() == 3 { more.count() } else { 0 };
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value behind the first `=` of the line that begins so.
    fn span(text: &str, key: &str) -> Range<usize> {
        let line = text.find(key).unwrap();
        let start = line + text[line..].find("= ").unwrap() + 2;
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        start..end
    }

    #[test]
    fn secrets_go_and_references_stay() {
        let text = "a = \"plain\"\nb = \"file:/x\"\nc = '${env:X}'\n\
                    d = \"x${env:X}\"\ne = 'q'\nf = \"kept\"\n";
        let spans: Vec<_> =
            ["a", "b", "c", "d", "e"].map(|key| span(text, &format!("{key} ="))).into();
        let twice: Vec<_> = spans.iter().chain(&spans).cloned().collect();
        let expect = "a = \"${env:NOT_IN_THE_BACKUP}\"\nb = \"file:/x\"\nc = '${env:X}'\n\
                      d = \"${env:NOT_IN_THE_BACKUP}\"\n\
                      e = \"${env:NOT_IN_THE_BACKUP}\"\nf = \"kept\"\n";
        assert_eq!(strip(text, &twice), expect);
    }

    #[test]
    fn comments_go() {
        let text = "# a word\nx = \"# no = comment\" # old = \"hush\"\n#password: \"p\"\r\n\
                    y = '''\n# z = 1\n''''' # w = 2\n\
                    v = \"\"\"a\\\"\"\"\" # u = 3\nt = 'it''s' # s";
        let stripped = strip(text, &[]);
        for gone in ["a word", "hush", "password", "w = 2", "u = 3", "# s"] {
            assert!(!stripped.contains(gone), "{gone} in {stripped}");
        }
        for kept in ["\"# no = comment\" #", "'''\n# z = 1\n'''''", "\r\ny ="] {
            assert!(stripped.contains(kept), "{kept} not in {stripped}");
        }
        assert!(has_comments(text) && !has_comments("x = \"# no\"\n"));
    }
}
