//! The one table of routes. The router and the OpenAPI document are made from it and from nothing
//! else.
//!
//! Knows nothing of what handlers do. To add a route, add a line to [`ROUTES`].

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawPathParams, Request, State, rejection::RawPathParamsRejection},
    http::{HeaderValue, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::on,
};
use telemetry::events;
use tokio::time::Instant;

use crate::{
    access_log, bans,
    call::{Answer, Call, Shared},
    clients, decisions, guard, health, history, keys, login, metrics,
    openapi::{self, Content, Parameters},
    permissions, plugins,
    problem::Problem,
    route::{Access, Permission, Route, UPLOAD_TIMEOUT},
    status, traces,
};

pub(crate) static ROUTES: &[Route] = &[
    Route::get("/livez", Access::Open, "Whether the process answers", |call| {
        Box::pin(health::live(call))
    })
    .answers(Content::json::<health::Live>()),
    Route::get("/readyz", Access::Open, "Whether the broker can do its work", |call| {
        Box::pin(health::ready(call))
    })
    .answers(Content::json::<health::Ready>()),
    Route::get(
        "/metrics",
        Access::OpenIfConfigured(Permission::MetricsRead),
        "All metrics in the OpenMetrics text format",
        |call| Box::pin(metrics::scrape(call)),
    )
    .answers(Content::text(metrics::OPENMETRICS)),
    Route::post(
        "/api/v1/login",
        Access::Open,
        "Logs in through the chain [admin] chain; the token that comes back ends with the login",
        |call| Box::pin(login::log_in(call)),
    )
    .accepts(Content::json::<login::Credentials>())
    .answers(Content::json::<login::LoggedIn>())
    .may_answer(&[401, 413, 415, 429]),
    Route::get("/api/v1/login", Access::LoggedIn, "Who is logged in", |call| {
        Box::pin(login::show(call))
    })
    .answers(Content::json::<login::WhoAmI>()),
    Route::delete("/api/v1/login", Access::LoggedIn, "Logs out", |call| {
        Box::pin(login::log_out(call))
    }),
    Route::get(
        "/api/v1/openapi.json",
        Access::Needs(Permission::StatusRead),
        "This document",
        |call| Box::pin(openapi::show(call)),
    )
    .answers(Content::any_json()),
    Route::get(
        "/api/v1/status",
        Access::Needs(Permission::StatusRead),
        "Version, uptime, readiness and totals",
        |call| Box::pin(status::show(call)),
    )
    .answers(Content::json::<status::Status>()),
    Route::get(
        "/api/v1/listeners",
        Access::Needs(Permission::StatusRead),
        "The bound listeners and their chains",
        |call| Box::pin(status::listeners(call)),
    )
    .answers(Content::json::<status::Listeners>()),
    Route::get(
        "/api/v1/clients",
        Access::Needs(Permission::ClientsRead),
        "Clients with a session, in the order of their ids, page by page",
        |call| Box::pin(clients::list(call)),
    )
    .query(Parameters::of::<clients::ListQuery>())
    .answers(Content::json::<clients::Clients>()),
    Route::get(
        "/api/v1/clients/{client_id}",
        Access::Needs(Permission::ClientsRead),
        "One client",
        |call| Box::pin(clients::show(call)),
    )
    .answers(Content::json::<clients::Client>())
    .may_answer(&[404]),
    Route::get(
        "/api/v1/clients/{client_id}/history",
        Access::Needs(Permission::ClientsRead),
        "What happened to a client lately, connected or not, the latest first",
        |call| Box::pin(history::show(call)),
    )
    .answers(Content::json::<history::ClientHistory>()),
    Route::delete(
        "/api/v1/clients/{client_id}/connection",
        Access::Needs(Permission::ClientsDisconnect),
        "Ends a connection with DISCONNECT 0x98; the session stays, the Will Message is published",
        |call| Box::pin(clients::disconnect(call)),
    )
    .may_answer(&[404]),
    Route::get(
        "/api/v1/bans",
        Access::Needs(Permission::BansRead),
        "Bans in force, those for flapping too, in the order of their making, page by page",
        |call| Box::pin(bans::list(call)),
    )
    .query(Parameters::of::<bans::ListQuery>())
    .answers(Content::json::<bans::BanList>()),
    Route::post(
        "/api/v1/bans",
        Access::Needs(Permission::BansWrite),
        "Bans a client, principal, address range or certificate; who matches is disconnected",
        |call| Box::pin(bans::add(call)),
    )
    .accepts(Content::json::<bans::BanRequest>())
    .answers(Content::json::<bans::BanMade>())
    .may_answer(&[413, 415, 429]),
    Route::get("/api/v1/bans/{id}", Access::Needs(Permission::BansRead), "One ban", |call| {
        Box::pin(bans::show(call))
    })
    .answers(Content::json::<bans::BanEntry>())
    .may_answer(&[404]),
    Route::delete(
        "/api/v1/bans/{id}",
        Access::Needs(Permission::BansWrite),
        "Lifts a ban",
        |call| Box::pin(bans::lift(call)),
    )
    .may_answer(&[404]),
    Route::get("/api/v1/keys", Access::Needs(Permission::KeysRead), "All key rings", |call| {
        Box::pin(keys::list(call))
    })
    .answers(Content::json::<keys::KeyRings>()),
    Route::get(
        "/api/v1/keys/{ring}",
        Access::Needs(Permission::KeysRead),
        "One key ring, without what is in its keys",
        |call| Box::pin(keys::show(call)),
    )
    .answers(Content::json::<keys::Ring>())
    .may_answer(&[404]),
    Route::post(
        "/api/v1/keys/{ring}",
        Access::Needs(Permission::KeysWrite),
        "Adds a key, given or made by the broker; it only opens until the ring is rotated to it",
        |call| Box::pin(keys::add(call)),
    )
    .accepts(Content::json::<keys::KeyRequest>())
    .answers(Content::json::<keys::Ring>())
    .may_answer(&[404, 413, 415]),
    Route::post(
        "/api/v1/keys/{ring}/rotate",
        Access::Needs(Permission::KeysWrite),
        "Makes a new key, or one that only opened, the one that seals; the others go on opening",
        |call| Box::pin(keys::rotate(call)),
    )
    .query(Parameters::of::<keys::RotateQuery>())
    .answers(Content::json::<keys::Ring>())
    .may_answer(&[404]),
    Route::delete(
        "/api/v1/keys/{ring}/{key}",
        Access::Needs(Permission::KeysWrite),
        "Retires a key: it opens no more, and is deleted",
        |call| Box::pin(keys::retire(call)),
    )
    .answers(Content::json::<keys::Ring>())
    .may_answer(&[404]),
    Route::get("/api/v1/plugins", Access::Needs(Permission::PluginsRead), "All plugins", |call| {
        Box::pin(plugins::list(call))
    })
    .answers(Content::json::<plugins::Plugins>()),
    Route::get(
        "/api/v1/plugins/{name}",
        Access::Needs(Permission::PluginsRead),
        "One plugin",
        |call| Box::pin(plugins::show(call)),
    )
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404]),
    Route::put(
        "/api/v1/plugins/{name}",
        Access::Needs(Permission::PluginsWrite),
        "Stores a component and makes it live; never touches grants, order or control",
        |call| Box::pin(plugins::upload(call)),
    )
    .header(plugins::SIGNATURE)
    .accepts(Content::binary("application/wasm"))
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[413, 415, 422])
    .within(UPLOAD_TIMEOUT),
    Route::delete(
        "/api/v1/plugins/{name}",
        Access::Needs(Permission::PluginsWrite),
        "Forgets a plugin whose file is gone",
        |call| Box::pin(plugins::forget(call)),
    )
    .may_answer(&[404, 422]),
    Route::post(
        "/api/v1/plugins/{name}/reload",
        Access::Needs(Permission::PluginsWrite),
        "Loads a plugin again from its files",
        |call| Box::pin(plugins::reload(call)),
    )
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 422])
    .within(UPLOAD_TIMEOUT),
    Route::get(
        "/api/v1/plugins/{name}/shadow",
        Access::Needs(Permission::PluginsRead),
        "How the candidate of a plugin answers beside the live generation",
        |call| Box::pin(plugins::shadow_report(call)),
    )
    .answers(Content::json::<plugins::Shadow>())
    .may_answer(&[404, 422]),
    Route::post(
        "/api/v1/plugins/{name}/shadow",
        Access::Needs(Permission::PluginsWrite),
        "Stores a component as a candidate that sees what the live generation is asked",
        |call| Box::pin(plugins::shadow(call)),
    )
    .header(plugins::SIGNATURE)
    .accepts(Content::binary("application/wasm"))
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 413, 415, 422])
    .within(UPLOAD_TIMEOUT),
    Route::delete(
        "/api/v1/plugins/{name}/shadow",
        Access::Needs(Permission::PluginsWrite),
        "Removes the candidate of a plugin",
        |call| Box::pin(plugins::drop_shadow(call)),
    )
    .may_answer(&[404]),
    Route::post(
        "/api/v1/plugins/{name}/promote",
        Access::Needs(Permission::PluginsWrite),
        "Puts the candidate of a plugin in the place of what is live",
        |call| Box::pin(plugins::promote(call)),
    )
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 422])
    .within(UPLOAD_TIMEOUT),
    Route::post(
        "/api/v1/plugins/{name}/approve",
        Access::Needs(Permission::PluginsGrant),
        "Lets a version go live that imports more than its predecessor",
        |call| Box::pin(plugins::approve(call)),
    )
    .query(Parameters::of::<plugins::ApproveQuery>())
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 422])
    .within(UPLOAD_TIMEOUT),
    Route::post(
        "/api/v1/plugins/{name}/rollback",
        Access::Needs(Permission::PluginsWrite),
        "Puts the version before the live one in its place, until its files change or are reloaded",
        |call| Box::pin(plugins::rollback(call)),
    )
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 422])
    .within(UPLOAD_TIMEOUT),
    Route::post(
        "/api/v1/plugins/{name}/disable",
        Access::Needs(Permission::PluginsWrite),
        "Takes a plugin out of the default chain; a chain that names it refuses",
        |call| Box::pin(plugins::disable(call)),
    )
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 422]),
    Route::post(
        "/api/v1/plugins/{name}/enable",
        Access::Needs(Permission::PluginsWrite),
        "Takes a disabled plugin in again",
        |call| Box::pin(plugins::enable(call)),
    )
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 422])
    .within(UPLOAD_TIMEOUT),
    Route::post(
        "/api/v1/permissions/can",
        Access::Needs(Permission::PermissionsRead),
        "Whether a connected client may publish or subscribe, and why",
        |call| Box::pin(permissions::can(call)),
    )
    .accepts(Content::json::<permissions::Question>())
    .answers(Content::json::<permissions::Verdict>())
    .may_answer(&[404, 413, 415]),
    Route::post(
        "/api/v1/permissions/invalidate",
        Access::Needs(Permission::PermissionsInvalidate),
        "Asks for the permissions of a client, a principal or everybody again",
        |call| Box::pin(permissions::invalidate(call)),
    )
    .accepts(Content::json::<permissions::Meant>())
    .may_answer(&[413, 415]),
    Route::get(
        "/api/v1/decisions",
        Access::Needs(Permission::DecisionsRead),
        "The latest decisions, the newest first",
        |call| Box::pin(decisions::list(call)),
    )
    .query(Parameters::of::<decisions::ListQuery>())
    .answers(Content::json::<decisions::Decisions>()),
    Route::get(
        "/api/v1/decisions/{id}",
        Access::Needs(Permission::DecisionsRead),
        "One decision: who was asked, what each said, and why it came out so",
        |call| Box::pin(decisions::show(call)),
    )
    .answers(Content::json::<decisions::Decision>())
    .may_answer(&[404]),
    Route::get(
        "/api/v1/decisions/{id}/recording",
        Access::Needs(Permission::DecisionsRecording),
        "What plugins were asked and told in a decision, what is secret sealed; for plugin replay",
        |call| Box::pin(decisions::recording(call)),
    )
    .answers(Content::any_json())
    .may_answer(&[404]),
    Route::get("/api/v1/traces", Access::Needs(Permission::TracesRead), "All traces", |call| {
        Box::pin(traces::list(call))
    })
    .answers(Content::json::<traces::TraceList>()),
    Route::post(
        "/api/v1/traces",
        Access::Needs(Permission::TracesWrite),
        "Records everything about some clients: packets, plugin calls, decisions, limits",
        |call| Box::pin(traces::add(call)),
    )
    .accepts(Content::json::<traces::TraceRequest>())
    .answers(Content::json::<traces::TraceEntry>())
    .may_answer(&[413, 415, 429]),
    Route::get("/api/v1/traces/{id}", Access::Needs(Permission::TracesRead), "One trace", |call| {
        Box::pin(traces::show(call))
    })
    .answers(Content::json::<traces::TraceEntry>())
    .may_answer(&[404]),
    Route::put(
        "/api/v1/traces/{id}/stop",
        Access::Needs(Permission::TracesWrite),
        "Ends a trace; its records stay for 7 days",
        |call| Box::pin(traces::stop(call)),
    )
    .answers(Content::json::<traces::TraceEntry>())
    .may_answer(&[404]),
    Route::delete(
        "/api/v1/traces/{id}",
        Access::Needs(Permission::TracesWrite),
        "Ends a trace and removes its records",
        |call| Box::pin(traces::remove(call)),
    )
    .may_answer(&[404]),
    Route::get(
        "/api/v1/traces/{id}/download",
        Access::Needs(Permission::TracesRead),
        "The records of a trace so far, one JSON object a line",
        |call| Box::pin(traces::download(call)),
    )
    .answers(Content::text(traces::NDJSON))
    .may_answer(&[404]),
    Route::get(
        "/api/v1/traces/{id}/live",
        Access::Needs(Permission::TracesRead),
        "The records of a trace as server-sent events, from the first on and until it ends",
        |call| Box::pin(traces::live(call)),
    )
    .answers(Content::text(traces::EVENT_STREAM))
    .may_answer(&[404]),
    Route::get(
        "/api/v1/access_log",
        Access::Needs(Permission::AccessLogRead),
        "Lines of the access log of one day that match, in the order of writing, page by page",
        |call| Box::pin(access_log::search(call)),
    )
    .query(Parameters::of::<access_log::SearchQuery>())
    .answers(Content::json::<access_log::AccessLines>())
    .may_answer(&[404]),
];

