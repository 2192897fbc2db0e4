//! A chain of three links over mTLS: a certificate says which device it is, a token that it may be there
//! now, a directory what its groups may do. What two of them permit is united, and every step is
//! explained.

use codec::{Connect, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::{Authority, Client, Holder};
use serde_json::{Value, json};

use super::{
    documented::documented,
    folder::{Folder, bundled},
    knock::publish,
    process::Program,
    servers::OpenLdap,
    x509::{device, folder, knock, listener},
};

const DENIED: ReasonCode = ReasonCode::NotAuthorized;
const GOOD: ReasonCode = ReasonCode::Success;

/// Devices that the directory knows: one at work, one that is out of service. It does not know press-3.
const ENTRIES: &str = "\
dn: dc=example
objectClass: domain
dc: example

dn: cn=broker,dc=example
objectClass: person
cn: broker
sn: broker
userPassword: hush-hush-directory

dn: ou=people,dc=example
objectClass: organizationalUnit
ou: people

dn: uid=press-1,ou=people,dc=example
objectClass: inetOrgPerson
uid: press-1
cn: press-1
sn: press-1
userPassword: press-1's own
memberOf: cn=operators,ou=groups,dc=example

dn: uid=press-2,ou=people,dc=example
objectClass: inetOrgPerson
uid: press-2
cn: press-2
sn: press-2
userPassword: press-2's own
memberOf: cn=operators,ou=groups,dc=example
memberOf: cn=retired,ou=groups,dc=example
";

const ISSUER: &str = r#"
[jwt.idp]
secret = "hush-hush-shared-for-three-links"
algorithms = ["HS256"]
issuer = "idp"
audience = ["mqtt"]
[limits.login_backoff]
free_failures = 100
"#;

const JWT: &str = r#"
order = 60
control = "required"
[grants]
jwt = ["idp"]
http = ["https://idp.example/"]
[config]
verifiers = ["idp"]
from = ["PLACE"]
[config.require]
client_id = "${clientid}"
[config.scopes]
"telemetry:write" = [{ allow = "publish", topic = "devices/${clientid}/#" }]
"#;

/// `{"iss":"idp","aud":"mqtt","sub":NAME,"client_id":NAME,"scope":"telemetry:write","exp":4102444800}`,
/// signed by HS256 with the secret of [`ISSUER`].
const TOKENS: [(&str, &str); 3] = [
    (
        "press-1",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJpZHAiLCJhdWQiOiJtcXR0Iiwic3ViIjoicHJlc3MtMSIsImNsaWVudF9pZCI6InByZXNzLTEiLCJzY29wZSI6InRlbGVtZXRyeTp3cml0ZSIsImV4cCI6NDEwMjQ0NDgwMH0.k4QUlct5U1WtoKRjy_CMWFU7KMXVKbzQToGN78lR64A",
    ),
    (
        "press-2",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJpZHAiLCJhdWQiOiJtcXR0Iiwic3ViIjoicHJlc3MtMiIsImNsaWVudF9pZCI6InByZXNzLTIiLCJzY29wZSI6InRlbGVtZXRyeTp3cml0ZSIsImV4cCI6NDEwMjQ0NDgwMH0.3w5_wgOeX1zuVAju6tf_1XjYGBGTxhHeXVrMYcRXzXo",
    ),
    (
        "press-3",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJpZHAiLCJhdWQiOiJtcXR0Iiwic3ViIjoicHJlc3MtMyIsImNsaWVudF9pZCI6InByZXNzLTMiLCJzY29wZSI6InRlbGVtZXRyeTp3cml0ZSIsImV4cCI6NDEwMjQ0NDgwMH0.0DnjG8U7wTq9v3P7BHgmYR3Je8YAWVOOXkEgEkjN84I",
    ),
];

fn token(name: &str) -> &'static str {
    TOKENS.iter().find(|(of, _)| *of == name).expect("a token").1
}

/// A broker with the three links, of which the last one has this manifest.
struct Chain {
    _folder: Folder,
    program: Program,
    authority: Authority,
}

