//! The command line of `portcullis ctl`, made from the table of commands, and what was said on it as a request.
//!
//! Knows nothing of single commands, and of how answers are shown.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::{
    Arg, ArgAction, ArgMatches, Command as Clap,
    builder::{PossibleValuesParser, ValueParser},
    value_parser,
};
use serde_json::{Map, Value, json};

use super::{
    command::{Argument, Command, IF_MATCH, Kind, Place},
    commands::{ALL, GROUPS},
};
use crate::{
    api::{Content, Request},
    failure::Failure,
    plugin::remote,
};

/// Largest file or input that goes into a request.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// Which part of a list, or where bytes go.
const LIMIT: &str = "rows";
const EVERYTHING: &str = "all";
const OUT: &str = "out";

/// All commands of the table as subcommands.
pub(super) fn subcommands(mut line: Clap) -> Clap {
    let alone = ALL.iter().copied().flatten().filter(|command| command.in_group().0.is_none());
    for command in alone {
        line = line.subcommand(subcommand(command));
    }
    for (group, about) in GROUPS {
        let members = ALL.iter().copied().flatten().filter(|it| it.in_group().0 == Some(*group));
        let mut parent =
            Clap::new(*group).about(*about).subcommand_required(true).arg_required_else_help(true);
        for member in members {
            parent = parent.subcommand(subcommand(member));
        }
        line = line.subcommand(parent);
    }
    line
}

fn subcommand(command: &'static Command) -> Clap {
    let (_, name) = command.in_group();
    let mut line = Clap::new(name)
        .about(command.about)
        .arg_required_else_help(command.arguments.iter().any(|argument| argument.required));
    for argument in command.arguments {
        line = line.arg(arg(argument));
    }
    if command.pages.is_some() {
        let rows = Arg::new(LIMIT)
            .long("limit")
            .value_name("ROWS")
            .value_parser(value_parser!(u64).range(1..=10_000_000));
        let everything = Arg::new(EVERYTHING).long("all").action(ArgAction::SetTrue);
        line = line
            .arg(rows.help("How many rows at most, over as many pages as that takes"))
            .arg(everything.help("All rows, page by page").conflicts_with(LIMIT));
    }
    if matches!(command.view, super::command::View::Bytes) {
        let out = Arg::new(OUT).long("out").short('o').value_name("FILE");
        let out = out.value_parser(value_parser!(PathBuf));
        line = line.arg(out.help("New file to write, mode 0600 [default: standard output]"));
    }
    line
}

fn arg(argument: &'static Argument) -> Arg {
    let mut arg = Arg::new(argument.name).help(argument.help).required(argument.required);
    if !argument.is_word() {
        arg = arg.long(argument.name);
    }
    match argument.kind {
        Kind::Flag => return arg.action(ArgAction::SetTrue).required(false),
        Kind::List => arg = arg.action(ArgAction::Append),
        _ => {}
    }
    let (parser, value_name): (ValueParser, &str) = match argument.kind {
        Kind::Number => (value_parser!(u64).into(), "N"),
        Kind::Boolean => (value_parser!(bool), "true|false"),
        Kind::Words(words) => (PossibleValuesParser::new(words).into(), "WORD"),
        Kind::TextFile | Kind::BinaryFile | Kind::SecretFile => (value_parser!(PathBuf), "FILE"),
        Kind::Json => (ValueParser::string(), "JSON"),
        Kind::Text | Kind::List | Kind::Flag => match argument.place {
            Place::Component => (value_parser!(PathBuf), "FILE"),
            _ => (ValueParser::string(), "TEXT"),
        },
    };
    // A version may begin with `-`.
    arg = arg.value_parser(parser).allow_hyphen_values(argument.place == IF_MATCH.place);
    if argument.is_word() { arg } else { arg.value_name(value_name) }
}

/// What was asked for.
pub(super) struct Asked {
    pub(super) command: &'static Command,
    pub(super) given: Given,
}

/// The arguments of a command.
#[derive(Default)]
pub(super) struct Given {
    values: BTreeMap<&'static str, Vec<String>>,
    /// How many rows; `None` = one page.
    pub(super) rows: Option<u64>,
    /// All rows.
    pub(super) everything: bool,
    /// Where bytes go.
    pub(super) out: Option<PathBuf>,
}

/// What the words behind `ctl` mean; `None` = no command of the table.
pub(super) fn read(matches: &ArgMatches) -> Option<Asked> {
    let (first, below) = matches.subcommand()?;
    let (words, matches) = match below.subcommand() {
        Some((second, below)) => (format!("{first} {second}"), below),
        None => (first.to_owned(), below),
    };
    let command = ALL.iter().copied().flatten().find(|command| command.words == words)?;
    let mut given = Given::default();
    for argument in command.arguments {
        let raw = matches.get_raw(argument.name).into_iter().flatten();
        let mut values: Vec<_> = raw.map(|value| value.to_string_lossy().into_owned()).collect();
        if argument.kind == Kind::Flag && !matches.get_flag(argument.name) {
            values.clear();
        }
        if !values.is_empty() {
            given.values.insert(argument.name, values);
        }
    }
    if command.pages.is_some() {
        given.rows = matches.get_one(LIMIT).copied();
        given.everything = matches.get_flag(EVERYTHING);
    }
    if matches!(command.view, super::command::View::Bytes) {
        given.out = matches.get_one(OUT).cloned();
    }
    Some(Asked { command, given })
}

