//! The bundled plugin `ldap` with OpenLDAP behind it: who gets in, with which permissions, what a client
//! cannot make of its name, and what happens while the directory is away.

mod outages;
mod people;

use std::sync::atomic::{AtomicUsize, Ordering};

use codec::{Connect, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::{Client, packets};

use self::people::{ANN, METER, entries};
use super::{
    documented::documented,
    eventually::eventually,
    folder::{Folder, bundled},
    knock::{enter, knock, login, publish},
    process::Program,
    servers::{OpenLdap, Relay},
};

const BAD: ReasonCode = ReasonCode::BadUserNameOrPassword;
const DENIED: ReasonCode = ReasonCode::NotAuthorized;
const GOOD: ReasonCode = ReasonCode::Success;
/// Guesses come often here.
const PATIENT: &str = "[limits.login_backoff]\nfree_failures = 100\n";

/// A folder with the plugin and this source.
fn folder(source: &str, manifest: &str) -> Folder {
    let folder = Folder::new();
    folder.configure_more(source);
    folder.configure_more(PATIENT);
    folder.install_with("ldap", &bundled("ldap"), manifest);
    folder
}

async fn started(source: &str, manifest: &str) -> (Folder, Program) {
    let folder = folder(source, manifest);
    let program = Program::start(&folder.config()).await;
    (folder, program)
}

/// What the page says, with more lines at the begin of `[config]`.
fn manifest(more: &str) -> String {
    documented("secure/ldap.md", "plugins/ldap.toml")
        .replace("[config]\n", &format!("[config]\n{more}"))
}

/// The answer to a login, each under another client identifier: a session belongs to its principal.
async fn code(program: &Program, user: &str, password: &str) -> ReasonCode {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let client_id = format!("login-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    knock(program.mqtt(), login(&client_id, (user, password))).await.0
}

/// Topics, and whether they may be published to.
async fn may_publish(client: &mut Client, cases: &[(&str, ReasonCode)]) {
    for (topic, expected) in cases {
        assert_eq!(publish(client, topic).await, *expected, "{} to {topic}", client.name);
    }
}

/// With StartTLS, as it stands on the page.
#[tokio::test]
async fn the_documented_configuration() {
    let server = OpenLdap::start_with(&entries()).await;
    let page = documented("secure/ldap.md", "portcullis.toml");
    let url = format!("ldap://localhost:{}", server.port);
    let source = page.replace("ldaps://directory.example", &url).replace(
        "\"file:/etc/portcullis/secrets/directory\"",
        &format!("{:?}", super::servers::directory_password()),
    );
    let (_folder, program) =
        started(&format!("{source}{}", server.authority()), &manifest("")).await;
    let mut ann = enter(program.mqtt(), login("a", ANN)).await;
    let cases = [("plant/a", GOOD), ("plant/safety/a", DENIED), ("users/ann/x", GOOD)];
    may_publish(&mut ann, &cases).await;
    may_publish(&mut ann, &[("users/bea/x", DENIED), ("meters/a/x", DENIED)]).await;
    let mut meter = enter(program.mqtt(), login("m7", METER)).await;
    may_publish(&mut meter, &[("meters/m7/x", GOOD), ("meters/m8/x", DENIED)]).await;
    meter.send(packets::qos2(9, "meters/m7/x", "x")).await;
    assert_eq!(meter.pubrec(9).await, DENIED);
    let mut bea = enter(program.mqtt(), login("b", ("bea", "bea's own"))).await;
    may_publish(&mut bea, &[("users/bea/x", GOOD), ("plant/a", DENIED)]).await;
    for (user, password) in [("ann", "wrong"), ("ann", ""), ("nobody", "ann's own"), ("", "x")] {
        assert_eq!(code(&program, user, password).await, BAD, "{user} {password}");
    }
    // Nobody who says no name is this plugin's: the end of the chain.
    assert_eq!(knock(program.mqtt(), Connect::new(V5, "c")).await.0, DENIED);
    let told = program.log_text();
    for secret in ["ann's own", super::servers::directory_password()] {
        assert!(!told.contains(secret), "{secret} is in the log");
    }
}

/// What would be part of a filter or of a name if anybody put it there.
#[tokio::test]
async fn names_are_never_more_than_names() {
    let server = OpenLdap::start_with(&entries()).await;
    let (_folder, program) = started(&server.plain(), &manifest("")).await;
    for name in [
        "*",
        "a*",
        "ann*",
        "*)(uid=*",
        "ann)(uid=*",
        "ann)(objectClass=*",
        "ann))(|(uid=ann",
        "*)(objectClass=*))(&(uid=ann",
        "\\61nn",
        "\\2a",
        "ann\\00",
        "ann\\",
        "(uid=ann)",
        "uid=ann",
        "ann,ou=people",
        "uid=ann,ou=people,dc=example",
        "ANN",
        "Ann",
        " ann",
        "ann ",
        "a nn",
        "{}",
        "{user}",
        "ann\u{1}",
        "ann\n",
        "ann\u{7f}",
        "ﬁann",
        "ann\u{200b}",
        "annn",
        "an",
    ] {
        assert_eq!(code(&program, name, ANN.1).await, BAD, "{name:?}");
    }
    let long = "ann".repeat(100);
    assert_eq!(code(&program, &long, ANN.1).await, BAD);
    for password in [&b"ann's own\0"[..], b"\0", b"\0ann's own", b"ann's own\0x", b"\xff"] {
        let connect = Connect { password: Some(password.to_vec()), ..login("a", ANN) };
        assert_eq!(knock(program.mqtt(), connect).await.0, BAD, "{password:?}");
    }
    // The same characters where they belong to the name; the group is found by a name with escapes.
    for name in people::STRANGE {
        let mut client = enter(program.mqtt(), login(name, (name, "strange"))).await;
        client.name = name.to_owned();
        may_publish(&mut client, &[("plant/x", GOOD)]).await;
        client.leave().await;
    }
    assert_eq!(code(&program, "twin", "twin").await, BAD, "two have this name");
}

/// Round trips to the directory, by kind.
#[tokio::test]
async fn who_exists_is_not_told_by_work() {
    let server = OpenLdap::start_with(&entries()).await;
    let relay = Relay::start(server.port).await;
    let source = server.source(&format!("ldap://127.0.0.1:{}", relay.port));
    let source = format!("{source}starttls = false\nconnections = 1\n");
    let decoy = "decoy = \"uid=decoy,ou=people,dc=example\"\n";
    for (more, tried) in [("", "bind"), (decoy, "bind"), ("method = \"compare\"\n", "compare")] {
        let (_folder, program) = started(&source, &manifest(more)).await;
        assert_eq!(code(&program, "ann", ANN.1).await, GOOD);
        // From here on all connections are there.
        relay.asked();
        for (user, password) in [
            ("ann", "wrong"),
            ("nobody", "wrong"),
            ("nobody", ANN.1),
            ("twin", "x"),
            ("ANN", ANN.1),
        ] {
            assert_eq!(code(&program, user, password).await, BAD, "{user}");
            assert_eq!(relay.asked(), ["search", tried], "{more} {user}");
        }
        for (user, password) in [("ann", ""), ("nobody", ""), ("", "x")] {
            assert_eq!(code(&program, user, password).await, BAD, "{user}");
            assert_eq!(relay.asked(), [""; 0], "{more} {user}");
        }
        // The decoy itself is nobody who logs in by chance.
        assert_eq!(code(&program, "nobody", "decoy's own").await, BAD);
    }
}

/// Groups from the user's entry, only those that lie where they should.
#[tokio::test]
async fn membership_of_other_groups_is_none() {
    let server = OpenLdap::start_with(&entries()).await;
    let page = manifest("");
    let (before, behind) = page.split_once("filter = \"(&(objectClass=groupOf").expect("the page");
    let (_, behind) = behind.split_once('\n').expect("a line");
    let (_folder, program) =
        started(&server.plain(), &format!("{before}member_of = \"memberOf\"\n{behind}")).await;
    let mut ann = enter(program.mqtt(), login("a", ANN)).await;
    may_publish(&mut ann, &[("plant/a", GOOD), ("plant/safety/a", DENIED)]).await;
    // In a group of that name, elsewhere.
    let mut bea = enter(program.mqtt(), login("b", ("bea", "bea's own"))).await;
    may_publish(&mut bea, &[("plant/a", DENIED), ("users/bea/x", GOOD)]).await;
}

#[tokio::test]
async fn what_the_directory_takes_away_is_gone() {
    let mut server = OpenLdap::start_with(&entries()).await;
    let (_folder, program) = started(&server.plain(), &manifest("ttl_seconds = 1\n")).await;
    let other = (people::STRANGE[0], "strange");
    let mut other = enter(program.mqtt(), login("other", other)).await;
    let mut watching = enter(program.mqtt(), login("watching", ANN)).await;
    watching.subscribe("plant/#", QoS::AtMostOnce).await;
    assert_eq!(publish(&mut other, "plant/a").await, GOOD);
    watching.take("plant/a", "x").await;
    let mut ann = enter(program.mqtt(), login("a", ANN)).await;
    may_publish(&mut ann, &[("plant/a", GOOD)]).await;
    server.change(people::ANN_IS_NO_OPERATOR).await;
    // While the directory is away nothing is permitted; that is another matter.
    eventually("the group is gone", async || {
        let codes = (publish(&mut ann, "plant/a").await, publish(&mut ann, "users/ann/x").await);
        if codes == (DENIED, GOOD) { Ok(()) } else { Err(format!("{codes:?}")) }
    })
    .await;
    eventually("nothing comes any more", async || {
        let code = publish(&mut other, "plant/b").await;
        let came = watching.drain().await;
        if code == GOOD && came.is_empty() { Ok(()) } else { Err(format!("{code:?} {came:?}")) }
    })
    .await;
    server.change(people::ANN_IS_GONE).await;
    eventually("ann is gone", async || match publish(&mut ann, "users/ann/x").await {
        DENIED => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(code(&program, "ann", ANN.1).await, BAD);
}

/// What can never work keeps the plugin from going live; a directory that is away does not.
#[tokio::test]
async fn mistakes_are_found_before_the_first_client() {
    let mut server = OpenLdap::start_with(&entries()).await;
    let folder = folder(&server.plain(), &manifest(""));
    let page = manifest("");
    for (from, to, words) in [
        ("ou=people,dc=example", "ou=nowhere,dc=example", "the directory refuses"),
        ("(uid={user}))", "(uid={user})", "is no filter"),
        ("(member={dn})", "(member=x)", "groups.filter: has no {dn}"),
        ("ldap = [\"corp\"]", "ldap = []", "waiting"),
        ("source = \"corp\"", "source = \"other\"", "does not name \\\"other\\\""),
        ("base =", "bass =", "unknown field `bass`"),
    ] {
        folder.write("plugins/ldap.toml", page.replacen(from, to, 1));
        let program = Program::start_unready(&folder.config()).await;
        let plugin = program.plugin("ldap", |plugin| plugin["state"] != "live").await.to_string();
        assert!(plugin.contains(words), "{to}: {plugin}");
        let ready = program.api().get("/readyz").await;
        assert_eq!(ready.status, 503, "{to}");
    }
    folder.write("plugins/ldap.toml", page);
    server.stop();
    let program = Program::start(&folder.config()).await;
    assert_eq!(code(&program, "ann", ANN.1).await, ReasonCode::ServerUnavailable);
    server.start_again().await;
    assert_eq!(code(&program, "ann", ANN.1).await, GOOD);
}
