//! Which replies are replies.

use portcullis_plugin::Activity;

use super::*;

/// A response with this body.
pub(crate) fn response(status: u16, content_type: &str, body: &str) -> Response {
    let headers = vec![("content-type".to_owned(), content_type.to_owned())];
    Response { status, headers, body: body.as_bytes().to_vec() }
}

fn json(body: &str) -> Result<Reply, Error> {
    read(Ok(response(200, "application/json; charset=utf-8", body)), NoContent::Error)
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "as it was answered")]
fn error(answer: Result<Reply, Error>) {
    assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
}

#[test]
fn a_whole_reply() {
    let reply = json(
        r#"{"result":"allow","is_superuser":true,"client_attrs":{"tenant":"a"},"expire_at":2000,
            "acl":[{"permission":"deny","action":"all","topic":"x/#"}],"groups":["g"],"ttl":7}"#,
    )
    .unwrap();
    assert_eq!((reply.result, reply.is_superuser, reply.ttl), (Word::Allow, true, Some(7)));
    assert_eq!(reply.end(1_000).unwrap(), Some(2_000));
    let all = Activity::PUBLISH | Activity::SUBSCRIBE;
    assert_eq!(reply.rules().unwrap().unwrap(), [Rule::deny(all, "x/#")]);
    for (word, expected) in [("deny", Word::Deny), ("ignore", Word::Ignore)] {
        assert_eq!(json(&format!("{{\"result\":\"{word}\"}}")).unwrap().result, expected);
    }
}

#[test]
fn nothing_else_is_a_word() {
    for body in [
        "",
        "allow",
        "\"allow\"",
        "[]",
        "{}",
        r#"{"result":null}"#,
        r#"{"result":true}"#,
        r#"{"result":"Allow"}"#,
        r#"{"result":"allowed"}"#,
        r#"{"result":"allow","result":"deny"}"#,
        r#"{"result":"allow"} x"#,
        r#"{"result":"allow""#,
        r#"{"result":"allow","is_superuser":"true"}"#,
        r#"{"result":"allow","is_superuser":1}"#,
        r#"{"result":"allow","expire_at":"2000"}"#,
        r#"{"result":"allow","expire_at":-1}"#,
        r#"{"result":"allow","client_attrs":{"a":1}}"#,
        r#"{"result":"allow","acls":[]}"#,
        r#"{"result":"allow","clientid_override":"x"}"#,
        r#"{"result":"ignore","acls":[]}"#,
    ] {
        error(json(body));
    }
    let good = r#"{"result":"allow"}"#;
    for status in [100, 201, 202, 203, 204, 206, 301, 302, 304, 400, 401, 403, 404, 429, 500, 503] {
        error(read(Ok(response(status, "application/json", good)), NoContent::Error));
    }
    for content_type in ["text/html", "text/plain", "", "application/jsonx", "application"] {
        error(read(Ok(response(200, content_type, good)), NoContent::Error));
    }
    let mut two = response(200, "application/json", good);
    two.headers.push(("content-type".to_owned(), "text/html".to_owned()));
    error(read(Ok(two), NoContent::Error));
    let mut none = response(200, "", good);
    none.headers.clear();
    error(read(Ok(none), NoContent::Error));
}

#[test]
fn no_reply_is_an_error() {
    use http_client::Error as Http;
    for failure in [
        Http::Denied(String::new()),
        Http::Timeout,
        Http::TooLarge(String::new()),
        Http::Connection(String::new()),
        Http::Busy,
    ] {
        assert!(read(Err(failure), NoContent::Allow).is_err());
    }
}

#[test]
fn no_content_is_an_allow_only_where_that_was_agreed_on() {
    let nothing = || Response { status: 204, headers: Vec::new(), body: Vec::new() };
    let reply = read(Ok(nothing()), NoContent::Allow).unwrap();
    assert_eq!(reply, Reply { result: Word::Allow, ..Reply::default() });
    error(read(Ok(nothing()), NoContent::Error));
    error(read(Ok(Response { status: 205, ..nothing() }), NoContent::Allow));
}

#[test]
fn ends_lie_ahead_and_are_in_seconds() {
    for (end, is_good) in
        [(1_001, true), (1_000, false), (0, false), (1_706_844_358_000_u64, false)]
    {
        let reply = json(&format!("{{\"result\":\"allow\",\"expire_at\":{end}}}")).unwrap();
        assert_eq!(reply.end(1_000).is_ok(), is_good, "{end}");
    }
}

#[test]
fn rules_that_are_not_understood_are_errors() {
    for acl in [
        r#"{"all":["x"]}"#,
        r#"[{"permission":"allow","action":"all","topic":"x","ipaddr":"10.0.0.0/8"}]"#,
        r#""all""#,
    ] {
        let reply = json(&format!("{{\"result\":\"allow\",\"acl\":{acl}}}")).unwrap();
        assert!(reply.rules().is_err(), "{acl}");
    }
}

#[test]
fn forms_are_replies_too() {
    let form = |body: &str| {
        read(Ok(response(200, "application/x-www-form-urlencoded", body)), NoContent::Error)
    };
    let reply = form("result=allow&is_superuser=true&expire_at=2000").unwrap();
    assert_eq!((reply.result, reply.is_superuser), (Word::Allow, true));
    assert_eq!(reply.expire_at, Some(2_000));
    for body in [
        "",
        "result",
        "result=yes",
        "is_superuser=true",
        "result=allow&is_superuser=1",
        "result=allow&result=deny",
        "result=allow&expire_at=x",
        "result=allow&acl=x",
    ] {
        error(form(body));
    }
}
