//! One event as observers see it: who, where, what, and why, borrowed from whoever tells of it.
//!
//! Knows nothing of who looks at it. Text of clients is as they sent it, except that a User Name
//! that is a token is not shown: whoever writes it down escapes it.

use std::{fmt::Display, net::SocketAddr};

use crate::Metrics;

/// What kind of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HappeningKind {
    /// A CONNECT was accepted.
    Connected,
    /// The chain let somebody in. It may still be refused: its session belongs to another, it is
    /// banned.
    Authenticated,
    /// A CONNECT was refused.
    ConnectRefused,
    /// A connection was closed before a byte was read, because of a limit.
    ConnectionRefused,
    /// An accepted connection ended.
    Disconnected,
    /// A connection lost its session to a newer one of the same client.
    TakenOver,
    /// A session ended, because its client did not come back in time or began anew.
    SessionEnded,
    /// A PUBLISH was not permitted.
    PublishDenied,
    /// A topic filter of a SUBSCRIBE was not permitted.
    SubscribeDenied,
    /// A Will Message was not sent.
    WillRefused,
    /// A client broke a rule of the protocol.
    ProtocolViolation,
    /// A client is not read for a while.
    ReadingPaused,
    /// Messages did not reach a session or a subscriber.
    MessageDropped,
    /// Somebody is banned.
    BanMade,
    /// A ban was lifted, or its time ran out.
    BanEnded,
    /// The load has another level.
    OverloadChanged,
    /// An administrator asked for a change.
    AdminAction,
    /// Somebody logged in to the admin API.
    AdminLogin,
    /// A request to the admin API, or a login to it, was refused.
    AdminRefused,
    /// A plugin is in another state, or another generation of it answers.
    PluginChanged,
    /// Something is wrong.
    AlarmRaised,
    /// It is not any more.
    AlarmCleared,
    /// The configuration was read again.
    ConfigReloaded,
    /// An upload of a plugin came a stage further, or to its end.
    PluginUpload,
}

impl HappeningKind {
    /// All of them, in order of declaration.
    pub const ALL: [Self; 24] = [
        Self::Connected,
        Self::Authenticated,
        Self::ConnectRefused,
        Self::ConnectionRefused,
        Self::Disconnected,
        Self::TakenOver,
        Self::SessionEnded,
        Self::PublishDenied,
        Self::SubscribeDenied,
        Self::WillRefused,
        Self::ProtocolViolation,
        Self::ReadingPaused,
        Self::MessageDropped,
        Self::BanMade,
        Self::BanEnded,
        Self::OverloadChanged,
        Self::AdminAction,
        Self::AdminLogin,
        Self::AdminRefused,
        Self::PluginChanged,
        Self::AlarmRaised,
        Self::AlarmCleared,
        Self::ConfigReloaded,
        Self::PluginUpload,
    ];

    /// Its word in the access log, in streams and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Authenticated => "authenticated",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectionRefused => "connection_refused",
            Self::Disconnected => "disconnected",
            Self::TakenOver => "taken_over",
            Self::SessionEnded => "session_ended",
            Self::PublishDenied => "publish_denied",
            Self::SubscribeDenied => "subscribe_denied",
            Self::WillRefused => "will_refused",
            Self::ProtocolViolation => "protocol_violation",
            Self::ReadingPaused => "reading_paused",
            Self::MessageDropped => "message_dropped",
            Self::BanMade => "ban_made",
            Self::BanEnded => "ban_ended",
            Self::OverloadChanged => "overload_level",
            Self::AdminAction => "admin_action",
            Self::AdminLogin => "admin_login",
            Self::AdminRefused => "admin_refused",
            Self::PluginChanged => "plugin_changed",
            Self::AlarmRaised => "alarm_raised",
            Self::AlarmCleared => "alarm_cleared",
            Self::ConfigReloaded => "config_reloaded",
            Self::PluginUpload => "plugin_upload",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A client certificate in the few words that tell which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownCertificate<'a> {
    /// Subject distinguished name (RFC 4514).
    pub subject: &'a str,
    /// Serial number, lower-case hexadecimal.
    pub serial: &'a str,
    /// SHA-256 of the DER encoding.
    pub sha256: &'a [u8; 32],
}

/// One event. `None` = it does not apply, or nobody knows it yet.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Happening<'a> {
    /// What happened.
    pub kind: HappeningKind,
    /// When, milliseconds since 1970. Filled in for observers.
    pub at_unix_ms: u64,
    /// Client Identifier.
    pub client_id: Option<&'a str>,
    /// The authenticated principal.
    pub principal: Option<&'a str>,
    /// User Name as claimed, `(a token)` in place of one that is a token.
    pub username: Option<&'a str>,
    /// Name of the listener.
    pub listener: Option<&'a str>,
    /// Address of the client or administrator.
    pub remote: Option<SocketAddr>,
    /// `3.1.1` or `5.0`.
    pub protocol: Option<&'static str>,
    /// Name of a Reason Code, or of what takes its place: a limit, `network`, a status.
    pub reason: Option<&'a str>,
    /// Names the decision in the admin API.
    pub decision: Option<&'a dyn Display>,
    /// The plugin that decided.
    pub plugin: Option<&'a str>,
    /// Why, for the operator. May hold text of plugins and clients.
    pub cause: Option<&'a dyn Display>,
    /// Topic Name or Topic Filter.
    pub topic: Option<&'a str>,
    /// The client's certificate.
    pub certificate: Option<ShownCertificate<'a>>,
    /// Whether a session went on.
    pub session_present: Option<bool>,
    /// Whether the client ended the connection.
    pub by_client: Option<bool>,
    /// Bytes read from the client while it was connected.
    pub bytes_received: Option<u64>,
    /// Bytes written to the client while it was connected.
    pub bytes_sent: Option<u64>,
    /// How long it was connected, milliseconds.
    pub connected_ms: Option<u64>,
    /// How many: messages dropped, or the new level of load.
    pub count: Option<u64>,
    /// Who, of those who administer.
    pub user: Option<&'a str>,
    /// What an action of an administrator was about; the generation of a plugin; the name of an alarm or
    /// of an upload.
    pub target: Option<&'a str>,
    /// HTTP status of an answer to an administrator.
    pub status: Option<u16>,
}

impl Happening<'_> {
    /// An event of which nothing is known but its kind; the rest follows with `..`.
    pub const fn of(kind: HappeningKind) -> Self {
        Self {
            kind,
            at_unix_ms: 0,
            client_id: None,
            principal: None,
            username: None,
            listener: None,
            remote: None,
            protocol: None,
            reason: None,
            decision: None,
            plugin: None,
            cause: None,
            topic: None,
            certificate: None,
            session_present: None,
            by_client: None,
            bytes_received: None,
            bytes_sent: None,
            connected_ms: None,
            count: None,
            user: None,
            target: None,
            status: None,
        }
    }

    /// Tells the observers of it.
    pub(crate) fn tell(self, metrics: &Metrics) {
        metrics.observers.tell(self.kind, || self);
    }
}
