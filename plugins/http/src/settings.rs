//! The table `[config]` of the manifest, and what of it cannot be meant.

use std::collections::BTreeMap;

use portcullis_plugin::{Error, Rule, host::http_client};
use rules::ConfiguredRule;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    request::Form,
    template::{Template, Variable},
};

/// What the operator wrote.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Asked at CONNECT: who is it?
    pub(crate) authenticate: Option<Question>,
    /// The name of a client that was let in; where it comes out empty, other links name it.
    #[serde(default = "username")]
    pub(crate) principal: String,
    /// Rules of who is called a superuser.
    #[serde(default = "everything")]
    pub(crate) superuser: Vec<ConfiguredRule>,
    /// Asked once it is in: what may it do?
    pub(crate) permissions: Option<Question>,
    /// Asked for single operations: may it do this?
    pub(crate) operations: Option<Question>,
}

/// One request that is made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// Address, with variables in its path and query.
    pub(crate) url: String,
    /// Whether it may be `http:` over the network.
    #[serde(default)]
    pub(crate) allow_plain: bool,
    /// POST or GET.
    #[serde(default)]
    pub(crate) method: Method,
    /// Headers.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, HeaderText>,
    /// What is sent: any shape, with variables in its texts.
    #[serde(default)]
    pub(crate) body: Option<Value>,
    /// How the body is written.
    #[serde(default)]
    pub(crate) body_format: Form,
    /// How long a reply is waited for.
    #[serde(default = "timeout")]
    pub(crate) timeout_ms: u32,
    /// What status 204 means.
    #[serde(default)]
    pub(crate) no_content: NoContent,
    /// Of operations: Topic Filters of what is asked about.
    pub(crate) topics: Option<Vec<String>>,
    /// Of operations: how long an answer is used again, in seconds.
    pub(crate) ttl_seconds: Option<u32>,
}

/// Method of a request.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    /// With a body.
    #[default]
    Post,
    /// Without.
    Get,
}

/// Value of a header.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum HeaderText {
    /// As it is.
    Text(String),
    /// A text and a secret behind it.
    Secret(SecretText),
}

/// `{ prefix = "Bearer ", secret = "NAME" }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretText {
    #[serde(default)]
    pub(crate) prefix: String,
    pub(crate) secret: String,
}

/// What a reply without a body means.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NoContent {
    /// Nothing that was agreed on.
    #[default]
    Error,
    /// As EMQX takes it.
    Allow,
}

fn username() -> String {
    "${username}".to_owned()
}

fn everything() -> Vec<ConfiguredRule> {
    vec![ConfiguredRule::allow_all("#")]
}

const fn timeout() -> u32 {
    1_500
}

/// A question that was checked, its texts taken apart.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) question: Question,
    pub(crate) url: Template,
}

impl Settings {
    /// # Errors
    /// A sentence about a rule that is none.
    pub(crate) fn superuser_rules(&self) -> Result<Vec<Rule>, Error> {
        let rules = self.superuser.iter().map(ConfiguredRule::rule);
        rules.collect::<Result<_, _>>().map_err(|what| wrong("superuser", &what))
    }

    /// # Errors
    /// Nothing is asked at all.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let asks = [&self.authenticate, &self.permissions].into_iter().any(Option::is_some);
        if !asks && self.operations.is_none() {
            let what = "nothing is asked: [config.authenticate], [config.permissions] or \
                        [config.operations] is needed";
            return Err(Error::misconfigured(what));
        }
        for question in [&self.authenticate, &self.permissions].into_iter().flatten() {
            if question.topics.is_some() || question.ttl_seconds.is_some() {
                return Err(wrong("topics", "topics and ttl_seconds are keys of operations"));
            }
        }
        let Some(operations) = &self.operations else { return Ok(()) };
        let topics = operations.topics.as_ref().map_or(0, Vec::len);
        if !(1..=TOPICS_MAX).contains(&topics) {
            let what = format!("allowed: 1 to {TOPICS_MAX} topic filters");
            return Err(wrong("operations.topics", &what));
        }
        if operations.ttl_seconds.is_some_and(|seconds| seconds > TTL_SECONDS_MAX) {
            let what = format!("allowed: 0 to {TTL_SECONDS_MAX}");
            return Err(wrong("operations.ttl_seconds", &what));
        }
        Ok(())
    }
}

impl Question {
    /// With the variables that there are when it is asked.
    ///
    /// # Errors
    /// A sentence for the operator about the first mistake.
    pub(crate) fn check(self, table: &str, known: &[Variable]) -> Result<Checked, Error> {
        let wrong = |key: &str, what: &str| wrong(&format!("{table}.{key}"), what);
        let url = Template::parse(&self.url, known).map_err(|what| wrong("url", &what))?;
        check_url(&self.url, &url).map_err(|what| wrong("url", what))?;
        if !http_client::is_protected(&self.url) && !self.allow_plain {
            let what = "it would be asked in the clear over the network; allowed: https:, http: to \
                        this machine, others with allow_plain = true";
            return Err(wrong("url", what));
        }
        if !(10..=30_000).contains(&self.timeout_ms) {
            return Err(wrong("timeout_ms", "allowed: 10 to 30000"));
        }
        for (name, value) in &self.headers {
            let (HeaderText::Text(text) | HeaderText::Secret(SecretText { prefix: text, .. })) =
                value;
            if text.contains("${") {
                return Err(wrong("headers", &format!("{name}: there are no variables here")));
            }
        }
        match (self.method, &self.body) {
            (Method::Get, Some(_)) => return Err(wrong("body", "a GET request has none")),
            (Method::Get, None) => {}
            (Method::Post, None) => return Err(wrong("body", "missing: what is asked?")),
            (Method::Post, Some(body)) => {
                self.body_format.check(body, known).map_err(|what| wrong("body", &what))?;
            }
        }
        Ok(Checked { question: self, url })
    }
}

/// No variable decides who is asked, and no password stands where servers write it into their logs.
fn check_url(text: &str, url: &Template) -> Result<(), &'static str> {
    let behind = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let behind = behind.ok_or("allowed: https:, or http:")?;
    let server = behind.split(['/', '?', '#']).next().unwrap_or_default();
    if server.is_empty() || server.contains("${") {
        return Err("variables are for its path and its query");
    }
    if behind.contains('#') {
        return Err("it has a fragment, which is never sent");
    }
    if url.has(Variable::Password) {
        return Err("a password does not belong here: servers write addresses into their logs");
    }
    Ok(())
}

const TOPICS_MAX: usize = 100;
const TTL_SECONDS_MAX: u32 = 3_600;

pub(crate) fn wrong(key: &str, what: &str) -> Error {
    Error::misconfigured(format!("[config] {key}: {what}"))
}

#[cfg(test)]
mod tests;