/// The router of the whole table.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
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
    if let Err(problem) = guard::check_access(&shared, route.access, &mut parts) {
        return problem.into_response();
    }
    let path: Vec<_> = match &path {
        Ok(path) => path.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
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
    let of_route = [("method", route.verb.name()), ("route", route.path)];
    metrics.admin_route_seconds.get_or_create(&of_route).observe(begun.elapsed().as_secs_f64());
    let [method, path] = of_route;
    let labels = [method, path, ("status", status_class(status))];
    metrics.admin_route_requests.get_or_create(&labels).inc();
}

/// Every route is there from the start, so that a rate is known the first time.
fn prepare_counters(shared: &Shared, route: &Route) {
    let metrics = &shared.state.metrics;
    let of_route = [("method", route.verb.name()), ("route", route.path)];
    drop(metrics.admin_route_seconds.get_or_create(&of_route));
    let [method, path] = of_route;
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
    let target: Vec<_> = call.path.iter().map(|(_, value)| value.as_str()).collect();
    let target = (!target.is_empty()).then(|| target.join("/"));
    let user = call.who().ok().and_then(|who| who.user.clone());
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
        events::AdminAction {
            route: &format!("{} {}", route.verb.name(), route.path),
            target: target.as_deref(),
            user: user.as_deref(),
            remote,
            status: status.as_u16(),
        }
        .emit(&shared.state.metrics);
        answer
    });
    audited
        .await
        .unwrap_or_else(|error| Err(Problem::internal(format!("the change was lost: {error}"))))
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no route {:?}", uri.path()))
}

async fn method_not_allowed(uri: Uri) -> Response {
    let allowed: Vec<_> = ROUTES
        .iter()
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
