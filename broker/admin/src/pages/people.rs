//! Pages on who may use all this: users, roles, tokens, and whoever is logged in.
//!
//! Knows nothing of files and logins; asks the API.

use askama::Template;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{
    ask::{Reader, address},
    assets,
    block::{Action, Block, Facts, Form, FormKind, Input, InputKind},
    frame::{Page, html},
    lists::{Cursor, List, asked, no_inputs, query_of},
    show::{self, Cell, Tone, text},
};
use crate::{
    administrators::Source,
    call::{Answer, Call},
    guard,
    route::Verb,
};

const USERS: &str = "/api/v1/users";
const USER: &str = "/api/v1/users/{user}";
const PASSWORD: &str = "/api/v1/users/{user}/password";
const TOTP: &str = "/api/v1/users/{user}/totp";
const CONFIRM: &str = "/api/v1/users/{user}/totp/confirm";
const ROLES: &str = "/api/v1/roles";
const ROLE: &str = "/api/v1/roles/{role}";
const TOKENS: &str = "/api/v1/tokens";
const OIDC: &str = "/api/v1/login/oidc";
const TOKEN: &str = "/api/v1/tokens/{id}";

pub(super) static USER_LIST: List = List {
    path: "/users",
    title: "Users",
    intro: "Who may log in here with a password that the broker keeps.",
    route: USERS,
    rows: "users",
    columns: &[
        ("User", |row| show::code(row, "name")),
        ("State", |row| {
            show::flag(row, "disabled", ("kept out", Tone::Bad), ("may log in", Tone::Good))
        }),
        ("Roles", |row| show::chips(row, "roles")),
        ("One-time codes", |row| {
            show::flag(row, "totp", ("needed", Tone::Good), ("not set up", Tone::Warning))
        }),
        ("Made", |row| show::time(row, "created_unix")),
    ],
    filters: no_inputs,
    fixed: &[("limit", "100")],
    cursor: Cursor::Next("after"),
    empty: (
        "The broker keeps no user.",
        "Make one below, and put the admin token away: it can do everything and never ends.",
    ),
    actions: user_actions,
    forms: user_forms,
    refresh: 0,
};

fn user_actions(reader: &Reader, user: &Value) -> Vec<Action> {
    let name = text(user, "name");
    let path = [("user", name.as_str())];
    let disabled = show::at(user, "disabled").as_bool() == Some(true);
    let words = if disabled {
        ("Let in", "The user may log in again.")
    } else {
        ("Keep out", "The user is kept out.")
    };
    // Nothing but this: the roles may have changed since the page was made.
    let toggled = json!({ "disabled": !disabled });
    let toggle = Action::new(reader, (Verb::Put, USER), &path, words);
    let toggle = toggle.map(|action| action.sends(&toggled)).map(|action| {
        let confirm = format!("All logins and tokens of {name} end, and it cannot log in.");
        if disabled { action } else { action.confirmed(confirm) }
    });
    let codes = show::at(user, "totp").as_bool() == Some(true);
    let words = ("Take codes away", "Logins need no one-time code any more.");
    let withdraw = Action::new(reader, (Verb::Delete, TOTP), &path, words).filter(|_| codes);
    let confirm = format!("{name} logs in with the password alone, until new codes are set up.");
    let withdraw = withdraw.map(|action| action.confirmed(confirm));
    let remove = Action::new(reader, (Verb::Delete, USER), &path, ("Remove", "The user is gone."));
    let confirm = format!("{name} is removed, with its tokens. Its logins end at once.");
    let remove = remove.map(|action| action.confirmed(confirm));
    [toggle, withdraw, remove].into_iter().flatten().collect()
}

fn user_forms(reader: &Reader) -> Vec<Form> {
    let mut forms = Vec::new();
    let name = || Input::new("name", "User name", InputKind::Text).required();
    let who = || Input::new("user", "User name", InputKind::Text).required();
    let known = known_roles(reader);
    let roles = || Input::new("roles", "Roles", InputKind::Several(known.clone()));
    let password = || {
        Input::new("password", "Password", InputKind::Password)
            .hint("At least 12 bytes.")
            .required()
    };
    if reader.may(Verb::Post, USERS) {
        let inputs = vec![name(), password(), roles()];
        forms.push(sent("Make a user", ("POST", USERS), "The user is made.", inputs));
    }
    if reader.may(Verb::Put, USER) {
        let mut form =
            sent("Change roles", ("PUT", USER), "The user is changed.", vec![who(), roles()]);
        form.intro = "These take the place of all roles that the user has.";
        forms.push(form);
    }
    if reader.may(Verb::Put, PASSWORD) {
        let current = Input::new("current", "Your password until now", InputKind::Password)
            .hint("Only to change your own.");
        let inputs = vec![who(), password(), current];
        forms.push(sent("Set a password", ("PUT", PASSWORD), "The password is set.", inputs));
    }
    forms
}

