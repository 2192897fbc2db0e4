//! From a request to the handler of its route and back: the router, the count of answers, and what every
//! change passes.
//!
//! Knows nothing of single routes.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawPathParams, Request, State, rejection::RawPathParamsRejection},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::on,
};
use telemetry::events;
use tokio::time::Instant;

use super::ROUTES;
use crate::{
    audit::{Action, Record},
    call::{Answer, Call, Shared},
    guard, pages,
    problem::Problem,
    route::{Route, Verb},
    segment,
};

/// The router of the whole table, and of the pages.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    router_of(ROUTES.iter().chain(pages::PAGES), shared)
}

/// The router of these routes.
pub(crate) fn router_of(
    routes: impl IntoIterator<Item = &'static Route>,
    shared: Arc<Shared>,
) -> Router {
    let mut router = Router::new();
    for route in routes {
        prepare_counters(&shared, route);
        let serve = move |State(shared): State<Arc<Shared>>,
                          path: Result<RawPathParams, RawPathParamsRejection>,
                          request: Request| run(route, shared, path, request);
        router = router.route(route.path, on(route.verb.filter(), serve));
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard::protect))
        .with_state(shared)
}

async fn run(
    route: &'static Route,
    shared: Arc<Shared>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut response = match guard::check_access(&shared, route, &mut parts) {
        Ok(()) => answer(route, shared, path, Request::from_parts(parts, body)).await,
        Err(problem) if !route.page || route.verb != Verb::Get => {
            guard::report(&shared, &parts, &problem).await;
            problem.into_response()
        }
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => guard::to_login(&parts.uri),
        Err(problem) => {
            guard::report(&shared, &parts, &problem).await;
            pages::problem_page(&problem)
        }
    };
    if route.page {
        response.extensions_mut().insert(guard::IsPage);
    }
    response
}

/// What a route says to a request that may use it.
async fn answer(
    route: &'static Route,
    shared: Arc<Shared>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path: Vec<_> = match &path {
        Ok(path) => {
            path.iter().map(|(key, value)| (key.to_owned(), segment::read(value).into())).collect()
        }
        Err(_) => {
            return Problem::invalid("the path holds bytes that are not UTF-8").into_response();
        }
    };
    let deadline = Instant::now() + route.timeout;
    let call = Call { shared, parts, path, body, deadline };
    let (shared, begun) = (Arc::clone(&call.shared), Instant::now());
    let answer = if route.access.changes() {
        tokio::time::timeout_at(deadline, change(route, call)).await
    } else {
        tokio::time::timeout_at(deadline, (route.handler)(call)).await
    };
    let response = match answer {
        Ok(answer) => answer.into_response(),
        Err(_) => Problem::timed_out("the request was not finished in time")
            .allowed(format!("at most {} seconds", route.timeout.as_secs()))
            .into_response(),
    };
    count(&shared, route, response.status().as_u16(), begun);
    response
}

/// Counts a request whose access rule was met; strangers are counted by status alone, see
/// `guard.rs`.
fn count(shared: &Shared, route: &Route, status: u16, begun: Instant) {
    let metrics = &shared.state.metrics;
    let of_route = labels(route);
    metrics.admin_route_seconds.get_or_create(&of_route).observe(begun.elapsed().as_secs_f64());
    let [method, path] = of_route;
    let labels = [method, path, ("status", status_class(status))];
    metrics.admin_route_requests.get_or_create(&labels).inc();
}

/// The pages of the control center are one: who reads them is a person, not a program.
fn labels(route: &Route) -> [(&'static str, &'static str); 2] {
    [("method", route.verb.name()), ("route", if route.page { "pages" } else { route.path })]
}

/// The counter of every route is there from the start, so that a rate is known the first time; its
/// histogram is once somebody asks.
fn prepare_counters(shared: &Shared, route: &Route) {
    let metrics = &shared.state.metrics;
    let [method, path] = labels(route);
    for class in ["2xx", "4xx", "5xx"] {
        drop(metrics.admin_route_requests.get_or_create(&[method, path, ("status", class)]));
    }
}

fn status_class(status: u16) -> &'static str {
    match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// Runs what changes something to its end, and logs how that was, even when the one who asked for
/// it goes away or runs out of time: half a change would be worse, and one that nobody can find in
/// the log worse still.
async fn change(route: &'static Route, call: Call) -> Answer {
    let shared = Arc::clone(&call.shared);
    shared.audit.check_writable().await?;
    let target: Vec<_> = call.path.iter().map(|(_, value)| value.as_str()).collect();
    let target = (!target.is_empty()).then(|| target.join("/"));
    let who = call.who()?;
    let remote = call.parts.extensions.get::<guard::Peer>().map(|guard::Peer(address)| *address);
    let audited = tokio::spawn(async move {
        // A task of its own, so that one which panics has its line as well.
        let answer = tokio::spawn((route.handler)(call)).await.unwrap_or_else(|error| {
            Err(Problem::internal(format!("the change was given up: {error}")))
        });
        let status = match &answer {
            Ok(response) => response.status(),
            Err(problem) => problem.status,
        };
        let route = format!("{} {}", route.verb.name(), route.path);
        events::AdminAction {
            route: &route,
            target: target.as_deref(),
            user: who.user.as_deref(),
            remote,
            status: status.as_u16(),
        }
        .emit(&shared.state.metrics);
        let record = Record::new(Action::Change).who(&who).from(remote).route(&route);
        let record = record.target(target.as_deref()).status(status.as_u16());
        // What is wrong with a body is said by quoting it: that may be a secret in the place of another field.
        let told = answer.as_ref().err().filter(|it| it.status != StatusCode::BAD_REQUEST);
        let cause = told.map(|problem| problem.detail.as_str());
        match shared.audit.record(record.cause(cause)).await {
            Err(_) if answer.is_ok() => {
                let what =
                    "the change was made, but the audit log cannot be written: the line waits";
                Err(Problem::busy(what))
            }
            _ => answer,
        }
    });
    audited
        .await
        .unwrap_or_else(|error| Err(Problem::internal(format!("the change was lost: {error}"))))
}

async fn unknown_path(uri: Uri, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let by_eye = accepted.is_some_and(|accepted| accepted.contains("text/html"));
    if !by_eye || uri.path().starts_with("/api/") {
        let what = format!("there is no route {:?}", uri.path());
        return Problem::not_found(what).into_response();
    }
    let what = format!("there is no page {:?}", uri.path());
    let mut response = pages::problem_page(&Problem::not_found(what));
    response.extensions_mut().insert(guard::IsPage);
    response
}

async fn method_not_allowed(uri: Uri) -> Response {
    let allowed: Vec<_> = ROUTES
        .iter()
        .chain(pages::PAGES)
        .filter(|route| route.matches(uri.path()))
        .map(|route| route.verb.name())
        .collect();
    let allowed = allowed.join(", ");
    let mut response = Problem::method_not_allowed("this path does not know the method")
        .allowed(allowed.as_str())
        .into_response();
    if let Ok(value) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}
