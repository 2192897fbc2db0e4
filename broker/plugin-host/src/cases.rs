//! Cases: what a plugin is asked and what its answer must have, as arrays of tables, one for each
//! hook. A file of its own for `plugin test`, `[golden]` of a manifest for what must hold before a
//! version goes live. A key that is not known is an error, so that no expectation is passed over
//! because of how it is spelt.
//!
//! `question.rs` asks, `answered.rs` writes an answer down so that it can be compared, `given.rs`
//! has defaults for everything that a case is not about.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use access::{Password, Permissions, PublishRequest, Source, SubscribeRequest};
use serde::{Deserialize, de::IgnoredAny};
use toml::{Spanned, Table};
use topic::{SubscriptionFilter, TopicName};

use self::answered::differences;
pub use self::answered::from_hex;
use self::given::{Client, Credentials, Level, Message, Octets, Operation, Origin};
pub use self::question::{Answered, Question};

pub(crate) mod answered;
mod given;
mod question;

/// The cases of one file.
#[derive(Debug)]
pub struct Cases {
    /// The file.
    pub file: PathBuf,
    /// In the order of the file.
    pub cases: Vec<Case>,
}

/// A question and what the answer must have.
#[derive(Debug)]
pub struct Case {
    /// Line, from 1.
    pub line: usize,
    /// A space and its name in quotes, or nothing.
    pub name: String,
    /// The question.
    pub question: Question,
    /// One table for each step; for all hooks but `exchange` there is one step.
    expected: Vec<Table>,
    /// Operations that the rules must permit, or refuse.
    checks: Vec<(bool, Check)>,
}

