//! Interface `http-client`: requests to where the operator allows.
//!
//! The story of a request: its parts are judged, its URL by the grants, its name resolved, each
//! address judged, and the connection goes to an address that was judged: a name that points
//! elsewhere a moment later changes nothing. A redirect goes the same way from the start. There is
//! no proxy, no cookie jar, and no connection is used twice.

mod address;
pub(crate) mod exchange;
mod url_prefix;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{
    HeaderMap, Method, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, LOCATION, USER_AGENT},
};
use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::Instant};
use url::Url;
use zeroize::Zeroizing;

use self::exchange::{Failed, Incoming, Outgoing, exchange};
pub(crate) use self::url_prefix::UrlPrefix;
use super::{Lent, tls::Tls};
use crate::{
    bindings::portcullis::plugin::http_client::{
        Error, HeaderValue as GuestValue, Host, Request, Response,
    },
    budget::Stop,
    instance::State,
};

/// Body of a request and of a response.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 32 << 10;
const URL_BYTES_MAX: usize = 8 << 10;
const REDIRECTS_MAX: usize = 5;
/// Requests of one plugin at once, all generations together.
const IN_FLIGHT_MAX: usize = 16;
/// Left of a call for its answer, when a response is waited for.
const REST: Duration = Duration::from_millis(50);

/// Set by the host, or about the connection, which is the host's.
const NOT_FOR_GUESTS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// What the requests of all plugins share.
#[derive(Debug)]
pub(crate) struct HttpClients {
    tls: Tls,
    places: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

impl Default for HttpClients {
    fn default() -> Self {
        Self { tls: Tls::offering(&[b"http/1.1"]), places: Mutex::default() }
    }
}

impl HttpClients {
    /// Trusts these authorities only. Before the first request.
    #[cfg(test)]
    pub(crate) fn trust(&self, roots: rustls::RootCertStore) {
        self.tls.trust(roots);
    }