impl Chain {
    async fn start(server: &OpenLdap, token_in: &str, last: (&str, &str)) -> Self {
        let authority = Authority::root("root");
        let folder = folder(&authority, &listener());
        folder.configure_more(ISSUER);
        folder.configure_more(&server.plain());
        let x509 = "order = 50\ncontrol = \"required\"\n[config]\nprincipal = \"cn\"\n\
                    client_id = \"principal\"\ngroups = [\"subject.ou\"]\n";
        folder.install_with("x509", &bundled("x509"), x509);
        folder.install_with("jwt", &bundled("jwt"), &JWT.replace("PLACE", token_in));
        folder.install_with(last.0, &bundled("ldap"), last.1);
        let program = Program::start(&folder.config()).await;
        Self { _folder: folder, program, authority }
    }

    fn device(&self, name: &str) -> Holder {
        device(&self.authority, name, Some("presses"))
    }

    /// A device with its certificate, and this user name and password.
    async fn knock(&self, name: &str, user: Option<&str>, password: &str) -> (ReasonCode, Client) {
        let connect = Connect {
            username: user.map(str::to_owned),
            password: Some(password.as_bytes().to_vec()),
            ..Connect::new(V5, name)
        };
        let holder = self.device(name);
        knock(&self.program, &self.authority, Some(&holder), connect).await.expect("an answer")
    }

    /// The latest decision on a CONNECT of this client.
    async fn decision(&self, client_id: &str) -> Value {
        let api = self.program.api();
        let path = format!("/api/v1/decisions?limit=500&client_id={client_id}");
        let list = api.get(&path).await.expect(200).json();
        let list = list["decisions"].as_array().expect("decisions");
        let connect = list.iter().find(|decision| decision["about"] == "connect");
        let id = connect.expect("a CONNECT")["id"].as_str().expect("its name");
        api.get(&format!("/api/v1/decisions/{id}")).await.expect(200).json()
    }

    /// Which links said so about an operation.
    async fn words(&self, client_id: &str, action: &str, topic: &str) -> (bool, Vec<Value>) {
        let body = json!({ "client_id": client_id, "action": action, "topic": topic });
        let told = self.program.api().post_json("/api/v1/permissions/can", &body).await;
        let told = told.expect(200).json();
        let words = told["walk"].as_array().expect("a walk").iter();
        let words = words.map(|word| json!([word["plugin"], word["effect"]])).collect();
        (told["allowed"].as_bool().expect("a verdict"), words)
    }
}

/// What each link said to a CONNECT.
fn walk(decision: &Value, hook: &str) -> Vec<Value> {
    let steps = decision["walk"].as_array().expect("a walk").iter();
    let steps = steps.filter(|step| step["hook"] == hook);
    steps.map(|step| json!([step["plugin"], step["verdict"]])).collect()
}

