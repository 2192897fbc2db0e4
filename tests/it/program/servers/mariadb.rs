//! MariaDB.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    Database, as_nobody, authority, certificate, database_password, free_port, freeze,
    give_to_nobody, run, start, stop,
};
use crate::program::eventually::eventually;

/// Made before anybody asks.
const SCHEMA: &str = "
CREATE DATABASE app;
CREATE USER app@'127.0.0.1' IDENTIFIED BY 'hush-hush-database';
GRANT SELECT, INSERT, UPDATE, DELETE ON app.* TO app@'127.0.0.1';
CREATE TABLE app.users (name varchar(64) PRIMARY KEY, hash text, born date, at datetime(6),
    price decimal(5,2), flag boolean, bits bit(1), raw varbinary(8), counted bigint unsigned);
INSERT INTO app.users VALUES
    ('alice', '$argon2id$', '1970-01-02', '1970-01-02 03:04:05.5', 1.50, true, b'1', x'00ff',
     18446744073709551615),
    ('bob', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE SEQUENCE app.counted;
";

/// A server.
pub(crate) struct MariaDb {
    folder: TempDir,
    child: Child,
    port: u16,
}

impl MariaDb {
    /// With TLS for those who want it.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        give_to_nobody(folder.path());
        // Of its own: one that starts clears away what the others have in theirs.
        let tmpdir = folder.path().join("tmp");
        fs::create_dir(&tmpdir).expect("a folder");
        give_to_nobody(&tmpdir);
        let mut command = as_nobody(Path::new("mariadb-install-db"));
        command.arg(format!("--tmpdir={}", tmpdir.display())).env("TMPDIR", &tmpdir);
        command.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
        command.args(["--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=4M"]);
        run({
            command.arg(format!("--datadir={}", folder.path().join("data").display()));
            command
        });
        for name in ["localhost.pem", "localhost-key.pem"] {
            let to = folder.path().join(name);
            fs::copy(certificate(name), &to).expect("a certificate can be copied");
            fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("an own file");
            give_to_nobody(&to);
        }
        let port = free_port();
        let child = serve(folder.path(), port);
        let server = Self { folder, child, port };
        server.until_ready().await;
        run(server.client(SCHEMA));
        server
    }

    /// What the owner is told.
    pub(crate) fn ask(&self, query: &str) -> String {
        let mut command = self.client(query);
        let output = command.args(["--batch", "--skip-column-names"]).output();
        let output = output.expect("the client runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// `ca` for it.
    pub(crate) fn authority(&self) -> String {
        authority()
    }

    fn client(&self, statements: &str) -> Command {
        let mut command = Command::new("mariadb");
        let socket = self.folder.path().join("socket");
        command.args(["--no-defaults", "--user=root"]);
        command.arg(format!("--socket={}", socket.display())).args(["-e", statements]);
        command
    }

    async fn until_ready(&self) {
        eventually("MariaDB takes connections", async || {
            let output = self.client("SELECT 1").output();
            let output = output.map_err(|error| format!("mariadb: {error}"))?;
            if output.status.success() { Ok(()) } else { Err(format!("{output:?}")) }
        })
        .await;
    }
}

impl Database for MariaDb {
    fn source(&self) -> String {
        format!(
            "[sql.users]\nurl = \"mysql://app@127.0.0.1:{}/app\"\npassword = \"{}\"\n",
            self.port,
            database_password()
        )
    }

    fn user(&self) -> &'static str {
        "app@'127.0.0.1'"
    }

    fn sql(&self, statements: &str) {
        run(self.client(&format!("USE app; {statements}")));
    }

    fn stop(&mut self) {
        stop(&mut self.child, Signal::KILL);
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
    let mut command = as_nobody(Path::new("mariadbd"));
    let file = |option: &str, name: &str| format!("--{option}={}", folder.join(name).display());
    command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"]);
    command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M"]);
    command.arg(format!("--port={port}")).arg(file("datadir", "data"));
    command.arg(file("socket", "socket")).arg(file("pid-file", "pid")).arg(file("tmpdir", "tmp"));
    command.arg(file("ssl-cert", "localhost.pem")).arg(file("ssl-key", "localhost-key.pem"));
    start(command)
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.stop();
    }
}
