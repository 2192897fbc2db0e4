//! The bundled plugin `scram` from end to end, with a client of SCRAM that is no part of it.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, engine::general_purpose::STANDARD};
use codec::{Auth, ConnAck, Connect, Packet, ProtocolVersion::V5, ReasonCode};
use portcullis_tests::Client;

use super::{
    eventually::until,
    folder::{Folder, bundled},
    process::{Program, portcullis, run},
    servers::{Database, Postgres},
    sql::documented,
};

const SHA256: &str = "SCRAM-SHA-256";
const SHA512: &str = "SCRAM-SHA-512";
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

/// What a client says, and what it knows.
struct Login {
    method: &'static str,
    header: &'static str,
    name: &'static str,
    password: &'static str,
}

impl Login {
    fn new(name: &'static str, password: &'static str) -> Self {
        Self { method: SHA256, header: "n,,", name, password }
    }

    fn connect(&self) -> Connect {
        Connect {
            authentication_method: Some(self.method.to_owned()),
            authentication_data: Some(format!("{}{}", self.header, self.bare()).into_bytes()),
            ..Connect::new(V5, self.name)
        }
    }

    fn bare(&self) -> String {
        format!("n={},r={NONCE}", self.name)
    }

    fn auth(&self, reason_code: ReasonCode, data: &str) -> Packet<'static> {
        let data = Some(data.as_bytes().to_vec());
        Packet::Auth(Auth { authentication_data: data, ..Auth::new(reason_code, self.method) })
    }

    /// The answer to what the server said first, and the signature that it must give then.
    fn answer(&self, server_first: &str) -> (String, String) {
        let (derive, hash, mac) = match self.method {
            SHA256 => (pbkdf2::PBKDF2_HMAC_SHA256, &digest::SHA256, hmac::HMAC_SHA256),
            _ => (pbkdf2::PBKDF2_HMAC_SHA512, &digest::SHA512, hmac::HMAC_SHA512),
        };
        let (nonce, salt, iterations) = parts(server_first);
        assert!(nonce.starts_with(NONCE) && nonce.len() > NONCE.len() + 16, "{nonce}");
        let salt = STANDARD.decode(salt).expect("base64");
        let iterations = NonZeroU32::new(iterations.parse().expect("a number")).expect("some");
        let mut salted = vec![0; hash.output_len()];
        pbkdf2::derive(derive, iterations, &salt, self.password.as_bytes(), &mut salted);
        let sign =
            |key: &[u8], data: &[u8]| hmac::sign(&hmac::Key::new(mac, key), data).as_ref().to_vec();
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(hash, &client_key);
        let last = format!("c={},r={nonce}", STANDARD.encode(self.header));
        let said = format!("{},{server_first},{last}", self.bare());
        let signature = sign(stored_key.as_ref(), said.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let server_key = sign(&salted, b"Server Key");
        let expected = STANDARD.encode(sign(&server_key, said.as_bytes()));
        (format!("{last},p={}", STANDARD.encode(proof)), format!("v={expected}"))
    }

    /// Sends CONNECT and takes the challenge.
    async fn challenged(&self, program: &Program) -> (Client, String) {
        let mut client = Client::open(program.mqtt(), V5).await;
        client.send(Packet::Connect(Box::new(self.connect()))).await;
        let told = challenge(&mut client).await;
        (client, told)
    }

    /// The whole exchange; whether the server proved itself where it let the client in.
    async fn enter(&self, program: &Program) -> (Client, ConnAck) {
        let (mut client, told) = self.challenged(program).await;
        let (answer, signature) = self.answer(&told);
        client.send(self.auth(ReasonCode::ContinueAuthentication, &answer)).await;
        let connack = client.connack().await;
        let proof = connack.authentication_data.as_deref();
        let is_in = connack.reason_code == ReasonCode::Success;
        assert_eq!(proof, is_in.then_some(signature.as_bytes()));
        (client, connack)
    }

    async fn code(&self, program: &Program) -> ReasonCode {
        self.enter(program).await.1.reason_code
    }
}

async fn challenge(client: &mut Client) -> String {
    let data = |packet: &Packet<'_>| match packet {
        Packet::Auth(auth) => auth.authentication_data.clone(),
        other => panic!("{other:?}"),
    };
    let data = client.next(data).await.flatten().expect("a challenge");
    String::from_utf8(data).expect("text")
}

fn parts(server_first: &str) -> (&str, &str, &str) {
    let rest = server_first.strip_prefix("r=").expect("a nonce");
    let (nonce, rest) = rest.split_once(",s=").expect("a salt");
    let (salt, iterations) = rest.split_once(",i=").expect("iterations");
    (nonce, salt, iterations)
}

const SECRET: &str = "[secrets.scram]\nvalue = \"hush-hush-salt-of-salts\"\n\
                      [limits.login_backoff]\nfree_failures = 100\n";

async fn write(folder: &Folder, method: &str, name: &str, password: &str) {
    let file = folder.path("scram");
    let file = file.to_str().expect("a path of text");
    let arguments = ["passwd", "--scram", method, "--iterations", "4096", file, name];
    run(portcullis(&arguments), format!("{password}\n").as_bytes()).await.expect_code(0);
}

