//! The pages of the control center: who sees what, and that nothing in them runs or names a route
//! that is not there.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};

use super::{Reply, TOKEN, fakes::Fakes, request, router, send, shared};
use crate::{
    Roles,
    administrators::{Administrators, Lasts, Opening, Source},
    directory::{Directory, User},
    pages::PAGES,
    route::Access,
    routes::{self, ROUTES},
    token::TokenHash,
};

/// A page as the holder of the token sees it.
async fn page(router: &Router, path: &str) -> Reply {
    send(router, request("GET", path).body(Body::empty()).unwrap()).await
}

/// Addresses of pages that show something with the fakes.
fn paths() -> Vec<String> {
    let templates = PAGES.iter().map(|page| page.path).filter(|path| !path.ends_with("/{id}"));
    let filled = templates.filter(|path| !path.starts_with("/assets/")).map(|path| {
        let path = path.replace("{client_id}", "a").replace("{name}", "acl-file");
        let path = path.replace("{topic}", "open%2Ft");
        assert!(!path.contains('{'), "a parameter that this test does not know: {path}");
        path
    });
    filled.collect()
}

/// A router and the token of somebody with these permissions.
fn with_permissions(fakes: &Fakes, permissions: &[&str]) -> (Router, String) {
    let mut roles = Roles::default();
    let names: Vec<_> = permissions.iter().map(|name| (*name).to_owned()).collect();
    roles.add("some", &names).unwrap();
    let lasts = Lasts { ttl: Duration::from_secs(60), idle: Duration::from_secs(30) };
    let directory = Arc::new(Directory::empty(roles));
    let token = TokenHash::of(TOKEN.as_bytes());
    let administrators = Administrators::new(token, Arc::clone(&directory), lasts);
    let (roles, permissions) = directory.permitted(&["some".to_owned()]);
    let opening = Opening {
        user: Some("<b>vera</b>".to_owned()),
        roles,
        permissions,
        expires_at_unix: None,
        cookie: false,
        source: Source::Chain,
    };
    let opened = administrators.open(opening, (Instant::now(), 1_700_000_000)).unwrap();
    let token = opened.unwrap().0.as_str().to_owned();
    let mut shared = shared(fakes);
    shared.administrators = administrators;
    shared.directory = directory;
    (routes::router(Arc::new(shared)), token)
}

async fn seen_with(router: &Router, token: &str, path: &str) -> Reply {
    let request = Request::get(path)
        .header(header::HOST, "localhost:9883")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    send(router, request.body(Body::empty()).unwrap()).await
}

/// The values of an attribute in a page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let mark = format!(" {attribute}=\"");
    page.split(&mark).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn every_page_shows_itself_under_the_policy_of_pages() {
    let router = router(&Fakes::new());
    for path in paths() {
        let reply = page(&router, &path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text);
        assert_eq!(reply.headers[header::CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
        assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store", "{path}");
        let policy = reply.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        // The policy would stop what stands in the page itself; nothing does.
        for script in reply.text.split("<script").skip(1) {
            assert!(script.split('>').nth(1).unwrap().starts_with("</script"), "{path}: {script}");
        }
        for never in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!reply.text.contains(never), "{path} has {never}");
        }
        assert!(reply.text.contains("<html lang=\"en\">") && reply.text.contains("<h1"), "{path}");
    }
}

