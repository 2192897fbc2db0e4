//! What the broker holds, as the admin API asks for it: sessions, subscriptions, topics, retained messages; and what it
//! may change of them.
//!
//! Owns the words of these questions; the answers are in the files beside `resources/`. Lists come in pages that end after
//! a bounded amount of work, whatever the broker holds: a page may be short, even empty, and still name where to go on.

mod clients;
mod on_behalf;
mod publish;
mod retained;
mod subscriptions;
mod topics;

use std::sync::Arc;

use access::{BoxFuture, ClientLimits, PeerCertificate, Permissions, PublicationProperties};
use codec::{QoS, ReasonCode, SubscriptionOptions};
use ipnet::IpNet;
use topic::{SubscriptionFilter, TopicFilter, TopicName};

pub(crate) use self::clients::{info, list};
pub use self::publish::{ApiMessage, ApiPublished, ApiRefused};
use crate::{Broker, ClientInfo, ClientPage};

/// Sessions that one page looks at, at most.
pub(crate) const VISITS_MAX: usize = 50_000;

/// Which clients.
#[derive(Clone, Debug, Default)]
pub struct ClientQuery {
    /// Only those whose Client Identifier starts so.
    pub prefix: String,
    /// Only those behind this one: [`ClientPage::next`] of the page before.
    pub after: Option<String>,
    /// At most so many, 1 to 1,000.
    pub limit: usize,
    /// Only those that are connected, or are not.
    pub connected: Option<bool>,
    /// Only those of this principal.
    pub principal: Option<String>,
    /// Only those of this listener.
    pub listener: Option<String>,
    /// Only those that come, or last came, from there.
    pub address: Option<IpNet>,
}

/// All that is known of one client.
#[derive(Clone, Debug)]
pub struct ClientDetail {
    /// As in a list.
    pub info: ClientInfo,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionInfo>,
    /// Bytes of the messages that wait.
    pub queued_bytes: usize,
    /// QoS 2 messages from it whose PUBREL has not come.
    pub awaiting_release: usize,
    /// Seconds until the session ends by itself, while it is not connected; `None` = it is, or never ends.
    pub expires_in_seconds: Option<u64>,
    /// Whether the session outlives the process.
    pub is_stored: bool,
    /// Attributes of the identity.
    pub attributes: Vec<(String, String)>,
    /// When the identity ends, seconds since 1970.
    pub identity_ends_unix: Option<u64>,
    /// The most that its grant gives as Session Expiry Interval.
    pub session_expiry_seconds_max: Option<u32>,
    /// Bounds that its grant sets.
    pub limits: ClientLimits,
    /// Its certificate.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// Its Will Message.
    pub will: Option<WillInfo>,
    /// What it may do now; while it is not connected, nothing that is worth a look.
    pub permissions: Option<Arc<Permissions>>,
}

/// A Will Message that waits.
#[derive(Clone, Debug)]
pub struct WillInfo {
    /// Topic Name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Will Delay Interval in seconds.
    pub delay_seconds: u64,
    /// Message Expiry Interval in seconds.
    pub expiry_seconds: Option<u32>,
}

/// A subscription of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionInfo {
    /// Whose.
    pub client_id: Arc<str>,
    /// Topic Filter, with `$share/NAME/`.
    pub filter: String,
    /// Its options, with the QoS that was granted.
    pub options: SubscriptionOptions,
    /// Subscription Identifier.
    pub identifier: Option<u32>,
    /// Since when it exists, in seconds since 1970; `None` = it was kept by a broker that did not write that down.
    pub since_unix: Option<u64>,
}

/// Which subscriptions.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionQuery {
    /// Only those whose filter, without `$share/NAME/`, starts so.
    pub prefix: String,
    /// Only those that select this topic.
    pub matching: Option<TopicName>,
    /// Only those of this client.
    pub client_id: Option<String>,
    /// Only those behind this client and filter: [`SubscriptionPage::next`] of the page before.
    pub after: Option<SubscriptionPlace>,
    /// At most so many, 1 to 1,000.
    pub limit: usize,
}

/// One page of subscriptions, in the order of client and filter.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionPage {
    /// At most the limit.
    pub subscriptions: Vec<SubscriptionInfo>,
    /// Where to go on; `None` = this is the last.
    pub next: Option<SubscriptionPlace>,
}

/// Behind this filter of this client; `None` = behind all of its filters.
pub type SubscriptionPlace = (String, Option<String>);

/// One level of the tree of topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicLevel {
    /// What is below, in the order of the bytes, at most the limit.
    pub children: Vec<TopicChild>,
    /// There are more behind the last one.
    pub more: bool,
    /// All retained messages and subscriptions were looked at. If not, counts are lower bounds, and children may be missing.
    pub is_complete: bool,
}

/// What is below one level of the tree of topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicChild {
    /// Its name; of subscriptions also `+` and `#`.
    pub name: String,
    /// A message is retained for just this topic.
    pub is_retained: bool,
    /// Retained messages of topics below.
    pub retained_below: u64,
    /// Subscriptions with just this filter.
    pub subscriptions: u64,
    /// Subscriptions with filters below.
    pub subscriptions_below: u64,
}

/// A retained message.
#[derive(Clone, Debug)]
pub struct RetainedInfo {
    /// Topic Name.
    pub topic: TopicName,
    /// Bytes of the payload.
    pub payload_bytes: usize,
    /// The payload, where it was asked for.
    pub payload: Option<Vec<u8>>,
    /// QoS.
    pub qos: QoS,
    /// Its properties, where they were asked for; the expiry is what is left of it.
    pub properties: PublicationProperties,
    /// Client Identifier of who published it; empty = the broker itself.
    pub publisher: Arc<str>,
    /// It is not handed out: its publisher might no longer publish it.
    pub is_withheld: bool,
}

