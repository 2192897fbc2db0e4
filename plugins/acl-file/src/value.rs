//! Reading one TOML value, and the sentence about a wrong one. Knows nothing of rules.
//!
//! The parsed tree is read directly, without serde: the component is half as large, and every
//! sentence has the line of the value itself.

use std::borrow::Cow;

use toml::{Spanned, de::DeValue};

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

    /// With the number, from 1, of the line.
    pub(crate) fn sentence(&self, text: &str) -> String {
        let line = text.bytes().take(self.offset).filter(|byte| *byte == b'\n').count() + 1;
        format!("line {line}: {}", self.text)
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
