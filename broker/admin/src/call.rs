//! One request as handlers see it, and their answers in JSON.
//!
//! Knows nothing of single routes. All reading of paths, queries and bodies goes through here, so
//! that bounds and error answers are the same everywhere.

use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::Query,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::BodyExt;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};

use crate::{
    AdminState,
    administrators::{Administrator, Administrators},
    alarms::Alarms,
    audit::Audit,
    cursor::Cursors,
    directory::Directory,
    events::Hub,
    field::Fields,
    guard::Hosts,
    login::Backoff,
    oidc::Oidc,
    overview::Samples,
    password::Hashing,
    problem::Problem,
    route::Header,
    shares::{STREAMS_OF_USER, Share, Shares},
};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) state: AdminState,
    pub(crate) administrators: Administrators,
    /// Users, roles and tokens that the broker keeps.
    pub(crate) directory: Arc<Directory>,
    pub(crate) hashing: Hashing,
    pub(crate) audit: Audit,
    /// The identity provider, if one is configured.
    pub(crate) oidc: Option<Oidc>,
    /// Failed logins.
    pub(crate) backoff: Mutex<Backoff>,
    pub(crate) metrics_open: bool,
    pub(crate) hosts: Hosts,
    /// What is wrong.
    pub(crate) alarms: Alarms,
    /// Events for those who watch.
    pub(crate) events: Arc<Hub>,
    /// True from the moment that the API is to end: answers that go on end then.
    pub(crate) stopping: watch::Receiver<bool>,
    /// What the next page of a list is named by.
    pub(crate) cursors: Cursors,
    /// Connections of each administrator.
    pub(crate) connections: Shares,
    /// Streams of each administrator.
    pub(crate) streams: Shares,
    /// Uploads in progress: each may hold a whole component in memory.
    pub(crate) uploads: Arc<Semaphore>,
    /// The OpenAPI document, which depends on nothing but the program.
    pub(crate) openapi: serde_json::Value,
    /// The last quarter of an hour.
    pub(crate) samples: Samples,
}

/// One request whose access rule was met.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) parts: Parts,
    pub(crate) path: Vec<(String, String)>,
    pub(crate) body: Body,
    /// When its caller has given up at the latest: nothing is read any more.
    pub(crate) deadline: Instant,
}

pub(crate) type Answer = Result<Response, Problem>;

impl Call {
    /// Who asks, on a route that strangers may not use.
    pub(crate) fn who(&self) -> Result<Arc<Administrator>, Problem> {
        let who = self.parts.extensions.get::<Arc<Administrator>>().cloned();
        who.ok_or_else(|| Problem::internal("nobody looked who asks"))
    }

    /// The place that an answer which goes on takes among those of who asks.
    pub(crate) fn stream_share(&self) -> Result<Share, Problem> {
        let share = self.shared.streams.take(self.who()?.user.as_deref());
        share.ok_or_else(|| {
            let what = format!("{STREAMS_OF_USER} streams of yours are open already");
            Problem::too_many(what).allowed(format!("at most {STREAMS_OF_USER} a user"))
        })
    }

    /// Which fields who asks may read in clear; none on an open route.
    pub(crate) fn fields(&self) -> Fields {
        let who = self.parts.extensions.get::<Arc<Administrator>>();
        who.map(|who| who.permissions.fields()).unwrap_or_default()
    }

