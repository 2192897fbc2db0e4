//! The bundled plugin `x509` from end to end: who a certificate makes of a client, over mTLS.

use codec::{Connect, Packet, ProtocolVersion::V5, ReasonCode};
use portcullis_tests::{Authority, Client, Holder, Wish, forgetful, handshake};

use super::{
    documented::documented,
    folder::{Folder, bundled},
    knock::publish,
    process::Program,
};

const DENIED: ReasonCode = ReasonCode::NotAuthorized;
const GOOD: ReasonCode = ReasonCode::Success;

/// The listener of the page.
pub(super) fn listener() -> String {
    documented("secure/x509.md", "portcullis.toml").replace("0.0.0.0:8883", "127.0.0.1:0")
}

/// A folder with the files that the listener of the page names.
pub(super) fn folder(authority: &Authority, listener: &str) -> Folder {
    let folder = Folder::new();
    folder.configure(listener);
    let server = authority.server();
    folder.write("server.pem", &server.chain);
    folder.write("server.key", &server.key);
    folder.write("ca.pem", authority.pem());
    folder
}

pub(super) fn device(authority: &Authority, name: &str, unit: Option<&str>) -> Holder {
    authority.certify(&Wish { common_names: &[name], unit, serial: 20, ..Wish::default() })
}

/// The answer to a CONNECT over TLS with this certificate; `None` = the connection ended before.
pub(super) async fn knock(
    program: &Program,
    authority: &Authority,
    holder: Option<&Holder>,
    connect: Connect,
) -> Option<(ReasonCode, Client)> {
    let stream = handshake(&forgetful(authority, holder), program.listener("tls")).await.ok()?;
    let mut client = Client::over(stream, connect.version);
    client.name.clone_from(&connect.client_id);
    let mut bytes = Vec::new();
    Packet::Connect(Box::new(connect)).encode(V5, &mut bytes);
    client.try_send_bytes(&bytes).await;
    let code = client.next(|packet| match packet {
        Packet::ConnAck(connack) => connack.reason_code,
        other => panic!("{other:?} instead of CONNACK"),
    });
    let code = code.await?;
    Some((code, client))
}

#[tokio::test]
async fn the_documented_configuration() {
    let authority = Authority::root("root");
    let folder = folder(&authority, &listener());
    let manifest = documented("secure/x509.md", "plugins/x509.toml");
    folder.install_with("x509", &bundled("x509"), &manifest);
    let program = Program::start(&folder.config()).await;
    let code = async |holder: &Holder, client_id: &str| {
        let connect = Connect::new(V5, client_id);
        knock(&program, &authority, Some(holder), connect).await.map(|(code, _)| code)
    };
    let press = device(&authority, "press-1", Some("presses"));
    // Whoever it says it is: the certificate says press-1.
    let connect = Connect {
        username: Some("admin".to_owned()),
        password: Some(b"x".to_vec()),
        ..Connect::new(V5, "press-1")
    };
    let (code_of_press, mut client) =
        knock(&program, &authority, Some(&press), connect).await.expect("an answer");
    assert_eq!(code_of_press, GOOD);
    for (topic, expected) in [
        ("plant/presses/press-1/state", GOOD),
        ("plant/presses/press-1/setpoint", DENIED),
        ("plant/presses/press-2/state", DENIED),
        ("plant/presses/admin/state", DENIED),
        ("announcements/x", DENIED),
    ] {
        assert_eq!(publish(&mut client, topic).await, expected, "{topic}");
    }
    let shown = program.api().get("/api/v1/clients/press-1").await.expect(200).json();
    assert_eq!(shown["principal"], "press-1", "{shown}");
    // The client identifier of another.
    assert_eq!(code(&press, "press-2").await, Some(DENIED));
    assert_eq!(code(&device(&authority, "press-2", None), "press-2").await, Some(GOOD));
    for name in ["a+b", "#", "a/b", "*.example", "", " "] {
        let holder = device(&authority, name, Some("presses"));
        let client_id = if name.is_empty() { "x" } else { name };
        assert_eq!(code(&holder, client_id).await, Some(DENIED), "{name:?}");
    }
    let two = Wish { common_names: &["press-1", "press-2"], serial: 5, ..Wish::default() };
    for client_id in ["press-1", "press-2"] {
        assert_eq!(code(&authority.certify(&two), client_id).await, Some(DENIED), "{client_id}");
    }
    // The listener refuses these before anybody else sees them.
    for name in ["press-1\0.evil", "press-1\n", "\u{1b}[2J"] {
        assert_eq!(code(&device(&authority, name, None), "press-1").await, None, "{name:?}");
    }
    let stranger = device(&Authority::root("root"), "press-1", Some("presses"));
    assert_eq!(code(&stranger, "press-1").await, None);
    let connect = Connect::new(V5, "press-1");
    assert!(knock(&program, &authority, None, connect).await.is_none(), "without a certificate");
    program.logged("the client identifier is another than the certificate's").await;
}