impl Asked {
    /// The request, `more` = further parameters of the query.
    pub(super) fn request(&self, more: &[(&str, String)]) -> Result<Request, Failure> {
        let mut path = self.command.path.to_owned();
        let mut query: Vec<(&str, String)> = Vec::new();
        let mut request = Request::new(self.command.method, String::new());
        let (mut body, mut has_body) = (Value::Object(Map::new()), false);
        for argument in self.command.arguments {
            has_body |= matches!(argument.place, Place::Body | Place::BodyWord);
            let values = self.values(argument);
            let Some(first) = values.first() else { continue };
            match argument.place {
                Place::Path => {
                    let segment = encoded(&admin::path_segment(first));
                    path = path.replace(&format!("{{{}}}", argument.field), &segment);
                }
                Place::Query => {
                    query.extend(values.iter().map(|value| (argument.field, value.clone())));
                }
                Place::Body | Place::BodyWord => {
                    put(&mut body, argument.field, value(argument, &values)?);
                }
                Place::Component => request = remote::component(request, Path::new(first))?,
                place if place == IF_MATCH.place => {
                    request.headers.push((IF_MATCH.field, entity_tag(first)));
                }
                Place::Header(name) => request.headers.push((name, first.clone())),
            }
        }
        if path.contains('{') {
            let what = "the file has no name that a plugin may have; --name NAME gives it one";
            return Err(Failure::Usage(what.to_owned()));
        }
        if has_body {
            request.content = Some(Content::json(body.to_string()));
        }
        query.extend(more.iter().map(|(name, value)| (*name, value.clone())));
        let pairs: Vec<_> =
            query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        request.path = if pairs.is_empty() { path } else { format!("{path}?{}", pairs.join("&")) };
        Ok(request)
    }

    /// What was said; for the name of a component, that of its file where nothing was.
    fn values(&self, argument: &Argument) -> Vec<String> {
        if let Some(values) = self.given.values.get(argument.name) {
            return values.clone();
        }
        let file = self.command.arguments.iter().find(|it| it.place == Place::Component);
        let file = file.and_then(|file| self.given.values.get(file.name)?.first());
        let named = argument.place == Place::Path && !argument.required;
        let stem = file.filter(|_| named).and_then(|file| Path::new(file).file_stem()?.to_str());
        stem.map(str::to_owned).into_iter().collect()
    }
}

fn value(argument: &Argument, values: &[String]) -> Result<Value, Failure> {
    let first = values.first().map(String::as_str).unwrap_or_default();
    let usage = |what: String| Failure::Usage(format!("--{}: {what}", argument.name));
    Ok(match argument.kind {
        Kind::Text | Kind::Words(_) => json!(first),
        Kind::Number => json!(first.parse::<u64>().map_err(|error| usage(error.to_string()))?),
        Kind::Flag => json!(true),
        Kind::Boolean => json!(first == "true"),
        Kind::List => json!(values),
        Kind::TextFile => json!(text(Path::new(first))?),
        Kind::BinaryFile => json!(BASE64_STANDARD.encode(input(Path::new(first))?)),
        Kind::SecretFile => {
            let text = text(Path::new(first))?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            json!(line.strip_suffix('\r').unwrap_or(line))
        }
        Kind::Json => {
            serde_json::from_str(first).map_err(|error| usage(format!("is no JSON: {error}")))?
        }
    })
}

/// A version as HTTP writes it: shells take the quotes away.
fn entity_tag(version: &str) -> String {
    if version == "*" || version.ends_with('"') {
        return version.to_owned();
    }
    format!("\"{version}\"")
}

fn text(path: &Path) -> Result<String, Failure> {
    let not_text = |_| Failure::Refused(format!("{}: is not UTF-8", path.display()));
    String::from_utf8(input(path)?).map_err(not_text)
}

/// A file, or standard input.
fn input(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = |from: &mut dyn Read| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        from.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > INPUT_BYTES_MAX {
            let most = INPUT_BYTES_MAX >> 20;
            return Err(io::Error::other(format!("it is too long, allowed: at most {most} MiB")));
        }
        Ok(bytes)
    };
    let bytes = match path.as_os_str() == "-" {
        true => read(&mut io::stdin().lock()),
        false => File::open(path).and_then(|mut file| read(&mut file)),
    };
    bytes.map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}

/// Puts a value where `a.b` says.
fn put(body: &mut Value, field: &str, value: Value) {
    let Value::Object(fields) = body else { return };
    match field.split_once('.') {
        None => {
            fields.insert(field.to_owned(), value);
        }
        Some((outer, inner)) => {
            put(fields.entry(outer).or_insert_with(|| json!({})), inner, value);
        }
    }
}

/// Percent-encoded for a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
