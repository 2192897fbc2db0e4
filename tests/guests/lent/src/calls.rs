//! From a name and arguments to a call of the host, and its result as text: `ok: ...`, or the error as
//! it is printed for developers.

use std::fmt::Debug;

use portcullis_plugin::host::{
    broker, cache_control,
    http_client::{self, Header, HeaderValue, Request},
    jwt, keys,
    ldap::{self, Search},
    metrics, secrets,
    sql::{self, Value},
    state,
};

/// What came of it.
pub(crate) fn call(function: &str, arguments: &[&str]) -> String {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or_default();
    let bytes = |at: usize| argument(at).as_bytes();
    let rest = arguments.get(2..).unwrap_or_default();
    let ttl = |at: usize| argument(at).parse().ok();
    match function {
        "secrets.names" => ok(secrets::names()),
        "secrets.reveal" => text(secrets::reveal(argument(0))),
        "keys.hmac" => hex(keys::hmac(keys::Hash::Sha256, argument(0), bytes(1))),
        "keys.seal" => hex(keys::seal(argument(0), bytes(1), bytes(2))),
        "keys.open" => text(keys::open(argument(0), &unhex(argument(1)), bytes(2))),
        "keys.seal-for" => hex(keys::seal_for(argument(0), argument(1), bytes(2), bytes(3))),
        "keys.open-for" => {
            text(keys::open_for(argument(0), argument(1), &unhex(argument(2)), bytes(3)))
        }
        "jwt.verify" => told(jwt::verify(argument(0), argument(1))),
        "metrics.add" => {
            metrics::add(argument(0), 1);
            ok(())
        }
        "metrics.set" => {
            metrics::set(argument(0), 1.5);
            ok(())
        }
        "metrics.observe" => {
            metrics::observe(argument(0), 0.2);
            ok(())
        }
        "state.get" => told(
            state::get(argument(0))
                .map(|found| found.map(|entry| String::from_utf8_lossy(&entry.value).into_owned())),
        ),
        "state.version" => told(state::get(argument(0)).map(|found| found.map(|it| it.version))),
        "state.set" => told(state::set(argument(0), bytes(1), ttl(2))),
        "state.large" => told(state::set(argument(0), &vec![b'x'; number(argument(1))], None)),
        "state.cas" => {
            let expected = argument(1).parse().ok();
            told(state::compare_and_set(argument(0), expected, bytes(2), None))
        }
        "state.increment" => {
            told(state::increment(argument(0), argument(1).parse().unwrap_or_default(), ttl(2)))
        }
        "state.delete" => told(state::delete(argument(0))),
        "http" => http(arguments),
        "sql.query" => rows(sql::query(argument(0), argument(1), &values(rest))),
        "sql.execute" => told(sql::execute(argument(0), argument(1), &values(rest))),
        "ldap.bind" => told(ldap::bind(argument(0), argument(1), bytes(2))),
        "ldap.compare" => told(ldap::compare(argument(0), argument(1), argument(2), bytes(3))),
        "ldap.search" => search(arguments),
        "ldap.escape" => ok(ldap::escape_dn(argument(0))),
        "cache.client" => {
            cache_control::invalidate_client(argument(0));
            ok(())
        }
        "cache.principal" => {
            cache_control::invalidate_principal(argument(0));
            ok(())
        }
        "cache.all" => {
            cache_control::invalidate_all();
            ok(())
        }
        "broker.publish" => told(broker::publish(&message(argument(0), bytes(1)))),
        "broker.disconnect" => told(broker::disconnect(argument(0), number(argument(1)) as u8)),
        "broker.subscriptions" => told(broker::subscriptions(argument(0))),
        other => format!("no function {other}"),
    }
}

/// A kind and a value each: `text:alice`, `null:`, `blob:00ff`.
fn values(arguments: &[&str]) -> Vec<Value> {
    let value = |argument: &&str| match argument.split_once(':') {
        Some(("null", _)) => Value::Null,
        Some(("boolean", value)) => Value::Boolean(value == "true"),
        Some(("integer", value)) => Value::Integer(value.parse().unwrap_or_default()),
        Some(("real", value)) => Value::Real(value.parse().unwrap_or_default()),
        Some(("blob", value)) => Value::Blob(unhex(value)),
        Some((_, value)) => value.into(),
        None => (*argument).into(),
    };
    arguments.iter().map(value).collect()
}

/// Names of the columns, number of rows, and the rows, the begin of it all.
fn rows(result: Result<sql::Rows, sql::Error>) -> String {
    match result {
        Ok(rows) => {
            let values = format!("{:?}", rows.rows).replace("Value::", "");
            format!("ok: {:?} {} {values:.2000}", rows.columns, rows.rows.len())
        }
        Err(error) => format!("{error:?}"),
    }
}

/// Source, base, filter, values. The attributes that come are shown as text.
fn search(arguments: &[&str]) -> String {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or_default();
    let search = Search {
        base: argument(1),
        scope: ldap::Scope::Subtree,
        filter: argument(2),
        values: arguments.get(3..).unwrap_or_default(),
        attributes: &["cn", "mail"],
    };
    match ldap::search(argument(0), search) {
        Ok(entries) => {
            let shown = entries.iter().map(|entry| {
                let attributes = entry.attributes.iter().map(|(name, values)| {
                    let values = values.iter().map(|value| String::from_utf8_lossy(value));
                    format!("{name}={}", values.collect::<Vec<_>>().join("|"))
                });
                format!("{} {}", entry.dn, attributes.collect::<Vec<_>>().join(" "))
            });
            format!("ok: {} {:.2000}", entries.len(), shown.collect::<Vec<_>>().join("; "))
        }
        Err(error) => format!("{error:?}"),
    }
}

/// Method, URL, timeout in ms or nothing, body, then headers: `name: value` or `name: value$SECRET`.
fn http(arguments: &[&str]) -> String {
    let argument = |at: usize| arguments.get(at).copied().unwrap_or_default();
    let headers = arguments.iter().skip(4).filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let value = match value.split_once('$') {
            Some((before, secret)) => HeaderValue::Secret((before.to_owned(), secret.to_owned())),
            None => HeaderValue::Text(value.replace("\\r\\n", "\r\n")),
        };
        Some(Header { name: name.to_owned(), value })
    });
    let request = Request {
        method: argument(0).to_owned(),
        url: argument(1).to_owned(),
        timeout_ms: argument(2).parse().ok(),
        body: argument(3).as_bytes().to_vec(),
        headers: headers.collect(),
    };
    match http_client::send(&request) {
        Ok(response) => {
            let body = String::from_utf8_lossy(&response.body).into_owned();
            format!("ok: {} {} {body:.300}", response.status, response.body.len())
        }
        Err(error) => format!("{error:?}"),
    }
}

fn message(topic: &str, payload: &[u8]) -> broker::Message {
    broker::Message {
        topic: topic.to_owned(),
        payload: payload.to_vec(),
        qos: broker::Qos::AtMostOnce,
        retain: false,
        payload_is_utf8: true,
        message_expiry_seconds: None,
        content_type: Some("text/plain".to_owned()),
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    }
}

fn ok(value: impl Debug) -> String {
    format!("ok: {value:?}")
}

fn told<T: Debug, E: Debug>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => ok(value),
        Err(error) => format!("{error:?}"),
    }
}

fn text<E: Debug>(result: Result<Vec<u8>, E>) -> String {
    told(result.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn hex<E: Debug>(result: Result<Vec<u8>, E>) -> String {
    match result {
        Ok(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(error) => format!("{error:?}"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).filter_map(byte).collect()
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_default()
}
