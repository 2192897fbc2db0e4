//! What the fake broker holds: one subscription and one retained message, and answers that show what was asked.

use access::{BoxFuture, ClientLimits, PeerCertificate, PublicationProperties};
use codec::{QoS, RetainHandling, SubscriptionOptions};
use server::{
    ApiMessage, ApiPublished, ApiRefused, ClientDetail, ClientPage, ClientQuery, ClientRefused,
    Resources, RetainedInfo, RetainedPage, SubscriptionInfo, SubscriptionPage, SubscriptionQuery,
    TopicChild, TopicLevel, WillInfo,
};
use topic::{SubscriptionFilter, TopicFilter, TopicName};

use super::*;

impl FakeBroker {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

fn subscription(client_id: &str) -> SubscriptionInfo {
    SubscriptionInfo {
        client_id: client_id.into(),
        filter: "$share/g/t/#".to_owned(),
        options: SubscriptionOptions {
            maximum_qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: true,
            retain_handling: RetainHandling::SendIfNew,
        },
        identifier: Some(7),
        since_unix: Some(1_700_000_007),
    }
}

fn certificate() -> PeerCertificate {
    PeerCertificate {
        sha256: [0xab; 32],
        subject: "CN=device".to_owned(),
        issuer: "CN=authority".to_owned(),
        serial: "0a".to_owned(),
        common_name: Some("device".to_owned()),
        dns_names: vec!["device.example".to_owned()],
        uris: Vec::new(),
        email_names: vec!["d@device.example".to_owned()],
        not_after_unix: 2_000_000_000,
        der_chain: Vec::new(),
    }
}

fn retained(topic: &str) -> RetainedInfo {
    RetainedInfo {
        topic: TopicName::new(topic).unwrap(),
        payload_bytes: 5,
        payload: Some(b"hello".to_vec()),
        qos: QoS::AtLeastOnce,
        properties: PublicationProperties {
            message_expiry_seconds: Some(9),
            user_properties: vec![("n".to_owned(), "v".to_owned())],
            correlation_data: Some(b"c".to_vec()),
            response_topic: Some("open/answer".to_owned()),
            ..PublicationProperties::default()
        },
        publisher: "b/1 ä".into(),
        is_withheld: false,
    }
}

impl Resources for FakeBroker {
    fn clients(&self, query: &ClientQuery) -> ClientPage {
        self.note(format!("{query:?}"));
        let wanted = |id: &str| {
            id.starts_with(&query.prefix) && query.after.as_deref().is_none_or(|after| id > after)
        };
        let fits = |connected: bool| query.connected.is_none_or(|wanted| wanted == connected);
        let found = self.clients.iter().filter(|(id, connected)| wanted(id) && fits(**connected));
        let mut found: Vec<_> = found.map(|(id, connected)| client(id, *connected)).collect();
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let next = found.last().filter(|_| more).map(|last| last.client_id.to_string());
        ClientPage { clients: found, next }
    }

    fn client_detail(&self, client_id: &str) -> Option<ClientDetail> {
        let connected = *self.clients.get(client_id)?;
        Some(ClientDetail {
            info: client(client_id, connected),
            subscriptions: vec![subscription(client_id)],
            queued_bytes: 20,
            awaiting_release: 1,
            expires_in_seconds: (!connected).then_some(30),
            is_stored: true,
            attributes: vec![("site".to_owned(), "north".to_owned())],
            identity_ends_unix: Some(1_900_000_000),
            session_expiry_seconds_max: Some(60),
            limits: ClientLimits { messages_per_second: Some(5), ..ClientLimits::default() },
            certificate: Some(Arc::new(certificate())),
            will: Some(WillInfo {
                topic: "open/will".to_owned(),
                payload: b"gone".to_vec(),
                qos: QoS::AtLeastOnce,
                retain: true,
                delay_seconds: 5,
                expiry_seconds: Some(6),
            }),
            permissions: connected.then(|| Arc::new(permissions(client_id))),
        })
    }

