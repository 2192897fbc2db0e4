//! A TOML file with its places: the text, its lines, and what was found wrong so far.
//!
//! Not serde: it stops at the first fault, and the operator wants them all. Knows no key of ours.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    ops::Range,
    path::PathBuf,
};

use toml::de::DeTable;

use super::{problem::Problem, table::Table};

/// Looks up a variable of the environment for `${env:NAME}`.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How a text begins that stands in a file of its own: `file:PATH`.
const FILE: &str = "file:";

/// Largest file that a text may refer to.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The text being read and what was found wrong so far.
pub(crate) struct Document<'a> {
    text: &'a str,
    folder: PathBuf,
    environment: Environment<'a>,
    problems: RefCell<Vec<Problem>>,
    keys: RefCell<Vec<String>>,
    secrets: RefCell<Vec<Range<usize>>>,
}

impl<'a> Document<'a> {
    /// A document over `text`; relative paths in it start at `folder`.
    pub(crate) fn new(text: &'a str, folder: PathBuf, environment: Environment<'a>) -> Self {
        Self {
            text,
            folder,
            environment,
            problems: RefCell::default(),
            keys: RefCell::default(),
            secrets: RefCell::default(),
        }
    }

    /// The top-level table. Syntax errors are noted and what could be read goes on.
    pub(crate) fn root(&self) -> Table<'_> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let span = error.span().unwrap_or_default();
            self.note(&span, "", "", format!("is not TOML: {}", error.message()));
        }
        Table::root(self, table.into_inner())
    }

    /// Notes a fault at a place.
    pub(crate) fn note(&self, span: &Range<usize>, key: &str, value: &str, what: String) {
        self.problems.borrow_mut().push(Problem {
            line: self.line(span.start),
            key: printable(key.to_owned()),
            value: printable(value.to_owned()),
            what: printable(what),
        });
    }

    /// Remembers that a key was asked for.
    pub(crate) fn asked(&self, key: String) {
        self.keys.borrow_mut().push(key);
    }

    /// Remembers where a value stands that must not be shown.
    pub(crate) fn secret(&self, span: Range<usize>) {
        self.secrets.borrow_mut().push(span);
    }

    /// Where all of them stand.
    pub(crate) fn secrets(&self) -> Vec<Range<usize>> {
        self.secrets.borrow().clone()
    }

    /// The faults and every key that was asked for, with its tables.
    pub(crate) fn into_parts(self) -> (Vec<Problem>, Vec<String>) {
        (self.problems.into_inner(), self.keys.into_inner())
    }

    /// The line of a byte, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// What stands in the file, on one line and at most 60 characters of it.
    pub(crate) fn source(&self, span: &Range<usize>) -> String {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
        shown = shown.replace("\\\"", "\"").replace("\\'", "'");
        if text.chars().nth(60).is_some() {
            shown.push_str("...");
        }
        shown
    }

    /// What a text stands for: `file:PATH` as a whole is replaced by what that file holds, after
    /// `${env:NAME}` was by the environment. `Err` says which reference cannot be filled in. What
    /// was filled in is never shown: problems quote the text as it stands here.
    pub(crate) fn expand(&self, text: &str) -> Result<String, String> {
        // Decided on what the operator wrote: a variable does not name files.
        let refers_to_file = text.starts_with(FILE);
        let text = self.expand_environment(text)?;
        match text.strip_prefix(FILE).filter(|_| refers_to_file) {
            Some(path) => self
                .read_file(path)
                .map_err(|error| format!("refers to a file that cannot be used: {error}")),
            None => Ok(text),
        }
    }

    /// The text in a file, without one end of line.
    fn read_file(&self, path: &str) -> io::Result<String> {
        let mut text = String::new();
        File::open(self.folder.join(path))?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            let what = format!("it is too long, allowed: at most {FILE_BYTES_MAX} bytes");
            return Err(io::Error::other(what));
        }
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }

    pub(super) fn expand_environment(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let Some((reference, tail)) = after.split_once('}') else {
                return Err("has a `${` without `}`".to_owned());
            };
            let Some(name) = reference.strip_prefix("env:") else {
                return Err(format!("refers to ${{{reference}}}, allowed: ${{env:NAME}}"));
            };
            match (self.environment)(name) {
                Some(value) => out.push_str(&value),
                None => return Err(format!("the environment has no variable {name}")),
            }
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// Keys and references come from the file: on a terminal they are one line and no command.
fn printable(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// A value together with its place.
#[derive(Clone, Debug)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it stands, bytes.
    pub(crate) span: Range<usize>,
}

/// A value that remembers its line, for problems that are found later. Equal to another if the
/// values are.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    /// The value.
    pub(crate) value: T,
    /// Line, counted from 1.
    pub(crate) line: usize,
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
