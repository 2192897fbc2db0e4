//! Why the admin API could not start.
//!
//! Knows nothing of requests; their errors are `problem.rs`.

use std::{io, net::SocketAddr, path::PathBuf};

/// A start that was refused or failed; each sentence names what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not loopback, and not asked for.
    #[error(
        "[admin] bind = \"{bind}\" is not a loopback address and the admin API is plain HTTP, so \
         its token could be read on the way: bind it to 127.0.0.1 and put a TLS proxy or an SSH \
         tunnel in front, or accept the risk with allow_remote = true"
    )]
    RemoteNotAllowed {
        /// The address.
        bind: SocketAddr,
    },
    /// Not loopback, and any name would do.
    #[error(
        "[admin] names is empty and bind = \"{bind}\" is not a loopback address, so a foreign web \
         page could send requests under a name of its own: list the host names or IP addresses by \
         which the admin API is reached, e.g. names = [\"broker.example\"]"
    )]
    NamesMissing {
        /// The address.
        bind: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("the admin API cannot listen on {bind}")]
    Bind {
        /// The address.
        bind: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The token file cannot be read or made.
    #[error("the admin token file {} cannot be {action}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may use the token file.
    #[error(
        "the admin token file {0} has mode {mode:04o}, so others than its owner can use it: run \
         chmod 600 {0}, and delete it first if somebody may have read it",
        path.display()
    )]
    TokenFileMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else owns the token file.
    #[error(
        "the admin token file {} belongs to user {owner}, who is neither root nor the user of this \
         process ({user}): delete it to have a new one made",
        path.display()
    )]
    TokenFileOwner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs this.
        user: u32,
    },
    /// What is in the token file is no token.
    #[error(
        "the admin token file {} holds no token, or is no regular file: one line of 32 to 512 \
         letters, digits, - . _ ~ + / = is needed; delete the file to have a new one made",
        path.display()
    )]
    TokenFileContent {
        /// The file.
        path: PathBuf,
    },
    /// The identity provider cannot be used.
    #[error(transparent)]
    Oidc(#[from] crate::OidcConfigError),
    /// The folder of the audit log cannot be used.
    #[error("the audit log {} cannot be used: {what}", path.display())]
    Audit {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What the broker keeps of users, roles and tokens cannot be used.
    #[error(
        "the directory of administrators {} cannot be used: {what}; repair it, bring back a \
         backup, or move it away to start without users, roles and tokens",
        path.display()
    )]
    Directory {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The key that seals the places of next pages.
    #[error("the key for the pages of lists could not be made")]
    CursorKey,
    /// The operating system gave no random bytes.
    #[error("no random bytes for the admin token: {0}")]
    Random(getrandom::Error),
}
