//! What the tests of this crate stand on: plugins made of fixed answers, a client, and a way to run
//! futures without a runtime. Knows nothing of the rules under test.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use codec::{ProtocolVersion, ReasonCode};

use crate::{
    Activity, Answer, Authenticator, Authorizer, BoxFuture, Chain, Condition, Connection, Control,
    Credentials, Denial, Effect, Grant, HoldsFor, Hooks, Identity, Link, LinkState, OnError,
    Outcome, PermissionSet, PluginFailure, PluginFailureKind, QoSSet, Rule, Subject,
};

pub(crate) const NOW: u64 = 1_000_000;

/// Runs a future whose hooks are all ready at once.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a test hook waited"),
    }
}

/// An authenticator that gives the result of a function.
pub(crate) struct Authenticates<F>(pub(crate) F);

impl<F> Authenticator for Authenticates<F>
where
    F: Fn(&Connection, &Credentials) -> Result<Outcome, PluginFailure> + Send + Sync,
{
    fn authenticate<'a>(
        &'a self,
        connection: &'a Connection,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>> {
        Box::pin(async move { (self.0)(connection, credentials) })
    }
}

/// An authorizer that gives the result of a function.
pub(crate) struct Authorizes<F>(pub(crate) F);

impl<F> Authorizer for Authorizes<F>
where
    F: Fn(&Subject) -> Result<Answer, PluginFailure> + Send + Sync,
{
    fn permissions<'a>(
        &'a self,
        subject: &'a Subject,
    ) -> BoxFuture<'a, Result<Answer, PluginFailure>> {
        Box::pin(async move { (self.0)(subject) })
    }
}

/// A link with these hooks, sufficient and `on_error = "deny"`.
pub(crate) fn link(
    name: &str,
    authenticator: Option<Arc<dyn Authenticator>>,
    authorizer: Option<Arc<dyn Authorizer>>,
) -> Link {
    Link {
        name: name.into(),
        generation: "g1".into(),
        control: Control::Sufficient,
        on_error: OnError::Deny,
        state: LinkState::Live(Box::new(Hooks { authenticator, authorizer, ..Hooks::default() })),
    }
}

/// A link whose authenticator always says this.
pub(crate) fn says(name: &str, control: Control, word: Result<Outcome, PluginFailure>) -> Link {
    let hook = Authenticates(move |_: &Connection, _: &Credentials| word.clone());
    Link { control, ..link(name, Some(Arc::new(hook)), None) }
}

/// A link whose authorizer always says this.
pub(crate) fn permits(name: &str, word: Result<Answer, PluginFailure>) -> Link {
    link(name, None, Some(Arc::new(Authorizes(move |_: &Subject| word.clone()))))
}

pub(crate) fn missing(name: &str, control: Control) -> Link {
    let state = LinkState::Missing("its file was removed".to_owned());
    Link { control, state, ..link(name, None, None) }
}

pub(crate) fn chain(links: impl IntoIterator<Item = Link>) -> Chain {
    Chain { links: links.into_iter().collect() }
}

pub(crate) fn allow(principal: &str) -> Result<Outcome, PluginFailure> {
    Ok(Outcome::Allow(Grant { principal: Some(principal.to_owned()), ..Grant::default() }))
}

pub(crate) fn deny(reason_code: ReasonCode) -> Result<Outcome, PluginFailure> {
    Ok(Outcome::Deny(Denial { reason_code, reason: Some("no".to_owned()) }))
}

pub(crate) fn fails(kind: PluginFailureKind) -> PluginFailure {
    PluginFailure { kind, message: "it broke".to_owned() }
}

pub(crate) fn connection() -> Connection {
    Connection {
        connection_id: 1,
        client_id: "device-1".into(),
        username: Some("claimed".to_owned()),
        listener: "mqtt".into(),
        remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
        protocol: ProtocolVersion::V5,
        tls: None,
        attributes: Vec::new(),
    }
}

pub(crate) fn credentials() -> Credentials {
    Credentials {
        password: None,
        clean_start: true,
        keep_alive_seconds: 60,
        user_properties: Vec::new(),
        will: None,
    }
}

pub(crate) fn subject(client_id: &str, principal: &str) -> Subject {
    let identity = Identity {
        principal: principal.into(),
        authenticated_by: "password-file".into(),
        groups: Vec::new(),
        attributes: Vec::new(),
        expires_at_unix: None,
        session_expiry_seconds_max: None,
        permissions: Vec::new(),
        limits: crate::ClientLimits::default(),
        user_properties: Vec::new(),
    };
    let connection = Connection { client_id: client_id.into(), ..connection() };
    Subject::new(&connection, Arc::new(identity))
}

/// A rule without conditions for publish and subscribe.
pub(crate) fn rule(effect: Effect, filter: &str) -> Rule {
    Rule {
        effect,
        activity: Activity { publish: true, subscribe: true },
        filter: filter.to_owned(),
        qos: QoSSet::ALL,
        retain: Condition::Any,
        shared: Condition::Any,
        share_name: None,
    }
}

pub(crate) fn rules(rules: impl IntoIterator<Item = Rule>) -> Answer {
    let rules = rules.into_iter().collect();
    Answer::Permissions(PermissionSet { rules, ttl_seconds: None, holds_for: HoldsFor::Client })
}

/// A clock that stands still.
pub(crate) fn no_time() -> Duration {
    Duration::ZERO
}
