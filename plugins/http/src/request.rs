//! A request from a question and the values of a moment.

use portcullis_plugin::host::http_client::{Header, HeaderValue, Request};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    settings::{Checked, HeaderText, Method, SecretText},
    template::{Template, Variable, escaped, plain},
};

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// `application/json`.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

impl Form {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }

    /// # Errors
    /// A sentence about what of a body cannot be written, or a variable that there is none of.
    pub(crate) fn check(self, body: &Value, known: &[Variable]) -> Result<(), String> {
        let Value::Object(fields) = body else { return Err("it is a table".to_owned()) };
        if self == Self::Form && !fields.values().all(Value::is_string) {
            return Err("a form has texts and nothing else".to_owned());
        }
        if depth(body) > DEPTH_MAX {
            return Err(format!("it is deeper than {DEPTH_MAX} levels"));
        }
        let mut found = Ok(());
        each_text(body, &mut |text| {
            if let Err(what) = Template::parse(text, known) {
                found = Err(what);
            }
        });
        found
    }

    fn write<'a>(self, body: &Value, value: &impl Fn(Variable) -> &'a str) -> String {
        match (self, body) {
            (Self::Form, Value::Object(fields)) => {
                let mut form = String::new();
                for (name, template) in fields {
                    if !form.is_empty() {
                        form.push('&');
                    }
                    escaped(&mut form, name);
                    form.push('=');
                    let text = filled(template.as_str().unwrap_or_default(), value);
                    escaped(&mut form, &text);
                }
                form
            }
            (_, body) => filled_in(body, value).to_string(),
        }
    }
}

/// Whether a variable is anywhere in a body.
pub(crate) fn has(body: &Value, variable: Variable) -> bool {
    let mut has = false;
    each_text(body, &mut |text| {
        let template = Template::parse(text, &Variable::OF_CONNECT);
        has |= template.is_ok_and(|template| template.has(variable));
    });
    has
}

/// None where the values make another path of the address than it was meant to be.
pub(crate) fn request<'a>(
    checked: &Checked,
    value: impl Fn(Variable) -> &'a str,
) -> Option<Request> {
    let question = &checked.question;
    let url = checked.url.fill(&value, escaped);
    let path = url.split('?').next().unwrap_or_default();
    if path.split('/').skip(3).any(|part| matches!(part, "." | "..")) {
        return None;
    }
    let body = match &question.body {
        Some(body) => question.body_format.write(body, &value),
        None => String::new(),
    };
    let own = question.headers.iter().map(|(name, value)| {
        let value = match value {
            HeaderText::Text(text) => HeaderValue::Text(text.clone()),
            HeaderText::Secret(SecretText { prefix, secret }) => {
                HeaderValue::Secret((prefix.clone(), secret.clone()))
            }
        };
        Header { name: name.to_ascii_lowercase(), value }
    });
    let mut headers: Vec<Header> = own.collect();
    let mut also = |name: &str, value: &str| {
        if !headers.iter().any(|header| header.name == name) {
            let value = HeaderValue::Text(value.to_owned());
            headers.push(Header { name: name.to_owned(), value });
        }
    };
    also("accept", "application/json");
    let method = match question.method {
        Method::Get => "GET",
        Method::Post => {
            also("content-type", question.body_format.content_type());
            "POST"
        }
    };
    Some(Request {
        method: method.to_owned(),
        url,
        headers,
        body: body.into_bytes(),
        timeout_ms: Some(question.timeout_ms),
    })
}

/// The same value with variables filled in. Not deeper than [`DEPTH_MAX`].
fn filled_in<'a>(body: &Value, value: &impl Fn(Variable) -> &'a str) -> Value {
    match body {
        Value::String(text) => Value::String(filled(text, value)),
        Value::Array(items) => items.iter().map(|item| filled_in(item, value)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, it)| (name.clone(), filled_in(it, value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// A template that was checked with fewer variables than are looked for here.
fn filled<'a>(text: &str, value: &impl Fn(Variable) -> &'a str) -> String {
    let known = [&Variable::OF_OPERATION[..], &[Variable::Password]].concat();
    Template::parse(text, &known).map_or_else(|_| String::new(), |it| it.fill(value, plain))
}

fn each_text(body: &Value, each: &mut impl FnMut(&str)) {
    match body {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, each)),
        Value::Object(fields) => fields.values().for_each(|item| each_text(item, each)),
        _ => {}
    }
}

fn depth(body: &Value) -> usize {
    let below = match body {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    below.unwrap_or_default() + 1
}

const DEPTH_MAX: usize = 8;

#[cfg(test)]
mod tests;
