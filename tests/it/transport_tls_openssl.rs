//! Revocation as OpenSSL's client meets it: both versions, who is revoked, what the lists are like, new and resumed sessions.

use std::{
    io::Write,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use codec::{Connect, Disconnect, Packet, ProtocolVersion, ReasonCode};
use portcullis_tests::{Authority, Broker, Files, Holder, Setup, Until};
use server::{BrokerHandle, TlsConfig, Transport};

use ProtocolVersion::V311;

pub(crate) async fn start(tls: TlsConfig) -> Broker {
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let setup = Setup::default().listening("tls", Transport::Tcp { bind });
    setup.encrypted(tls).start().await
}

/// What came of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// CONNACK said yes.
    entered: bool,
    resumed: bool,
}

/// Runs `openssl s_client`, which says CONNECT and DISCONNECT. Returns all that it wrote.
pub(crate) async fn s_client(address: SocketAddr, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("timeout");
    command.args(["15", "openssl", "s_client", "-connect", &address.to_string(), "-ign_eof"]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut bytes = Vec::new();
    Packet::Connect(Box::new(Connect::new(V311, "openssl"))).encode(V311, &mut bytes);
    Packet::Disconnect(Disconnect::new(ReasonCode::Success)).encode(V311, &mut bytes);
    let run = move || {
        let mut client = command.spawn().unwrap_or_else(|error| {
            panic!("openssl: {error}; install it with: apt-get install openssl (or tests/setup)")
        });
        // Its input stays open: the broker ends the connection. It may be refused before it has read that.
        let mut input = client.stdin.take().expect("its input");
        let _ = input.write_all(&bytes).and_then(|()| input.flush());
        let output = client.wait_with_output().expect("its output");
        assert_ne!(output.status.code(), Some(124), "s_client does not end");
        [output.stdout, output.stderr].concat()
    };
    tokio::task::spawn_blocking(run).await.expect("no panic")
}

pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn outcome(output: &[u8]) -> Outcome {
    Outcome {
        entered: contains(output, b"\x20\x02\x00\x00"),
        resumed: contains(output, b"Reused, TLS"),
    }
}

struct Client<'a> {
    address: SocketAddr,
    files: &'a Files,
    version: &'a str,
    name: &'a str,
}

impl Client<'_> {
    async fn connect(&self, more: &[&str]) -> Outcome {
        let text = |path: &Path| path.display().to_string();
        let chain = text(&self.files.path(&format!("{}.pem", self.name)));
        let key = text(&self.files.path(&format!("{}.key", self.name)));
        let ca = text(&self.files.path("root.pem"));
        let mut arguments = vec![self.version, "-CAfile", &ca, "-verify_return_error"];
        arguments.extend(["-cert", &chain, "-cert_chain", &chain, "-key", &key]);
        arguments.extend(more);
        outcome(&s_client(self.address, &arguments).await)
    }
}

/// How the lists are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lists {
    Fresh,
    Expired,
    /// By authorities that nobody here knows.
    OfStrangers,
    Corrupt,
}

const BETWEEN: u64 = 5;
const GOOD: u64 = 100;
const REVOKED: u64 = 101;

struct World {
    root: Authority,
    /// Not revoked, and revoked.
    between: [Authority; 2],
}

impl World {
    fn new() -> Self {
        let root = Authority::root("root");
        let between = [root.below("good", BETWEEN), root.below("bad", BETWEEN + 1)];
        Self { root, between }
    }

    fn files(&self) -> Files {
        let [good, bad] = &self.between;
        let all = [self.root.pem(), good.pem(), bad.pem()].concat();
        let files = Files::new(&self.root.server(), &all);
        files.write("root.pem", self.root.pem());
        let hold = |name: &str, holder: &Holder| {
            files.write(&format!("{name}.pem"), &holder.chain);
            files.write(&format!("{name}.key"), &holder.key);
        };
        hold("good", &good.client("good", GOOD));
        hold("leaf", &good.client("leaf", REVOKED));
        hold("under", &bad.client("under", GOOD));
        files.write("lists.pem", self.lists(Lists::Fresh, false));
        files
    }

