//! MQTT 5.0 Reason Codes that a [`Denial`](crate::Denial) of a CONNECT may carry (MQTT 5.0 section
//! 3.2.2.2). The broker translates them for MQTT 3.1.1 clients.

/// The Client Identifier is a valid string but is not allowed.
pub const CLIENT_IDENTIFIER_NOT_VALID: u8 = 0x85;
/// User name or password are wrong.
pub const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;
/// The client is not authorized to connect.
pub const NOT_AUTHORIZED: u8 = 0x87;
/// The broker, or what it depends on, is not available.
pub const SERVER_UNAVAILABLE: u8 = 0x88;
/// Too busy: try again later.
pub const SERVER_BUSY: u8 = 0x89;
/// Banned by an administrator.
pub const BANNED: u8 = 0x8A;
/// A quota is exceeded.
pub const QUOTA_EXCEEDED: u8 = 0x97;