#[tokio::test]
async fn certificate_token_and_directory() {
    let mut server = OpenLdap::start_with(ENTRIES).await;
    let groups = documented("secure/ldap.md", "plugins/ldap-groups.toml");
    let chain = Chain::start(&server, "password", ("ldap-groups", &groups)).await;
    let (code, mut press) = chain.knock("press-1", None, token("press-1")).await;
    assert_eq!(code, GOOD);
    // The token permits to publish, the directory to subscribe, and nobody anything else.
    assert_eq!(publish(&mut press, "devices/press-1/state").await, GOOD);
    assert_eq!(publish(&mut press, "plant/a").await, DENIED);
    press.subscribe("plant/#", QoS::AtLeastOnce).await;

    let decision = chain.decision("press-1").await;
    let expected = json!([["x509", "allow"], ["jwt", "allow"], ["ldap-groups", "next"]]);
    let said = walk(&decision, "authenticator");
    assert_eq!(json!(said[..3]), expected, "{decision}");
    assert!(decision["permitted"] == true && decision["principal"] == "press-1", "{decision}");
    assert!(said.len() <= 4 && walk(&decision, "authorizer").len() >= 2, "{decision}");
    let (allowed, words) = chain.words("press-1", "publish", "devices/press-1/state").await;
    assert!(allowed && words.contains(&json!(["jwt", "allow"])), "{words:?}");
    assert!(words.contains(&json!(["ldap-groups", null])), "{words:?}");
    let (allowed, words) = chain.words("press-1", "subscribe", "plant/#").await;
    assert!(allowed && words.contains(&json!(["ldap-groups", "allow"])), "{words:?}");

    // Out of service: the directory's deny outweighs the token's allow.
    let (code, mut retired) = chain.knock("press-2", None, token("press-2")).await;
    assert_eq!(code, GOOD);
    assert_eq!(publish(&mut retired, "devices/press-2/state").await, DENIED);
    let (allowed, words) = chain.words("press-2", "publish", "devices/press-2/state").await;
    assert!(!allowed && words.contains(&json!(["ldap-groups", "deny"])), "{words:?}");
    assert!(words.contains(&json!(["jwt", "allow"])), "{words:?}");
    // Unknown to the directory: nothing at all.
    let (code, mut unknown) = chain.knock("press-3", None, token("press-3")).await;
    assert_eq!(code, GOOD);
    assert_eq!(publish(&mut unknown, "devices/press-3/state").await, DENIED);

    // The token of another, none, and one that was tampered with.
    let tampered = token("press-1").replace('.', ".A");
    for password in [token("press-2"), "", "press-1's own", &tampered] {
        let (code, _) = chain.knock("press-1", None, password).await;
        assert_ne!(code, GOOD, "{password}");
        let decision = chain.decision("press-1").await;
        assert!(decision["permitted"] == false, "{decision}");
        assert_eq!(json!(walk(&decision, "authenticator")[0]), json!(["x509", "allow"]));
    }
    // A certificate of another device, with its identifier, and one that nobody trusts.
    let connect = Connect {
        password: Some(token("press-1").as_bytes().to_vec()),
        ..Connect::new(V5, "press-1")
    };
    let other = chain.device("press-2");
    let answer = knock(&chain.program, &chain.authority, Some(&other), connect.clone()).await;
    assert_eq!(answer.expect("an answer").0, DENIED);
    for holder in [None, Some(&device(&Authority::root("root"), "press-1", None))] {
        let answer = knock(&chain.program, &chain.authority, holder, connect.clone()).await;
        assert!(answer.is_none(), "no client of ours");
    }
    // Without the directory nobody knows what it may do.
    server.stop();
    let everybody = json!({ "everybody": true });
    let api = chain.program.api();
    api.post_json("/api/v1/permissions/invalidate", &everybody).await.expect(204);
    let (code, _) = chain.knock("press-3", None, token("press-3")).await;
    assert_eq!(code, ReasonCode::ServerUnavailable);
    server.start_again().await;
    assert_eq!(chain.knock("press-3", None, token("press-3")).await.0, GOOD);
}

/// All three must allow: certificate, token in the user name, and the password of the directory.
#[tokio::test]
async fn something_it_has_was_given_and_knows() {
    const LDAP: &str = "order = 70\ncontrol = \"required\"\n[grants]\nldap = [\"corp\"]\n\
        [limits]\ndeadline = \"5s\"\n[config]\nsource = \"corp\"\nuser = \"common-name\"\n\
        base = \"ou=people,dc=example\"\nfilter = \"(uid={user})\"\n[[config.permissions]]\n\
        rules = [{ allow = \"subscribe\", topic = \"plant/#\" }]\n";
    let server = OpenLdap::start_with(ENTRIES).await;
    let chain = Chain::start(&server, "username", ("ldap", LDAP)).await;
    let all = (Some(token("press-1")), "press-1's own");
    let (code, mut press) = chain.knock("press-1", all.0, all.1).await;
    assert_eq!(code, GOOD);
    assert_eq!(publish(&mut press, "devices/press-1/state").await, GOOD);
    press.subscribe("plant/#", QoS::AtLeastOnce).await;
    let said = walk(&chain.decision("press-1").await, "authenticator");
    assert_eq!(json!(said[..3]), json!([["x509", "allow"], ["jwt", "allow"], ["ldap", "allow"]]));
    for (user, password) in [
        (all.0, "wrong"),
        (all.0, "press-2's own"),
        (all.0, ""),
        (None, all.1),
        (Some("press-1"), all.1),
        (Some(token("press-2")), all.1),
    ] {
        let (code, _) = chain.knock("press-1", user, password).await;
        assert_ne!(code, GOOD, "{user:?} {password}");
    }
    let (code, _) = chain.knock("press-3", Some(token("press-3")), "press-3's own").await;
    assert_eq!(code, ReasonCode::BadUserNameOrPassword);
}
