//! A plugin in plain Rust that has a say about single operations and messages.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use access::{
    Application, BoxFuture, Control, Hooks, Inbound, InboundTransform, Link, LinkState, OnError,
    Operation, OperationAuthorizer, Outbound, OutboundTransform, PluginFailure, Publisher, Ruling,
    Scope, Source, Subject,
};
use tokio::sync::watch;
use topic::TopicFilter;

type Ruled = Result<Ruling, PluginFailure>;
type Worked = Result<Inbound, PluginFailure>;
type Sent = Result<Outbound, PluginFailure>;
type Rules = dyn Fn(&Subject, &Operation) -> Ruled + Send + Sync;
type Works = dyn Fn(Source, &str, &Application) -> Worked + Send + Sync;
type Sends = dyn Fn(Option<&str>, &Application) -> Sent + Send + Sync;

/// What a test makes of it. Counts how often it was asked, and answers nobody while it sleeps.
pub struct Meddler {
    topics: Vec<TopicFilter>,
    rules: Option<Box<Rules>>,
    works: Option<Box<Works>>,
    sends: Option<(Scope, Box<Sends>)>,
    asked: AtomicUsize,
    sleeps: watch::Sender<bool>,
}

impl Meddler {
    /// An operation authorizer.
    pub fn judging(
        topics: &[&str],
        rules: impl Fn(&Subject, &Operation) -> Ruled + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::new(topics, Some(Box::new(rules)), None, None)
    }

    /// An inbound transform; told the source, the name of the publisher and the message.
    pub fn working(
        topics: &[&str],
        works: impl Fn(Source, &str, &Application) -> Worked + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::new(topics, None, Some(Box::new(works)), None)
    }

    /// An outbound transform; told the client identifier of the subscriber, where the scope is that, and
    /// the message.
    pub fn sending(
        topics: &[&str],
        scope: Scope,
        sends: impl Fn(Option<&str>, &Application) -> Sent + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::new(topics, None, None, Some((scope, Box::new(sends))))
    }

    fn new(
        topics: &[&str],
        rules: Option<Box<Rules>>,
        works: Option<Box<Works>>,
        sends: Option<(Scope, Box<Sends>)>,
    ) -> Arc<Self> {
        let topics = topics.iter().map(|text| TopicFilter::new(text).expect("a filter"));
        Arc::new(Self {
            topics: topics.collect(),
            rules,
            works,
            sends,
            asked: AtomicUsize::new(0),
            sleeps: watch::Sender::new(false),
        })
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Whether it answers.
    pub fn sleep(&self, sleeps: bool) {
        self.sleeps.send_replace(sleeps);
    }

    /// As a link of a chain.
    pub fn link(self: &Arc<Self>, name: &str) -> Link {
        let mut hooks = Hooks::default();
        if self.rules.is_some() {
            hooks.operation_authorizer = Some(Arc::clone(self) as _);
        }
        if self.works.is_some() {
            hooks.inbound_transform = Some(Arc::clone(self) as _);
        }
        if self.sends.is_some() {
            hooks.outbound_transform = Some(Arc::clone(self) as _);
        }
        Link {
            name: name.into(),
            generation: "1".into(),
            control: Control::Sufficient,
            on_error: OnError::Deny,
            state: LinkState::Live(Box::new(hooks)),
        }
    }

    async fn awake(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut sleeps = self.sleeps.subscribe();
        assert!(sleeps.wait_for(|sleeps| !sleeps).await.is_ok());
    }
}

impl OperationAuthorizer for Meddler {
    fn topics(&self) -> &[TopicFilter] {
        &self.topics
    }

    fn authorize<'a>(
        &'a self,
        subject: &'a Subject,
        operation: &'a Operation,
    ) -> BoxFuture<'a, Result<Ruling, PluginFailure>> {
        Box::pin(async move {
            self.awake().await;
            (self.rules.as_ref().expect("it judges"))(subject, operation)
        })
    }
}

impl InboundTransform for Meddler {
    fn topics(&self) -> &[TopicFilter] {
        &self.topics
    }

    fn transform<'a>(
        &'a self,
        source: Source,
        publisher: Publisher<'a>,
        message: &'a Application,
    ) -> BoxFuture<'a, Result<Inbound, PluginFailure>> {
        Box::pin(async move {
            self.awake().await;
            let name = match publisher {
                Publisher::Client(subject) => &subject.identity.principal,
                Publisher::Api(user) => user,
            };
            (self.works.as_ref().expect("it works"))(source, name, message)
        })
    }
}

impl OutboundTransform for Meddler {
    fn topics(&self) -> &[TopicFilter] {
        &self.topics
    }

    fn scope(&self) -> Scope {
        self.sends.as_ref().expect("it sends").0
    }

    fn transform<'a>(
        &'a self,
        subscriber: Option<&'a Subject>,
        message: &'a Application,
    ) -> BoxFuture<'a, Sent> {
        Box::pin(async move {
            self.awake().await;
            let client_id = subscriber.map(|subject| &*subject.client_id);
            (self.sends.as_ref().expect("it sends").1)(client_id, message)
        })
    }
}
