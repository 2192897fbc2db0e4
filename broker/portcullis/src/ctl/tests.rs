//! The table against the OpenAPI document, what command lines become, and whole conversations with a broker that is a
//! list of answers.

use std::{collections::BTreeSet, path::Path};

use clap::Parser;
use serde_json::Value;

use super::{
    command::{Place, View},
    commands::{ALL, GROUPS, WITHOUT},
    *,
};
use crate::cli::{Command as Top, CommandLine};

mod conversations;

fn invocation(line: &str) -> Result<Invocation, clap::Error> {
    let words = ["portcullis", "ctl"].into_iter().chain(line.split(' '));
    match CommandLine::try_parse_from(words)?.command {
        Top::Ctl(invocation) => Ok(invocation),
        other => panic!("{other:?}"),
    }
}

fn asked(line: &str) -> Asked {
    match invocation(line).unwrap_or_else(|error| panic!("{line}: {error}")).what {
        What::Row(asked) => asked,
        _ => panic!("{line} is no row of the table"),
    }
}

/// Method and path, and the body.
#[track_caller]
fn check(line: &str, expect: &str, body: Option<&str>) {
    let request = asked(line).request(&[]).unwrap();
    assert_eq!(format!("{} {}", request.method, request.path), expect, "{line}");
    let content = request.content.map(|it| String::from_utf8(it.bytes.to_vec()).unwrap());
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(content.as_deref().map(json), body.map(json), "{line}");
}

/// Every route of the document with the names of its parameters.
fn routes() -> Vec<(String, String, Value)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/admin-api.json");
    let text = std::fs::read_to_string(file).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, route) in methods.as_object().unwrap() {
            routes.push((method.to_uppercase(), path.clone(), route.clone()));
        }
    }
    assert!(routes.len() > 30, "{routes:?}");
    routes
}

/// A new route without a command fails here, and a command whose route is gone.
#[test]
fn every_route_has_a_command() {
    let routes = routes();
    let rows: Vec<_> = ALL.iter().copied().flatten().collect();
    for (method, path, _) in &routes {
        let command = rows.iter().any(|row| row.method == method && row.path == path);
        let without = WITHOUT.iter().any(|(verb, route, _)| verb == method && route == path);
        assert!(command || without, "no command reaches {method} {path}");
        assert!(!(command && without), "{method} {path} has a command");
    }
    let known: BTreeSet<_> =
        routes.iter().map(|(method, path, _)| (method.as_str(), path.as_str())).collect();
    for row in &rows {
        assert!(known.contains(&(row.method, row.path)), "{}: no route", row.words);
    }
    for (method, path, why) in WITHOUT {
        assert!(known.contains(&(*method, *path)), "{method} {path} is gone: {why}");
    }
}

/// Each parameter of a route can be said, and nothing can that it does not know.
#[test]
fn commands_and_routes_have_the_same_parameters() {
    let routes = routes();
    for row in ALL.iter().copied().flatten() {
        let route =
            routes.iter().find(|(method, path, _)| method == row.method && path == row.path);
        let (_, _, route) = route.unwrap();
        let listed = route["parameters"].as_array().cloned().unwrap_or_default();
        let names = |place: &str| -> BTreeSet<String> {
            let of = listed.iter().filter(|parameter| parameter["in"] == place);
            of.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
        };
        let said = |place: Place| -> BTreeSet<String> {
            let of = row.arguments.iter().filter(|argument| argument.place == place);
            of.map(|argument| argument.field.to_owned()).collect()
        };
        assert_eq!(said(Place::Path), names("path"), "{}", row.words);
        let mut query = said(Place::Query);
        if let Some(pages) = row.pages {
            query.extend([pages.cursor.to_owned(), "limit".to_owned()]);
        }
        assert_eq!(query, names("query"), "{}", row.words);
        let headers = row.arguments.iter().flat_map(|argument| match argument.place {
            Place::Header(name) => vec![name.to_owned()],
            // Its signature, and the name of the upload, which is made for its events.
            Place::Component => {
                ["Portcullis-Signature", "Portcullis-Upload"].map(str::to_owned).into()
            }
            _ => Vec::new(),
        });
        let mut wanted = names("header");
        // For browsers: what they hold already, and proof that a page of ours asks.
        wanted.retain(|name| name != "If-None-Match" && name != "X-CSRF-Token");
        assert_eq!(headers.collect::<BTreeSet<_>>(), wanted, "{}", row.words);
        let Some(pages) = row.pages else { continue };
        let limit = listed.iter().find(|parameter| parameter["name"] == "limit").unwrap();
        let (usual, most) = (&limit["schema"]["default"], &limit["schema"]["maximum"]);
        assert_eq!((usual, most), (&pages.usual.into(), &pages.most.into()), "{}", row.words);
    }
}

