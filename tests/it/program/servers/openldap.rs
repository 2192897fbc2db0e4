//! OpenLDAP's slapd.

use std::{
    fmt::Write,
    fs,
    path::Path,
    process::{Child, Command},
};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{authority, certificate, free_port, run, start, stop};
use crate::program::eventually::until;

/// Of the name that the broker has there.
pub(crate) const PASSWORD: &str = "hush-hush-directory";

/// A directory.
pub(crate) struct OpenLdap {
    folder: TempDir,
    child: Child,
    pub(crate) port: u16,
    pub(crate) tls_port: u16,
}

/// What stands in it, and `more` people whose names begin with `many`.
fn entries(more: usize) -> String {
    let mut ldif = "\
dn: dc=example
objectClass: domain
dc: example

dn: cn=broker,dc=example
objectClass: person
cn: broker
sn: broker
userPassword: hush-hush-directory

dn: uid=alice,dc=example
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: A
mail: alice@example
userPassword: alice's own

dn: uid=bob,dc=example
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
"
    .to_owned();
    for number in 0..more {
        let name = format!("many{number}");
        let entry = write!(
            ldif,
            "\ndn: uid={name},dc=example\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\n\
             sn: {name}\n"
        );
        entry.expect("text grows");
    }
    ldif
}

impl OpenLdap {
    /// With 1,200 people, who are readable for the broker alone.
    pub(crate) async fn start() -> Self {
        Self::start_with(&entries(1_200)).await
    }

    /// With these entries (LDIF), which are readable for the broker alone.
    pub(crate) async fn start_with(entries: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("data")).expect("a folder");
        fs::write(at("entries.ldif"), entries).expect("a file");
        fs::write(at("slapd.conf"), configuration(folder.path())).expect("a file");
        let mut load = Command::new("/usr/sbin/slapadd");
        load.arg("-q").arg("-f").arg(at("slapd.conf")).arg("-l").arg(at("entries.ldif"));
        run(load);
        let (port, tls_port) = (free_port(), free_port());
        let child = serve(folder.path(), port, tls_port);
        let server = Self { folder, child, port, tls_port };
        server.until_ready().await;
        server
    }

    /// `[ldap.corp]` at `url`, as the broker.
    pub(crate) fn source(&self, url: &str) -> String {
        format!(
            "[ldap.corp]\nurl = \"{url}\"\nbind_dn = \"cn=broker,dc=example\"\n\
             bind_password = \"{PASSWORD}\"\n"
        )
    }

    /// The same in the clear.
    pub(crate) fn plain(&self) -> String {
        let source = self.source(&format!("ldap://127.0.0.1:{}", self.port));
        format!("{source}starttls = false\n")
    }

    /// `ca` for it.
    pub(crate) fn authority(&self) -> String {
        authority()
    }

    async fn until_ready(&self) {
        until("slapd takes connections", async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
        })
        .await;
    }

    /// At once.
    pub(crate) fn stop(&mut self) {
        stop(&mut self.child, Signal::KILL);
    }

    /// Does not answer any more, but hangs up on nobody.
    pub(crate) async fn freeze(&self, freeze: bool) {
        let signal = if freeze { Signal::STOP } else { Signal::CONT };
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a signal to an own child");
        until("slapd stands still, or goes on", async || {
            let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
            status.is_ok_and(|status| status.contains("State:\tT") == freeze)
        })
        .await;
    }

    /// Changes entries (LDIF) while it is away for a moment.
    pub(crate) async fn change(&mut self, changes: &str) {
        self.stop();
        let at = |name: &str| self.folder.path().join(name);
        fs::write(at("changes.ldif"), changes).expect("a file");
        let mut modify = Command::new("/usr/sbin/slapmodify");
        modify.arg("-f").arg(at("slapd.conf")).arg("-l").arg(at("changes.ldif"));
        run(modify);
        self.start_again().await;
    }

    /// After [`Self::stop`].
    pub(crate) async fn start_again(&mut self) {
        self.child = serve(self.folder.path(), self.port, self.tls_port);
        self.until_ready().await;
    }
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    let (certificate, key, authority) = (
        certificate("localhost.pem").display().to_string(),
        certificate("localhost-key.pem").display().to_string(),
        certificate("authority.pem").display().to_string(),
    );
    format!(
        "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile {folder}/slapd.pid
TLSCACertificateFile {authority}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
sizelimit unlimited
database mdb
suffix dc=example
directory {folder}/data
dbnosync
access to attrs=userPassword by dn.exact=cn=broker,dc=example compare by anonymous auth by * none
access to * by dn.exact=cn=broker,dc=example read by anonymous auth by * none
"
    )
}

fn serve(folder: &Path, port: u16, tls_port: u16) -> Child {
    let mut command = Command::new("/usr/sbin/slapd");
    // With `-d` it stays in the foreground.
    command.args(["-d", "0", "-f"]).arg(folder.join("slapd.conf"));
    let addresses = format!("ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls_port}/");
    command.args(["-h", &addresses]);
    start(command)
}

impl Drop for OpenLdap {
    fn drop(&mut self) {
        self.stop();
    }
}
