//! Interface `ldap`: questions to directories that the operator named.
//!
//! Searches and comparisons run on connections that are bound as the broker, passwords are tried on
//! connections of their own: what a user may see is never what a plugin is told, nor the other way
//! round. The story of a question: the source must be granted, what came from the guest is made
//! harmless (`text.rs`), a connection is taken, and the answer is bounded while it is read.

mod directory;
mod text;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use self::directory::Directory;
use crate::{
    bindings::portcullis::plugin::ldap::{Entry, Error, Host, Scope},
    budget::Stop,
    instance::State,
    sources::Secret,
};

/// A distinguished name, an attribute, a filter with its values.
const NAME_BYTES_MAX: usize = 8 << 10;
const FILTER_BYTES_MAX: usize = 16 << 10;
const VALUE_BYTES_MAX: usize = 64 << 10;
const ATTRIBUTES_MAX: usize = 64;
/// What is left of a call's time when its directory is given up, for the plugin to say so; at most a
/// tenth of the whole. Else its deadline would pass, and that is a plugin that breaks: its breakers
/// would keep clients out when the directory is long back.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What `[ldap.NAME]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdapSettings {
    /// `ldaps://HOST:PORT` or `ldap://HOST:PORT`.
    pub url: String,
    /// Whether `ldap:` is encrypted before anything else is said.
    pub starttls: bool,
    /// Whether it may stay in the clear to another machine.
    pub allow_plain: bool,
    /// Authorities that are believed instead of the system's, in PEM.
    pub ca: Option<String>,
    /// Whom searches are made as; `None` = nobody.
    pub bind: Option<(String, Secret)>,
    /// Connections at once, for searches and for passwords each.
    pub connections: usize,
    /// How long a connection, or a place for one, is waited for.
    pub connect_timeout: Duration,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

/// A directory that is ready to be asked.
#[derive(Clone)]
pub struct LdapSource(Arc<Directory>);

impl PartialEq for LdapSource {
    fn eq(&self, other: &Self) -> bool {
        self.0.settings() == other.0.settings()
    }
}

impl fmt::Debug for LdapSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.settings().fmt(f)
    }
}

impl LdapSource {
    /// Reads the settings; connects nowhere. The error is a sentence.
    pub fn new(settings: LdapSettings) -> Result<Self, String> {
        Directory::new(settings).map(|directory| Self(Arc::new(directory)))
    }
}

/// What is asked.
enum Question {
    /// Whether a password is somebody's.
    Bind { dn: String, password: Secret },
    /// Whether an attribute has a value.
    Compare { dn: String, attribute: String, value: Vec<u8> },
    /// What there is.
    Search { base: String, scope: Scope, filter: String, attributes: Vec<String> },
}

/// What the directory says.
enum Answer {
    /// Yes or no.
    Is(bool),
    /// What was found.
    Entries(Vec<Entry>),
}

fn bounded(what: &str, bytes: usize, most: usize) -> Result<(), Error> {
    if bytes > most {
        return Err(Error::Malformed(format!("{what} has {bytes} bytes, allowed: {most}")));
    }
    Ok(())
}

/// A name that stands for something: the empty one stands for the directory itself.
fn name(what: &str, text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::Malformed(format!("{what} is empty")));
    }
    bounded(what, text.len(), NAME_BYTES_MAX)
}

fn bind(dn: String, password: Secret) -> Result<Question, Error> {
    name("the name", &dn)?;
    bounded("the password", password.expose().len(), VALUE_BYTES_MAX)?;
    Ok(Question::Bind { dn, password })
}

fn compare(dn: String, attribute: String, value: Vec<u8>) -> Result<Question, Error> {
    name("the name", &dn)?;
    name("the attribute", &attribute)?;
    bounded("the value", value.len(), VALUE_BYTES_MAX)?;
    Ok(Question::Compare { dn, attribute, value })
}

fn search(
    base: String,
    scope: Scope,
    filter: (&str, &[String]),
    attributes: Vec<String>,
) -> Result<Question, Error> {
    bounded("the base", base.len(), NAME_BYTES_MAX)?;
    let (filter, values) = filter;
    bounded("the filter", filter.len(), FILTER_BYTES_MAX)?;
    let filter = text::fill(filter, values).map_err(Error::Malformed)?;
    bounded("the filter with its values", filter.len(), VALUE_BYTES_MAX)?;
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(Error::Malformed(format!("over {ATTRIBUTES_MAX} attributes are wanted")));
    }
    for attribute in &attributes {
        name("an attribute", attribute)?;
    }
    Ok(Question::Search { base, scope, filter, attributes })
}

impl State {
    /// Runs in a task of its own, which ends with the call: what a directory sends may be such that
    /// its library panics, and that must cost this answer only.
    async fn ldap(
        &mut self,
        source: &str,
        question: Result<Question, Error>,
    ) -> wasmtime::Result<Result<Answer, Error>> {
        self.meter.before_wait()?;
        let Some(LdapSource(directory)) = self.lent.granted.ldap.get(source) else {
            return Ok(Err(Error::Denied(format!("[grants] ldap does not name {source:?}"))));
        };
        let question = match question {
            Ok(question) => question,
            Err(error) => return Ok(Err(error)),
        };
        let last_words = LAST_WORDS.min(self.meter.budget().wall / 10);
        let deadline = self.meter.deadline();
        let until = deadline.checked_sub(last_words).unwrap_or(deadline);
        let until = Instant::from_std(until);
        let directory = Arc::clone(directory);
        let mut task = JoinSet::new();
        task.spawn(async move { directory.ask(&question).await });
        match tokio::time::timeout_at(until, task.join_next()).await {
            Ok(Some(Ok(answer))) => Ok(answer),
            Ok(_) => Ok(Err(not_understood())),
            Err(_) if std::time::Instant::now() < deadline => Ok(Err(Error::Timeout)),
            Err(_) => {
                self.meter.stop(Stop::Deadline);
                Err(wasmtime::Error::msg("the deadline passed in ldap"))
            }
        }
    }

    async fn ldap_says(
        &mut self,
        source: &str,
        question: Result<Question, Error>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        Ok(self.ldap(source, question).await?.and_then(|answer| match answer {
            Answer::Is(answer) => Ok(answer),
            Answer::Entries(_) => Err(not_understood()),
        }))
    }
}

fn not_understood() -> Error {
    Error::Unavailable("what the directory says is not understood".to_owned())
}

impl Host for State {
    async fn bind(
        &mut self,
        source: String,
        dn: String,
        password: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.ldap_says(&source, bind(dn, Secret::new(password))).await
    }

    async fn compare(
        &mut self,
        source: String,
        dn: String,
        attribute: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.ldap_says(&source, compare(dn, attribute, value)).await
    }

    async fn search(
        &mut self,
        source: String,
        base: String,
        scope: Scope,
        filter: String,
        values: Vec<String>,
        attributes: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Entry>, Error>> {
        let question = search(base, scope, (&filter, &values), attributes);
        Ok(self.ldap(&source, question).await?.and_then(|answer| match answer {
            Answer::Entries(entries) => Ok(entries),
            Answer::Is(_) => Err(not_understood()),
        }))
    }

    fn escape_dn(&mut self, value: String) -> wasmtime::Result<String> {
        Ok(ldap3::dn_escape(value).into_owned())
    }
}
