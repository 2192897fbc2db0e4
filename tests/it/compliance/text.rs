//! Numbers of statements in texts: what comments and messages name, what tests say they cover.
//!
//! `[MQTT-2.2.1-2]` alone is a statement of 5.0; behind `3.1.1` it is one of 3.1.1, and so are those
//! that follow it with nothing but blanks, commas and words like "and" between.

use std::fmt;

/// A version of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Version {
    V311,
    V5,
}

impl Version {
    pub(super) const ALL: [Self; 2] = [Self::V311, Self::V5];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }
}

/// The number of a statement: section, then its place there. `3.1.0-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Number(Vec<u32>, u32);

impl Number {
    /// `None` for what is no such number, or not written as usual.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (section, place) = text.split_once('-')?;
        let section =
            section.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<_>>>()?;
        let number = Self(section, place.parse().ok()?);
        (number.0.len() == 3 && number.to_string() == text).then_some(number)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = self.0.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
        write!(f, "{section}-{}", self.1)
    }
}

/// Line, version and number of each statement that a text names. What is written like one and is
/// none ends in a number that no list has.
pub(super) fn mentions(text: &str) -> Vec<(usize, Version, Number)> {
    let mut found = Vec::new();
    let mut before: Option<(usize, Version)> = None;
    for (at, _) in text.match_indices("MQTT-") {
        let rest = &text[at + "MQTT-".len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit() && !".-".contains(c));
        let name = rest[..digits.unwrap_or(rest.len())].trim_end_matches(['.', '-']);
        if name.is_empty() {
            continue;
        }
        let version = match before {
            Some((end, version)) if joins(&text[end..at]) => version,
            _ => version_before(&text[..at]),
        };
        before = Some((at + "MQTT-".len() + name.len(), version));
        let number = Number::parse(name).unwrap_or_else(|| Number(vec![0], 0));
        found.push((text[..at].matches('\n').count() + 1, version, number));
    }
    found
}

/// Whether what stands between two numbers makes them one list.
fn joins(between: &str) -> bool {
    let words = between.split(|c: char| c.is_whitespace() || "[],/!".contains(c));
    words.filter(|word| !word.is_empty()).all(|word| ["and", "or"].contains(&word))
}

fn version_before(text: &str) -> Version {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || "[/!".contains(c));
    let is_old = text.strip_suffix("3.1.1");
    match is_old.is_some_and(|text| !text.ends_with(|c: char| c.is_ascii_digit() || c == '.')) {
        true => Version::V311,
        false => Version::V5,
    }
}

/// A test and the statements that it says it covers.
#[derive(Debug, PartialEq)]
pub(super) struct Covering {
    pub(super) test: String,
    pub(super) statements: Vec<(Version, Number)>,
}

/// All that the tests of a source say they cover.
pub(super) fn covering(source: &str) -> Result<Vec<Covering>, String> {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(first) = line.strip_prefix("/// Covers ") else { continue };
        let more = lines[at + 1..].iter().map_while(|line| line.strip_prefix("///"));
        let count = more.clone().count();
        let sentence = [first].into_iter().chain(more).collect::<Vec<_>>().join(" ");
        let rest = &lines[at + 1 + count..];
        let attributes = rest.iter().take_while(|line| line.starts_with("#[")).count();
        let is_test = |line: &&str| *line == "#[test]" || line.starts_with("#[tokio::test");
        if !rest[..attributes].iter().any(is_test) {
            return Err(format!("line {}: what covers a statement is no test", at + 1));
        }
        let test = rest.get(attributes).and_then(|line| function(line));
        let test = test.ok_or_else(|| format!("line {}: no function below", at + 1))?;
        let statements = sentence_statements(&sentence);
        let statements = statements.map_err(|word| format!("line {}: {word:?}", at + 1))?;
        found.push(Covering { test: test.to_owned(), statements });
    }
    Ok(found)
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("fn ")?;
    rest.split(['(', '<']).next()
}

/// `5.0 [MQTT-…] [MQTT-…], 3.1.1 [MQTT-…].`, or the word that does not fit.
fn sentence_statements(sentence: &str) -> Result<Vec<(Version, Number)>, String> {
    let sentence = sentence.strip_suffix('.').ok_or("no full stop")?;
    let mut version = None;
    let mut statements = Vec::new();
    for word in sentence.split_whitespace() {
        let word = word.trim_end_matches(',');
        if let Some(named) = Version::ALL.into_iter().find(|version| version.name() == word) {
            version = Some(named);
            continue;
        }
        let number = word.strip_prefix("[MQTT-").and_then(|word| word.strip_suffix(']'));
        match (version, number.and_then(Number::parse)) {
            (Some(version), Some(number)) => statements.push((version, number)),
            _ => return Err(word.to_owned()),
        }
    }
    Ok(statements)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).expect("a number")
    }

    #[test]
    fn numbers() {
        assert!(number("3.1.2-9") < number("3.1.2-10") && number("3.1.2-10") < number("3.1.10-1"));
        for wrong in ["", "3.1.2", "3.1-2", "3.1.2-", "3.1.02-1", "3-1.2-4", "a.1.2-3"] {
            assert_eq!(Number::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn versions_of_mentions() {
        let text = "[MQTT-1.1.1-1] and 3.1.1 [MQTT-1.1.1-2,\n/// MQTT-1.1.1-3]; [MQTT-1.1.1-4]\n\
            \"3.1.1 MQTT-1.1.1-5\", of 3.1.1\n//! [MQTT-1.1.1-6] MQTT-CN 13.1.1 [MQTT-3-8.3-4].";
        let (old, new) = (Version::V311, Version::V5);
        let expected = [(1, new, 1), (1, old, 2), (2, old, 3), (2, new, 4), (3, old, 5)];
        let mut expected: Vec<_> =
            expected.map(|(line, v, n)| (line, v, Number(vec![1, 1, 1], n))).into();
        expected.push((4, old, number("1.1.1-6")));
        expected.push((4, new, Number(vec![0], 0)));
        assert_eq!(mentions(text), expected);
    }

    #[test]
    fn what_tests_cover() {
        let source = "/// It does.\n/// Covers 5.0 [MQTT-1.1.1-1] [MQTT-1.1.1-2], 3.1.1\n\
            /// [MQTT-1.1.1-3].\n#[tokio::test]\nasync fn it_does() {\n";
        let covers = covering(source).expect("well written");
        let statements = vec![
            (Version::V5, number("1.1.1-1")),
            (Version::V5, number("1.1.1-2")),
            (Version::V311, number("1.1.1-3")),
        ];
        assert_eq!(covers, [Covering { test: "it_does".to_owned(), statements }]);
        for wrong in [
            "/// Covers 5.0 [MQTT-1.1.1-1].\nfn no_test() {",
            "/// Covers [MQTT-1.1.1-1].\n#[test]\nfn no_version() {",
            "/// Covers 5.0 [MQTT-1.1.1-1]\n#[test]\nfn no_full_stop() {",
            "/// Covers 5.0 [MQTT-1.1.1].\n#[test]\nfn no_number() {",
            "/// Covers 5.0 MQTT-1.1.1-1.\n#[test]\nfn no_brackets() {",
            "/// Covers 5.0 [MQTT-1.1.1-1].\n/// More.\n#[test]\nfn not_the_last() {",
            "/// Covers 5.0 [MQTT-1.1.1-1].\n#[test]",
        ] {
            assert!(covering(wrong).is_err(), "{wrong}");
        }
    }
}
