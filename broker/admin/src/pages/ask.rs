//! How a page learns what it shows: it asks routes of the API in the name of who looks at it.
//!
//! Knows nothing of single routes. So a page is told what its reader would be told, and no more:
//! permission, bounds and masks are those of the route.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, Request, header, request::Parts},
};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::{
    administrators::Administrator,
    call::{Call, Shared},
    guard::Peer,
    problem::Problem,
    route::{Access, Route, Verb},
    routes::ROUTES,
    segment::path_segment,
};

/// Largest answer of a route that a page is made of, in bytes.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Parameters of a path or a query, by name.
pub(super) type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Who looks at a page.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) who: Arc<Administrator>,
    peer: Option<Peer>,
    deadline: tokio::time::Instant,
}

impl Reader {
    /// Who asked for a page that strangers may not see.
    pub(super) fn of(call: &Call) -> Result<Self, Problem> {
        Ok(Self {
            shared: Arc::clone(&call.shared),
            who: call.who()?,
            peer: call.parts.extensions.get::<Peer>().copied(),
            deadline: call.deadline,
        })
    }

    /// Whether a route is there for this reader.
    pub(super) fn may(&self, verb: Verb, template: &str) -> bool {
        find(verb, template).is_some_and(|route| self.permitted(route).is_ok())
    }

    fn permitted(&self, route: &Route) -> Result<(), Problem> {
        match route.access.permission() {
            Some(needed) if !self.who.permissions.has(needed) => {
                Err(Problem::forbidden(format!("this page needs the permission {}", needed.name())))
            }
            _ => Ok(()),
        }
    }

    /// What a GET route answers.
    pub(super) async fn get(
        &self,
        template: &str,
        path: Pairs<'_>,
        query: Pairs<'_>,
    ) -> Result<Value, Problem> {
        self.ask((Verb::Get, template), path, query, None).await.map(|(answer, _)| answer)
    }

    /// The same, and the name of the version that was answered.
    pub(super) async fn get_with_etag(
        &self,
        template: &str,
        path: Pairs<'_>,
    ) -> Result<(Value, Option<String>), Problem> {
        self.ask((Verb::Get, template), path, &[], None).await
    }

    /// The same, or nothing where the reader may not ask or there is nothing to find.
    pub(super) async fn get_if_any(
        &self,
        template: &str,
        path: Pairs<'_>,
        query: Pairs<'_>,
    ) -> Result<Option<Value>, Problem> {
        match self.get(template, path, query).await {
            Ok(value) => Ok(Some(value)),
            Err(problem) if matches!(problem.status.as_u16(), 403 | 404) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// What a route answers that is asked with POST and changes nothing.
    pub(super) async fn question(&self, template: &str, body: &Value) -> Result<Value, Problem> {
        let asked = self.ask((Verb::Post, template), &[], &[], Some(body)).await;
        asked.map(|(answer, _)| answer)
    }

    async fn ask(
        &self,
        (verb, template): (Verb, &str),
        path: Pairs<'_>,
        query: Pairs<'_>,
        body: Option<&Value>,
    ) -> Result<(Value, Option<String>), Problem> {
        let route = find(verb, template)
            .filter(|route| !route.access.changes())
            .ok_or_else(|| Problem::internal(format!("no page can ask {template}")))?;
        self.permitted(route)?;
        let owned = |pairs: Pairs<'_>| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let call = Call {
            shared: Arc::clone(&self.shared),
            parts: self.parts(verb, &address(template, path, query))?,
            path: owned(path),
            body: body.map_or_else(Body::empty, |body| Body::from(body.to_string())),
            deadline: self.deadline,
        };
        let answer = (route.handler)(call).await?;
        let etag = answer.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.map(str::to_owned);
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| Problem::internal(format!("{template}: {error}")))?;
        let answer = serde_json::from_slice(&body.to_bytes());
        let answer = answer.map_err(|error| Problem::internal(format!("{template}: {error}")))?;
        Ok((answer, etag))
    }

    fn parts(&self, verb: Verb, address: &str) -> Result<Parts, Problem> {
        let request = Request::builder().method(verb.name()).uri(address).body(());
        let request = request.map_err(|error| Problem::invalid(error.to_string()))?;
        let (mut parts, ()) = request.into_parts();
        let json = HeaderValue::from_static("application/json");
        parts.headers.insert(header::CONTENT_TYPE, json);
        parts.extensions.insert(Arc::clone(&self.who));
        if let Some(peer) = self.peer {
            parts.extensions.insert(peer);
        }
        Ok(parts)
    }
}

fn find(verb: Verb, template: &str) -> Option<&'static Route> {
    let mut routes = ROUTES.iter();
    routes.find(|route| {
        route.verb == verb && route.path == template && !matches!(route.access, Access::Open)
    })
}

/// The address of a route or a page with its parameters filled in; those of the query that are
/// empty are left out.
pub(super) fn address(template: &str, path: Pairs<'_>, query: Pairs<'_>) -> String {
    let mut address = template.to_owned();
    for (name, value) in path {
        address = address.replace(&format!("{{{name}}}"), &encoded(&path_segment(value)));
    }
    let mut mark = '?';
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        address.push(mark);
        address.push_str(name);
        address.push('=');
        address.push_str(&encoded(value));
        mark = '&';
    }
    address
}

/// Percent-encoded: all but what RFC 3986 calls unreserved.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                encoded.push('%');
                for half in [byte >> 4, byte & 15] {
                    encoded.extend(
                        char::from_digit(u32::from(half), 16).map(|c| c.to_ascii_uppercase()),
                    );
                }
            }
        }
    }
    encoded
}
