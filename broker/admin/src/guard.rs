//! What every request passes: whose name it was sent to, which site sent it, and whether it carries
//! a token or the cookie of a login.
//!
//! Knows nothing of single routes, except the access rule that each brings along.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Instant,
};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version, header, request::Parts,
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use telemetry::events;

use crate::{
    administrators::{Administrator, Administrators},
    audit::{Action, Record},
    call::{Shared, unix_now},
    cookie,
    problem::Problem,
    route::{Access, Permission, Route, Verb},
    visitors::Visitor,
};

/// The address that a request came from; put on it by `listener`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The names that this API answers to, in lower case, beside loopback addresses. A web page may make
/// a name of its own point to 127.0.0.1 (DNS rebinding); its requests then carry that name.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// `localhost`, the address of `bind`, and these.
    pub(crate) fn new(bind: IpAddr, host_names: &[String]) -> Self {
        let mut names: Vec<_> = host_names.iter().map(|name| plain_host(name)).collect();
        names.push("localhost".to_owned());
        names.push(bind.to_string());
        Self(names)
    }

    fn check(&self, parts: &Parts) -> Result<(), Problem> {
        let hosts: Vec<_> = parts.headers.get_all(header::HOST).iter().collect();
        let in_header = match hosts.as_slice() {
            [] if parts.version < Version::HTTP_11 => None,
            [host] => Some(authority(host)?),
            _ => return Err(Problem::invalid("exactly one Host header is needed").about("Host")),
        };
        for authority in [in_header.as_ref(), parts.uri.authority()].into_iter().flatten() {
            self.check_name(authority.host())?;
        }
        check_origin(&parts.headers, in_header.as_ref())
    }

    fn check_name(&self, host: &str) -> Result<(), Problem> {
        let host = plain_host(host);
        let loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        if loopback || self.0.contains(&host) {
            return Ok(());
        }
        Err(Problem::unknown_host(format!("the admin API is not called {host:?}"))
            .about("Host")
            .allowed("localhost, a loopback address or one of [admin] names"))
    }
}

/// Lower case, without the brackets of an IPv6 address and the dot of a complete name.
fn plain_host(host: &str) -> String {
    let host = host.trim_end_matches('.');
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.to_ascii_lowercase()
}

fn authority(value: &HeaderValue) -> Result<Authority, Problem> {
    let authority = value.to_str().ok().and_then(|text| Authority::from_str(text).ok());
    authority
        .filter(|authority| !authority.as_str().contains('@'))
        .ok_or_else(|| Problem::invalid("the Host header is no host name").about("Host"))
}

/// Browsers say with `Origin` which site a request comes from. This API has no pages on other
/// sites.
fn check_origin(headers: &HeaderMap, host: Option<&Authority>) -> Result<(), Problem> {
    for origin in headers.get_all(header::ORIGIN) {
        let site = origin.to_str().ok().and_then(|text| {
            text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))
        });
        let same =
            site.zip(host).is_some_and(|(site, host)| site.eq_ignore_ascii_case(host.as_str()));
        if !same {
            return Err(Problem::foreign_origin("the Origin header names another site")
                .about("Origin")
                .allowed("the same host and port as in the Host header, or no Origin"));
        }
    }
    Ok(())
}

