//! The one table of routes. The router and the OpenAPI document are made from it and from nothing
//! else.
//!
//! Knows nothing of what handlers do, nor of how a request comes to one: that is `routes/serve.rs`. To add a route, add a line to [`ROUTES`].

mod serve;

pub(crate) use self::serve::router;
#[cfg(test)]
pub(crate) use self::serve::router_of;

use crate::{
    access_log, alarms, audits, backup, bans,
    call::{IF_MATCH, IF_MATCH_NEEDED, LAST_EVENT_ID},
    certificates, clients, configuration, decisions,
    events::stream,
    health, history, keys, login, message, metrics, oidc,
    openapi::{self, Content, Parameters},
    overview, permissions, plugins, roles,
    route::{Access, Permission, Route, UPLOAD_TIMEOUT},
    status, subscriptions, tokens, topics, traces, users,
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
        "Logs in; the token that comes back, or the cookie, ends with the login",
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
        "/api/v1/login/oidc",
        Access::Open,
        "Sends a browser to the identity provider (303)",
        |call| Box::pin(oidc::begin(call)),
    )
    .query(Parameters::of::<oidc::BeginQuery>())
    .sends_elsewhere()
    .may_answer(&[404]),
    Route::get(
        "/api/v1/login/oidc/callback",
        Access::Open,
        "Where a browser comes back from the identity provider: sets the cookie of a login",
        |call| Box::pin(oidc::callback(call)),
    )
    .query(Parameters::of::<oidc::CallbackQuery>())
    .answers(Content::text("text/html"))
    .may_answer(&[401, 404]),
    Route::get(
        "/api/v1/users",
        Access::Needs(Permission::UsersRead),
        "Users that the broker keeps, page by page",
        |call| Box::pin(users::list(call)),
    )
    .query(Parameters::of::<users::ListQuery>())
    .answers(Content::json::<users::UserList>()),
    Route::post("/api/v1/users", Access::Needs(Permission::UsersWrite), "Makes a user", |call| {
        Box::pin(users::add(call))
    })
    .accepts(Content::json::<users::NewUser>())
    .answers(Content::json::<users::UserEntry>())
    .may_answer(&[409, 413, 415]),
    Route::get("/api/v1/users/{user}", Access::Needs(Permission::UsersRead), "One user", |call| {
        Box::pin(users::show(call))
    })
    .answers(Content::json::<users::UserEntry>())
    .may_answer(&[404]),
    Route::put(
        "/api/v1/users/{user}",
        Access::Needs(Permission::UsersWrite),
        "Roles of a user, and whether it is kept out; ends its logins",
        |call| Box::pin(users::update(call)),
    )
    .headers(&[IF_MATCH])
    .accepts(Content::json::<users::UserChange>())
    .answers(Content::json::<users::UserEntry>())
    .may_answer(&[404, 409, 412, 413, 415]),
    Route::delete(
        "/api/v1/users/{user}",
        Access::Needs(Permission::UsersWrite),
        "Removes a user, its logins and its tokens",
        |call| Box::pin(users::remove(call)),
    )
    .headers(&[IF_MATCH])
    .may_answer(&[404, 409, 412]),
    Route::put(
        "/api/v1/users/{user}/password",
        Access::OneselfOr(Permission::UsersWrite),
        "A new password; ends the logins of the user",
        |call| Box::pin(users::set_password(call)),
    )
    .accepts(Content::json::<users::NewPassword>())
    .may_answer(&[404, 409, 413, 415, 429]),
    Route::post(
        "/api/v1/users/{user}/totp",
        Access::OneselfOr(Permission::UsersWrite),
        "A secret for one-time codes, shown once; in force with the first code",
        |call| Box::pin(users::enrol(call)),
    )
    .accepts(Content::json::<users::NewTotp>())
    .answers(Content::json::<users::Enrolment>())
    .may_answer(&[404, 409, 413, 415, 429]),
    Route::post(
        "/api/v1/users/{user}/totp/confirm",
        Access::OneselfOr(Permission::UsersWrite),
        "The first code: from now on logins need one",
        |call| Box::pin(users::confirm(call)),
    )
    .accepts(Content::json::<users::Code>())
    .answers(Content::json::<users::UserEntry>())
    .may_answer(&[404, 409, 413, 415]),
    Route::delete(
        "/api/v1/users/{user}/totp",
        Access::Needs(Permission::UsersWrite),
        "Takes the one-time codes of a user away; ends its logins",
        |call| Box::pin(users::withdraw_totp(call)),
    )
    .may_answer(&[404]),
    Route::get(
        "/api/v1/roles",
        Access::Needs(Permission::UsersRead),
        "All roles and what they permit",
        |call| Box::pin(roles::list(call)),
    )
    .answers(Content::json::<roles::RoleList>()),
    Route::post("/api/v1/roles", Access::Needs(Permission::UsersWrite), "Makes a role", |call| {
        Box::pin(roles::add(call))
    })
    .accepts(Content::json::<roles::NewRole>())
    .answers(Content::json::<roles::RoleEntry>())
    .may_answer(&[409, 413, 415]),
    Route::get("/api/v1/roles/{role}", Access::Needs(Permission::UsersRead), "One role", |call| {
        Box::pin(roles::show(call))
    })
    .answers(Content::json::<roles::RoleEntry>())
    .may_answer(&[404]),
    Route::put(
        "/api/v1/roles/{role}",
        Access::Needs(Permission::UsersWrite),
        "What a role permits that was made here; ends logins with it",
        |call| Box::pin(roles::update(call)),
    )
    .headers(&[IF_MATCH])
    .accepts(Content::json::<roles::RoleChange>())
    .answers(Content::json::<roles::RoleEntry>())
    .may_answer(&[404, 409, 412, 413, 415]),
    Route::delete(
        "/api/v1/roles/{role}",
        Access::Needs(Permission::UsersWrite),
        "Removes a role that was made here and that no user has",
        |call| Box::pin(roles::remove(call)),
    )
    .headers(&[IF_MATCH])
    .may_answer(&[404, 409, 412]),
    Route::get(
        "/api/v1/tokens",
        Access::Needs(Permission::TokensRead),
        "API tokens, without what they are, page by page",
        |call| Box::pin(tokens::list(call)),
    )
    .query(Parameters::of::<users::ListQuery>())
    .answers(Content::json::<tokens::TokenList>()),
    Route::post(
        "/api/v1/tokens",
        Access::Needs(Permission::TokensWrite),
        "Makes a token of whoever is logged in, and shows it this once",
        |call| Box::pin(tokens::add(call)),
    )
    .accepts(Content::json::<tokens::NewToken>())
    .answers(Content::json::<tokens::TokenMade>())
    .may_answer(&[409, 413, 415]),
    Route::delete(
        "/api/v1/tokens/{id}",
        Access::Needs(Permission::TokensWrite),
        "Revokes a token",
        |call| Box::pin(tokens::revoke(call)),
    )
    .may_answer(&[404]),
    Route::get(
        "/api/v1/audit",
        Access::Needs(Permission::AuditRead),
        "The audit log of a day, the newest lines first",
        |call| Box::pin(audits::search(call)),
    )
    .query(Parameters::of::<audits::AuditQuery>())
    .answers(Content::json::<audits::AuditPage>()),
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
        "/api/v1/overview",
        Access::Needs(Permission::StatusRead),
        "The last 15 minutes in samples",
        |call| Box::pin(overview::show(call)),
    )
    .answers(Content::json::<overview::Overview>()),
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
        "All about one client",
        |call| Box::pin(clients::show(call)),
    )
    .answers(Content::json::<clients::ClientDetail>())
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
    Route::delete(
        "/api/v1/clients/{client_id}/session",
        Access::Needs(Permission::SessionsWrite),
        "Ends a session and its connection with DISCONNECT 0x98; the Will Message is published",
        |call| Box::pin(clients::end_session(call)),
    )
    .may_answer(&[404]),
    Route::get(
        "/api/v1/clients/{client_id}/explain",
        Access::Needs(Permission::DecisionsRead),
        "Who let a client in and why, and what it was refused last",
        |call| Box::pin(clients::explain(call)),
    )
    .answers(Content::json::<clients::Explained>())
    .may_answer(&[404]),
    Route::post(
        "/api/v1/clients/{client_id}/subscriptions",
        Access::Needs(Permission::SubscriptionsWrite),
        "Subscribes a client, by its permissions and within its limits",
        |call| Box::pin(subscriptions::subscribe(call)),
    )
    .accepts(Content::json::<subscriptions::SubscribeRequest>())
    .answers(Content::json::<subscriptions::Subscription>())
    .may_answer(&[404, 413, 415, 422]),
    Route::delete(
        "/api/v1/clients/{client_id}/subscriptions",
        Access::Needs(Permission::SubscriptionsWrite),
        "Ends a subscription of a client",
        |call| Box::pin(subscriptions::unsubscribe(call)),
    )
    .query(Parameters::of::<subscriptions::UnsubscribeQuery>())
    .may_answer(&[404]),
    Route::get(
        "/api/v1/subscriptions",
        Access::Needs(Permission::SubscriptionsRead),
        "Subscriptions of all sessions, in the order of clients and filters, page by page",
        |call| Box::pin(subscriptions::list(call)),
    )
    .query(Parameters::of::<subscriptions::ListQuery>())
    .answers(Content::json::<subscriptions::Subscriptions>()),
    Route::get(
        "/api/v1/topics",
        Access::Needs(Permission::SubscriptionsRead),
        "One level of the tree of topics: what is retained and subscribed to; needs field:topic",
        |call| Box::pin(topics::level(call)),
    )
    .query(Parameters::of::<topics::LevelQuery>())
    .answers(Content::json::<topics::Level>()),
    Route::get(
        "/api/v1/retained",
        Access::Needs(Permission::RetainedRead),
        "Retained messages, in the order of their topics, page by page",
        |call| Box::pin(message::list_retained(call)),
    )
    .query(Parameters::of::<message::RetainedQuery>())
    .answers(Content::json::<message::RetainedMessages>()),
    Route::get(
        "/api/v1/retained/{topic}",
        Access::Needs(Permission::RetainedRead),
        "One retained message, with its payload",
        |call| Box::pin(message::show_retained(call)),
    )
    .answers(Content::json::<message::RetainedMessage>())
    .may_answer(&[404]),
    Route::delete(
        "/api/v1/retained/{topic}",
        Access::Needs(Permission::RetainedWrite),
        "Forgets a retained message",
        |call| Box::pin(message::remove_retained(call)),
    )
    .may_answer(&[404]),
    Route::post(
        "/api/v1/publish",
        Access::Needs(Permission::MessagesPublish),
        "Publishes a message: checked as those of clients, and worked on by inbound transforms",
        |call| Box::pin(message::publish(call)),
    )
    .accepts(Content::json::<message::PublishRequest>())
    .answers(Content::json::<message::Published>())
    .may_answer(&[413, 415, 422]),
    Route::get(
        "/api/v1/alarms",
        Access::Needs(Permission::StatusRead),
        "What is wrong now, the worst first",
        |call| Box::pin(alarms::list(call)),
    )
    .answers(Content::json::<alarms::AlarmList>()),
    Route::get(
        "/api/v1/certificates",
        Access::Needs(Permission::StatusRead),
        "Our certificates, authorities and revocation lists of clients, and when certificates end",
        |call| Box::pin(certificates::list(call)),
    )
    .answers(Content::json::<certificates::Certificates>()),
    Route::get(
        "/api/v1/config",
        Access::Needs(Permission::ConfigRead),
        "The configuration file without secrets, and every setting; the ETag names its version",
        |call| Box::pin(configuration::show(call)),
    )
    .answers(Content::json::<configuration::ConfigFile>()),
    Route::put(
        "/api/v1/config",
        Access::Needs(Permission::ConfigWrite),
        "Replaces the configuration file of the version in If-Match, and reloads",
        |call| Box::pin(configuration::replace(call)),
    )
    .headers(&[IF_MATCH_NEEDED])
    .accepts(Content::json::<configuration::ConfigText>())
    .answers(Content::json::<configuration::ConfigApplied>())
    .may_answer(&[412, 413, 415, 422, 428]),
    Route::post(
        "/api/v1/config/check",
        Access::Needs(Permission::ConfigRead),
        "What is wrong with a text, if it stood in the configuration file",
        |call| Box::pin(configuration::check(call)),
    )
    .accepts(Content::json::<configuration::ConfigText>())
    .answers(Content::json::<configuration::ConfigCheck>())
    .may_answer(&[413, 415]),
    Route::post(
        "/api/v1/config/reload",
        Access::Needs(Permission::ConfigWrite),
        "Reads the configuration file again, as at SIGHUP",
        |call| Box::pin(configuration::reload(call)),
    )
    .answers(Content::json::<configuration::ConfigApplied>())
    .may_answer(&[422]),
    Route::get(
        "/api/v1/events",
        Access::Needs(Permission::EventsRead),
        "What happens, as it happens: server-sent events",
        |call| Box::pin(stream::follow(call)),
    )
    .headers(&[LAST_EVENT_ID])
    .query(Parameters::of::<stream::FollowQuery>())
    .answers(Content::text("text/event-stream"))
    .may_answer(&[429]),
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
    .headers(&[IF_MATCH, plugins::SIGNATURE, plugins::UPLOAD])
    .accepts(Content::binary("application/wasm"))
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[412, 413, 415, 422])
    .within(UPLOAD_TIMEOUT),
    Route::delete(
        "/api/v1/plugins/{name}",
        Access::Needs(Permission::PluginsWrite),
        "Forgets a plugin whose file is gone",
        |call| Box::pin(plugins::forget(call)),
    )
    .headers(&[IF_MATCH])
    .may_answer(&[404, 412, 422]),
    Route::post(
        "/api/v1/plugins/{name}/reload",
        Access::Needs(Permission::PluginsWrite),
        "Loads a plugin again from its files",
        |call| Box::pin(plugins::reload(call)),
    )
    .headers(&[IF_MATCH])
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 412, 422])
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
    .headers(&[IF_MATCH, plugins::SIGNATURE, plugins::UPLOAD])
    .accepts(Content::binary("application/wasm"))
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 412, 413, 415, 422])
    .within(UPLOAD_TIMEOUT),
    Route::delete(
        "/api/v1/plugins/{name}/shadow",
        Access::Needs(Permission::PluginsWrite),
        "Removes the candidate of a plugin",
        |call| Box::pin(plugins::drop_shadow(call)),
    )
    .headers(&[IF_MATCH])
    .may_answer(&[404, 412]),
    Route::post(
        "/api/v1/plugins/{name}/promote",
        Access::Needs(Permission::PluginsWrite),
        "Puts the candidate of a plugin in the place of what is live",
        |call| Box::pin(plugins::promote(call)),
    )
    .headers(&[IF_MATCH])
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 412, 422])
    .within(UPLOAD_TIMEOUT),
    Route::post(
        "/api/v1/plugins/{name}/approve",
        Access::Needs(Permission::PluginsGrant),
        "Lets a version go live that imports more than its predecessor",
        |call| Box::pin(plugins::approve(call)),
    )
    .headers(&[IF_MATCH])
    .query(Parameters::of::<plugins::ApproveQuery>())
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 412, 422])
    .within(UPLOAD_TIMEOUT),
    Route::post(
        "/api/v1/plugins/{name}/rollback",
        Access::Needs(Permission::PluginsWrite),
        "Puts the version before the live one in its place, until its files change or are reloaded",
        |call| Box::pin(plugins::rollback(call)),
    )
    .headers(&[IF_MATCH])
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 412, 422])
    .within(UPLOAD_TIMEOUT),
    Route::post(
        "/api/v1/plugins/{name}/disable",
        Access::Needs(Permission::PluginsWrite),
        "Takes a plugin out of the default chain; a chain that names it refuses",
        |call| Box::pin(plugins::disable(call)),
    )
    .headers(&[IF_MATCH])
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 412, 422]),
    Route::post(
        "/api/v1/plugins/{name}/enable",
        Access::Needs(Permission::PluginsWrite),
        "Takes a disabled plugin in again",
        |call| Box::pin(plugins::enable(call)),
    )
    .headers(&[IF_MATCH])
    .answers(Content::json::<plugins::Plugin>())
    .may_answer(&[404, 412, 422])
    .within(UPLOAD_TIMEOUT),
    Route::post(
        "/api/v1/permissions/can",
        Access::Needs(Permission::PermissionsRead),
        "Whether a client may publish or subscribe, and why; connected, or as plugins say now",
        |call| Box::pin(permissions::can(call)),
    )
    .accepts(Content::json::<permissions::Question>())
    .answers(Content::json::<permissions::Verdict>())
    .may_answer(&[404, 413, 415]),
    Route::get(
        "/api/v1/permissions/reach",
        Access::Needs(Permission::PermissionsRead),
        "Connected clients that can reach a topic, and by which rule",
        |call| Box::pin(permissions::reach(call)),
    )
    .query(Parameters::of::<permissions::ReachQuery>())
    .answers(Content::json::<permissions::Reach>()),
    Route::get(
        "/api/v1/permissions/unreachable",
        Access::Needs(Permission::PermissionsRead),
        "Rules of connected clients that never decide, because others before cover them",
        |call| Box::pin(permissions::unreachable(call)),
    )
    .answers(Content::json::<permissions::RuleFindings>()),
    Route::get(
        "/api/v1/permissions/unused",
        Access::Needs(Permission::PermissionsRead),
        "Rules of connected clients that decided nothing since they came in force",
        |call| Box::pin(permissions::unused(call)),
    )
    .answers(Content::json::<permissions::RuleFindings>()),
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
    .headers(&[LAST_EVENT_ID])
    .answers(Content::text(traces::EVENT_STREAM))
    .may_answer(&[404, 429]),
    Route::get(
        "/api/v1/access_log",
        Access::Needs(Permission::AccessLogRead),
        "Lines of the access log of one day that match, in the order of writing, page by page",
        |call| Box::pin(access_log::search(call)),
    )
    .query(Parameters::of::<access_log::SearchQuery>())
    .answers(Content::json::<access_log::AccessLines>())
    .may_answer(&[404]),
    Route::post(
        "/api/v1/backup",
        Access::Needs(Permission::BackupWrite),
        "An archive of all that the broker holds, streamed; whoever asks may read every field",
        |call| Box::pin(backup::make(call)),
    )
    .query(Parameters::of::<backup::BackupQuery>())
    .answers(Content::binary(backup::ARCHIVE))
    .may_answer(&[429]),
];
