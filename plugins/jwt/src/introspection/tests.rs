//! What is asked, and which answers are answers.

use serde_json::json;

use super::*;
use crate::settings::tests::settings;

#[expect(clippy::needless_pass_by_value, reason = "as `json!` gives it")]
fn introspection(more: Value) -> Introspection {
    let mut all = json!({"url": "https://idp.example/introspect", "audience": ["mqtt"],
                         "authorization": {"prefix": "Basic ", "secret": "idp"}});
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    settings(json!({"introspection": all})).introspection.unwrap()
}

#[test]
fn a_token_is_escaped_and_the_secret_only_named() {
    let request = request(&introspection(json!({})), "a+b/c&active=true");
    let body = String::from_utf8(request.body).unwrap();
    assert_eq!(body, "token=a%2Bb%2Fc%26active%3Dtrue&token_type_hint=access_token");
    assert_eq!((&*request.method, request.timeout_ms), ("POST", Some(1_500)));
    let authorization = request.headers.iter().find(|it| it.name == "authorization").unwrap();
    let secret = HeaderValue::Secret(("Basic ".to_owned(), "idp".to_owned()));
    assert_eq!(authorization.value, secret);
}

fn says(status: u16, body: &str) -> Result<Option<Claims>, Error> {
    answer(Ok(Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }))
}

#[test]
fn only_a_clear_word_is_an_answer() {
    assert!(says(200, r#"{"active":true,"sub":"a"}"#).unwrap().is_some());
    assert!(says(200, r#"{"active":false}"#).unwrap().is_none());
    for (status, body) in [
        (200, ""),
        (200, "[]"),
        (200, "{}"),
        (200, r#"{"active":"true"}"#),
        (200, r#"{"active":1}"#),
        (200, r#"{"active":null}"#),
        (200, r#"{"active":true"#),
        (201, r#"{"active":true}"#),
        (204, ""),
        (302, r#"{"active":true}"#),
        (401, r#"{"active":true}"#),
        (500, r#"{"active":true}"#),
    ] {
        let error = says(status, body).unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{status} {body}: {error:?}");
    }
    use http_client::Error as Http;
    for error in [
        Http::Denied(String::new()),
        Http::Timeout,
        Http::TooLarge(String::new()),
        Http::Connection(String::new()),
        Http::Busy,
    ] {
        assert!(answer(Err(error)).is_err());
    }
}

#[test]
fn a_token_is_for_us_and_holds_now() {
    let check = |more: Value, claims: Value| {
        let Value::Object(claims) = claims else { panic!("no object") };
        check(&introspection(more), &Claims(claims), 1_000)
    };
    let plain = || json!({});
    assert_eq!(check(plain(), json!({"aud": "mqtt", "exp": 1_060})), Ok(1_060));
    assert_eq!(check(plain(), json!({"aud": ["a", "mqtt"]})), Ok(4_600));
    assert_eq!(check(plain(), json!({"aud": "mqtt", "exp": 99_999})), Ok(4_600));
    assert_eq!(check(json!({"valid_seconds_max": 10}), json!({"aud": "mqtt"})), Ok(1_010));
    assert_eq!(check(json!({"audience": []}), plain()), Ok(4_600));
    assert_eq!(check(plain(), json!({"aud": "mqtt", "nbf": 1_005})), Ok(4_600));
    let issuer = || json!({"issuer": "idp"});
    assert_eq!(check(issuer(), json!({"aud": "mqtt", "iss": "idp"})), Ok(4_600));
    for (more, claims, what) in [
        (plain(), json!({}), "audience"),
        (plain(), json!({"aud": "other"}), "audience"),
        (plain(), json!({"aud": []}), "audience"),
        (plain(), json!({"aud": "mqtt", "exp": 1_000}), "expired"),
        (plain(), json!({"aud": "mqtt", "exp": "soon"}), "no time"),
        (plain(), json!({"aud": "mqtt", "nbf": 1_006}), "not hold yet"),
        (issuer(), json!({"aud": "mqtt"}), "issuer"),
        (issuer(), json!({"aud": "mqtt", "iss": "other"}), "issuer"),
    ] {
        let error = check(more, claims.clone()).unwrap_err();
        assert!(error.contains(what), "{claims}: {error}");
    }
}
