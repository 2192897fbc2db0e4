//! The cookie of a login in a browser: how it is read, set and taken back, and what a change needs
//! beside it.
//!
//! Knows nothing of who is logged in. A browser sends the cookie along with whatever a page makes it
//! ask for; that the page is ours shows in what it sends beside: the token that only our own pages
//! can read, and where the browser says the request comes from.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use subtle::ConstantTimeEq;

use crate::problem::Problem;

/// Name of the cookie.
pub(crate) const NAME: &str = "portcullis_session";

/// Where a request that changes something carries the token of `GET /api/v1/login`.
pub(crate) const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The value of the cookie that a request carries.
pub(crate) fn offered(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut found = named(headers, NAME);
    match (found.next(), found.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => {
            Err(Problem::invalid(format!("the request carries two cookies {NAME}")).about("Cookie"))
        }
    }
}

/// The values of the cookies of this name.
pub(crate) fn named<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(header::COOKIE).iter();
    let pairs = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs
        .filter_map(move |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// What sets the cookie for so many seconds; 0 takes it back.
pub(crate) fn set(headers: &HeaderMap, token: &str, seconds: u64) -> Option<HeaderValue> {
    set_with(is_https(headers), token, seconds)
}

/// The same for a browser of which we know whether it speaks HTTPS.
pub(crate) fn set_with(https: bool, token: &str, seconds: u64) -> Option<HeaderValue> {
    let secure = if https { "; Secure" } else { "" };
    let text =
        format!("{NAME}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).ok().map(|mut value| {
        value.set_sensitive(true);
        value
    })
}

/// Whether the browser speaks HTTPS, to a proxy in front of this API. It says so in `Origin`, which
/// it sends with every login; who lies here only weakens a cookie of its own.
fn is_https(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    origin.is_some_and(|origin| origin.starts_with(b"https://"))
}

/// Whether a request with the cookie may change something: it carries the token of the login, and
/// the browser says that it comes from a page of ours. That an `Origin` is this host was checked
/// before.
pub(crate) fn check_change(csrf: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let mut tokens = headers.get_all(CSRF_HEADER).iter();
    let (Some(token), None) = (tokens.next(), tokens.next()) else {
        return Err(Problem::csrf("a change with the cookie needs one X-CSRF-Token header")
            .about("X-CSRF-Token")
            .allowed("the csrf of the login"));
    };
    if !bool::from(token.as_bytes().ct_eq(csrf.as_bytes())) {
        return Err(Problem::csrf("the X-CSRF-Token header is not the one of this login")
            .about("X-CSRF-Token")
            .allowed("the csrf of the login"));
    }
    let site = headers.get(SEC_FETCH_SITE);
    let same_site = match site {
        Some(site) => site == "same-origin",
        None => headers.contains_key(header::ORIGIN),
    };
    if same_site {
        return Ok(());
    }
    Err(Problem::csrf("a change with the cookie has to come from a page of this host")
        .about("Origin")
        .allowed("the same host and port as in the Host header, or Sec-Fetch-Site: same-origin"))
}