    /// `revoking` = with what is revoked.
    fn lists(&self, lists: Lists, revoking: bool) -> String {
        let until = if lists == Lists::Expired { Until::Past } else { Until::Later };
        let only = |serial: u64| revoking.then_some(serial);
        let [good, bad] = &self.between;
        match lists {
            Lists::Fresh | Lists::Expired => [
                self.root.list(only(BETWEEN + 1), until),
                good.list(only(REVOKED), until),
                bad.list(None, until),
            ]
            .concat(),
            Lists::OfStrangers => Authority::root("stranger").list(None, until),
            Lists::Corrupt => {
                // One letter within the first list.
                let mut text = self.lists(Lists::Fresh, false).into_bytes();
                text[120] = if text[120] == b'A' { b'B' } else { b'A' };
                String::from_utf8(text).expect("letters")
            }
        }
    }
}

/// Whether somebody comes in, once the lists are like that.
fn expected(lists: Lists, name: &str) -> bool {
    match lists {
        // What cannot be read leaves what was before, in which nobody is revoked.
        Lists::Corrupt => true,
        Lists::Fresh => name == "good",
        Lists::Expired | Lists::OfStrangers => false,
    }
}

async fn hold(version: &str) {
    let world = World::new();
    let files = world.files();
    for lists in [Lists::Fresh, Lists::Expired, Lists::OfStrangers, Lists::Corrupt] {
        files.write("lists.pem", world.lists(Lists::Fresh, false));
        let broker = start(files.listed("lists.pem")).await;
        let address = broker.listener("tls");
        for name in ["good", "leaf", "under"] {
            let session = files.path(&format!("{name}.session")).display().to_string();
            let client = Client { address, files: &files, version, name };
            let first = client.connect(&["-sess_out", &session]).await;
            assert_eq!(first, Outcome { entered: true, resumed: false }, "{name}");
            let again = client.connect(&["-sess_in", &session]).await;
            assert_eq!(again, Outcome { entered: true, resumed: true }, "{name} {version}");
        }
        files.write("lists.pem", world.lists(lists, true));
        let faults = broker.broker.reload_tls(&[]).await;
        assert_eq!(faults.is_empty(), lists != Lists::Corrupt, "{faults:?}");
        for name in ["good", "leaf", "under"] {
            let session = files.path(&format!("{name}.session")).display().to_string();
            let client = Client { address, files: &files, version, name };
            let entered = expected(lists, name);
            let new = client.connect(&[]).await;
            assert_eq!(new, Outcome { entered, resumed: false }, "{name} with {lists:?}");
            // A session of before is no way around. Where nothing was put in force, it still is one.
            let resumed = lists == Lists::Corrupt;
            let old = client.connect(&["-sess_in", &session]).await;
            assert_eq!(old, Outcome { entered, resumed }, "{name} again with {lists:?}");
        }
        broker.stop().await;
    }
}

#[tokio::test]
async fn revocation_with_tls_1_2() {
    hold("-tls1_2").await;
}

#[tokio::test]
async fn revocation_with_tls_1_3() {
    hold("-tls1_3").await;
}

/// There is no start with lists that cannot be read; one of strangers counts for nobody.
#[tokio::test]
async fn lists_at_the_start() {
    let world = World::new();
    let files = world.files();
    files.write("lists.pem", world.lists(Lists::Corrupt, false));
    let faults = server::check_tls(&files.listed("lists.pem"));
    assert_eq!(faults.first().map(|fault| fault.what), Some("crl"), "{faults:?}");
    files.write("lists.pem", world.lists(Lists::Expired, false));
    let faults = server::check_tls(&files.listed("lists.pem"));
    assert!(faults[0].sentence.contains("stale"), "{faults:?}");
    files.write("lists.pem", world.lists(Lists::OfStrangers, false));
    let broker = start(files.listed("lists.pem")).await;
    let address = broker.listener("tls");
    let client = Client { address, files: &files, version: "-tls1_3", name: "good" };
    assert!(!client.connect(&[]).await.entered);
    assert_eq!(broker.broker.tls()[0].revoked, 0);
}