/// Roles that a user can be given.
fn known_roles(reader: &Reader) -> Vec<String> {
    reader.shared.directory.roles().into_iter().map(|(name, ..)| name).collect()
}

/// Permissions that the reader can give away: no more than its own.
fn permissions(reader: &Reader) -> Vec<String> {
    std::iter::once("*").chain(reader.who.permissions.names()).map(str::to_owned).collect()
}

/// A folded form that goes to a route; then the page is read again.
pub(super) fn sent(
    title: &'static str,
    (verb, url): (&'static str, &str),
    done: &'static str,
    inputs: Vec<Input>,
) -> Form {
    let kind =
        FormKind::Sent { verb, url: url.to_owned(), done, then: None, shows: None, etag: None };
    Form { title, intro: "", kind, inputs, submit: title, folded: true }
}

pub(super) static ROLE_LIST: List = List {
    path: "/roles",
    title: "Roles",
    intro: "What users and logins through the admin chain may do. Fields that a role may not read \
        show as ***.",
    route: ROLES,
    rows: "roles",
    columns: &[
        ("Role", |row| show::code(row, "name")),
        ("From", |row| show::word(row, "origin", &[])),
        ("Permits", |row| show::chips(row, "permissions")),
    ],
    filters: no_inputs,
    fixed: &[],
    cursor: Cursor::None,
    empty: ("There is no role.", "Make one below."),
    actions: |reader, role| {
        let name = text(role, "name");
        let words = ("Remove", "The role is gone.");
        let remove = Action::new(reader, (Verb::Delete, ROLE), &[("role", &name)], words);
        let remove = remove.filter(|_| text(role, "origin") == "made");
        let confirm = format!("Role {name} is removed. Users who have it lose what it permits.");
        remove.map(|action| action.confirmed(confirm)).into_iter().collect()
    },
    forms: |reader| {
        let permissions = || {
            Input::new("permissions", "Permissions", InputKind::Several(permissions(reader)))
                .hint("* = everything. Without field:NAME such fields show as ***.")
        };
        let mut forms = Vec::new();
        if reader.may(Verb::Post, ROLES) {
            let name = Input::new("name", "Name", InputKind::Text).required();
            let inputs = vec![name, permissions()];
            forms.push(sent("Make a role", ("POST", ROLES), "The role is made.", inputs));
        }
        if reader.may(Verb::Put, ROLE) {
            let role = Input::new("role", "Role", InputKind::Text).required();
            let inputs = vec![role, permissions()];
            forms.push(sent("Change a role", ("PUT", ROLE), "The role is changed.", inputs));
        }
        forms
    },
    refresh: 0,
};

pub(super) static TOKEN_LIST: List = List {
    path: "/tokens",
    title: "Tokens",
    intro: "For programs that use the API. What a token is, is shown once and kept only as a hash.",
    route: TOKENS,
    rows: "tokens",
    columns: &[
        ("Token", |row| show::plain(row, "name")),
        ("State", |row| show::flag(row, "expired", ("ended", Tone::Quiet), ("good", Tone::Good))),
        ("Owner", |row| match text(row, "owner") {
            owner if owner.is_empty() => Cell::plain("admin token"),
            _ => show::code(row, "owner"),
        }),
        ("Permits", |row| show::chips(row, "permissions")),
        ("Made", |row| show::time(row, "created_unix")),
        ("Last used", |row| match show::at(row, "last_used_unix").as_u64() {
            Some(_) => show::time(row, "last_used_unix"),
            None => Cell::plain("not since the start"),
        }),
        ("Ends", |row| match show::at(row, "expires_at").as_u64() {
            Some(_) => show::time(row, "expires_at"),
            None => Cell::badge("never", Tone::Warning),
        }),
        ("Id", |row| show::code(row, "id")),
    ],
    filters: no_inputs,
    fixed: &[("limit", "100")],
    cursor: Cursor::Next("after"),
    empty: ("There is no token.", "Make one below for each program, with no more than it needs."),
    actions: |reader, token| {
        let (id, name) = (text(token, "id"), text(token, "name"));
        let words = ("Revoke", "The token is good for nothing.");
        let revoke = Action::new(reader, (Verb::Delete, TOKEN), &[("id", &id)], words);
        let confirm = format!("Whatever uses the token {name} is refused from now on.");
        revoke.map(|action| action.confirmed(confirm)).into_iter().collect()
    },
    forms: |reader| {
        let kind = FormKind::Sent {
            verb: "POST",
            url: TOKENS.to_owned(),
            done: "Copy the token now, it is not shown again:",
            then: None,
            shows: Some("token"),
            etag: None,
        };
        let inputs = vec![
            Input::new("name", "What it is for", InputKind::Text).required(),
            Input::new("permissions", "Permissions", InputKind::Several(permissions(reader)))
                .hint("* = all that you may."),
            Input::new("expires_in", "Seconds", InputKind::Number)
                .hint("How long it is good, up to a year; empty = 90 days."),
        ];
        let form = Form {
            title: "Make a token",
            intro: "It can do no more than you.",
            kind,
            inputs,
            submit: "Make a token",
            folded: true,
        };
        if reader.may(Verb::Post, TOKENS) { vec![form] } else { Vec::new() }
    },
    refresh: 0,
};

/// `/account`
pub(super) async fn account(call: Call) -> Answer {
    let reader = Reader::of(&call)?;
    let me = reader.get("/api/v1/login", &[], &[]).await?;
    let mut page = Page::new(&reader, "/account", "Your login");
    page.blocks.push(Block::Facts(Facts {
        title: String::new(),
        facts: vec![
            ("User", Cell::plain(name_of(&me))),
            ("Roles", show::chips(&me, "roles")),
            ("Ends", show::time(&me, "expires_at")),
            ("May", show::chips(&me, "permissions")),
        ],
    }));
    let user = text(&me, "user");
    if reader.who.source == Source::Local {
        page.blocks.extend(own_forms(&user).into_iter().map(Block::Form));
    }
    let words = ("Log out", "You are logged out.");
    let out = Action::new(&reader, (Verb::Delete, "/api/v1/login"), &[], words);
    page.actions.extend(out.map(|action| action.then("/login")));
    page.answer()
}

fn name_of(me: &Value) -> String {
    match text(me, "user") {
        user if user.is_empty() => "holder of the admin token".to_owned(),
        user => show::visible(&user),
    }
}

/// What a user whom the broker keeps may change of himself.
fn own_forms(user: &str) -> Vec<Form> {
    let own = |template: &str| address(template, &[("user", user)], &[]);
    let current = Input::new("current", "Password until now", InputKind::Password).required();
    let new =
        Input::new("password", "New password", InputKind::Password).hint("At least 12 bytes.");
    let own_password = Input::new("current", "Your password", InputKind::Password).required();
    let inputs = vec![current, new.required()];
    let mut password =
        sent("Change your password", ("PUT", &own(PASSWORD)), "The password is changed.", inputs);
    password.intro = "All your logins end, this one too.";
    let mut enrol = sent("Set up one-time codes", ("POST", &own(TOTP)), "", vec![own_password]);
    enrol.intro = "You get a secret for an authenticator app. Codes are needed once you confirmed \
        the first one.";
    enrol.kind = FormKind::Sent {
        verb: "POST",
        url: own(TOTP),
        done: "Scan this code with the app, or type the secret into it. It is not shown again:",
        then: None,
        shows: Some("secret"),
        etag: None,
    };
    let code = Input::new("code", "First code", InputKind::Text).required();
    let done = "Logins need a one-time code from now on.";
    let confirm = sent("Confirm one-time codes", ("POST", &own(CONFIRM)), done, vec![code]);
    vec![password, enrol, confirm]
}

/// The page that logs in.
#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    assets: &'static str,
    /// Where to go then: a path of this host.
    next: String,
    /// Whether anybody can log in with a name.
    users: bool,
    /// Where logging in at an identity provider begins.
    provider: Option<String>,
}

/// `/login`
pub(super) async fn login(call: Call) -> Answer {
    let next = asked(&query_of(&call)?, "next");
    let next = if guard::is_own_path(&next) { next } else { "/".to_owned() };
    let kept = call.shared.directory.kept();
    let users = call.shared.state.gate.has_admin_chain() || !kept.users.is_empty();
    let provider = call.shared.oidc.as_ref().map(|_| address(OIDC, &[], &[("next", &next)]));
    html(StatusCode::OK, &LoginPage { assets: assets::folder(), next, users, provider })
}
