//! What goes out.

use serde_json::json;

use super::*;
use crate::settings::Question;

fn question(config: Value) -> Checked {
    let question: Question = serde_json::from_value(config).unwrap();
    question.check("authenticate", &Variable::OF_CONNECT).unwrap()
}

/// Every value is the same.
fn asked(config: Value, value: &str) -> Option<Request> {
    request(&question(config), |_| value)
}

#[test]
fn a_value_is_never_more_than_a_value() {
    let config = || {
        json!({"url": "https://a.example/u/${username}?id=${clientid}",
                           "body": {"p": "${password}", "deep": [{"x": "a${username}b"}, 7]}})
    };
    let nasty = "x/../\"},{\"&a=b#\r\n";
    let request = asked(config(), nasty).unwrap();
    let escaped = "x%2F..%2F%22%7D%2C%7B%22%26a%3Db%23%0D%0A";
    assert_eq!(request.url, format!("https://a.example/u/{escaped}?id={escaped}"));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body, json!({"p": nasty, "deep": [{"x": format!("a{nasty}b")}, 7]}));
    let form = json!({"url": "https://a.example/", "body_format": "form",
                      "body": {"a": "${username}", "b c": "d"}});
    let request = asked(form, nasty).unwrap();
    assert_eq!(String::from_utf8(request.body).unwrap(), format!("a={escaped}&b%20c=d"));
}

#[test]
fn no_value_leaves_the_path() {
    let config = || json!({"url": "https://a.example/u/${username}/x", "method": "GET"});
    for dots in [".", ".."] {
        assert_eq!(asked(config(), dots), None);
    }
    for fine in ["...", "a..", "..%2f", ""] {
        assert!(asked(config(), fine).is_some(), "{fine}");
    }
}

#[test]
fn headers_are_the_operators_and_secrets_are_named() {
    let config = json!({"url": "https://a.example/", "body": {}, "headers": {
        "Content-Type": "application/vnd.x+json",
        "Authorization": {"prefix": "Bearer ", "secret": "s"}
    }});
    let request = asked(config, "x").unwrap();
    let text = |value: &str| HeaderValue::Text(value.to_owned());
    let secret = HeaderValue::Secret(("Bearer ".to_owned(), "s".to_owned()));
    let headers: Vec<_> =
        request.headers.into_iter().map(|header| (header.name, header.value)).collect();
    let expected = [
        ("authorization", secret),
        ("content-type", text("application/vnd.x+json")),
        ("accept", text("application/json")),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(headers, expected);
    let get = asked(json!({"url": "https://a.example/", "method": "GET"}), "x").unwrap();
    assert_eq!((&*get.method, get.body.len(), get.headers.len()), ("GET", 0, 1));
}

#[test]
fn a_password_is_found_wherever_it_stands() {
    for body in [json!({"p": "${password}"}), json!({"a": [{"b": "x${password}"}]})] {
        assert!(has(&body, Variable::Password), "{body}");
    }
    for body in [json!({"p": "password"}), json!({"${password}": "x"}), json!({"p": 7})] {
        assert!(!has(&body, Variable::Password), "{body}");
    }
}
