//! The OpenAPI 3.1 document, made from the table of routes and the types of the bodies.
//!
//! Knows nothing of single routes.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use utoipa::{
    IntoParams, ToSchema,
    openapi::{RefOr, Schema, path::Parameter, path::ParameterIn},
};

use crate::{
    call::{Answer, Call},
    cookie,
    problem::Problem,
    route::{Access, Header, Route, Verb},
    routes::ROUTES,
};

/// `GET /api/v1/openapi.json`
pub(crate) async fn show(call: Call) -> Answer {
    call.json_answer(&call.shared.openapi)
}

/// A body as documented.
#[derive(Clone, Copy)]
pub(crate) struct Content {
    media_type: &'static str,
    body: Body,
}

#[derive(Clone, Copy)]
enum Body {
    Typed(TypedBody),
    AnyJson,
    Text,
    Binary,
}

#[derive(Clone, Copy)]
struct TypedBody {
    name: fn() -> Cow<'static, str>,
    schema: fn() -> RefOr<Schema>,
    nested: fn(&mut Vec<(String, RefOr<Schema>)>),
}

/// Query parameters as documented.
#[derive(Clone, Copy)]
pub(crate) struct Parameters(fn() -> Vec<Parameter>);

impl Parameters {
    pub(crate) const fn of<T: IntoParams>() -> Self {
        Self(|| T::into_params(|| Some(ParameterIn::Query)))
    }
}

impl Content {
    pub(crate) const fn json<T: ToSchema>() -> Self {
        let body = TypedBody { name: T::name, schema: T::schema, nested: T::schemas };
        Self { media_type: "application/json", body: Body::Typed(body) }
    }

    pub(crate) const fn any_json() -> Self {
        Self { media_type: "application/json", body: Body::AnyJson }
    }

    pub(crate) const fn text(media_type: &'static str) -> Self {
        Self { media_type, body: Body::Text }
    }

    pub(crate) const fn binary(media_type: &'static str) -> Self {
        Self { media_type, body: Body::Binary }
    }

    fn document(self, schemas: &mut Map<String, Value>) -> Value {
        let schema = match self.body {
            Body::Typed(body) => {
                let mut found = vec![((body.name)().into_owned(), (body.schema)())];
                (body.nested)(&mut found);
                for (name, schema) in found {
                    schemas.insert(name, json!(schema));
                }
                reference(&(body.name)())
            }
            Body::AnyJson => json!({ "type": "object" }),
            Body::Text => json!({ "type": "string" }),
            Body::Binary => json!({ "type": "string", "contentMediaType": self.media_type }),
        };
        let mut content = Map::new();
        content.insert(self.media_type.to_owned(), json!({ "schema": schema }));
        Value::Object(content)
    }
}

/// The whole document.
pub(crate) fn document() -> Value {
    let mut schemas = Map::new();
    let problem = Content::json::<Problem>();
    problem.document(&mut schemas);
    let mut paths = Map::new();
    for route in ROUTES.iter().filter(|route| !route.page) {
        let operation = operation(route, &mut schemas);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.verb.name().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": DESCRIPTION,
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": cookie::NAME,
                    "description": COOKIE,
                },
            },
        },
    })
}

fn operation(route: &Route, schemas: &mut Map<String, Value>) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), json!(operation_id(route)));
    operation.insert("summary".to_owned(), json!(route.summary));
    let security = match route.access {
        Access::Open => json!([]),
        Access::OpenIfConfigured(_) => json!([{ "bearer": [] }, { "cookie": [] }, {}]),
        Access::LoggedIn | Access::OneselfOr(_) | Access::Needs(_) => {
            json!([{ "bearer": [] }, { "cookie": [] }])
        }
    };
    operation.insert("security".to_owned(), security);
    if let Some(permission) = route.access.permission() {
        operation.insert("x-permission".to_owned(), json!(permission.name()));
    }
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), Value::Array(parameters));
    }
    if let Some(request) = route.request {
        let content = request.document(schemas);
        let request = json!({ "required": true, "content": content });
        operation.insert("requestBody".to_owned(), request);
    }
    operation.insert("responses".to_owned(), responses(route, schemas));
    Value::Object(operation)
}

