//! What is around every page: navigation, who is logged in, title; and pages that tell of a problem.
//!
//! Knows nothing of what pages show.

use askama::Template;
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use super::{
    ask::Reader,
    assets,
    block::{Action, Block, Notice},
    show::Tone,
};
use crate::{administrators::Administrator, call::Answer, pages::PAGES, problem::Problem};

/// A page of the navigation: path, name and picture.
type Entry = (&'static str, &'static str, &'static str);

/// The navigation: groups of pages.
const NAVIGATION: &[(&str, &[Entry])] = &[
    ("", &[("/", "Overview", "overview")]),
    (
        "Devices",
        &[
            ("/clients", "Clients", "clients"),
            ("/subscriptions", "Subscriptions", "subscriptions"),
            ("/topics", "Topics", "topics"),
            ("/retained", "Retained", "retained"),
            ("/bans", "Bans", "bans"),
        ],
    ),
    (
        "Gate",
        &[
            ("/plugins", "Plugins", "plugins"),
            ("/chains", "Chains", "chains"),
            ("/decisions", "Decisions", "decisions"),
            ("/who-may", "Who may", "who-may"),
            ("/reach", "Who can reach", "reach"),
            ("/rules", "Idle rules", "rules"),
        ],
    ),
    (
        "Watch",
        &[
            ("/alarms", "Alarms", "alarms"),
            ("/traces", "Traces", "traces"),
            ("/access-log", "Access log", "log"),
            ("/audit", "Audit", "audit"),
        ],
    ),
    (
        "Broker",
        &[
            ("/config", "Configuration", "config"),
            ("/certificates", "Certificates", "certificates"),
            ("/keys", "Keys", "keys"),
        ],
    ),
    (
        "People",
        &[
            ("/users", "Users", "users"),
            ("/roles", "Roles", "roles"),
            ("/tokens", "Tokens", "tokens"),
        ],
    ),
];

/// A group of the navigation.
pub(super) struct Group {
    name: &'static str,
    items: Vec<Item>,
}

/// A page in the navigation.
struct Item {
    path: &'static str,
    name: &'static str,
    icon: &'static str,
    current: bool,
}

/// A whole page.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page {
    assets: &'static str,
    navigation: Vec<Group>,
    user: String,
    csrf: String,
    pub(super) title: String,
    /// Page above this one: path and name.
    pub(super) above: Option<(&'static str, &'static str)>,
    pub(super) intro: &'static str,
    pub(super) actions: Vec<Action>,
    /// What must be seen first.
    pub(super) notices: Vec<Notice>,
    pub(super) blocks: Vec<Block>,
    /// How often the script reads it again, in seconds; 0 = never.
    pub(super) refresh: u32,
}

impl Page {
    /// An empty page of this title; `path` is its place in the navigation.
    pub(super) fn new(reader: &Reader, path: &str, title: impl Into<String>) -> Self {
        Self {
            assets: assets::folder(),
            navigation: navigation(&reader.who, path),
            user: reader.who.user.clone().unwrap_or_else(|| "admin token".to_owned()),
            csrf: reader.who.csrf.as_deref().map(ToString::to_string).unwrap_or_default(),
            title: title.into(),
            above: None,
            intro: "",
            actions: Vec::new(),
            notices: Vec::new(),
            blocks: Vec::new(),
            refresh: 0,
        }
    }

    pub(super) fn answer(&self) -> Answer {
        html(StatusCode::OK, self)
    }
}

/// What the reader may see, with the current page marked.
fn navigation(who: &Administrator, current: &str) -> Vec<Group> {
    let visible = |path: &str| {
        PAGES.iter().any(|page| {
            let permission = page.access.permission();
            page.path == path && permission.is_none_or(|needed| who.permissions.has(needed))
        })
    };
    let groups = NAVIGATION.iter().map(|(name, items)| {
        let items = items.iter().filter(|(path, ..)| visible(path));
        let items =
            items.map(|&(path, name, icon)| Item { path, name, icon, current: path == current });
        Group { name, items: items.collect() }
    });
    groups.filter(|group| !group.items.is_empty()).collect()
}

/// A page for somebody who is not there yet, or cannot be shown what was asked for.
#[derive(Template)]
#[template(path = "plain.html")]
struct Plain {
    assets: &'static str,
    title: &'static str,
    text: String,
    status: u16,
    advice: &'static str,
    tone: Tone,
}

/// The page of a problem, with its status.
pub(crate) fn problem_page(problem: &Problem) -> Response {
    let advice = match problem.status.as_u16() {
        403 => {
            "Ask an administrator for a role that has this permission, or log in as another user."
        }
        404 => "It may have ended, or the address is mistyped. Go back, or search for it.",
        503 => "Try again in a few seconds; the log of the broker says more.",
        _ => "Go back and try again.",
    };
    let page = Plain {
        assets: assets::folder(),
        title: problem.title,
        text: super::show::visible(&problem.detail),
        status: problem.status.as_u16(),
        advice,
        tone: if problem.status.is_server_error() { Tone::Bad } else { Tone::Warning },
    };
    html(problem.status, &page).unwrap_or_else(axum::response::IntoResponse::into_response)
}

/// An answer in HTML.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Answer {
    let text = page.render();
    let text = text.map_err(|error| Problem::internal(format!("no page: {error}")))?;
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