/// One page of retained messages in the order of their topics, level by level.
#[derive(Clone, Debug, Default)]
pub struct RetainedPage {
    /// At most the limit.
    pub messages: Vec<RetainedInfo>,
    /// Where to go on; `None` = this is the last.
    pub next: Option<TopicName>,
}

/// What became of a request about one client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientRefused {
    /// There is no session.
    #[error("no session belongs to the client")]
    NoSession,
    /// There is no such subscription.
    #[error("the client has no subscription with this filter")]
    NoSubscription,
    /// The broker or its plugins would refuse the client the same.
    #[error("{cause}")]
    Refused {
        /// The code that the client would be answered.
        code: ReasonCode,
        /// Why.
        cause: String,
    },
    /// It did not end within a few seconds; it still will.
    #[error("the session has not ended yet, and still will")]
    StillEnding,
}

/// What a broker holds.
pub trait Resources: Send + Sync {
    /// Clients in the order of their identifiers.
    fn clients(&self, query: &ClientQuery) -> ClientPage;
    /// All about one client.
    fn client_detail(&self, client_id: &str) -> Option<ClientDetail>;
    /// Ends a session: its connection with DISCONNECT 0x98, its subscriptions, and whatever waits for it. Its Will Message
    /// is sent as at any other end.
    fn end_session<'a>(&'a self, client_id: &'a str) -> BoxFuture<'a, Result<(), ClientRefused>>;
    /// Subscriptions of all sessions.
    fn subscriptions(&self, query: &SubscriptionQuery) -> SubscriptionPage;
    /// Subscribes a session, as if its client had: by its permissions and within its limits. Waits until that is durable.
    fn subscribe<'a>(
        &'a self,
        client_id: &'a str,
        filter: SubscriptionFilter,
        options: SubscriptionOptions,
        identifier: Option<u32>,
    ) -> BoxFuture<'a, Result<SubscriptionInfo, ClientRefused>>;
    /// Ends a subscription. Waits until that is durable.
    fn unsubscribe<'a>(
        &'a self,
        client_id: &'a str,
        filter: &'a SubscriptionFilter,
    ) -> BoxFuture<'a, Result<(), ClientRefused>>;
    /// What is one level below `parent` (`None` = the root), behind `after`, at most `limit`.
    fn topics(&self, parent: Option<&str>, after: Option<&str>, limit: usize) -> TopicLevel;
    /// Retained messages that `filter` selects, without payloads.
    fn retained(
        &self,
        filter: &TopicFilter,
        after: Option<&TopicName>,
        limit: usize,
    ) -> RetainedPage;
    /// One of them, with all there is.
    fn retained_message(&self, topic: &str) -> Option<RetainedInfo>;
    /// Forgets one of them; `false` = there is none. Waits until that is durable.
    fn remove_retained<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, bool>;
    /// Publishes a message in the name of a user of the admin API.
    fn publish(&self, message: ApiMessage) -> BoxFuture<'_, Result<ApiPublished, ApiRefused>>;
}

impl Resources for Broker {
    fn clients(&self, query: &ClientQuery) -> ClientPage {
        list(&self.core.sessions, query)
    }

    fn client_detail(&self, client_id: &str) -> Option<ClientDetail> {
        self.core.sessions.get(client_id).map(|handle| clients::detail(&handle))
    }

    fn end_session<'a>(&'a self, client_id: &'a str) -> BoxFuture<'a, Result<(), ClientRefused>> {
        Box::pin(clients::end(&self.core, client_id))
    }

    fn subscriptions(&self, query: &SubscriptionQuery) -> SubscriptionPage {
        subscriptions::list(&self.core, query)
    }

    fn subscribe<'a>(
        &'a self,
        client_id: &'a str,
        filter: SubscriptionFilter,
        options: SubscriptionOptions,
        identifier: Option<u32>,
    ) -> BoxFuture<'a, Result<SubscriptionInfo, ClientRefused>> {
        let since_unix = crate::subscribe::since(self.core.now_unix());
        let subscription = session::Subscription { filter, options, identifier, since_unix };
        Box::pin(on_behalf::subscribe(&self.core, client_id, subscription))
    }

    fn unsubscribe<'a>(
        &'a self,
        client_id: &'a str,
        filter: &'a SubscriptionFilter,
    ) -> BoxFuture<'a, Result<(), ClientRefused>> {
        Box::pin(on_behalf::unsubscribe(&self.core, client_id, filter))
    }

    fn topics(&self, parent: Option<&str>, after: Option<&str>, limit: usize) -> TopicLevel {
        topics::level(&self.core, parent, after, limit)
    }

    fn retained(
        &self,
        filter: &TopicFilter,
        after: Option<&TopicName>,
        limit: usize,
    ) -> RetainedPage {
        retained::list(&self.core, filter, after, limit)
    }

    fn retained_message(&self, topic: &str) -> Option<RetainedInfo> {
        retained::show(&self.core, topic)
    }

    fn remove_retained<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(retained::remove(&self.core, topic))
    }

    fn publish(&self, message: ApiMessage) -> BoxFuture<'_, Result<ApiPublished, ApiRefused>> {
        Box::pin(publish::publish(&self.core, message))
    }
}
