//! Reading one TOML value, and the sentence about a wrong one. Knows nothing of rules.
//!
//! The parsed tree is read directly, without serde: the component is half as large, and every
//! sentence has the line of the value itself.

use std::borrow::Cow;

use toml::{Spanned, de::DeValue};

use crate::Fault;

/// A key with its place.
pub(crate) type Located<'a> = Spanned<Cow<'a, str>>;
/// A value with its place.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// What is wrong, and at which byte of the text.
#[derive(Debug)]
pub(crate) struct Wrong {
    offset: usize,
    text: String,
}

impl Wrong {
    pub(crate) fn at(offset: usize, text: impl Into<String>) -> Self {
        Self { offset, text: text.into() }
    }

    /// With the line that it is on, where so many lines stand before the text.
    pub(crate) fn fault(self, text: &str, before: usize) -> Fault {
        Fault { line: Lines::of(text, before).number(self.offset), what: self.text }
    }
}

/// Numbers of lines, asked for from the start of a text to its end.
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    first: usize,
    offset: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    /// Of a text behind so many lines.
    pub(crate) const fn of(text: &'a str, before: usize) -> Self {
        let first = before + 1;
        Self { bytes: text.as_bytes(), first, offset: 0, number: first }
    }

    /// The line, from 1, of a byte. Who goes on from the one before does not count that again.
    pub(crate) fn number(&mut self, offset: usize) -> u32 {
        if offset < self.offset {
            (self.offset, self.number) = (0, self.first);
        }
        let passed = self.bytes.get(self.offset..offset).unwrap_or_default();
        let ends = passed.iter().filter(|byte| **byte == b'\n').count();
        self.number += ends;
        self.offset = offset;
        // A text of more lines than that is refused for its length.
        u32::try_from(self.number).unwrap_or(u32::MAX)
    }
}

/// Any text.
///
/// # Errors
/// Another type.
pub(crate) fn text<'v>(key: &Located<'_>, value: &'v Value<'_>) -> Result<&'v str, Wrong> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        _ => Err(wrong_type(key, value, "a text")),
    }
}

/// A text that is not empty.
///
/// # Errors
/// Another type, or empty.
pub(crate) fn name(key: &Located<'_>, value: &Value<'_>) -> Result<String, Wrong> {
    match text(key, value)? {
        "" => Err(wrong_type(key, value, "not empty; leave the key out to mean everyone")),
        name => Ok(name.to_owned()),
    }
}

/// One text that is not empty, or a list of such texts that is not empty either.
///
/// # Errors
/// Another type, or empty.
pub(crate) fn names(key: &Located<'_>, value: &Value<'_>) -> Result<Vec<String>, Wrong> {
    each(key, value, Ok)
}

/// The same, each made into something else. What `make` complains of is on the line of the text.
///
/// # Errors
/// Another type, empty, or what `make` says.
pub(crate) fn each<T>(
    key: &Located<'_>,
    value: &Value<'_>,
    make: impl Fn(String) -> Result<T, String>,
) -> Result<Vec<T>, Wrong> {
    let one = |value: &Value<'_>| {
        make(name(key, value)?).map_err(|what| Wrong::at(value.span().start, what))
    };
    match value.get_ref() {
        DeValue::Array(array) if !array.is_empty() => array.iter().map(one).collect(),
        DeValue::Array(_) => {
            Err(wrong_type(key, value, "not empty; leave the key out to mean everyone"))
        }
        DeValue::String(_) => one(value).map(|one| vec![one]),
        _ => Err(wrong_type(key, value, "a text or a list of texts")),
    }
}

/// True or false.
///
/// # Errors
/// Another type.
pub(crate) fn flag(key: &Located<'_>, value: &Value<'_>) -> Result<bool, Wrong> {
    match value.get_ref() {
        DeValue::Boolean(flag) => Ok(*flag),
        _ => Err(wrong_type(key, value, "true or false")),
    }
}

pub(crate) fn wrong_type(key: &Located<'_>, value: &Value<'_>, expected: &str) -> Wrong {
    Wrong::at(value.span().start, format!("`{}` is {expected}", key.get_ref()))
}

pub(crate) fn unknown_key(key: &Located<'_>, known: &[&str]) -> Wrong {
    let text = format!("unknown key `{}`; known are {}", key.get_ref(), known.join(", "));
    Wrong::at(key.span().start, text)
}