/// Each field of a JSON body can be said, and nothing can that it does not have.
#[test]
fn commands_and_bodies_have_the_same_fields() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/admin-api.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    for (method, path, route) in routes() {
        let schema = &route["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let Some(name) = schema.as_str().and_then(|it| it.rsplit('/').next()) else { continue };
        let schema = &document["components"]["schemas"][name];
        let fields = schema["properties"].as_object().unwrap();
        let fields: BTreeSet<_> = fields.keys().cloned().collect();
        let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let needed: BTreeSet<_> = needed.collect();
        for row in ALL.iter().copied().flatten() {
            if row.method != method || row.path != path {
                continue;
            }
            let said = row.arguments.iter();
            let said = said.filter(|it| matches!(it.place, Place::Body | Place::BodyWord));
            let said = said.map(|it| it.field.split('.').next().unwrap().to_owned());
            assert_eq!(said.collect::<BTreeSet<_>>(), fields, "{}", row.words);
            for field in &needed {
                let is_required = |it: &&command::Argument| it.required && it.field == *field;
                let argument = row.arguments.iter().find(is_required);
                assert!(argument.is_some(), "{}: {field} is needed", row.words);
            }
        }
    }
}

#[test]
fn the_table_is_in_order() {
    let mut words = BTreeSet::new();
    for row in ALL.iter().copied().flatten() {
        assert!(words.insert(row.words), "{} stands twice", row.words);
        assert!(!row.about.ends_with('.'), "{}", row.words);
        if let (Some(group), _) = row.in_group() {
            assert!(GROUPS.iter().any(|(name, _)| *name == group), "{group}");
        }
        if row.pages.is_some() {
            assert!(matches!(row.view, View::Table { .. }), "{}", row.words);
        }
    }
    for (group, _) in GROUPS {
        let members = words.iter().filter(|it| it.split(' ').next() == Some(group)).count();
        assert!(members > 0 && !words.contains(group), "{group}");
    }
}

/// A row for each command: how it is written with what it needs, what it does, its route.
fn documented() -> String {
    let mut rows: Vec<_> = ALL.iter().copied().flatten().collect();
    rows.sort_by_key(|row| row.words);
    let mut text = "| command | does | route |\n|---|---|---|\n".to_owned();
    for row in rows {
        let mut line = format!("ctl {}", row.words);
        for argument in row.arguments.iter().filter(|argument| argument.required) {
            let value = argument.name.to_uppercase().replace('-', "_");
            match argument.is_word() {
                true => line.push_str(&format!(" {value}")),
                false => line.push_str(&format!(" --{} {value}", argument.name)),
            }
        }
        let (about, method, path) = (row.about.replace('|', "\\|"), row.method, row.path);
        text.push_str(&format!("| `{line}` | {about} | `{method} {path}` |\n"));
    }
    text
}