#[tokio::test]
async fn credentials_of_a_file() {
    let folder = Folder::new();
    folder.configure_more(SECRET);
    write(&folder, "sha-256", "press-1", "pencil").await;
    write(&folder, "sha-512", "press-1", "pencil of 512").await;
    let manifest = documented("scram.md", "credentials = \"/etc/portcullis/scram\"");
    let manifest = manifest.replace("/etc/portcullis/scram", "../scram");
    let manifest = manifest.replace("[config]\n", "[config]\niterations = 4096\n");
    folder.install_with("scram", &bundled("scram"), &manifest);
    let program = Program::start(&folder.config()).await;
    let right = Login::new("press-1", "pencil");
    assert_eq!(right.code(&program).await, ReasonCode::Success);
    let longer = Login { method: SHA512, ..Login::new("press-1", "pencil of 512") };
    assert_eq!(longer.code(&program).await, ReasonCode::Success);
    let knows_bindings = Login { header: "y,,", ..Login::new("press-1", "pencil") };
    assert_eq!(knows_bindings.code(&program).await, ReasonCode::Success);
    for wrong in [
        Login::new("press-1", "pen"),
        Login::new("press-1", "pencil of 512"),
        Login { method: SHA512, ..Login::new("press-1", "pencil") },
        Login::new("nobody", "pencil"),
    ] {
        assert_eq!(wrong.code(&program).await, ReasonCode::NotAuthorized, "{}", wrong.name);
    }
    refused_at_once(&program).await;
    same_words_for_nobody(&program).await;
    goes_on_and_again(&program, &right).await;
    assert!(!program.log_text().contains("pencil"), "a password is in the log");
}

async fn refused_at_once(program: &Program) {
    for login in [
        Login { header: "p=tls-exporter,,", ..Login::new("press-1", "pencil") },
        Login { header: "n,a=other,", ..Login::new("press-1", "pencil") },
        Login { method: "SCRAM-SHA-1", ..Login::new("press-1", "pencil") },
    ] {
        let mut client = Client::open(program.mqtt(), V5).await;
        client.send(Packet::Connect(Box::new(login.connect()))).await;
        let code = client.connack().await.reason_code;
        assert!(code as u8 >= 0x80, "{} {}: {code:?}", login.method, login.header);
    }
}

/// The salt of somebody who is not there is like any other, and the same in the next process.
async fn same_words_for_nobody(program: &Program) {
    let nobody = Login::new("nobody", "pencil");
    let known = Login::new("press-1", "pencil");
    let (_, first) = nobody.challenged(program).await;
    let (_, second) = nobody.challenged(program).await;
    let (_, known) = known.challenged(program).await;
    let ((nonce, salt, iterations), (other, same, _)) = (parts(&first), parts(&second));
    assert!(nonce != other && salt == same, "{first} {second}");
    let (_, of_known, of_known_iterations) = parts(&known);
    assert_eq!((salt.len(), iterations), (of_known.len(), of_known_iterations));
    assert_ne!(salt, of_known);
}

/// Messages go on while the client authenticates again, as nobody else.
async fn goes_on_and_again(program: &Program, login: &Login) {
    let (mut client, _) = login.enter(program).await;
    let first = format!("{}{}", login.header, login.bare());
    client.send(login.auth(ReasonCode::ReAuthenticate, &first)).await;
    let told = challenge(&mut client).await;
    let (answer, signature) = login.answer(&told);
    // Nothing that was said once is of use again.
    client.send(login.auth(ReasonCode::ContinueAuthentication, &answer)).await;
    client.expect(login.auth(ReasonCode::Success, &signature)).await;
    client.send(login.auth(ReasonCode::ReAuthenticate, &first)).await;
    challenge(&mut client).await;
    client.send(login.auth(ReasonCode::ContinueAuthentication, &answer)).await;
    client.expect_disconnect(ReasonCode::NotAuthorized).await;
}

/// PostgreSQL makes credentials of the same kind for its own users.
#[tokio::test]
async fn credentials_of_a_database_that_others_made() {
    let mut server = Postgres::start().await;
    server.sql("CREATE TABLE scram (username text, credential text)");
    server.sql("CREATE ROLE device PASSWORD 'pencil'");
    server.sql(
        "INSERT INTO scram SELECT rolname, rolpassword FROM pg_authid WHERE rolname = 'device'",
    );
    server.sql("GRANT SELECT ON scram TO app");
    let folder = Folder::new();
    folder.configure_more(SECRET);
    folder.configure_more(&server.source());
    let manifest = documented("scram.md", "[config.sql]");
    folder.install_with("scram", &bundled("scram"), &manifest);
    let program = Program::start(&folder.config()).await;
    let right = Login::new("device", "pencil");
    assert_eq!(right.code(&program).await, ReasonCode::Success);
    let wrong = Login::new("device", "pen");
    assert_eq!(wrong.code(&program).await, ReasonCode::NotAuthorized);
    // In the middle of an exchange the database goes away.
    let (mut client, told) = right.challenged(&program).await;
    let (answer, _) = right.answer(&told);
    server.stop();
    client.send(right.auth(ReasonCode::ContinueAuthentication, &answer)).await;
    assert_eq!(client.connack().await.reason_code, ReasonCode::ServerUnavailable);
    server.start_again().await;
    until("who was let in before is again", async || {
        right.code(&program).await == ReasonCode::Success
    })
    .await;
}
