//! PostgreSQL.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    Database, as_nobody, authority, certificate, free_port, freeze, give_to_nobody, run, start,
    stop,
};
use crate::program::eventually::eventually;

/// Of the superuser of the server, who makes the rest.
const OWNER: &str = "owner's own words";
/// Of the user that the broker is there.
pub(crate) const PASSWORD: &str = "hush-hush-database";

/// Made before anybody asks.
const SCHEMA: &str = "
CREATE TABLE users (name text PRIMARY KEY, hash text, born date, id uuid, tags text[]);
INSERT INTO users VALUES
    ('alice', '$argon2id$', '1970-01-02', '00000000-0000-0000-0000-000000000001', '{a,b}'),
    ('bob', NULL, NULL, NULL, NULL);
CREATE ROLE app LOGIN PASSWORD 'hush-hush-database';
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO app;
";

/// A server.
pub(crate) struct Postgres {
    folder: TempDir,
    child: Child,
    pub(crate) port: u16,
}

/// Debian keeps the server out of PATH.
fn tool(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").ok();
    let newest = versions.and_then(|found| {
        let paths = found.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
        paths.filter(|bin| bin.join(name).is_file()).max()
    });
    newest.map_or_else(|| PathBuf::from(name), |bin| bin.join(name))
}

impl Postgres {
    /// With TLS for those who want it.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        give_to_nobody(folder.path());
        let at = |name: &str| folder.path().join(name);
        fs::write(at("owner"), OWNER).expect("a file");
        give_to_nobody(&at("owner"));
        let mut command = as_nobody(&tool("initdb"));
        command.args(["--no-sync", "-A", "scram-sha-256", "-U", "owner", "--pwfile"]);
        run({
            command.arg(at("owner")).arg("-D").arg(at("data"));
            command
        });
        for (name, file) in [("localhost.pem", "server.crt"), ("localhost-key.pem", "server.key")] {
            let to = at("data").join(file);
            fs::copy(certificate(name), &to).expect("a certificate can be copied");
            fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("an own file");
            give_to_nobody(&to);
        }
        let port = free_port();
        let child = serve(folder.path(), port);
        let server = Self { folder, child, port };
        server.until_ready().await;
        server.sql(SCHEMA);
        server
    }

    /// What the owner is told.
    pub(crate) fn ask(&self, query: &str) -> String {
        let mut command = self.psql(query);
        let output = command.args(["-q", "-A", "-t"]).output().expect("psql runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// `ca` for it.
    pub(crate) fn authority(&self) -> String {
        authority()
    }

    fn psql(&self, statements: &str) -> Command {
        let mut command = Command::new(tool("psql"));
        command.env("PGPASSWORD", OWNER).args(["-v", "ON_ERROR_STOP=1", "-U", "owner", "-h"]);
        command.arg(self.folder.path()).args(["-p", &self.port.to_string()]);
        command.args(["-d", "postgres", "-c", statements]);
        command
    }

    async fn until_ready(&self) {
        eventually("PostgreSQL takes connections", async || {
            let output = self.psql("SELECT 1").output();
            let output = output.map_err(|error| format!("psql: {error}"))?;
            if output.status.success() { Ok(()) } else { Err(format!("{output:?}")) }
        })
        .await;
    }
}

impl Database for Postgres {
    fn source(&self) -> String {
        format!(
            "[sql.users]\nurl = \"postgres://app@127.0.0.1:{}/postgres\"\n\
             password = \"{PASSWORD}\"\n",
            self.port
        )
    }

    fn user(&self) -> &'static str {
        "app"
    }

    fn sql(&self, statements: &str) {
        run(self.psql(statements));
    }

    fn stop(&mut self) {
        stop(&mut self.child, Signal::QUIT);
    }

    async fn start_again(&mut self) {
        self.child = serve(self.folder.path(), self.port);
        self.until_ready().await;
    }

    async fn freeze(&self, still: bool) {
        freeze(&self.child, still).await;
    }
}

fn serve(folder: &Path, port: u16) -> Child {
    let mut command = as_nobody(&tool("postgres"));
    command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    let sockets = format!("unix_socket_directories={}", folder.display());
    for setting in ["listen_addresses=127.0.0.1", "fsync=off", "ssl=on", &sockets] {
        command.args(["-c", setting]);
    }
    start(command)
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}
