//! Who a connection is: what it claims, what it proved, and the reduced form that permissions may
//! depend on. Knows nothing of how a claim becomes a proof: that is `chain`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use codec::ProtocolVersion;

use crate::{ClientLimits, PeerCertificate, Rule};

/// The network connection that a decision is about. Field by field the WIT record `connection`.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Unique for the life of the process.
    pub connection_id: u64,
    /// Client Identifier (already assigned when the client left it empty).
    pub client_id: Arc<str>,
    /// User Name as sent in CONNECT: a claim, not an identity.
    pub username: Option<String>,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Address of the client.
    pub remote: SocketAddr,
    /// Protocol level.
    pub protocol: ProtocolVersion,
    /// The TLS layer, if any.
    pub tls: Option<TlsSession>,
    /// What the broker knows beside that.
    pub attributes: Vec<(String, String)>,
}

/// The TLS layer of a connection.
#[derive(Clone, Debug)]
pub struct TlsSession {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// Server name that the client asked for.
    pub server_name: Option<String>,
    /// The client's certificate.
    pub certificate: Option<Arc<PeerCertificate>>,
}

/// Who the client proved to be: the merged grants of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The authenticated principal; never the raw User Name.
    pub principal: Arc<str>,
    /// The link that named the principal.
    pub authenticated_by: Arc<str>,
    /// United groups, sorted, without repetition.
    pub groups: Vec<String>,
    /// Attributes; of two with one name the earlier link's.
    pub attributes: Vec<(String, String)>,
    /// Rules of the grants, in the order of the chain.
    pub permissions: Vec<GrantedRules>,
    /// When the identity ends, seconds since 1970: the earliest of the grants.
    pub expires_at_unix: Option<u64>,
    /// Upper bound for the Session Expiry Interval in seconds: the least of the grants.
    pub session_expiry_seconds_max: Option<u32>,
    /// Bounds for this client: the strictest of the grants.
    pub limits: ClientLimits,
    /// User Properties for CONNACK.
    pub user_properties: Vec<(String, String)>,
}

/// The rules of one grant: as good as an authorizer's answer, for as long as the identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedRules {
    /// The link that granted them.
    pub link: Arc<str>,
    /// In order of precedence.
    pub rules: Arc<[Rule]>,
}

/// The client reduced to what permissions may depend on (no connection id, no port). WIT record
/// `subject`.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Who it proved to be.
    pub identity: Arc<Identity>,
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Address without port.
    pub remote: IpAddr,
    /// Protocol level.
    pub protocol: ProtocolVersion,
    /// The client's certificate.
    pub certificate: Option<Arc<PeerCertificate>>,
}

impl Subject {
    /// Reduces a connection that proved to be `identity`.
    pub fn new(connection: &Connection, identity: Arc<Identity>) -> Self {
        Self {
            identity,
            client_id: connection.client_id.clone(),
            listener: connection.listener.clone(),
            remote: connection.remote.ip(),
            protocol: connection.protocol,
            certificate: connection.tls.as_ref().and_then(|tls| tls.certificate.clone()),
        }
    }
}
