//! Socket files: making one that only the right users can open, and taking it away again.
//!
//! Owns when an old file may be replaced: only if it is a socket on which nobody listens.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// A socket file of ours; taken away when dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: what stands there later may be somebody else's.
    identity: (u64, u64),
}

impl SocketFile {
    /// Takes the file away, if it still is this one.
    pub(super) fn remove(&self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            let path = self.path.display();
            tracing::warn!(event = "socket_not_removed", %path, %error);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Listens at `path`. Nobody can connect before the mode is set: until `listen` the system refuses.
pub(super) async fn bind(
    path: &Path,
    mode: u32,
    backlog: u32,
) -> io::Result<(UnixListener, SocketFile)> {
    make_room(path).await?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let metadata = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok((socket.listen(backlog)?, file))
}

/// Takes away what a broker left that could not do so itself.
async fn make_room(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        let what = "something is there that is no socket; it is left alone";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Also when connecting fails in another way: somebody may listen there.
        Ok(_) | Err(_) => {
            let what = "another process listens there";
            Err(io::Error::new(io::ErrorKind::AddrInUse, what))
        }
    }
}