/// Around every request, also those that no route takes.
pub(crate) async fn protect(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match shared.hosts.check(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => {
            report(&shared, &parts, &problem).await;
            problem.into_response()
        }
    };
    let policy = match response.extensions_mut().remove::<IsPage>() {
        Some(IsPage) => PAGE_POLICY,
        None => POLICY,
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    for (name, value) in SECURITY_HEADERS {
        // Files of pages say themselves how long they are good.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    shared.state.metrics.admin_requests.inc(response.status().as_str());
    response
}

/// Whether a request may use a route; the request carries from then on who asks, even if not.
pub(crate) fn check_access(
    shared: &Shared,
    route: &Route,
    parts: &mut Parts,
) -> Result<(), Problem> {
    let open = match route.access {
        Access::Open => true,
        Access::OpenIfConfigured(_) => shared.metrics_open,
        Access::LoggedIn | Access::OneselfOr(_) | Access::Needs(_) => false,
    };
    if open {
        return Ok(());
    }
    let who = find(&shared.administrators, &parts.headers)?;
    if let Some(visitor) = parts.extensions.get::<Visitor>() {
        visitor.belongs_to(who.user.as_deref(), &shared.connections);
    }
    parts.extensions.insert(Arc::clone(&who));
    if let Some(csrf) = who.csrf.as_deref().filter(|_| route.verb != Verb::Get) {
        cookie::check_change(csrf, &parts.headers)?;
    }
    match route.access.permission().filter(|needed| !may(&who, route, *needed, parts)) {
        None => Ok(()),
        Some(needed) => {
            let needed = needed.name();
            Err(Problem::forbidden(format!("this route needs the permission {needed}")))
        }
    }
}

/// Whether somebody has a permission, or needs none because the route is about itself. Names of users
/// need no escaping in a path; one that is escaped all the same is nobody's own.
fn may(who: &Administrator, route: &Route, needed: Permission, parts: &Parts) -> bool {
    let itself = || {
        let mut segments = route.path.split('/').zip(parts.uri.path().split('/'));
        segments.any(|(template, segment)| template == "{user}" && who.is_user(segment))
    };
    let oneself = matches!(route.access, Access::OneselfOr(_));
    who.permissions.has(needed) || oneself && itself()
}

/// Whether what a request showed is still good: for answers that go on for long.
pub(crate) fn is_still_known(shared: &Shared, headers: &HeaderMap) -> bool {
    let now = (Instant::now(), unix_now());
    offered(headers).is_ok_and(|offered| shared.administrators.knows(offered, now))
}

fn find(known: &Administrators, headers: &HeaderMap) -> Result<Arc<Administrator>, Problem> {
    known
        .find(offered(headers)?, (Instant::now(), unix_now()))
        .ok_or_else(|| Problem::unauthorized("the token is not, or no more, one of this broker"))
}

/// What a request shows to say who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Offered<'a> {
    /// The token of an Authorization header.
    Bearer(&'a [u8]),
    /// The token of the cookie.
    Cookie(&'a [u8]),
}

/// The bearer token or the cookie of a request.
pub(crate) fn offered(headers: &HeaderMap) -> Result<Offered<'_>, Problem> {
    match (cookie::offered(headers)?, headers.contains_key(header::AUTHORIZATION)) {
        (Some(cookie), false) => Ok(Offered::Cookie(cookie)),
        (None, _) => bearer_token(headers).map(Offered::Bearer),
        (Some(_), true) => {
            let what = "the request carries the cookie of a login and an Authorization header";
            Err(Problem::invalid(what).about("Authorization").allowed("one of both"))
        }
    }
}

fn bearer_token(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => {
            Err(Problem::unauthorized("the request carries no bearer token and no login cookie"))
        }
        (Some(_), Some(_)) => {
            Err(Problem::unauthorized("the request carries two Authorization headers"))
        }
        (Some(value), None) => bearer(value)
            .ok_or_else(|| Problem::unauthorized("the Authorization header is no bearer token")),
    }
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Logs that a request was turned away.
pub(crate) async fn report(shared: &Shared, parts: &Parts, problem: &Problem) {
    let status = problem.status;
    if status == StatusCode::BAD_REQUEST {
        return;
    }
    let (path, remote) = (parts.uri.path(), parts.extensions.get::<Peer>().map(|Peer(peer)| *peer));
    events::AdminRefused { path, remote, status: status.as_u16(), cause: &problem.detail }
        .emit(&shared.state.metrics);
    let route = format!("{} {path}", parts.method);
    let record = Record::new(Action::Refused).from(remote).route(&route).status(status.as_u16());
    let record = record.cause(Some(&problem.detail));
    let record = match parts.extensions.get::<Arc<Administrator>>() {
        Some(who) => record.who(who),
        None => record,
    };
    shared.audit.record_refusal(record).await;
}

/// On an answer that is for the eyes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IsPage;

/// Where a stranger who wanted to see a page logs in first; back it leads to paths of this host only.
pub(crate) fn to_login(uri: &Uri) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut address = String::from("/login");
    if is_own_path(path) {
        address.push_str("?next=");
        for byte in path.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    address.push(char::from(byte));
                }
                _ => address.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    let location = HeaderValue::from_str(&address);
    let location = location.unwrap_or_else(|_| HeaderValue::from_static("/login"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// Whether a text is a path of this host and cannot be read as the address of another one. Pages
/// ask this before they lead to what a `next` says.
pub(crate) fn is_own_path(path: &str) -> bool {
    let mut bytes = path.bytes();
    bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && path.len() <= NEXT_BYTES_MAX
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

const NEXT_BYTES_MAX: usize = 2_048;

const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Scripts and styles come from files of this host; nothing that stands in a page itself runs.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