/// Two authorities on one listener, names out of URIs, and clients without a certificate.
#[tokio::test]
async fn fields_authorities_and_no_certificate() {
    const MANIFEST: &str = r#"
[config]
principal = "san-uri"
prefix = "spiffe://acme.example/"
issuers = ["CN=one"]
no_certificate = "NONE"
[[config.permissions]]
where = { issuer = "CN=one", serial = "07" }
rules = [{ allow = "publish", topic = "of/${username}" }]
"#;
    let (one, other) = (Authority::root("one"), Authority::root("other"));
    let listener = format!("{}client_auth = \"optional\"\n", listener());
    let folder = folder(&one, &listener);
    folder.write("ca.pem", format!("{}{}", one.pem(), other.pem()));
    folder.install_with("x509", &bundled("x509"), &MANIFEST.replace("NONE", "deny"));
    let program = Program::start(&folder.config()).await;
    let wish = |serial, uris| Wish { uris, serial, ..Wish::default() };
    let enter = async |holder: Option<&Holder>, client_id: &str| {
        let connect = Connect::new(V5, client_id);
        knock(&program, &one, holder, connect).await.expect("an answer")
    };
    let (code, mut client) =
        enter(Some(&one.certify(&wish(7, &["spiffe://acme.example/w1"]))), "a").await;
    assert_eq!(code, GOOD);
    assert_eq!(publish(&mut client, "of/w1").await, GOOD);
    let (_, mut client) =
        enter(Some(&one.certify(&wish(8, &["spiffe://acme.example/w2"]))), "b").await;
    assert_eq!(publish(&mut client, "of/w2").await, DENIED, "another serial number");
    for uris in [
        &["spiffe://acme.example/a/b"][..],
        &["spiffe://acme.example/"],
        &["spiffe://evil.example/w1"],
        &["spiffe://acme.example/w1", "spiffe://acme.example/w2"],
        &[],
    ] {
        let (code, _) = enter(Some(&one.certify(&wish(7, uris))), "c").await;
        assert_eq!(code, DENIED, "{uris:?}");
    }
    // Trusted by the listener, but not to speak for these.
    let of_other = other.certify(&wish(7, &["spiffe://acme.example/w1"]));
    assert_eq!(enter(Some(&of_other), "d").await.0, DENIED);
    assert_eq!(enter(None, "e").await.0, DENIED);
    program.logged("there is no client certificate").await;
    // As the manifest says by now, others may judge who has none: the guest lets everybody in.
    folder.write("plugins/x509.toml", MANIFEST.replace("NONE", "next"));
    let open = super::folder::guest("good");
    folder.install_with("open", &open, "order = 900\n[config]\nanyone = true\n");
    super::eventually::until("others are asked", async || enter(None, "e").await.0 == GOOD).await;
    assert_eq!(enter(Some(&of_other), "d").await.0, DENIED);
}