    fn end_session<'a>(&'a self, client_id: &'a str) -> BoxFuture<'a, Result<(), ClientRefused>> {
        self.note(format!("end {client_id}"));
        let known = self.clients.contains_key(client_id);
        Box::pin(async move { known.then_some(()).ok_or(ClientRefused::NoSession) })
    }

    fn subscriptions(&self, query: &SubscriptionQuery) -> SubscriptionPage {
        self.note(format!("{query:?}"));
        let next = query.after.is_none().then(|| ("b/1 ä".to_owned(), Some("t".to_owned())));
        SubscriptionPage { subscriptions: vec![subscription("b/1 ä")], next }
    }

    fn subscribe<'a>(
        &'a self,
        client_id: &'a str,
        filter: SubscriptionFilter,
        options: SubscriptionOptions,
        identifier: Option<u32>,
    ) -> BoxFuture<'a, Result<SubscriptionInfo, ClientRefused>> {
        self.note(format!("subscribe {client_id} {filter} {}", options.maximum_qos as u8));
        let answer = match (self.clients.contains_key(client_id), filter.to_string()) {
            (false, _) => Err(ClientRefused::NoSession),
            (true, filter) if filter == "closed" => Err(ClientRefused::Refused {
                code: ReasonCode::NotAuthorized,
                cause: "no rule allows it".to_owned(),
            }),
            (true, filter) => {
                let (client_id, since_unix) = (client_id.into(), Some(1_700_000_008));
                Ok(SubscriptionInfo { client_id, filter, options, identifier, since_unix })
            }
        };
        Box::pin(async move { answer })
    }

    fn unsubscribe<'a>(
        &'a self,
        client_id: &'a str,
        filter: &'a SubscriptionFilter,
    ) -> BoxFuture<'a, Result<(), ClientRefused>> {
        self.note(format!("unsubscribe {client_id} {filter}"));
        let known = self.clients.contains_key(client_id);
        Box::pin(async move { known.then_some(()).ok_or(ClientRefused::NoSubscription) })
    }

    fn topics(&self, parent: Option<&str>, after: Option<&str>, limit: usize) -> TopicLevel {
        self.note(format!("topics {parent:?} {after:?} {limit}"));
        let child = TopicChild { name: "t".to_owned(), is_retained: true, ..TopicChild::default() };
        TopicLevel { children: vec![child], more: false, is_complete: true }
    }

    fn retained(
        &self,
        filter: &TopicFilter,
        after: Option<&TopicName>,
        limit: usize,
    ) -> RetainedPage {
        self.note(format!("retained {filter} {after:?} {limit}"));
        let message = RetainedInfo { payload: None, ..retained("open/t") };
        RetainedPage { messages: vec![message], next: Some(TopicName::new("open/t").unwrap()) }
    }

    fn retained_message(&self, topic: &str) -> Option<RetainedInfo> {
        (topic == "open/t").then(|| retained(topic))
    }

    fn remove_retained<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, bool> {
        self.note(format!("remove {topic}"));
        Box::pin(async move { topic == "open/t" })
    }

    fn publish(&self, message: ApiMessage) -> BoxFuture<'_, Result<ApiPublished, ApiRefused>> {
        let ApiMessage { user, listener, publication } = message;
        let payload = String::from_utf8_lossy(&publication.payload).into_owned();
        let topic = publication.topic.to_string();
        self.note(format!("publish {topic} {payload:?} by {user} on {listener:?}"));
        let answer = match topic.as_str() {
            "full" => Err(ApiRefused::Busy),
            "rejected" => Err(ApiRefused::Rejected {
                code: ReasonCode::PayloadFormatInvalid,
                cause: "schema: is no JSON".to_owned(),
            }),
            "large" => Err(ApiRefused::Invalid("it has over 10 bytes".to_owned())),
            _ => Ok(ApiPublished { receivers: 3, topic, swallowed: false, transformed: true }),
        };
        Box::pin(async move { answer })
    }
}
