//! Shapes, and the message of OAUTHBEARER.

use super::*;

#[test]
fn shapes() {
    for (text, expected) in [
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", Shape::Jwt),
        // Without a signature it is one all the same: refused, not passed on.
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", Shape::Jwt),
        ("ewogICJhbGciOiAiUlMyNTYiCn0.e30.c2ln", Shape::Jwt),
        // A password with two dots.
        ("a.b.c", Shape::Opaque),
        ("eyJh.b", Shape::Opaque),
        ("eyJh.b.c.d.e", Shape::Opaque),
        ("ory_at_Xz-0_~+/=", Shape::Opaque),
        ("open sesame", Shape::Other),
        ("geheimnis!", Shape::Other),
        ("a=b", Shape::Other),
        ("=", Shape::Other),
        ("", Shape::Other),
        ("ä", Shape::Other),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
    assert_eq!(shape(&"a".repeat(TOKEN_BYTES_MAX)), Shape::Opaque);
    assert_eq!(shape(&"a".repeat(TOKEN_BYTES_MAX + 1)), Shape::Other);
}

#[test]
fn authentication_data() {
    assert_eq!(of_auth("OAUTH2-JWT", b"token"), Some("token"));
    assert_eq!(of_auth("OAUTH2-JWT", b"\xFF"), None);
    let bearer = |text: &'static str| of_auth("OAUTHBEARER", text.as_bytes());
    assert_eq!(bearer("n,a=alice,\u{1}host=x\u{1}auth=Bearer t.o.k\u{1}\u{1}"), Some("t.o.k"));
    assert_eq!(bearer("n,,\u{1}auth=bearer t\u{1}\u{1}"), Some("t"));
    for text in [
        "t.o.k",
        "p=tls-unique,,\u{1}auth=Bearer t\u{1}\u{1}",
        "n,,\u{1}auth=Basic t\u{1}\u{1}",
        "n,,\u{1}auth=Bearer\u{1}\u{1}",
        "n,,\u{1}auth=Bearer a\u{1}auth=Bearer b\u{1}\u{1}",
        "",
    ] {
        assert_eq!(bearer(text), None, "{text:?}");
    }
}
