//! One table of the document: keys are taken out of it one by one, collecting every fault.
//!
//! A table that is finished reports the keys that nobody asked for: an unknown key is an error.

use std::{
    cell::RefCell,
    ops::{Range, RangeInclusive},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use zeroize::Zeroizing;

use super::{
    document::{At, Document, Located},
    spelling::nearest,
    unit::{self, Unit},
};

/// One table: keys are taken out of it, what is left over at the end is unknown.
pub(crate) struct Table<'a> {
    document: &'a Document<'a>,
    path: String,
    span: Range<usize>,
    entries: DeTable<'a>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The table that everything stands in.
    pub(crate) fn root(document: &'a Document<'a>, entries: DeTable<'a>) -> Self {
        Self { document, path: String::new(), span: 0..0, entries, known: RefCell::default() }
    }

    /// The value of a string key with its variables expanded.
    pub(crate) fn string(&self, key: &'static str) -> Option<Located<String>> {
        let (span, value) = self.find(key)?;
        self.expect_string(key, span, value)
    }

    /// As [`Self::string`], for what must not be shown: problems do not quote it.
    pub(crate) fn secret(&self, key: &'static str) -> Option<Located<Zeroizing<String>>> {
        let (span, value) = self.find(key)?;
        self.document.secret(span.clone());
        let read = match value.as_str() {
            Some(text) => self.document.expand(text),
            None => Err(format!("is a TOML {}, allowed: text in quotes", value.type_str())),
        };
        match read {
            Ok(value) => Some(Located { value: Zeroizing::new(value), span }),
            Err(what) => {
                self.refuse_secret(key, &span, what);
                None
            }
        }
    }

    /// Whether something stands there, whatever it is.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// As [`Self::string`], and its absence is a fault.
    pub(crate) fn required(&self, key: &'static str, what: &str) -> Option<Located<String>> {
        if self.find(key).is_none() {
            let key = self.key(key);
            self.document.note(&self.span, &key, "missing", what.to_owned());
            return None;
        }
        self.string(key)
    }

    /// An array of strings.
    pub(crate) fn strings(&self, key: &'static str) -> Option<Vec<Located<String>>> {
        let (span, value) = self.find(key)?;
        let Some(items) = value.as_array() else {
            self.wrong_type(key, &span, value, "an array of strings");
            return None;
        };
        let read =
            |item: &Spanned<DeValue<'_>>| self.expect_string(key, item.span(), item.get_ref());
        Some(items.iter().filter_map(read).collect())
    }

    /// A boolean, or its default.
    pub(crate) fn boolean(&self, key: &'static str, default: bool) -> bool {
        let Some((span, value)) = self.find(key) else {
            return default;
        };
        value.as_bool().unwrap_or_else(|| {
            self.wrong_type(key, &span, value, "true or false");
            default
        })
    }

    /// One of the words, or the default.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)], default: T) -> T {
        let Some(word) = self.string(key) else {
            return default;
        };
        if let Some((_, value)) = words.iter().find(|(name, _)| *name == word.value) {
            return *value;
        }
        let allowed: Vec<_> = words.iter().map(|(name, _)| *name).collect();
        self.refuse(key, &word.span, format!("is not known, allowed: {}", allowed.join(" | ")));
        default
    }

    /// A number in its unit and its range, or the default: an integer, or text such as `"64KiB"` or
    /// `"5s"` where the unit has such a form.
    pub(crate) fn number(
        &self,
        key: &'static str,
        unit: Unit,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        self.number_or(key, unit, &range, None).unwrap_or(default)
    }

    /// As [`Self::number`]; `"off"`, or nothing, is `None`.
    pub(crate) fn number_or_off(
        &self,
        key: &'static str,
        unit: Unit,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        self.number_or(key, unit, &range, Some("off"))
    }

    /// As [`Self::number_or_off`], with a default for nothing.
    pub(crate) fn number_off_or(
        &self,
        key: &'static str,
        unit: Unit,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Option<u64> {
        if self.find(key).is_none() {
            return Some(default);
        }
        self.number_or_off(key, unit, range)
    }

    /// As [`Self::number`]; `"auto"`, or nothing, is `None`.
    pub(crate) fn number_or_auto(
        &self,
        key: &'static str,
        unit: Unit,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        self.number_or(key, unit, &range, Some("auto"))
    }

    /// `None` also when it was at fault.
    fn number_or(
        &self,
        key: &'static str,
        unit: Unit,
        range: &RangeInclusive<u64>,
        word: Option<&str>,
    ) -> Option<u64> {
        let (span, value) = self.find(key)?;
        let mut allowed = unit.describe(range);
        if let Some(word) = word {
            allowed = format!("{allowed}, or {word:?}");
        }
        let number = match value {
            DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .and_then(|number| unit.measure(u64::try_from(number).ok()?)),
            DeValue::String(text) if word.is_some_and(|word| word == text.as_ref()) => return None,
            DeValue::String(text) => {
                let number = unit::parse(unit, text);
                if number.is_none() {
                    let what = format!("is not {}, allowed: {allowed}", unit.form());
                    self.refuse(key, &span, what);
                    return None;
                }
                number
            }
            _ => {
                self.wrong_type(key, &span, value, &format!("{}, {allowed}", unit.form()));
                return None;
            }
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse(key, &span, format!("is out of range, allowed: {allowed}"));
        }
        number
    }

    /// A sub-table; an empty one when it is not there.
    pub(crate) fn table(&mut self, key: &'static str) -> Self {
        self.known.borrow_mut().push(key);
        let path = self.key(key);
        let (span, entries) = match self.take(key) {
            None => (self.span.clone(), DeTable::new()),
            Some((span, DeValue::Table(entries))) => (span, entries),
            Some((span, value)) => {
                self.wrong_type(key, &span, &value, &format!("a table [{path}]"));
                (span, DeTable::new())
            }
        };
        self.child(path, span, entries)
    }

    /// Every sub-table of a table whose keys are names of the operator's choice.
    pub(crate) fn named_tables(&mut self, key: &'static str) -> Vec<(Located<String>, Self)> {
        let parent = self.table(key);
        let mut tables = Vec::new();
        for (name, value) in parent.entries {
            let (name, span) = (name.get_ref().to_string(), name.span());
            let path = format!("{}.{name}", parent.path);
            match value.into_inner() {
                DeValue::Table(entries) => {
                    let table = self.child(path, span.clone(), entries);
                    tables.push((Located { value: name, span }, table));
                }
                other => {
                    let what = format!("is a TOML {}, allowed: a table [{path}]", other.type_str());
                    self.document.note(&span, &path, "***", what);
                }
            }
        }
        tables
    }

    /// A sub-table that means something by being there.
    pub(crate) fn optional_table(&mut self, key: &'static str) -> Option<Self> {
        let is_there = self.entries.contains_key(key);
        let table = self.table(key);
        is_there.then_some(table)
    }

    /// An array of tables; empty when it is not there.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        self.known.borrow_mut().push(key);
        let path = self.key(key);
        let Some((span, value)) = self.take(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value else {
            self.wrong_type(key, &span, &value, &format!("tables [[{path}]]"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            let span = item.span();
            match item.into_inner() {
                DeValue::Table(entries) => tables.push(self.child(path.clone(), span, entries)),
                other => self.wrong_type(key, &span, &other, &format!("a table [[{path}]]")),
            }
        }
        tables
    }

    /// `value` with the line of `span`, or of this table.
    pub(crate) fn at<T>(&self, value: T, span: Option<&Range<usize>>) -> At<T> {
        At { value, line: self.document.line(span.unwrap_or(&self.span).start) }
    }

    /// Notes a fault of a value that stands at `span`.
    pub(crate) fn refuse(&self, key: &str, span: &Range<usize>, what: String) {
        let value = self.document.source(span);
        self.document.note(span, &self.key(key), &value, what);
    }

    /// As [`Self::refuse`] without showing the value.
    pub(crate) fn refuse_secret(&self, key: &str, span: &Range<usize>, what: String) {
        self.document.note(span, &self.key(key), "***", what);
    }

    /// Notes that something of this table as a whole is missing.
    pub(crate) fn refuse_missing(&self, key: &str, what: &str) {
        self.document.note(&self.span, &self.key(key), "missing", what.to_owned());
    }

    /// Notes a fault of a key without showing its value.
    pub(crate) fn refuse_whole(&self, key: &str, what: &str) {
        let span = self.entries.get(key).map_or_else(|| self.span.clone(), |value| value.span());
        self.refuse_secret(key, &span, what.to_owned());
    }

    /// Every key that nobody asked for is a fault.
    pub(crate) fn finish(self) {
        let known = self.known.borrow();
        for (key, _) in &self.entries {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let path = self.key(name);
            let what = match nearest(name, &known) {
                Some(meant) => format!("is not a key of this table, did you mean {meant}?"),
                None => format!("is not a key of this table, allowed: {}", known.join(", ")),
            };
            self.document.note(&key.span(), &path, "unknown", what);
        }
    }

    fn child(&self, path: String, span: Range<usize>, entries: DeTable<'a>) -> Self {
        Self { document: self.document, path, span, entries, known: RefCell::default() }
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() || key.is_empty() {
            format!("{}{key}", self.path)
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn find(&self, key: &'static str) -> Option<(Range<usize>, &DeValue<'a>)> {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
            self.document.asked(self.key(key));
        }
        self.entries.get(key).map(|value| (value.span(), value.get_ref()))
    }

    fn take(&mut self, key: &str) -> Option<(Range<usize>, DeValue<'a>)> {
        let value = self.entries.remove(key)?;
        Some((value.span(), value.into_inner()))
    }

    fn expect_string(
        &self,
        key: &'static str,
        span: Range<usize>,
        value: &DeValue<'_>,
    ) -> Option<Located<String>> {
        let Some(text) = value.as_str() else {
            self.wrong_type(key, &span, value, "text in quotes");
            return None;
        };
        match self.document.expand(text) {
            Ok(value) => Some(Located { value, span }),
            Err(what) => {
                self.refuse(key, &span, what);
                None
            }
        }
    }

    fn wrong_type(&self, key: &str, span: &Range<usize>, value: &DeValue<'_>, expected: &str) {
        let what = format!("is a TOML {}, allowed: {expected}", value.type_str());
        self.refuse(key, span, what);
    }
}
