//! Servers that we did not write, one for each test that needs one: in a folder of their own, on free
//! ports of the loopback, stopped when the test ends.

mod mosquitto;
mod openldap;
mod postgres;

use std::{
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

pub(super) use self::{mosquitto::Files as MosquittoFiles, openldap::OpenLdap, postgres::Postgres};
use super::{
    folder::{Folder, guest},
    knock::login,
    process::{Program, root},
};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Servers refuse to be root; in containers tests often are. Then they are nobody.
const NOBODY: u32 = 65_534;

pub(super) fn as_nobody(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(program);
    command
}

pub(super) fn give_to_nobody(path: &Path) {
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root gives files away");
    }
}

/// A file of the test authority: `authority.pem`, and `localhost.pem` with its key, which is good
/// for that name alone.
fn certificate(name: &str) -> PathBuf {
    root().join("broker/plugin-host/src/tests/lent/tls").join(name)
}

/// `ca` of a source: who signed the servers' certificates.
fn authority() -> String {
    format!("ca = \"file:{}\"\n", certificate("authority.pem").display())
}

/// What the broker shows to the database.
pub(super) fn database_password() -> &'static str {
    postgres::PASSWORD
}

/// What the broker shows to the directory.
pub(super) fn directory_password() -> &'static str {
    openldap::PASSWORD
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| {
        panic!("{:?}: {error}; tests/setup installs what is missing", command.get_program())
    })
}

fn run(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{:?}: {error}; tests/setup installs what is missing", command.get_program())
    });
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Ends with a signal that needs no patience.
fn stop(child: &mut Child, signal: Signal) {
    if let Ok(None) = child.try_wait() {
        let _ = kill_process(Pid::from_child(child), signal);
        drop(child.wait());
    }
}

/// A broker whose only plugin calls the host as its clients say.
pub(super) struct Asked {
    _folder: Folder,
    pub(super) program: Program,
}

const MANIFEST: &str = r#"
[grants]
secrets = ["hmac-key"]
jwt = ["idp"]
state = "1 MiB"
http = ["https://idp.example/"]
sql = ["users"]
ldap = ["corp"]
cache_control = true
broker = ["publish"]
publish_topics = ["alarm"]
[limits]
deadline = "10s"
"#;

const SOURCES: &str = r#"
[secrets.hmac-key]
value = "hush-hush-secret"
[jwt.idp]
secret = "hush-hush-shared"
algorithms = ["HS256"]
issuer = "idp"
audience = ["mqtt"]
[limits.login_backoff]
free_failures = 100
"#;

/// What stands for the other kind of server.
pub(super) const NO_DATABASE: &str = "[sql.users]\nurl = \"sqlite:/nonexistent\"\n";
pub(super) const NO_DIRECTORY: &str = "[ldap.corp]\nurl = \"ldaps://127.0.0.1:1\"\n";

impl Asked {
    /// With these tables in the configuration.
    pub(super) async fn start(sources: &[&str]) -> Self {
        let folder = Folder::new();
        folder.configure_more(SOURCES);
        for source in sources {
            folder.configure_more(source);
        }
        folder.install_with("lent", &guest("lent"), MANIFEST);
        let program = Program::start(&folder.config()).await;
        Self { _folder: folder, program }
    }

    /// What the plugin says that the host said.
    pub(super) async fn ask(&self, function: &str, arguments: &str) -> String {
        let connect = login("asker", (function, arguments));
        let mut client = portcullis_tests::Client::open(self.program.mqtt(), connect.version).await;
        client.send(codec::Packet::Connect(Box::new(connect))).await;
        client.connack().await.reason_string.expect("the plugin says why")
    }

    pub(super) async fn check(&self, function: &str, arguments: &str, expected: &str) {
        let told = self.ask(function, arguments).await;
        assert!(told.contains(expected), "{function} {arguments}: {told}, wanted {expected}");
    }

    /// Everything that others can see: the whole log, and all that the admin API shows.
    pub(super) async fn everything_told(&self) -> String {
        let api = self.program.api();
        let document = api.get("/api/v1/openapi.json").await.expect(200).json();
        let paths = document["paths"].as_object().expect("paths");
        let mut told = self.program.log_text();
        let gets = paths.iter().filter(|(_, methods)| methods.get("get").is_some());
        for (path, _) in gets {
            let path = path.replace("{name}", "lent").replace("{client_id}", "asker");
            told.push_str(&api.get(&path).await.body);
        }
        let list = api.get("/api/v1/decisions?limit=100").await.expect(200).json();
        let decisions = list["decisions"].as_array().expect("decisions");
        assert!(!decisions.is_empty(), "nothing was decided");
        for decision in decisions {
            let path = format!("/api/v1/decisions/{}", decision["id"].as_str().expect("an id"));
            told.push_str(&api.get(&path).await.expect(200).body);
            told.push_str(&api.get(&format!("{path}/recording")).await.body);
        }
        assert!(told.contains("\"secret\""), "no recording is among it");
        let plugins: Value = api.get("/api/v1/plugins").await.expect(200).json();
        assert_eq!(plugins["plugins"][0]["name"], "lent", "what was looked at is empty");
        told
    }
}