/// As it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCases {
    /// Of a file: read by `plugin test`, which lends it. A manifest gives nothing.
    given: Option<IgnoredAny>,
    #[serde(default)]
    authenticate: Vec<Spanned<Authenticate>>,
    #[serde(default)]
    exchange: Vec<Spanned<Exchange>>,
    #[serde(default)]
    permissions: Vec<Spanned<PermissionsOf>>,
    #[serde(default)]
    authorize: Vec<Spanned<Authorize>>,
    #[serde(default)]
    transform: Vec<Spanned<Transform>>,
    #[serde(default)]
    outbound: Vec<Spanned<Outbound>>,
    #[serde(default)]
    login: Vec<Spanned<Login>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authenticate {
    name: Option<String>,
    #[serde(default)]
    client: Client,
    #[serde(default)]
    credentials: Credentials,
    expect: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    name: Option<String>,
    #[serde(default)]
    client: Client,
    method: String,
    steps: Vec<ExchangeStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangeStep {
    data: Option<Octets>,
    expect: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionsOf {
    name: Option<String>,
    #[serde(default)]
    client: Client,
    #[serde(default)]
    expect: Table,
    #[serde(default)]
    can: Vec<Check>,
    #[serde(default)]
    cannot: Vec<Check>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authorize {
    name: Option<String>,
    #[serde(default)]
    client: Client,
    operation: Operation,
    expect: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transform {
    name: Option<String>,
    #[serde(default)]
    client: Client,
    #[serde(default)]
    source: Origin,
    message: Message,
    expect: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outbound {
    name: Option<String>,
    #[serde(default)]
    client: Client,
    message: Message,
    expect: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    name: Option<String>,
    username: String,
    password: Octets,
    expect: Table,
}

/// An operation that compiled rules are asked about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    publish: Option<String>,
    subscribe: Option<String>,
    #[serde(default)]
    qos: Level,
    #[serde(default)]
    retain: bool,
}

impl Cases {
    /// Reads `text`, the contents of `file`. Errors begin with file and line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, String> {
        let line = |offset: usize| {
            let before = text.as_bytes().iter().take(offset);
            1 + before.filter(|byte| **byte == b'\n').count()
        };
        let at = |line: usize, what: &str| format!("{}:{line}: {what}", file.display());
        let raw: RawCases = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            at(line(offset), error.message())
        })?;
        // What is given counts for random questions as well.
        let gives = raw.gives();
        let cases = raw.read(line).map_err(|(offset, what)| at(line(offset), &what))?;
        if cases.is_empty() && !gives {
            return Err(at(1, "there is no case"));
        }
        Ok(Self { file: file.to_owned(), cases })
    }
}

impl RawCases {
    /// Whether there is something that only a file of cases may give.
    pub(crate) fn gives(&self) -> bool {
        self.given.is_some()
    }

    /// By line; an error says where it stands in the text.
    pub(crate) fn read(self, line: impl Fn(usize) -> usize) -> Result<Vec<Case>, (usize, String)> {
        let mut cases = Vec::new();
        let mut add = |span: std::ops::Range<usize>, case: Result<Case, String>| {
            let case = case.and_then(Case::checked).map_err(|what| (span.start, what))?;
            cases.push(Case { line: line(span.start), ..case });
            Ok::<(), (usize, String)>(())
        };
        for raw in self.authenticate {
            add(raw.span(), raw.into_inner().case())?;
        }
        for raw in self.exchange {
            add(raw.span(), raw.into_inner().case())?;
        }
        for raw in self.permissions {
            add(raw.span(), raw.into_inner().case())?;
        }
        for raw in self.authorize {
            add(raw.span(), raw.into_inner().case())?;
        }
        for raw in self.transform {
            add(raw.span(), raw.into_inner().case())?;
        }
        for raw in self.outbound {
            add(raw.span(), raw.into_inner().case())?;
        }
        for raw in self.login {
            add(raw.span(), raw.into_inner().case())?;
        }
        cases.sort_by_key(|case| case.line);
        Ok(cases)
    }
}

impl Authenticate {
    fn case(self) -> Result<Case, String> {
        let asked = (self.client.connection(), self.credentials.into());
        let question = Question::Authenticate(Box::new(asked));
        Ok(Case::new(self.name, question, vec![self.expect]))
    }
}

impl Exchange {
    fn case(self) -> Result<Case, String> {
        if self.steps.is_empty() {
            return Err("an exchange has at least one step".to_owned());
        }
        let (data, expected) =
            self.steps.into_iter().map(|step| (step.data.map(Octets::into), step.expect)).unzip();
        let question = Question::Exchange(Box::new(self.client.connection()), self.method, data);
        Ok(Case::new(self.name, question, expected))
    }
}

impl PermissionsOf {
    fn case(self) -> Result<Case, String> {
        let question = Question::Permissions(self.client.subject());
        let can = self.can.into_iter().map(|check| (true, check));
        let checks = can.chain(self.cannot.into_iter().map(|check| (false, check))).collect();
        Ok(Case { checks, ..Case::new(self.name, question, vec![self.expect]) })
    }
}

impl Authorize {
    fn case(self) -> Result<Case, String> {
        let question = Question::Authorize(self.client.subject(), self.operation.operation()?);
        Ok(Case::new(self.name, question, vec![self.expect]))
    }
}

impl Transform {
    fn case(self) -> Result<Case, String> {
        let message = Box::new(self.message.application()?);
        let question =
            Question::Transform(Source::from(self.source), self.client.subject(), message);
        Ok(Case::new(self.name, question, vec![self.expect]))
    }
}

impl Outbound {
    fn case(self) -> Result<Case, String> {
        let message = Box::new(self.message.application()?);
        let question = Question::Outbound(self.client.subject(), message);
        Ok(Case::new(self.name, question, vec![self.expect]))
    }
}

impl Login {
    fn case(self) -> Result<Case, String> {
        let (username, password) = (self.username, Password::new(self.password.into()));
        let remote = Ipv4Addr::LOCALHOST.into();
        let question = Question::Login(Box::new(access::Login { username, password, remote }));
        Ok(Case::new(self.name, question, vec![self.expect]))
    }
}

impl Case {
    fn new(name: Option<String>, question: Question, expected: Vec<Table>) -> Self {
        let name = name.map(|name| format!(" {name:?}")).unwrap_or_default();
        Self { line: 0, name, question, expected, checks: Vec::new() }
    }

    /// A case that cannot fail tests nothing.
    fn checked(self) -> Result<Self, String> {
        let hook = self.question.hook();
        let known = answered::known(hook);
        for expected in &self.expected {
            if expected.is_empty() && self.checks.is_empty() {
                return Err(format!("{hook}{}: expects nothing", self.name));
            }
            let absent = expected.get("absent").map(absent_names).transpose()?;
            let named = expected.keys().cloned().chain(absent.unwrap_or_default());
            if let Some(field) = named.into_iter().find(|field| !known.contains(&field.as_str())) {
                let known = known.join(", ");
                return Err(format!("expect.{field}: an answer of {hook} has {known}"));
            }
        }
        for (_, check) in &self.checks {
            check.checked()?;
        }
        Ok(self)
    }

    /// Where `answers` are not as expected.
    pub fn differences(&self, answers: &[Answered]) -> Vec<String> {
        let mut lines = Vec::new();
        for (index, expected) in self.expected.iter().enumerate() {
            let of_step = match self.expected.len() {
                1 => String::new(),
                _ => format!("step {}: ", index + 1),
            };
            let Some(answer) = answers.get(index) else {
                lines.push(format!("{of_step}is not reached"));
                break;
            };
            if let Some(failure) = &answer.failure
                && !expected.contains_key("failure")
            {
                lines.push(format!("{of_step}failed: {failure}"));
                break;
            }
            let found = differences(expected, &answer.fields);
            lines.extend(found.into_iter().map(|line| format!("{of_step}{line}")));
        }
        let Some(permissions) = answers.first().and_then(|answer| answer.permissions.as_ref())
        else {
            return lines;
        };
        match permissions {
            Err(unusable) => lines.push(format!("the rules cannot be used: {unusable}")),
            Ok(permissions) => {
                let wrong = |(can, check): &(bool, Check)| check.wrong(*can, permissions);
                lines.extend(self.checks.iter().filter_map(wrong));
            }
        }
        lines
    }
}

/// Names of fields that must not be there.
fn absent_names(value: &toml::Value) -> Result<Vec<String>, String> {
    let names = value.as_array().and_then(|names| {
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    names.ok_or_else(|| format!("expect.absent = {value}: must be a list of names of fields"))
}

impl Check {
    fn checked(&self) -> Result<(), String> {
        match (&self.publish, &self.subscribe) {
            (Some(topic), None) => {
                TopicName::check(topic).map_err(|error| format!("publish = {topic:?}: {error}"))
            }
            (None, Some(filter)) => SubscriptionFilter::parse(filter)
                .map(|_| ())
                .map_err(|error| format!("subscribe = {filter:?}: {error}")),
            _ => Err("can and cannot hold { publish = ... } or { subscribe = ... }".to_owned()),
        }
    }

    /// A line if the rules do not do what they should.
    fn wrong(&self, can: bool, permissions: &Permissions) -> Option<String> {
        let qos = self.qos.into();
        let (what, refused) = match (&self.publish, &self.subscribe) {
            (Some(topic), _) => {
                let request = PublishRequest { topic, qos, retain: self.retain };
                (format!("publish {topic}"), permissions.permit_publish(request).err())
            }
            (_, filter) => {
                let filter = filter.as_deref().unwrap_or_default();
                match SubscriptionFilter::parse(filter) {
                    Ok(parsed) => {
                        let request = SubscribeRequest { filter: &parsed, qos };
                        let refused = permissions.permit_subscribe(request).err();
                        (format!("subscribe {filter}"), refused)
                    }
                    Err(error) => return Some(format!("subscribe {filter}: {error}")),
                }
            }
        };
        match (can, refused) {
            (true, Some(refused)) => Some(format!("can {what}: {refused}")),
            (false, None) => Some(format!("cannot {what}: it is permitted")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
