use tokio::io::duplex;

use super::*;

const RULES: Rules<'static> = Rules { path: "/mqtt", origins: None };

/// A good request; `change` replaces one of its lines, or adds one.
fn request(change: (&str, &str)) -> String {
    let lines = [
        "GET /mqtt HTTP/1.1",
        "Host: broker.example",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: mqtt",
    ];
    let mut text: Vec<_> = lines.iter().filter(|line| !line.starts_with(change.0)).collect();
    text.push(&change.1);
    if change.1.contains(" HTTP/") {
        text.rotate_right(1);
    }
    let text: Vec<_> = text.into_iter().filter(|line| !line.is_empty()).copied().collect();
    format!("{}\r\n\r\n", text.join("\r\n"))
}

/// What `sent` is answered, and what is left behind it.
async fn answer(sent: &str, rules: Rules<'_>) -> (Result<String, Refused>, Vec<u8>) {
    let (mut client, mut server) = duplex(64 * 1024);
    client.write_all(sent.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut early = Vec::new();
    let result = negotiate(&mut server, &mut early, rules).await;
    drop(server);
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    (result.map(|()| response), early)
}

#[track_caller]
fn accepted(sent: &str, rules: Rules<'_>) {
    accept_text(sent, rules).unwrap_or_else(|refused| panic!("{refused}: {sent}"));
}

#[track_caller]
fn refused(sent: &str, status: &str, sentence: &str) {
    let refused = accept_text(sent, RULES).expect_err(sent);
    assert_eq!(refused.to_string(), sentence);
    let response = refused.response();
    assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{response}");
}

fn accept_text(sent: &str, rules: Rules<'_>) -> Result<String, Refused> {
    let (length, response) = parse(sent.as_bytes(), rules)?.expect("a whole request");
    assert_eq!(length, sent.len());
    Ok(response)
}

/// The example of RFC 6455, section 1.3.
/// Covers 5.0 [MQTT-6.0.0-4], 3.1.1 [MQTT-6.0.0-4].
#[tokio::test]
async fn a_good_request_is_agreed_to() {
    let (result, early) = answer(&format!("{}behind", request(("-", ""))), RULES).await;
    let expect = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                  Sec-WebSocket-Protocol: mqtt\r\n\r\n";
    assert_eq!(result.unwrap(), expect);
    assert_eq!(early, b"behind");
}

#[test]
fn what_clients_may_write_differently() {
    for change in [
        ("GET", "GET /mqtt?token=x HTTP/1.1"),
        ("GET", "GET http://broker.example/mqtt HTTP/1.1"),
        ("Upgrade", "upgrade: WebSocket"),
        ("Connection", "connection: keep-alive, upgrade"),
        ("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: mqttv3.1, mqtt"),
        ("-", "Content-Length: 0"),
        ("-", "Cookie: \u{e9}=1"),
    ] {
        accepted(&request(change), RULES);
    }
}

#[test]
fn what_is_refused_says_why() {
    refused("\u{10}\0\r\n\r\n", "400", "not an HTTP request: invalid token");
    let not_upgrade = "not a request to upgrade to WebSocket: HTTP/1.1 with `Upgrade: websocket`";
    for change in
        [("Upgrade", ""), ("Connection", "Connection: close"), ("GET", "GET /mqtt HTTP/1.0")]
    {
        refused(&request(change), "426", not_upgrade);
    }
    for path in ["/", "/mqtt/", "/mqtt2", "/MQTT"] {
        let sentence = format!("the path {path:?} is not served");
        refused(&request(("GET", &format!("GET {path} HTTP/1.1"))), "404", &sentence);
    }
    refused(&request(("GET", "POST /mqtt HTTP/1.1")), "405", "the method is not GET");
    let version = "the version of WebSocket is not 13";
    refused(&request(("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8")), "426", version);
    let subprotocol = "the subprotocol `mqtt` is not offered [MQTT-6.0.0-3]";
    for change in ["", "Sec-WebSocket-Protocol: wamp, mqttv3.1", "Sec-WebSocket-Protocol: MQTT"] {
        refused(&request(("Sec-WebSocket-Protocol", change)), "400", subprotocol);
    }
    for (name, change) in [
        ("Host", ("Host", "")),
        ("Host", ("-", "Host: other")),
        ("Sec-WebSocket-Key", ("Sec-WebSocket-Key", "")),
        ("Sec-WebSocket-Key", ("Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ=")),
        ("Sec-WebSocket-Key", ("-", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")),
        ("Content-Length", ("-", "Content-Length: 5")),
        ("Transfer-Encoding", ("-", "Transfer-Encoding: chunked")),
    ] {
        let sentence = format!("the field {name} is missing, repeated or malformed");
        refused(&request(change), "400", &sentence);
    }
}

#[test]
fn origins() {
    let allowed = ["https://app.example".to_owned(), "null".to_owned()];
    let rules = Rules { origins: Some(&allowed), ..RULES };
    for origin in ["Origin: https://app.example", "origin: HTTPS://APP.example", "Origin: null", ""]
    {
        accepted(&request(("-", origin)), rules);
    }
    for origin in ["https://app.example:8443", "http://app.example", "https://evil.example", ""] {
        let found = accept_text(&request(("-", &format!("Origin: {origin}"))), rules).unwrap_err();
        assert_eq!(found.to_string(), format!("the origin {origin:?} is not allowed"));
        assert!(found.response().starts_with("HTTP/1.1 403 "));
        // What came from outside is not sent back.
        assert!(!found.response().contains("evil"));
    }
    let twice = request(("-", "Origin: https://app.example\r\nOrigin: https://evil.example"));
    assert!(matches!(accept_text(&twice, rules), Err(Refused::Field("Origin"))));
    // Without a list every origin may.
    accepted(&request(("-", "Origin: https://evil.example")), RULES);
}

#[tokio::test]
async fn a_request_is_bounded() {
    let long = request(("-", &format!("Cookie: {}", "x".repeat(HEAD_BYTES_MAX))));
    // Also when its end never comes.
    for sent in [&long[..], &long[..HEAD_BYTES_MAX + 100]] {
        let (result, _) = answer(sent, RULES).await;
        assert!(matches!(result, Err(Refused::TooLarge)), "{result:?}");
    }
    let many = request(("-", &vec!["X: y"; HEADERS_MAX].join("\r\n")));
    let (result, _) = answer(&many, RULES).await;
    let refused = result.unwrap_err();
    assert!(refused.response().starts_with("HTTP/1.1 431 "), "{refused}");
    let (result, _) = answer("GET /mqtt HTTP/1.1\r\nHost", RULES).await;
    let refused = result.unwrap_err();
    assert!(matches!(refused, Refused::Network(io::ErrorKind::UnexpectedEof)), "{refused}");
}
