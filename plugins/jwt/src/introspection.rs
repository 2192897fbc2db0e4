//! Asking the issuer about a token (RFC 7662): the question, and what counts as an answer.

use portcullis_plugin::{
    Error,
    host::http_client::{self, Header, HeaderValue, Request, Response},
};
use serde_json::Value;

use crate::{claims::Claims, settings::Introspection};

/// The question. The secret stays in the host.
pub(crate) fn request(settings: &Introspection, token: &str) -> Request {
    let text = |name: &str, value: &str| Header {
        name: name.to_owned(),
        value: HeaderValue::Text(value.to_owned()),
    };
    let authorization = &settings.authorization;
    let secret = (authorization.prefix.clone(), authorization.secret.clone());
    Request {
        method: "POST".to_owned(),
        url: settings.url.clone(),
        headers: vec![
            text("content-type", "application/x-www-form-urlencoded"),
            text("accept", "application/json"),
            Header { name: "authorization".to_owned(), value: HeaderValue::Secret(secret) },
        ],
        body: form(token).into_bytes(),
        timeout_ms: Some(settings.timeout_ms),
    }
}

fn form(token: &str) -> String {
    let mut form = "token=".to_owned();
    for byte in token.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            form.push(char::from(byte));
        } else {
            form.push_str(&format!("%{byte:02X}"));
        }
    }
    form.push_str("&token_type_hint=access_token");
    form
}

/// The claims of an active token; none when it is not active.
///
/// # Errors
/// What came is no answer, or nothing came.
pub(crate) fn answer(
    answer: Result<Response, http_client::Error>,
) -> Result<Option<Claims>, Error> {
    let response = answer.map_err(|error| match error {
        http_client::Error::Denied(text) => Error::misconfigured(format!("introspection: {text}")),
        http_client::Error::Timeout => {
            Error::Timeout("introspection: the issuer does not answer in time".to_owned())
        }
        http_client::Error::TooLarge(text) | http_client::Error::Connection(text) => {
            Error::unavailable(format!("introspection: {text}"))
        }
        http_client::Error::Busy => {
            Error::unavailable("introspection: too many questions are on their way")
        }
    })?;
    if response.status != 200 {
        let text = format!("introspection: the issuer answers {}", response.status);
        return Err(Error::unavailable(text));
    }
    let odd = || Error::unavailable("introspection: the issuer's answer is none of RFC 7662");
    let Ok(Value::Object(claims)) = serde_json::from_slice(&response.body) else {
        return Err(odd());
    };
    match claims.get("active") {
        Some(Value::Bool(true)) => Ok(Some(Claims(claims))),
        Some(Value::Bool(false)) => Ok(None),
        _ => Err(odd()),
    }
}

/// Who issued it, for whom it is, from when on and until when it holds; the end.
///
/// # Errors
/// A sentence about what does not hold.
pub(crate) fn check(settings: &Introspection, claims: &Claims, now: u64) -> Result<u64, String> {
    if let Some(issuer) = &settings.issuer
        && claims.get("iss") != Some(&Value::String(issuer.clone()))
    {
        return Err("it is of another issuer".to_owned());
    }
    let wanted = |value: &Value| settings.audience.iter().any(|one| value == one);
    let is_for_us = match claims.get("aud") {
        _ if settings.audience.is_empty() => true,
        Some(Value::Array(list)) => list.iter().any(wanted),
        Some(value) => wanted(value),
        None => false,
    };
    if !is_for_us {
        return Err("it is for another audience".to_owned());
    }
    if claims.time("nbf")?.is_some_and(|begin| begin > now.saturating_add(LEEWAY_SECONDS)) {
        return Err("it does not hold yet".to_owned());
    }
    let latest = now.saturating_add(settings.valid_seconds_max);
    let end = claims.time("exp")?.map_or(latest, |end| end.min(latest));
    match end <= now {
        true => Err("it has expired".to_owned()),
        false => Ok(end),
    }
}

/// How far the clocks of issuer and broker may differ.
const LEEWAY_SECONDS: u64 = 5;

#[cfg(test)]
mod tests;
