//! The control center: pages for the eyes, made on the server from what the API answers.
//!
//! Knows nothing of the broker. A page asks routes of the API in the name of who looks at it
//! (`ask`), so it can show nothing that its reader would not be told and nothing that a mask hides;
//! buttons and forms ask routes of the API from the browser, with a script of our own. Pages are
//! built of a few blocks (`block`), which have one template each.
//!
//! Start reading at [`PAGES`].

mod ask;
mod assets;
mod block;
mod broker;
mod decisions;
mod devices;
mod frame;
mod holdings;
mod lists;
mod people;
mod permissions;
mod plugins;
mod reach;
mod show;
mod system;
mod traces;
mod watch;

pub(crate) use frame::problem_page;

use crate::{
    call::{Answer, Call},
    route::{Access, Permission, Route},
};

/// All pages, and the files that they need. Routes for the eyes: the OpenAPI document leaves them
/// out, everything else holds for them too.
pub(crate) static PAGES: &[Route] = &[
    Route::get("/assets/{version}/{file}", Access::Open, "Style sheet and scripts", |call| {
        Box::pin(assets::show(call))
    })
    .page(),
    Route::get("/login", Access::Open, "Log in", |call| Box::pin(seen(people::login(call)))).page(),
    Route::get("/account", Access::LoggedIn, "Who is logged in", |call| {
        Box::pin(seen(people::account(call)))
    })
    .page(),
    Route::get("/", Access::Needs(Permission::StatusRead), "Overview", |call| {
        Box::pin(seen(broker::overview(call)))
    })
    .page(),
    Route::get("/clients", Access::Needs(Permission::ClientsRead), "Clients", |call| {
        Box::pin(list(&devices::CLIENTS, call))
    })
    .page(),
    Route::get("/clients/{client_id}", Access::Needs(Permission::ClientsRead), "Client", |call| {
        Box::pin(seen(devices::client_page(call)))
    })
    .page(),
    Route::get(
        "/subscriptions",
        Access::Needs(Permission::SubscriptionsRead),
        "Subscriptions",
        |call| Box::pin(list(&holdings::SUBSCRIPTIONS, call)),
    )
    .page(),
    Route::get("/topics", Access::Needs(Permission::SubscriptionsRead), "Topics", |call| {
        Box::pin(seen(holdings::topics(call)))
    })
    .page(),
    Route::get("/retained", Access::Needs(Permission::RetainedRead), "Retained", |call| {
        Box::pin(list(&holdings::RETAINED_LIST, call))
    })
    .page(),
    Route::get(
        "/retained/{topic}",
        Access::Needs(Permission::RetainedRead),
        "Retained message",
        |call| Box::pin(seen(holdings::retained_page(call))),
    )
    .page(),
    Route::get("/bans", Access::Needs(Permission::BansRead), "Bans", |call| {
        Box::pin(list(&devices::BAN_LIST, call))
    })
    .page(),
    Route::get("/plugins", Access::Needs(Permission::PluginsRead), "Plugins", |call| {
        Box::pin(list(&plugins::PLUGINS, call))
    })
    .page(),
    Route::get("/plugins/{name}", Access::Needs(Permission::PluginsRead), "Plugin", |call| {
        Box::pin(seen(plugins::plugin_page(call)))
    })
    .page(),
    Route::get("/chains", Access::Needs(Permission::StatusRead), "Chains", |call| {
        Box::pin(seen(plugins::chains(call)))
    })
    .page(),
    Route::get("/decisions", Access::Needs(Permission::DecisionsRead), "Decisions", |call| {
        Box::pin(list(&decisions::DECISIONS, call))
    })
    .page(),
    Route::get("/decisions/{id}", Access::Needs(Permission::DecisionsRead), "Decision", |call| {
        Box::pin(seen(decisions::decision_page(call)))
    })
    .page(),
    Route::get("/who-may", Access::Needs(Permission::PermissionsRead), "Who may", |call| {
        Box::pin(seen(decisions::who_may(call)))
    })
    .page(),
    Route::get("/keys", Access::Needs(Permission::KeysRead), "Keys", |call| {
        Box::pin(seen(broker::keys(call)))
    })
    .page(),
    Route::get("/access-log", Access::Needs(Permission::AccessLogRead), "Access log", |call| {
        Box::pin(list(&watch::ACCESS_LOG, call))
    })
    .page(),
    Route::get("/reach", Access::Needs(Permission::PermissionsRead), "Who can reach", |call| {
        Box::pin(seen(reach::reach(call)))
    })
    .page(),
    Route::get("/rules", Access::Needs(Permission::PermissionsRead), "Idle rules", |call| {
        Box::pin(seen(reach::rules(call)))
    })
    .page(),
    Route::get("/alarms", Access::Needs(Permission::StatusRead), "Alarms", |call| {
        Box::pin(list(&system::ALARMS, call))
    })
    .page(),
    Route::get("/certificates", Access::Needs(Permission::StatusRead), "Certificates", |call| {
        Box::pin(seen(system::certificates(call)))
    })
    .page(),
    Route::get("/config", Access::Needs(Permission::ConfigRead), "Configuration", |call| {
        Box::pin(seen(system::config(call)))
    })
    .page(),
    Route::get("/audit", Access::Needs(Permission::AuditRead), "Audit log", |call| {
        Box::pin(list(&watch::AUDIT, call))
    })
    .page(),
    Route::get("/traces", Access::Needs(Permission::TracesRead), "Traces", |call| {
        Box::pin(list(&traces::TRACE_LIST, call))
    })
    .page(),
    Route::get("/traces/{id}", Access::Needs(Permission::TracesRead), "Trace", |call| {
        Box::pin(seen(traces::trace_page(call)))
    })
    .page(),
    Route::get("/users", Access::Needs(Permission::UsersRead), "Users", |call| {
        Box::pin(list(&people::USER_LIST, call))
    })
    .page(),
    Route::get("/roles", Access::Needs(Permission::UsersRead), "Roles", |call| {
        Box::pin(list(&people::ROLE_LIST, call))
    })
    .page(),
    Route::get("/tokens", Access::Needs(Permission::TokensRead), "Tokens", |call| {
        Box::pin(list(&people::TOKEN_LIST, call))
    })
    .page(),
];

async fn list(list: &'static lists::List, call: Call) -> Answer {
    seen(lists::page(list, call)).await
}

/// A page; a problem becomes one as well.
async fn seen(page: impl Future<Output = Answer>) -> Answer {
    Ok(page.await.unwrap_or_else(|problem| problem_page(&problem)))
}