fn responses(route: &Route, schemas: &mut Map<String, Value>) -> Value {
    let mut responses = Map::new();
    match route.answer {
        Some(answer) => {
            let content = answer.document(schemas);
            responses
                .insert("200".to_owned(), json!({ "description": "Done", "content": content }));
        }
        None if route.elsewhere => {
            responses.insert("303".to_owned(), json!({ "description": "Elsewhere: Location" }));
        }
        None => {
            responses.insert("204".to_owned(), json!({ "description": "Done" }));
        }
    }
    if may_be_known(route) {
        let unchanged = "Nothing new: it still is what If-None-Match names";
        responses.insert("304".to_owned(), json!({ "description": unchanged }));
    }
    let token = (route.access != Access::Open).then_some(401);
    let problems = [400, 403, 421, 500, 503];
    for status in problems.iter().copied().chain(token).chain(route.problems.iter().copied()) {
        responses.insert(status.to_string(), problem_response(status));
    }
    if route.path == "/readyz" {
        let content = Content::json::<crate::health::Ready>().document(schemas);
        let response = json!({ "description": "Not ready, and why", "content": content });
        responses.insert("503".to_owned(), response);
    }
    Value::Object(responses)
}

/// Whether the answer has an ETag that If-None-Match is compared with.
fn may_be_known(route: &Route) -> bool {
    let is_json = route.answer.is_some_and(|answer| answer.media_type == "application/json");
    route.verb == Verb::Get && is_json && !matches!(route.path, "/livez" | "/readyz")
}

fn problem_response(status: u16) -> Value {
    let description = match status {
        400 => "A parameter or the body is not acceptable",
        401 => "No valid bearer token",
        403 => "Not permitted, or the request is not shown to come from a page of this host",
        404 => "There is no such thing",
        409 => "It does not fit what there is",
        412 => "It is not any more what If-Match says",
        413 => "The body is larger than accepted",
        415 => "The body is not of an accepted type",
        421 => "The Host header is no name of this server",
        428 => "The request does not say which version it replaces",
        429 => "Too many tries failed: later",
        422 => {
            "Understood, but refused: the plugin did not go live, or the broker does not do this"
        }
        503 => "Busy, or not finished in time",
        _ => "A failure of the broker",
    };
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": reference("Problem") } },
    })
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": match name {
                "client_id" => "Client Identifier, percent-encoded (`/` as `%2F`)",
                "topic" => "Topic Name, percent-encoded (`/` as `%2F`)",
                "ring" => "Name of the key ring: NAME of [keys.NAME]",
                "key" => "Number of the key",
                "id" => "Name of the decision, or of the token: 16 hexadecimal digits",
                "user" => "Name of the user",
                "role" => "Name of the role",
                _ => "Name of the plugin: letters, digits, `-` and `_`, at most 64",
            },
            "schema": { "type": "string" },
        }))
    });
    let in_query = route.query.map(|Parameters(parameters)| parameters()).unwrap_or_default();
    let cookie = route.access != Access::Open && route.verb != Verb::Get;
    let general = [(cookie, &CSRF_TOKEN), (may_be_known(route), &IF_NONE_MATCH)];
    let general = general.into_iter().filter_map(|(applies, header)| applies.then_some(header));
    let in_header = route.headers.iter().chain(general).map(|header| {
        json!({
            "name": header.name,
            "in": "header",
            "required": header.required,
            "description": header.description,
            "schema": match header.name {
                "Portcullis-Signature" => json!({ "type": "string", "contentEncoding": "base64" }),
                _ => json!({ "type": "string" }),
            },
        })
    });
    let in_query = in_query.into_iter().map(|parameter| json!(parameter));
    in_path.chain(in_query).chain(in_header).collect()
}

fn operation_id(route: &Route) -> String {
    let words = route.path.trim_start_matches("/api/v1").split(['/', '.']);
    let words = words.map(|word| word.trim_matches(['{', '}'])).filter(|word| !word.is_empty());
    let verb = route.verb.name().to_ascii_lowercase();
    std::iter::once(verb.as_str()).chain(words).collect::<Vec<_>>().join("_")
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

const CSRF_TOKEN: Header = Header {
    name: "X-CSRF-Token",
    description: "The csrf of the login, where its cookie is what shows who asks",
    required: false,
};
const IF_NONE_MATCH: Header = Header {
    name: "If-None-Match",
    description: "ETags of answers that the caller has: 304 in place of the same one",
    required: false,
};

const COOKIE: &str = "The cookie of a login with cookie = true. Whatever is not GET then needs the \
    header X-CSRF-Token with the csrf of the login, and Origin or Sec-Fetch-Site of this host.";

const DESCRIPTION: &str = "Plain HTTP on a loopback address. Every route but the two health checks \
    and the login needs a bearer token: the one that the first start wrote to \
    DATA_DIR/admin.token, or one of a login. Errors are RFC 9457 problem details.";
