//! mosquitto, with a password file and an ACL file of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{as_nobody, free_port, give_to_nobody, run, start, stop};
use crate::program::eventually::until;

/// A broker that is not ours.
pub(crate) struct Mosquitto {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// The files that it reads.
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    /// A password file, written by its own tool.
    pub(crate) fn new(users: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = Self { folder };
        fs::write(files.passwords(), "").expect("a file");
        for (user, password) in users {
            let mut command = Command::new("/usr/bin/mosquitto_passwd");
            command.arg("-b").arg(files.passwords()).args([user, password]);
            run(command);
        }
        files
    }

    pub(crate) fn passwords(&self) -> PathBuf {
        self.folder.path().join("passwords")
    }

    pub(crate) fn acl(&self) -> PathBuf {
        self.folder.path().join("acl")
    }

    /// Starts it with these lines as its ACL file.
    pub(crate) async fn serve(&self, acl: &str) -> Mosquitto {
        fs::write(self.acl(), acl).expect("a file");
        let port = free_port();
        let configuration = self.folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nacl_file {}\n\
             persistence false\nlog_dest none\n",
            self.passwords().display(),
            self.acl().display()
        );
        fs::write(&configuration, text).expect("a file");
        for path in [self.folder.path(), &self.passwords(), &self.acl(), &configuration] {
            give_to_nobody(path);
        }
        let mut command = as_nobody(Path::new("/usr/sbin/mosquitto"));
        command.arg("-c").arg(&configuration);
        let child = start(command);
        let server = Mosquitto { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        until("mosquitto takes connections", async || {
            TcpStream::connect(server.address).await.is_ok()
        })
        .await;
        server
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        stop(&mut self.child, Signal::KILL);
    }
}
