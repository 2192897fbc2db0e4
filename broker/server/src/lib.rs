//! Owns the running broker: listeners, one task per connection, one story per packet, sessions and routing.
//!
//! Knows nothing of Wasm, HTTP or configuration files: it asks `access` for decisions and is handed a [`Config`].
//!
//! Start reading at `connect.rs` and `publish.rs` (the two stories), then `connection.rs` (the loop).
//!
//! Invariants: a client reaches the packet loop only with an [`access::Authenticated`]; no lock is held across an
//! await; every queue has a capacity; a subscriber is woken once per batch, not per message.

#![forbid(unsafe_code)]

mod approach;
mod bans;
mod broker;
mod claimed;
mod close;
mod config;
mod connect;
mod connection;
mod counts;
mod disconnect;
mod exchange;
mod for_plugins;
mod handle;
mod held;
mod inherit;
mod keeping;
mod kept_identity;
mod limit_info;
mod listener;
mod load;
mod memo;
mod ordered;
mod outbound;
mod overload;
mod pace;
mod proxy_protocol;
mod publish;
mod refresh;
mod refuse;
mod remember;
mod resources;
mod retained;
mod router;
mod sessions;
mod shown;
mod strangers;
mod stream;
mod subscribe;
mod sys;
mod tidying;
mod timers;
mod tls;
mod traced;
mod unsubscribe;
#[doc(hidden)]
pub mod untrusted;
mod user_properties;
mod websocket;
mod will;

pub use access::ClientIdFrom;
pub use bans::{BanError, BanKeeper, KeptBans};
pub use broker::Kept;
pub use broker::{Broker, StartError};
pub use config::{
    Config, ListenerAddress, ListenerConfig, ListenerRules, LiveConfig, ProtocolVersions,
    ProxyProtocol, PublishDenied, Transport,
};
pub use handle::{
    BanPage, BrokerHandle, ClientInfo, ClientPage, LimitInfo, ListenerInfo, QueueTotals,
    StoreTotals, Totals,
};
pub use ipnet::IpNet;
pub use resources::{
    ApiMessage, ApiPublished, ApiRefused, ClientDetail, ClientQuery, ClientRefused, Resources,
    RetainedInfo, RetainedPage, SubscriptionInfo, SubscriptionPage, SubscriptionPlace,
    SubscriptionQuery, TopicChild, TopicLevel, WillInfo,
};
pub use session::QueueFull;
pub use sys::SysConfig;
pub use tls::{
    AuthorityInfo, CRL_REFRESH, CertificateFiles, CertificateInfo, ClientAuth, CrlSource, Fault,
    IdentityFrom, ListenerCertificates, OcspPolicy, RevocationListInfo, TlsConfig, TlsStatus,
    TlsVersion, certificate_ends, check_tls, cipher_suites, groups,
};
