//! The documents in `docs/reference` that are made from the code. `UPDATE_GOLDEN=1 cargo test -p
//! admin` writes them.

use std::{fmt::Write, fs, path::PathBuf};

use serde_json::Value;
use telemetry::{Described, Kind};

use super::{ask, fakes::Fakes};
use crate::{alarms::Alarms, metrics, openapi, route::Access, routes::ROUTES};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
}

fn update_wanted() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

#[test]
fn the_openapi_document_is_the_committed_one() {
    let document = openapi::document();
    let path = golden("admin-api.json");
    if update_wanted() {
        let text = serde_json::to_string_pretty(&document).unwrap();
        fs::write(&path, text + "\n").unwrap();
    }
    let committed: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(document == committed, "admin-api.json is stale: UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn the_metrics_page_is_the_committed_one() {
    let fakes = Fakes::new();
    let state = fakes.state();
    let page =
        page(state.metrics.catalogue(), metrics::snapshot(&state, &Alarms::default()).catalogue());
    let path = golden("metrics.md");
    if update_wanted() {
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    assert!(page == committed, "metrics.md is stale: UPDATE_GOLDEN=1 writes it anew");
}

fn page(counted: &[Described], current: &[Described]) -> String {
    let mut page = String::from(
        "# Metrics\n\nGenerated from the code; do not edit. `GET /metrics` of the admin API, \
         OpenMetrics text. No label ever holds a client id, a topic or other text of a client.\n",
    );
    for (title, metrics) in [("Counted since the start", counted), ("Read at each scrape", current)]
    {
        write!(page, "\n## {title}\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n")
            .unwrap();
        for metric in metrics {
            let labels = metric.labels.join(", ");
            let kind = metric.kind.name();
            writeln!(page, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help).unwrap();
        }
    }
    page
}

#[test]
fn every_route_is_documented_with_its_permission() {
    let document = openapi::document();
    let mut documented = 0;
    for operations in document["paths"].as_object().unwrap().values() {
        documented += operations.as_object().unwrap().len();
    }
    assert_eq!(documented, ROUTES.len());
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.verb.name().to_ascii_lowercase()];
        let permission = route.access.permission().map(|permission| permission.name());
        assert_eq!(operation["x-permission"].as_str(), permission, "{}", route.path);
        let has_401 = operation["responses"].get("401").is_some();
        // A login may be refused, too.
        let expected = route.access != Access::Open || route.problems.contains(&401);
        assert_eq!(has_401, expected, "{}", route.path);
        for parameter in route.path.split('/').filter(|segment| segment.starts_with('{')) {
            let name = parameter.trim_matches(['{', '}']);
            let listed = operation["parameters"].as_array().unwrap();
            assert!(listed.iter().any(|listed| listed["name"] == name && listed["in"] == "path"));
        }
    }
}

#[test]
fn every_reference_has_its_schema() {
    fn check(value: &Value, document: &Value) {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|field| check(field, document)),
            Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            _ => {}
        }
    }
    let document = openapi::document();
    check(&document, &document);
}

/// Answers hold exactly the documented fields.
#[tokio::test]
async fn answers_are_as_documented() {
    let fakes = Fakes::new();
    let document = openapi::document();
    for (path, schema) in [
        ("/api/v1/status", "Status"),
        ("/api/v1/clients", "Clients"),
        ("/api/v1/clients/a", "ClientDetail"),
        ("/api/v1/subscriptions", "Subscriptions"),
        ("/api/v1/topics", "Level"),
        ("/api/v1/retained", "RetainedMessages"),
        ("/api/v1/retained/open%2Ft", "RetainedMessage"),
        ("/api/v1/plugins/acl-file", "Plugin"),
        ("/readyz", "Ready"),
        ("/api/v1/nowhere", "Problem"),
    ] {
        let answer = ask(&fakes, "GET", path).await.json();
        let schemas = &document["components"]["schemas"];
        // One that holds another is written as both.
        let parts = schemas[schema]["allOf"].as_array().cloned();
        let parts = parts.unwrap_or_else(|| vec![schemas[schema].clone()]);
        let mut documented = serde_json::Map::new();
        for part in &parts {
            let named = part["$ref"].as_str().map(|name| name.rsplit('/').next().unwrap());
            let part = named.map_or(part, |name| &schemas[name]);
            let properties = part["properties"].as_object();
            documented.extend(properties.unwrap_or_else(|| panic!("no {schema}")).clone());
        }
        for field in answer.as_object().unwrap().keys() {
            assert!(documented.contains_key(field), "{schema} has no {field}");
        }
        let optional = usize::from(schema == "Problem") * 2;
        assert_eq!(answer.as_object().unwrap().len() + optional, documented.len(), "{schema}");
    }
}

#[tokio::test]
async fn the_api_serves_its_document() {
    let reply = ask(&Fakes::new(), "GET", "/api/v1/openapi.json").await;
    assert_eq!(reply.json(), openapi::document());
}

/// A panel or an alert on a name that nobody counts shows nothing, and says nothing of it.
#[test]
fn dashboard_and_alerts_use_metrics_that_there_are() {
    let fakes = Fakes::new();
    let state = fakes.state();
    let snapshot = metrics::snapshot(&state, &Alarms::default());
    let known: Vec<_> = state.metrics.catalogue().iter().chain(snapshot.catalogue()).collect();
    for file in ["grafana/portcullis.json", "alerts.yml"] {
        let path = golden("../operate").join(file);
        let text = fs::read_to_string(&path).unwrap();
        let letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let words = text.split(|c| !letter(c));
        let used: Vec<_> = words
            .filter(|word| word.starts_with("portcullis_") || word.starts_with("process_"))
            .collect();
        assert!(used.len() > 15, "{file} uses {}", used.len());
        for name in used {
            let found = known.iter().any(|metric| {
                let parts = ["_bucket", "_count", "_sum"];
                match metric.kind {
                    Kind::Histogram => parts.iter().any(|part| {
                        name.strip_suffix(part).is_some_and(|name| name == metric.name)
                    }),
                    Kind::Counter | Kind::Gauge => name == metric.name,
                }
            });
            assert!(found, "{file}: there is no metric {name}");
        }
    }
    let dashboard = fs::read_to_string(golden("../operate/grafana/portcullis.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 20);
}
