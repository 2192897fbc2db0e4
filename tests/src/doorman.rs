//! A plugin in plain Rust: an authenticator and authorizer whose users, rules and mood a test
//! changes while the broker runs.
//!
//! Knows nothing of how its words become a decision: that is `access`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use access::{
    Activity, Answer, Authenticator, Authorizer, BoxFuture, Chain, Condition, Connection, Control,
    Credentials, Denial, Effect, Grant, HoldsFor, Hooks, Link, LinkState, OnError, Outcome,
    PermissionSet, PluginFailure, PluginFailureKind, QoSSet, Rule, Subject,
};
use codec::ReasonCode;
use tokio::sync::watch;

/// How a hook answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As the users say.
    Answers,
    /// With this failure.
    Fails(PluginFailureKind),
    /// With this denial of everybody.
    Denies(ReasonCode),
    /// Not before its mood changes.
    Hangs,
}

/// Somebody the doorman knows.
#[derive(Clone, Debug)]
pub struct User {
    /// Password; `None` = none is needed.
    pub password: Option<String>,
    /// What an allow carries; without principal it is filled in with the User Name.
    pub grant: Grant,
    /// Rules, first match wins.
    pub rules: Vec<Rule>,
    /// Time to live of the rules in seconds.
    pub ttl_seconds: Option<u32>,
}

/// What who is denied may read.
pub(crate) const REASON: &str = "not today";

/// A user who may do everything and needs no password.
impl Default for User {
    fn default() -> Self {
        Self { password: None, grant: Grant::default(), rules: vec![allow("#")], ttl_seconds: None }
    }
}

impl User {
    /// A user with these rules who needs no password.
    pub fn with_rules(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().collect(), ..Self::default() }
    }
}

/// Permits publishing and subscribing.
pub fn allow(filter: &str) -> Rule {
    rule(Effect::Allow, filter)
}

/// Refuses publishing and subscribing.
pub fn deny(filter: &str) -> Rule {
    rule(Effect::Deny, filter)
}

fn rule(effect: Effect, filter: &str) -> Rule {
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

/// The plugin. A name it does not know is [`User::default`].
pub struct Doorman {
    /// With how often each was changed.
    users: Mutex<HashMap<String, (u32, User)>>,
    authenticates: watch::Sender<Mood>,
    authorizes: watch::Sender<Mood>,
}

impl Default for Doorman {
    fn default() -> Self {
        Self {
            users: Mutex::default(),
            authenticates: watch::Sender::new(Mood::Answers),
            authorizes: watch::Sender::new(Mood::Answers),
        }
    }
}

impl Doorman {
    /// Makes a user known, or changes one. Whoever is authenticated from now on is told apart from
    /// before by an attribute: kept answers about the user as it was are not about this one.
    pub fn set_user(&self, name: &str, user: User) {
        let mut users = self.users.lock().unwrap();
        let changes = users.get(name).map_or(1, |(changes, _)| changes + 1);
        users.insert(name.to_owned(), (changes, user));
    }

    /// Changes how the authenticator answers.
    pub fn authenticator(&self, mood: Mood) {
        self.authenticates.send_replace(mood);
    }

    /// Changes how the authorizer answers.
    pub fn authorizer(&self, mood: Mood) {
        self.authorizes.send_replace(mood);
    }

    /// A chain with this plugin and more links behind it.
    pub fn chain_with(self: &Arc<Self>, links: impl IntoIterator<Item = Link>) -> Chain {
        let mut chain = self.chain();
        chain.links.extend(links);
        chain
    }

    /// A chain with this plugin alone.
    pub fn chain(self: &Arc<Self>) -> Chain {
        let link = Link {
            name: "doorman".into(),
            generation: "1".into(),
            control: Control::Sufficient,
            on_error: OnError::Deny,
            state: LinkState::Live(Box::new(Hooks {
                authenticator: Some(Arc::clone(self) as _),
                authorizer: Some(Arc::clone(self) as _),
                enhanced_authenticator: Some(Arc::clone(self) as _),
                ..Hooks::default()
            })),
        };
        Chain { links: vec![link] }
    }

    pub(crate) fn user(&self, name: &str) -> (u32, User) {
        self.users.lock().unwrap().get(name).cloned().unwrap_or_default()
    }
}

/// Waits until it is not to hang; then the mood.
async fn settled(mood: &watch::Sender<Mood>) -> Mood {
    let mut mood = mood.subscribe();
    let settled = mood.wait_for(|mood| *mood != Mood::Hangs).await;
    settled.map_or(Mood::Fails(PluginFailureKind::Missing), |mood| *mood)
}

fn failure(kind: PluginFailureKind) -> PluginFailure {
    PluginFailure { kind, message: "out of order".to_owned() }
}

fn denial(reason_code: ReasonCode) -> Outcome {
    Outcome::Deny(Denial { reason_code, reason: Some(REASON.to_owned()) })
}

impl Authenticator for Doorman {
    fn authenticate<'a>(
        &'a self,
        connection: &'a Connection,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>> {
        Box::pin(async move {
            match settled(&self.authenticates).await {
                Mood::Fails(kind) => return Err(failure(kind)),
                Mood::Denies(code) => return Ok(denial(code)),
                Mood::Answers | Mood::Hangs => {}
            }
            let name = connection.username.as_deref().unwrap_or(&connection.client_id);
            let (changes, user) = self.user(name);
            let offered = credentials.password.as_ref().map(|password| password.expose());
            let wrong = user.password.as_ref().is_some_and(|p| offered != Some(p.as_bytes()));
            if wrong {
                return Ok(denial(ReasonCode::BadUserNameOrPassword));
            }
            let mut grant = user.grant;
            grant.principal.get_or_insert_with(|| name.to_owned());
            grant.attributes.push(("changes".to_owned(), changes.to_string()));
            Ok(Outcome::Allow(grant))
        })
    }
}

impl Authorizer for Doorman {
    fn permissions<'a>(
        &'a self,
        subject: &'a Subject,
    ) -> BoxFuture<'a, Result<Answer, PluginFailure>> {
        Box::pin(async move {
            match settled(&self.authorizes).await {
                Mood::Fails(kind) => return Err(failure(kind)),
                Mood::Denies(_) => return Ok(Answer::DenyAll),
                Mood::Answers | Mood::Hangs => {}
            }
            let (_, User { rules, ttl_seconds, .. }) = self.user(&subject.identity.principal);
            Ok(Answer::Permissions(PermissionSet {
                rules,
                ttl_seconds,
                holds_for: HoldsFor::Client,
            }))
        })
    }
}