/// `UPDATE_GOLDEN=1` writes it.
#[test]
fn the_documentation_lists_every_command() {
    const BEGIN: &str = "from its table of commands: begin -->\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operate/ctl.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (listed, after) = rest.split_once("<!-- end -->").unwrap();
    let expect = documented();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, format!("{before}{BEGIN}{expect}<!-- end -->{after}")).unwrap();
        return;
    }
    assert!(listed == expect, "docs/operate/ctl.md: UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn command_lines_become_requests() {
    check("status", "GET /api/v1/status", None);
    check("clients list --prefix a/ü&", "GET /api/v1/clients?prefix=a%2F%C3%BC%26", None);
    check("clients show ../x", "GET /api/v1/clients/..%2Fx", None);
    check("clients disconnect a%2F", "DELETE /api/v1/clients/a%252F/connection", None);
    check(
        "can dev publish a/b --qos 1 --retain",
        "POST /api/v1/permissions/can",
        Some(r#"{"client_id":"dev","action":"publish","topic":"a/b","qos":1,"retain":true}"#),
    );
    check("keys add ring", "POST /api/v1/keys/ring", Some("{}"));
    check("keys rotate ring --id 3", "POST /api/v1/keys/ring/rotate?id=3", None);
    check(
        "bans add --address 192.0.2.0/24 --reason x --seconds 60",
        "POST /api/v1/bans",
        Some(r#"{"address":"192.0.2.0/24","reason":"x","seconds":60}"#),
    );
    check("decisions list --refused true", "GET /api/v1/decisions?refused=true", None);
    check(
        "permissions invalidate --everybody",
        "POST /api/v1/permissions/invalidate",
        Some(r#"{"everybody":true}"#),
    );
    check("users set bob --disabled false", "PUT /api/v1/users/bob", Some(r#"{"disabled":false}"#));
    let roles = r#"{"roles":["viewer","auditor"]}"#;
    check("users set bob --role viewer --role auditor", "PUT /api/v1/users/bob", Some(roles));
    let all = asked("clients list --all");
    assert!(all.given.everything && all.given.rows.is_none());
    assert_eq!(asked("clients list --limit 5").given.rows, Some(5));
}

/// Quotes belong to a version in HTTP, and do not outlive a shell.
#[test]
fn versions_are_sent_with_quotes() {
    for (version, expect) in [
        ("abc", "\"abc\""),
        ("-a_c", "\"-a_c\""),
        ("\"abc\"", "\"abc\""),
        ("*", "*"),
        ("W/\"a\"", "W/\"a\""),
    ] {
        for command in ["users set bob --role viewer", "plugins disable gate", "roles remove r"] {
            let request = asked(&format!("{command} --if-match {version}")).request(&[]).unwrap();
            assert_eq!(request.headers, [("If-Match", expect.to_owned())], "{command}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for line in [
        "clients show",
        "clients",
        "nothing",
        "can dev look a",
        "can dev publish a --qos x",
        "clients list --limit 0",
        "clients list --limit 1 --all",
        "top --every 0",
        "api PATCH /x",
    ] {
        let error = invocation(line).err().unwrap_or_else(|| panic!("{line} was taken"));
        assert!(error.exit_code() == 2, "{line}: {error}");
    }
}

#[test]
fn where_the_broker_is_may_stand_anywhere() {
    for line in ["--url http://[::1]:1 --json status", "status --url http://[::1]:1 --json"] {
        let invocation = invocation(line).unwrap();
        assert_eq!(invocation.broker.url.as_deref(), Some("http://[::1]:1"), "{line}");
        assert!(invocation.json, "{line}");
    }
}

/// The name of an uploaded component is that of its file, unless another one is said.
#[test]
fn files_go_up_under_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.wasm");
    std::fs::write(&file, b"\0asm").unwrap();
    let path = file.display().to_string();
    let request = asked(&format!("plugins upload {path}")).request(&[]).unwrap();
    assert_eq!((&*request.method, &*request.path), ("PUT", "/api/v1/plugins/gate"));
    assert_eq!(request.content.as_ref().unwrap().media_type, "application/wasm");
    assert!(request.headers.is_empty());
    std::fs::write(file.with_extension("sig"), b"sealed").unwrap();
    let line = format!("plugins shadow-upload {path} --name other");
    let request = asked(&line).request(&[]).unwrap();
    assert_eq!(request.path, "/api/v1/plugins/other/shadow");
    assert_eq!(request.headers, [("Portcullis-Signature", "c2VhbGVk".to_owned())]);
    assert!(asked("plugins upload /nowhere.wasm").request(&[]).is_err());
}

/// Keys and passwords never stand on the command line, where everybody can read them.
#[test]
fn secrets_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "YWFh\n").unwrap();
    let line = format!("keys add ring --value-file {}", file.display());
    check(&line, "POST /api/v1/keys/ring", Some(r#"{"value":"YWFh"}"#));
    for row in ALL.iter().copied().flatten() {
        for argument in row.arguments {
            let secret = ["password", "current", "secret", "value"].contains(&argument.field);
            let from_file = argument.kind == command::Kind::SecretFile;
            assert!(!secret || from_file, "{} --{}", row.words, argument.name);
        }
    }
}
