//! npm's oidc-provider: an issuer of tokens.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{free_port, start, stop};
use crate::program::{eventually::until, http::Api, process::root};

/// An issuer, with the devices `pump-7` and `pump-8`, and `broker`, who may ask about tokens.
pub(crate) struct OidcProvider {
    folder: TempDir,
    child: Child,
    port: u16,
}

impl OidcProvider {
    /// Signs with the key `one`.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("requests"), "").expect("a file");
        let port = free_port();
        let child = serve(&folder, port, "one", Duration::ZERO);
        let issuer = Self { folder, child, port };
        issuer.until_ready().await;
        issuer
    }

    /// Its name, and where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn until_ready(&self) {
        until("the issuer takes connections", async || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok()
        })
        .await;
    }

    async fn ask(&self, path: &str, device: &str, form: &str) -> crate::program::http::Answer {
        let api = Api::new(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), "");
        let form = format!("client_id={device}&client_secret={device}-secret&{form}");
        let kind = "application/x-www-form-urlencoded";
        api.ask("POST", path, Some((kind, form.as_bytes()))).await.expect(200)
    }

    /// A token of a device, for what `resource` names.
    pub(crate) async fn token(&self, device: &str, resource: &str) -> String {
        let form = format!(
            "grant_type=client_credentials&resource={resource}&scope=telemetry:read telemetry:write"
        );
        let answer: Value = self.ask("/token", device, &form).await.json();
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// Takes a token back.
    pub(crate) async fn revoke(&self, device: &str, token: &str) {
        self.ask("/token/revocation", device, &format!("token={token}")).await;
    }

    /// How often its keys were fetched.
    pub(crate) fn fetches(&self) -> usize {
        let requests = fs::read_to_string(self.folder.path().join("requests")).expect("a file");
        requests.lines().filter(|path| *path == "/jwks").count()
    }

    /// At once.
    pub(crate) fn stop(&mut self) {
        stop(&mut self.child, Signal::KILL);
    }

    /// After [`Self::stop`]: signs with this key, and takes its time for each answer.
    pub(crate) async fn start_again(&mut self, key: &str, delay: Duration) {
        self.child = serve(&self.folder, self.port, key, delay);
        self.until_ready().await;
    }

    /// Does not answer any more, but hangs up on nobody.
    pub(crate) async fn freeze(&self, freeze: bool) {
        let signal = if freeze { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_child(&self.child), signal).expect("a signal to an own child");
        until("the issuer stands still, or goes on", async || {
            let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
            status.is_ok_and(|status| status.contains("State:\tT") == freeze)
        })
        .await;
    }
}

fn serve(folder: &TempDir, port: u16, key: &str, delay: Duration) -> Child {
    let modules = root().join("target/test-tools/node/node_modules");
    let package = modules.join("oidc-provider/package.json");
    assert!(package.is_file(), "{} is not there; run tests/setup", package.display());
    let mut command = Command::new("node");
    command.arg(root().join("tests/servers/oidc_provider.mjs")).arg(modules).arg(folder.path());
    command.args([&port.to_string(), key, &delay.as_millis().to_string()]);
    start(command)
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        self.stop();
    }
}
