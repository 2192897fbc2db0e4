//! What counts as a reply: status 200 with a JSON object, or a form, of known keys and types.

use std::collections::BTreeMap;

use portcullis_plugin::{
    Error, Rule,
    host::http_client::{self, Response},
};
use serde::Deserialize;
use serde_json::Value;

use crate::settings::NoContent;

/// The service's word and what comes with it.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reply {
    pub(crate) result: Word,
    #[serde(default)]
    pub(crate) is_superuser: bool,
    #[serde(default)]
    pub(crate) client_attrs: BTreeMap<String, String>,
    #[serde(default)]
    acl: Option<Value>,
    #[serde(default)]
    pub(crate) expire_at: Option<u64>,
    /// Not EMQX's: groups of the client.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// Not EMQX's: how long rules may be used, in seconds.
    #[serde(default)]
    pub(crate) ttl: Option<u32>,
}

/// `result`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Word {
    Allow,
    Deny,
    #[default]
    Ignore,
}

impl Reply {
    /// Rules, if there is a list of them.
    ///
    /// # Errors
    /// A rule that is none, or that has no counterpart here.
    pub(crate) fn rules(&self) -> Result<Option<Vec<Rule>>, Error> {
        let Some(acl) = &self.acl else { return Ok(None) };
        let rules = rules::from_list(acl);
        rules.map(Some).map_err(|what| odd(&format!("acl: {what}")))
    }

    /// The end of what it says, which must lie ahead.
    ///
    /// # Errors
    /// It does not, or is no time in seconds.
    pub(crate) fn end(&self, now: u64) -> Result<Option<u64>, Error> {
        match self.expire_at {
            Some(end) if end > TIME_MAX => Err(odd("expire_at is no time in seconds since 1970")),
            Some(end) if end <= now => Err(odd("expire_at lies in the past")),
            end => Ok(end),
        }
    }
}

/// Reads what came.
///
/// # Errors
/// Nothing came, or it is no reply.
pub(crate) fn read(
    answer: Result<Response, http_client::Error>,
    no_content: NoContent,
) -> Result<Reply, Error> {
    let response = answer.map_err(failed)?;
    match (response.status, no_content) {
        (200, _) => {}
        (204, NoContent::Allow) => {
            return Ok(Reply { result: Word::Allow, ..Reply::default() });
        }
        (status, _) => return Err(odd(&format!("status {status}"))),
    }
    let mut types = response.headers.iter().filter(|(name, _)| name == "content-type");
    let (Some((_, content_type)), None) = (types.next(), types.next()) else {
        return Err(odd("it says no content-type, or more than one"));
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let read = match essence.as_str() {
        "application/json" => serde_json::from_slice(&response.body).map_err(|it| it.to_string()),
        "application/x-www-form-urlencoded" => form(&response.body),
        _ => Err("its content-type is neither JSON nor a form".to_owned()),
    };
    read.map_err(|what| odd(&what))
}

fn failed(error: http_client::Error) -> Error {
    match error {
        http_client::Error::Denied(text) => Error::misconfigured(text),
        http_client::Error::Timeout => {
            Error::Timeout("the service does not reply in time".to_owned())
        }
        http_client::Error::TooLarge(text) | http_client::Error::Connection(text) => {
            Error::unavailable(text)
        }
        http_client::Error::Busy => Error::unavailable("too many requests are on their way"),
    }
}

/// A reply of another shape is no word: the service behind it may be anything.
fn odd(what: &str) -> Error {
    Error::unavailable(format!("the service's reply: {what}"))
}

/// `result=allow&is_superuser=true&expire_at=1706844358`; the other keys have no shape there.
fn form(body: &[u8]) -> Result<Reply, String> {
    let text = std::str::from_utf8(body).map_err(|_| "is not UTF-8".to_owned())?;
    let mut fields = serde_json::Map::new();
    for field in text.split('&') {
        let (name, value) = field.split_once('=').ok_or("a field has no value")?;
        let value = match name {
            "result" => Value::from(value),
            "is_superuser" => Value::from(value.parse::<bool>().map_err(|_| "is_superuser")?),
            "expire_at" => Value::from(value.parse::<u64>().map_err(|_| "expire_at")?),
            other => return Err(format!("{other:?} is not known in a form")),
        };
        if fields.insert(name.to_owned(), value).is_some() {
            return Err(format!("{name} stands twice"));
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

/// The year 9999: a time in milliseconds is none.
const TIME_MAX: u64 = 253_402_300_799;

#[cfg(test)]
pub(crate) mod tests;