#[tokio::test]
async fn strangers_are_sent_to_the_login_and_see_nothing() {
    let fakes = Fakes::new();
    let router = router(&fakes);
    for route in PAGES.iter().filter(|page| page.access != Access::Open) {
        let path = route.path.replace("{client_id}", "a").replace("{name}", "a");
        let path = path.replace("{id}", "0000000000000000").replace("{topic}", "t");
        let request = Request::get(&path).header(header::HOST, "localhost");
        let reply = send(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(reply.headers[header::LOCATION], format!("/login?next={path}"));
        assert!(reply.text.is_empty(), "{path}: {}", reply.text);
    }
    assert!(fakes.asked().is_empty());
}

#[tokio::test]
async fn a_role_sees_the_pages_that_it_has_permissions_for() {
    let (router, token) = with_permissions(&Fakes::new(), &["clients:read"]);
    let seen = seen_with(&router, &token, "/clients").await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.text.contains("&#60;b&#62;vera&#60;/b&#62;"), "{}", seen.text);
    for hidden in ["href=\"/plugins\"", "href=\"/bans\"", "href=\"/keys\"", "data-url"] {
        assert!(!seen.text.contains(hidden), "{hidden}");
    }
    let detail = seen_with(&router, &token, "/clients/a").await;
    assert_eq!(detail.status, StatusCode::OK, "{}", detail.text);
    assert!(!detail.text.contains("Recent decisions"));
    for path in ["/", "/plugins", "/plugins/acl-file", "/who-may", "/decisions", "/bans"] {
        let refused = seen_with(&router, &token, path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(refused.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(refused.text.contains("needs the permission"), "{}", refused.text);
    }
}

#[tokio::test]
async fn buttons_and_forms_name_routes_that_there_are() {
    let router = router(&Fakes::new());
    let mut named = BTreeSet::new();
    for path in paths() {
        let page = page(&router, &path).await.text;
        let verbs = values(&page, "data-verb");
        let urls = page.split(" data-verb=\"").skip(1).map(|rest| values(rest, "data-url")[0]);
        for (verb, url) in verbs.into_iter().zip(urls) {
            let path_of = url.split('?').next().unwrap();
            let known =
                ROUTES.iter().any(|route| route.verb.name() == verb && route.matches(path_of));
            assert!(known, "{path}: {verb} {url}");
            named.insert(format!("{verb} {url}"));
        }
    }
    for needed in [
        "DELETE /api/v1/clients/a/connection",
        "POST /api/v1/bans",
        "POST /api/v1/plugins/acl-file/disable",
        "DELETE /api/v1/login",
    ] {
        assert!(named.contains(needed), "no page has {needed}: {named:?}");
    }
}

#[tokio::test]
async fn every_link_leads_somewhere() {
    let mut fakes = Fakes::new();
    let broker = Arc::get_mut(&mut fakes.broker).unwrap();
    // Browsers take these for a way through the tree of paths, whatever they are encoded as.
    broker.clients.insert(".".to_owned(), true);
    broker.clients.insert("..".to_owned(), true);
    let router = router(&fakes);
    let mut asked = BTreeSet::new();
    let mut open: Vec<String> = paths();
    while let Some(path) = open.pop() {
        // Cursors are sealed, each time otherwise: of those that lead on from a page, one is enough.
        let first = |name: &str| path.split_once(name).map(|(before, _)| format!("{before}{name}"));
        if !asked
            .insert(first("after=").or_else(|| first("before=")).unwrap_or_else(|| path.clone()))
        {
            continue;
        }
        assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{path}");
        let reply = page(&router, &path).await;
        // Of the topics that the fake broker lists, it holds one.
        let is_there = reply.status == StatusCode::OK || path == "/retained/t";
        assert!(is_there, "{path}: {}", reply.text);
        let links = values(&reply.text, "href").into_iter().map(|href| href.replace("&#38;", "&"));
        let links = links.filter(|href| href.starts_with('/') && !href.starts_with("/assets/"));
        open.extend(links.map(|href| href.split('#').next().unwrap().to_owned()));
    }
    assert!(asked.contains("/clients/~..") && asked.contains("/clients/~."), "{asked:?}");
    let detail = page(&router, "/clients/~..").await.text;
    assert!(detail.contains("<h1><bdi>..</bdi></h1>"), "{detail}");
    assert!(detail.contains("data-url=\"/api/v1/clients/~../connection\""), "{detail}");
    let path = "/api/v1/clients/~../connection";
    send(&router, request("DELETE", path).body(Body::empty()).unwrap()).await;
    assert_eq!(fakes.broker.disconnected.lock().unwrap()[0].0, "..");
}

#[tokio::test]
async fn what_was_read_is_what_is_approved() {
    let text = page(&router(&Fakes::new()), "/plugins/waiting").await.text;
    let url = "data-url=\"/api/v1/plugins/waiting/approve?version=cdef\"";
    assert!(text.contains(url), "{text}");
}

#[tokio::test]
async fn keeping_a_user_out_sends_nothing_but_that() {
    let mut shared = shared(&Fakes::new());
    let directory = Directory::empty(Roles::default());
    let user = User {
        password: String::new(),
        roles: vec!["viewer".to_owned()],
        disabled: false,
        totp: None,
        created_unix: 7,
    };
    directory
        .change(|kept| {
            kept.users.insert("vera".to_owned(), user);
            Ok(())
        })
        .unwrap();
    shared.directory = Arc::new(directory);
    let text = page(&routes::router(Arc::new(shared)), "/users").await.text;
    let bodies = values(&text, "data-body");
    assert_eq!(bodies, ["{&#34;disabled&#34;:true}"], "{text}");
}

#[tokio::test]
async fn a_client_without_a_session_has_a_past() {
    let fakes = Fakes::new();
    let router = router(&fakes);
    assert_eq!(page(&router, "/clients/gone").await.status, StatusCode::NOT_FOUND);
    super::records::refuse(&fakes, "gone");
    let reply = page(&router, "/clients/gone").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    for shown in ["It has no session", "connect refused", ">Ban</button>"] {
        assert!(reply.text.contains(shown), "{shown}: {}", reply.text);
    }
    assert!(!reply.text.contains("End session"), "{}", reply.text);
}

#[tokio::test]
async fn text_of_clients_is_text() {
    let evil = "<img src=x onerror=alert(1)>\"'\u{202e}/../?#";
    let mut fakes = Fakes::new();
    let broker = Arc::get_mut(&mut fakes.broker).unwrap();
    broker.clients.insert(evil.to_owned(), true);
    let router = router(&fakes);
    let list = page(&router, "/clients").await.text;
    assert!(!list.contains("<img src=x"), "{list}");
    assert!(
        list.contains("&#60;img src=x onerror=alert(1)&#62;&#34;&#39;\\u{202e}/../?#"),
        "{list}"
    );
    let href = "/clients/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%22%27%E2%80%AE%2F..%2F%3F%23";
    assert!(list.contains(&format!("href=\"{href}\"")), "{list}");
    let detail = page(&router, href).await;
    assert_eq!(detail.status, StatusCode::OK, "{}", detail.text);
    assert!(!detail.text.contains("<img src=x"), "{}", detail.text);
    let asked = "/who-may?client_id=%3Cscript%3E&topic=%22%3E%3Cscript%3E";
    let text = page(&router, asked).await.text;
    assert!(!text.contains("<script>"), "{text}");
    assert!(text.contains("value=\"&#34;&#62;&#60;script&#62;\""), "{text}");
    let text = page(&router, "/login?next=/%22%3E%3Cscript%3E").await.text;
    assert!(!text.contains("<script>"), "{text}");
}

#[tokio::test]
async fn a_login_leads_back_to_this_host_only() {
    let router = router(&Fakes::new());
    for (next, target) in [
        ("/login?next=/clients%3Fprefix%3Da", "/clients?prefix=a"),
        ("/login", "/"),
        ("/login?next=//evil.example", "/"),
        ("/login?next=https://evil.example", "/"),
        ("/login?next=/%5Cevil.example", "/"),
    ] {
        assert_eq!(values(&page(&router, next).await.text, "data-next"), [target], "{next}");
    }
}

#[tokio::test]
async fn problems_are_pages_for_who_looks_and_json_for_programs() {
    let router = router(&Fakes::new());
    for path in ["/clients/nobody", "/plugins/nothing", "/decisions/0000000000000000"] {
        let reply = page(&router, path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert!(reply.text.contains("<h1>Not found</h1>"), "{}", reply.text);
    }
    page(&router, "/nothing").await.problem(404, "not_found");
    let browser = request("GET", "/nothing").header(header::ACCEPT, "text/html,*/*");
    let reply = send(&router, browser.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert!(reply.text.contains("there is no page"), "{}", reply.text);
}

#[tokio::test]
async fn the_first_page_is_small_and_its_files_are_kept() {
    let router = router(&Fakes::new());
    let first = page(&router, "/").await.text;
    let mut bytes = first.len();
    let mut files: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<_> = ["src", "href"].iter().flat_map(|name| values(&first, name)).collect();
    open.retain(|path| path.starts_with("/assets/"));
    let mut open: Vec<String> =
        open.iter().map(|path| path.split('#').next().unwrap().to_owned()).collect();
    while let Some(path) = open.pop() {
        if !files.insert(path.clone()) {
            continue;
        }
        let request = Request::get(&path).header(header::HOST, "localhost");
        let file = send(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(file.status, StatusCode::OK, "{path}");
        assert_eq!(file.headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        bytes += file.text.len();
        let folder = path.rsplit_once('/').unwrap().0;
        let imports = file.text.split("from \"./").skip(1);
        open.extend(imports.map(|rest| format!("{folder}/{}", rest.split('"').next().unwrap())));
        let stale = path.replace("/assets/", "/assets/0");
        assert_eq!(page(&router, &stale).await.status, StatusCode::NOT_FOUND);
    }
    assert!(files.len() >= 9, "{files:?}");
    assert!(bytes < 60_000, "the first page takes {bytes} bytes");
}

#[tokio::test]
async fn every_picture_of_a_page_is_there() {
    let router = router(&Fakes::new());
    let icons = include_str!("../../assets/icons.svg");
    for path in paths() {
        let text = page(&router, &path).await.text;
        for href in values(&text, "href").into_iter().filter(|href| href.contains("icons.svg#")) {
            let name = href.split_once('#').unwrap().1;
            assert!(icons.contains(&format!("id=\"{name}\"")), "{path}: {name}");
        }
    }
}
