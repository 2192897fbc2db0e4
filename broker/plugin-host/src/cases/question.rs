//! What a plugin can be asked, and asking it: the hooks that have a part in chains. Knows nothing of
//! files and of what is expected.

use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};

use access::{
    Answer, Application, Connection, Continuation, Credentials, Hooks, Login, Opening, Operation,
    Permissions, PluginFailure, PluginFailureKind, Publisher, Scope, Source, Step, Subject,
};
use toml::Table;
use topic::TopicFilter;

use super::answered;

/// A question to one hook; an exchange asks several times.
#[derive(Clone, Debug)]
pub enum Question {
    /// `authenticator`.
    Authenticate(Box<(Connection, Credentials)>),
    /// `enhanced-authenticator`: the method, and the Authentication Data of each packet.
    Exchange(Box<Connection>, String, Vec<Option<Vec<u8>>>),
    /// `authorizer`.
    Permissions(Subject),
    /// `operation-authorizer`.
    Authorize(Subject, Operation),
    /// `inbound-transform`.
    Transform(Source, Subject, Box<Application>),
    /// `outbound-transform`; the subscriber is told where the plugin asks for it.
    Outbound(Subject, Box<Application>),
    /// `admin-authenticator`.
    Login(Box<Login>),
}

/// An answer, written down.
#[derive(Debug)]
pub struct Answered {
    /// Its fields; `failure` for a call that came to none.
    pub fields: Table,
    /// The failure.
    pub failure: Option<PluginFailure>,
    /// What is permitted, where rules were asked for.
    pub permissions: Option<Result<Permissions, String>>,
    /// How long the plugin took; `None` where it was not asked.
    pub elapsed: Option<Duration>,
}

/// Steps after which the broker gives an exchange up.
const STEPS_MAX: usize = 8;

impl Question {
    /// The word for it in files and in what is printed.
    pub fn hook(&self) -> &'static str {
        match self {
            Self::Authenticate(_) => "authenticate",
            Self::Exchange(..) => "exchange",
            Self::Permissions(_) => "permissions",
            Self::Authorize(..) => "authorize",
            Self::Transform(..) => "transform",
            Self::Outbound(..) => "outbound",
            Self::Login(_) => "login",
        }
    }

    /// The answers; one, or in an exchange one for each step that was taken.
    pub async fn ask(&self, hooks: &Hooks) -> Vec<Answered> {
        match self {
            Self::Authenticate(asked) => {
                let Some(hook) = &hooks.authenticator else { return not_exported() };
                let (connection, credentials) = &**asked;
                let clock = Instant::now();
                let answer = hook.authenticate(connection, credentials).await;
                vec![written(clock, &answer, answered::outcome)]
            }
            Self::Exchange(connection, method, data) => {
                exchange(hooks, connection, method, data).await
            }
            Self::Permissions(subject) => {
                let Some(hook) = &hooks.authorizer else { return not_exported() };
                let clock = Instant::now();
                let answer = hook.permissions(subject).await;
                let mut written = written(clock, &answer, answered::answer);
                written.permissions = answer.ok().map(|answer| compile(subject, answer));
                vec![written]
            }
            Self::Authorize(subject, operation) => {
                let Some(hook) = &hooks.operation_authorizer else { return not_exported() };
                if !claims_operation(hook.topics(), operation) {
                    return not_asked();
                }
                let clock = Instant::now();
                let answer = hook.authorize(subject, operation).await;
                vec![written(clock, &answer, answered::ruling)]
            }
            Self::Transform(source, publisher, message) => {
                let Some(hook) = &hooks.inbound_transform else { return not_exported() };
                if !hook.topics().iter().any(|filter| filter.matches(&message.topic)) {
                    return not_asked();
                }
                let publisher = match source {
                    Source::Api => Publisher::Api(&publisher.identity.principal),
                    Source::Publish | Source::Will => Publisher::Client(publisher),
                };
                let clock = Instant::now();
                let answer = hook.transform(*source, publisher, message).await;
                vec![written(clock, &answer, answered::inbound)]
            }
            Self::Outbound(subscriber, message) => {
                let Some(hook) = &hooks.outbound_transform else { return not_exported() };
                if !hook.topics().iter().any(|filter| filter.matches(&message.topic)) {
                    return not_asked();
                }
                let subscriber = Some(subscriber).filter(|_| hook.scope() == Scope::Subscriber);
                let clock = Instant::now();
                let answer = hook.transform(subscriber, message).await;
                vec![written(clock, &answer, answered::outbound)]
            }
            Self::Login(login) => {
                let Some(hook) = &hooks.admin_authenticator else { return not_exported() };
                let clock = Instant::now();
                let answer = hook.authenticate_admin(login).await;
                vec![written(clock, &answer, answered::login)]
            }
        }
    }
}

/// Goes on as long as the plugin challenges and there is something to answer.
async fn exchange(
    hooks: &Hooks,
    connection: &Connection,
    method: &str,
    packets: &[Option<Vec<u8>>],
) -> Vec<Answered> {
    let Some(hook) = &hooks.enhanced_authenticator else { return not_exported() };
    if !hook.methods().iter().any(|known| known == method) {
        return not_asked();
    }
    let mut steps = Vec::new();
    let mut state = None;
    for data in packets.iter().take(STEPS_MAX) {
        let (method, data) = (method.to_owned(), data.clone());
        let (principal, user_properties) = (None, Vec::new());
        let clock = Instant::now();
        let step = match state.take() {
            None => {
                let opening = Opening { method, data, principal, user_properties };
                hook.begin(connection, &opening).await
            }
            Some(state) => {
                let next = Continuation { method, data, state, principal, user_properties };
                hook.proceed(connection, &next).await
            }
        };
        steps.push(written(clock, &step, answered::step));
        let Ok(Step::Challenge(challenge)) = step else { break };
        state = Some(challenge.state);
    }
    steps
}

fn written<T>(
    clock: Instant,
    answer: &Result<T, PluginFailure>,
    fields: impl FnOnce(&T) -> Table,
) -> Answered {
    let elapsed = clock.elapsed();
    let failure = answer.as_ref().err().cloned();
    let fields = match answer {
        Ok(answer) => fields(answer),
        Err(failure) => answered::failure(failure),
    };
    Answered { fields, failure, permissions: None, elapsed: Some(elapsed) }
}

fn compile(subject: &Subject, answer: Answer) -> Result<Permissions, String> {
    let answers = [(Arc::from("the plugin"), answer)];
    Permissions::compile(subject, &answers).map_err(|refusal| refusal.to_string())
}

/// As the broker sees a plugin that is named and lacks the hook.
fn not_exported() -> Vec<Answered> {
    let message = "it does not export this hook".to_owned();
    let failure = PluginFailure { kind: PluginFailureKind::Missing, message };
    let fields = answered::failure(&failure);
    vec![Answered { fields, failure: Some(failure), permissions: None, elapsed: None }]
}

/// The plugin does not claim it.
fn not_asked() -> Vec<Answered> {
    let fields = answered::not_asked();
    vec![Answered { fields, failure: None, permissions: None, elapsed: None }]
}

fn claims_operation(claimed: &[TopicFilter], operation: &Operation) -> bool {
    claimed.iter().any(|claim| match operation {
        Operation::Publish { topic, .. } => claim.matches(topic),
        Operation::Subscribe { filter, .. } => {
            TopicFilter::new(filter).is_ok_and(|filter| claim.overlaps(&filter))
        }
    })
}