    /// What the resource has to be for a change to happen.
    pub(crate) fn expected(&self) -> Result<Expected, Problem> {
        let mut values = self.parts.headers.get_all(header::IF_MATCH).iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(Expected(value.cloned())),
            (_, Some(_)) => {
                Err(Problem::invalid("the request has two If-Match headers").about("If-Match"))
            }
        }
    }

    /// A path parameter, percent-decoded.
    pub(crate) fn path(&self, name: &str) -> Result<String, Problem> {
        let found = self.path.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.clone())
            .ok_or_else(|| Problem::internal(format!("the route has no parameter {name:?}")))
    }

    /// The version of what a request means to change, if it says one: exactly one strong entity tag.
    pub(crate) fn if_match(&self) -> Result<Option<String>, Problem> {
        let mut values = self.parts.headers.get_all(header::IF_MATCH).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return match self.parts.headers.contains_key(header::IF_MATCH) {
                true => Err(Problem::invalid("two If-Match headers").about("If-Match")),
                false => Ok(None),
            };
        };
        let tag = value.to_str().ok().map(str::trim);
        let tag = tag.and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
        let tag = tag.filter(|tag| !tag.is_empty() && !tag.contains('"'));
        tag.map(|tag| Some(tag.to_owned())).ok_or_else(|| {
            let problem = Problem::invalid("If-Match is no single entity tag");
            problem.about("If-Match").allowed("the ETag that was answered before, in quotes")
        })
    }

    /// The query string; unknown and repeated names are errors.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        Query::try_from_uri(&self.parts.uri)
            .map(|Query(query)| query)
            .map_err(|rejection| Problem::invalid(rejection.body_text()))
    }

    /// The JSON body, at most 64 KiB; unknown fields are errors.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<(Arc<Shared>, T), Problem> {
        self.json_up_to(JSON_BYTES_MAX).await
    }

    /// The same with a bound of the route's own.
    pub(crate) async fn json_up_to<T: DeserializeOwned>(
        self,
        bytes_max: usize,
    ) -> Result<(Arc<Shared>, T), Problem> {
        expect_media_type(&self.parts.headers, "application/json")?;
        let shared = Arc::clone(&self.shared);
        let body = self.read_body(bytes_max).await?;
        let value = serde_json::from_slice(&body)
            .map_err(|error| Problem::invalid(format!("the body is not as documented: {error}")))?;
        Ok((shared, value))
    }

    /// The whole body. Memory grows with what arrives, never with what was announced.
    pub(crate) async fn read_body(mut self, bytes_max: usize) -> Result<Vec<u8>, Problem> {
        let too_large = || {
            Problem::too_large("the body is larger than this route accepts")
                .allowed(format!("at most {bytes_max} bytes"))
        };
        if announced_length(&self.parts.headers).is_some_and(|length| length > bytes_max as u64) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let late = |_| Problem::timed_out("the body did not arrive in time");
        while let Some(frame) = timeout_at(self.deadline, self.body.frame()).await.map_err(late)? {
            let frame =
                frame.map_err(|error| Problem::invalid(format!("the body broke off: {error}")))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if data.len() > bytes_max - bytes.len() {
                return Err(too_large());
            }
            bytes.extend_from_slice(data);
        }
        Ok(bytes)
    }

    /// An answer in JSON with an ETag; 304 without body when the caller has the same one.
    pub(crate) fn json_answer<T: Serialize>(&self, value: &T) -> Answer {
        json(StatusCode::OK, value).map(|response| self.unless_known(response))
    }

    /// 304 without body in the place of an answer that the caller has, by its ETag.
    pub(crate) fn unless_known(&self, response: Response) -> Response {
        let Some(etag) = response.headers().get(header::ETAG).cloned() else {
            return response;
        };
        let known = self.parts.headers.get_all(header::IF_NONE_MATCH);
        if !known.iter().any(|value| lists_etag(value, &etag)) {
            return response;
        }
        let mut not_modified = StatusCode::NOT_MODIFIED.into_response();
        not_modified.headers_mut().insert(header::ETAG, etag);
        not_modified
    }
}

/// The header that [`Call::expected`] and [`Call::if_match`] look at.
pub(crate) const IF_MATCH: Header = Header {
    name: "If-Match",
    description: "The ETag of the resource as it was read: it is changed only if it still is that",
    required: false,
};
/// The same where nothing is changed without it.
pub(crate) const IF_MATCH_NEEDED: Header = Header { required: true, ..IF_MATCH };
/// Where a stream of events goes on that broke off.
pub(crate) const LAST_EVENT_ID: Header = Header {
    name: "Last-Event-ID",
    description: "The id of the last event that arrived: the stream goes on behind it",
    required: false,
};

/// The time in seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |past| past.as_secs())
}

/// What `If-Match` says of a resource that is about to change: nothing, or that it has to be as it was
/// seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected(Option<HeaderValue>);

impl Expected {
    /// 412 unless the resource is still what it was. To be asked where nobody else can change it
    /// meanwhile.
    pub(crate) fn check<T: Serialize>(&self, current: &T) -> Result<(), Problem> {
        let Some(expected) = &self.0 else {
            return Ok(());
        };
        let current = json(StatusCode::OK, current)?;
        let etag = current.headers().get(header::ETAG);
        if etag.is_some_and(|etag| lists_etag(expected, etag)) {
            return Ok(());
        }
        Err(Problem::changed("it was changed meanwhile: read it again").about("If-Match"))
    }
}

/// Checks the type of the body, parameters aside.
pub(crate) fn expect_media_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = found.and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    let problem = match found {
        Some(found) => Problem::media_type(format!("the body cannot be of type {found:?}")),
        None => Problem::media_type("the request says no Content-Type"),
    };
    Err(problem.about("Content-Type").allowed(expected))
}

/// An answer in JSON with an ETag over its bytes.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    let body = serde_json::to_vec(value)
        .map_err(|error| Problem::internal(format!("the answer could not be written: {error}")))?;
    let digest: [u8; 32] = Sha256::digest(&body).into();
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or(&digest)));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    Ok(response)
}

/// An answer whose ETag names what it is about, in place of its bytes.
pub(crate) fn tagged(mut response: Response, tag: &str) -> Answer {
    let etag = HeaderValue::from_str(&format!("\"{tag}\""))
        .map_err(|_| Problem::internal("the version of the resource is no header"))?;
    response.headers_mut().insert(header::ETAG, etag);
    Ok(response)
}

/// Runs what may take a while on a thread where that harms nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::internal(format!("the work was given up: {error}")))
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Weak comparison, as `If-None-Match` asks for.
fn lists_etag(list: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(list), Ok(etag)) = (list.to_str(), etag.to_str()) else {
        return false;
    };
    list.split(',')
        .map(str::trim)
        .any(|listed| listed == "*" || listed.strip_prefix("W/").unwrap_or(listed) == etag)
}

const JSON_BYTES_MAX: usize = 64 * 1024;
