//! Servers that we did not write, one for each test that needs one: in a folder of their own, on free
//! ports of the loopback, stopped when the test ends.

mod mariadb;
mod mosquitto;
mod oidc_provider;
mod openldap;
mod postgres;
mod relay;
mod web_service;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

pub(super) use self::{
    mariadb::MariaDb,
    mosquitto::Files as MosquittoFiles,
    oidc_provider::OidcProvider,
    openldap::OpenLdap,
    postgres::Postgres,
    relay::Relay,
    web_service::{Asked as Request, Says, WebService},
};
use super::{
    eventually::until,
    folder::{Folder, guest},
    knock::login,
    process::{Program, root},
};

/// A port that was free a moment ago, and is none of those that connections get by themselves: a server
/// that was stopped comes back to it, and whoever tries to reach it meanwhile must not be given it.
fn free_port() -> u16 {
    let ports = std::iter::repeat_with(|| fastrand::u16(15_000..30_000));
    let mut free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("an iterator without end")
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

/// The configurations on a page of the documentation, in order.
pub(super) fn documented(page: &str) -> Vec<String> {
    let page = fs::read_to_string(root().join("docs").join(page)).expect("a page");
    let blocks = page.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// Ends with a signal that needs no patience.
fn stop(child: &mut Child, signal: Signal) {
    if let Ok(None) = child.try_wait() {
        let _ = kill_process(Pid::from_child(child), signal);
        drop(child.wait());
    }
}

/// A server of databases, as tests of plugins need it.
pub(super) trait Database {
    /// `[sql.users]` for it, without TLS.
    fn source(&self) -> String;
    /// Whom the broker is there.
    fn user(&self) -> &'static str;
    /// Runs statements as the owner.
    fn sql(&self, statements: &str);
    /// At once, with everything that is in progress.
    fn stop(&mut self);
    /// After [`Self::stop`].
    async fn start_again(&mut self);
    /// Does not answer any more, but hangs up on nobody; or goes on.
    async fn freeze(&self, still: bool);
}

/// With all processes that a server has made of itself.
async fn freeze(child: &Child, still: bool) {
    let server = child.id();
    let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
    let children = children.expect("a process has children, or none");
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    for pid in [server].into_iter().chain(children) {
        let signal = if still { Signal::STOP } else { Signal::CONT };
        let found = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
        // A child may have ended meanwhile.
        let _ = kill_process(found, signal);
    }
    until("the server stands still, or goes on", async || {
        let status = fs::read_to_string(format!("/proc/{server}/status"));
        status.is_ok_and(|status| status.contains("State:\tT") == still)
    })
    .await;
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
        // The stream of events has no end.
        let gets = paths
            .iter()
            .filter(|(path, methods)| methods.get("get").is_some() && *path != "/api/v1/events");
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