    fn places_of(&self, plugin: &Arc<str>) -> Arc<Semaphore> {
        let mut places = self.places.lock();
        let new = || Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        Arc::clone(places.entry(Arc::clone(plugin)).or_insert_with(new))
    }
}

impl Host for State {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, Error>> {
        self.meter.before_wait()?;
        let deadline = Instant::from_std(self.meter.deadline());
        // The plugin is told in time to say what happened, instead of being stopped.
        let latest = deadline.checked_sub(REST).unwrap_or(deadline);
        let wanted = request.timeout_ms.map(|ms| Duration::from_millis(ms.into()));
        let own = wanted.and_then(|wanted| Instant::now().checked_add(wanted));
        let until = own.map_or(latest, |own| own.min(latest));
        let lent = Arc::clone(&self.lent);
        match tokio::time::timeout_at(until, send(&lent, request)).await {
            Ok(answer) => Ok(answer),
            Err(_) if until < deadline => Ok(Err(Error::Timeout)),
            Err(_) => {
                self.meter.stop(Stop::Deadline);
                Err(wasmtime::Error::msg("the deadline passed in http-client.send"))
            }
        }
    }
}

async fn send(lent: &Lent, request: Request) -> Result<Response, Error> {
    if lent.shadow {
        return Err(Error::Denied(super::IN_SHADOW.to_owned()));
    }
    let clients = &lent.runtime.http;
    let places = clients.places_of(&lent.plugin);
    let _place = places.try_acquire().map_err(|_| Error::Busy)?;
    let (mut outgoing, secret) = outgoing(lent, request)?;
    for _ in 0..=REDIRECTS_MAX {
        let addresses = permit(lent, &outgoing.url).await?;
        let incoming = exchange(&clients.tls, &addresses, outgoing.clone()).await;
        let incoming = incoming.map_err(|failed| match failed {
            Failed::TooLarge(text) => Error::TooLarge(text),
            Failed::Unreached(text) | Failed::Connection(text) => Error::Connection(text),
        })?;
        match redirect(&outgoing, &incoming, &secret)? {
            Some(next) => outgoing = next,
            None => return Ok(response(&incoming)),
        }
    }
    Err(Error::Denied(format!("more than {REDIRECTS_MAX} redirects")))
}

/// The request as it is sent, and which of its headers hold secrets.
fn outgoing(lent: &Lent, request: Request) -> Result<(Outgoing, Vec<HeaderName>), Error> {
    let method = match request.method.as_str() {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "PATCH" => Method::PATCH,
        "DELETE" => Method::DELETE,
        other => return Err(Error::Denied(format!("method {other:?}"))),
    };
    if request.url.len() > URL_BYTES_MAX {
        return Err(Error::TooLarge(format!("the URL has over {URL_BYTES_MAX} bytes")));
    }
    if request.body.len() > BODY_BYTES_MAX {
        return Err(Error::TooLarge(format!("the body has over {BODY_BYTES_MAX} bytes")));
    }
    let url = Url::parse(&request.url).map_err(|error| Error::Denied(format!("URL: {error}")))?;
    if request.headers.len() > HEADERS_MAX {
        return Err(Error::TooLarge(format!("there are over {HEADERS_MAX} headers")));
    }
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let (mut bytes, mut secret) = (0, Vec::new());
    for header in request.headers {
        let name = HeaderName::try_from(header.name.as_str())
            .map_err(|_| Error::Denied(format!("{:?} is no name of a header", header.name)))?;
        if NOT_FOR_GUESTS.contains(&name.as_str()) {
            return Err(Error::Denied(format!("header {name} is set by the broker")));
        }
        let value = match header.value {
            GuestValue::Text(text) => Zeroizing::new(text.into_bytes()),
            GuestValue::Secret((before, named)) => {
                let held = lent.granted.secrets.get(&named);
                let held = held.ok_or_else(|| {
                    Error::Denied(format!("[grants] secrets does not name {named:?}"))
                })?;
                secret.push(name.clone());
                Zeroizing::new([before.as_bytes(), held.expose()].concat())
            }
        };
        bytes += name.as_str().len() + value.len();
        let mut value = HeaderValue::from_bytes(&value)
            .map_err(|_| Error::Denied(format!("header {name} has a value that none can have")))?;
        value.set_sensitive(secret.contains(&name));
        // The first of a name takes the place of what the host set.
        if name == USER_AGENT {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
    }
    if bytes > HEADER_BYTES_MAX {
        return Err(Error::TooLarge(format!("the headers have over {HEADER_BYTES_MAX} bytes")));
    }
    let body = Bytes::from(request.body);
    let outgoing = Outgoing { method, url, headers, body, response_bytes_max: BODY_BYTES_MAX };
    Ok((outgoing, secret))
}

const AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// The addresses that a URL may be asked at.
async fn permit(lent: &Lent, url: &Url) -> Result<Vec<SocketAddr>, Error> {
    let grants = &lent.grants;
    let shown = format!("{}{}", url.origin().ascii_serialization(), url.path());
    let granted: Vec<_> = grants.http.iter().filter(|prefix| prefix.allows(url)).collect();
    if granted.is_empty() {
        return Err(Error::Denied(format!("[grants] http allows nothing that begins {shown}")));
    }
    let Some(port) = url.port_or_known_default() else {
        return Err(Error::Denied(format!("{shown} has no port")));
    };
    let literal = url_prefix::literal(url);
    let mut addresses: Vec<SocketAddr> = match literal {
        Some(address) => vec![SocketAddr::new(address, port)],
        None => {
            let host = url.host_str().unwrap_or_default();
            let found = tokio::net::lookup_host((host, port)).await;
            found.map_err(|error| Error::Connection(format!("{host}: {error}")))?.collect()
        }
    };
    let named = literal.is_some() && granted.iter().any(|prefix| prefix.address() == literal);
    if !grants.http_private && !named {
        addresses.retain(|found| address::is_public(found.ip()));
        if addresses.is_empty() {
            let host = url.host_str().unwrap_or_default();
            return Err(Error::Denied(format!(
                "{host} has no public address; [grants] http_private = true would allow others"
            )));
        }
    }
    Ok(addresses)
}

/// The next request, if the response sends there. What is secret stays with whom it was meant for.
fn redirect(
    before: &Outgoing,
    incoming: &Incoming,
    secret: &[HeaderName],
) -> Result<Option<Outgoing>, Error> {
    let status = incoming.status;
    let keeps_method = match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => before.method != Method::POST,
        StatusCode::SEE_OTHER => before.method == Method::HEAD,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => return Ok(None),
    };
    let Some(location) = incoming.headers.get(LOCATION) else { return Ok(None) };
    let url = location.to_str().ok().and_then(|location| before.url.join(location).ok());
    let url = url.ok_or_else(|| Error::Denied("a redirect to what is no URL".to_owned()))?;
    let mut next = Outgoing { url, ..before.clone() };
    if !keeps_method {
        next.method = Method::GET;
        next.body = Bytes::new();
        next.headers.remove(hyper::header::CONTENT_TYPE);
    }
    if next.url.origin() != before.url.origin() {
        for name in secret.iter().chain([&AUTHORIZATION, &COOKIE]) {
            next.headers.remove(name);
        }
    }
    Ok(Some(next))
}

fn response(incoming: &Incoming) -> Response {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = incoming.headers.iter();
    Response {
        status: incoming.status.as_u16(),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body: incoming.body.to_vec(),
    }
}
