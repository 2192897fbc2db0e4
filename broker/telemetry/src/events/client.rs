//! Whom an event is about, in the words that all events of a client share.
//!
//! Knows nothing of how a client proved it; `server` fills the fields.

use std::net::SocketAddr;

use crate::{Happening, HappeningKind, ShownCertificate};

/// A client as events name it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client<'a> {
    /// Client Identifier.
    pub id: &'a str,
    /// The authenticated principal.
    pub principal: Option<&'a str>,
    /// Name of the listener.
    pub listener: Option<&'a str>,
    /// Address; `None` = it is not connected.
    pub remote: Option<SocketAddr>,
    /// Its certificate.
    pub certificate: Option<ShownCertificate<'a>>,
}

impl<'a> Client<'a> {
    /// An event about this client.
    pub(crate) fn happening(self, kind: HappeningKind) -> Happening<'a> {
        Happening {
            client_id: Some(self.id),
            principal: self.principal,
            listener: self.listener,
            remote: self.remote,
            certificate: self.certificate,
            ..Happening::of(kind)
        }
    }
}
