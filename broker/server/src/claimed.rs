//! Messages and subscriptions that plugins claim: operation authorizers judge them, inbound transforms
//! work on them, before they go the usual way.
//!
//! The packet that has to wait stays where it was read and is handled again once the plugins have
//! answered; nothing behind it is looked at before, so that a client's packets keep their order.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use access::{
    About, Application, Authenticated, BoxFuture, MessageHooks, NotAuthorized, Operation,
    PublishRequest, Publisher, Rejected, Ruled, Source, SubscribeRequest, Transformed,
};
use codec::{Publish, QoS, ReasonCode, Will};
use session::WillMessage;
use topic::{SubscriptionFilter, TopicName};

use crate::{
    broker::Core,
    close::Close,
    connection::Connection,
    sessions::SessionHandle,
    traced::{Telling, witness},
};

/// Answers of operation authorizers that a connection keeps.
const RULINGS_MAX: usize = 256;

/// What becomes of a PUBLISH.
pub(crate) enum Verdict {
    /// Nobody but the rules decides.
    ByRules,
    /// Permitted, perhaps with other properties.
    Permitted(Option<Box<Will>>),
    /// Not permitted.
    Denied(NotAuthorized),
    /// A transform refused it.
    Rejected(ReasonCode),
    /// A transform kept it.
    Swallowed,
}

/// A question to plugins about the next packet of a connection.
pub(crate) struct Asking {
    /// In whose name, with the permissions and plugins of then: an answer holds for no others.
    authenticated: Arc<Authenticated>,
    state: State,
}

enum State {
    Running(BoxFuture<'static, Answer>),
    Answered(Answer),
}

enum Answer {
    Publish(Box<Judged>),
    Subscribe(SubscriptionFilter, QoS, Ruled),
}

/// What plugins said on a message.
pub(crate) struct Judged {
    /// What the operation authorizers said, and on what.
    ruled: Option<(Operation, Ruled)>,
    result: Result<Transformed, MessageRefused>,
}

/// Why a message goes nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageRefused {
    #[error("{0}")]
    Denied(NotAuthorized),
    #[error("{0}")]
    Rejected(Rejected),
    #[error("a transform changed the topic to {0:?}, which is none")]
    Topic(String),
}

/// Answers of operation authorizers on PUBLISH, each until its time is over.
#[derive(Default)]
pub(crate) struct Rulings(HashMap<Operation, (Ruled, Instant)>);

impl Rulings {
    pub(crate) fn clear(&mut self) {
        self.0 = HashMap::new();
    }

    fn find(&self, operation: &Operation, now: Instant) -> Option<&Ruled> {
        let (ruled, until) = self.0.get(operation)?;
        (*until > now).then_some(ruled)
    }

    fn keep(&mut self, operation: Operation, ruled: Ruled, now: Instant) {
        let Some(until) = now.checked_add(ruled.ttl).filter(|until| *until > now) else { return };
        if self.0.len() >= RULINGS_MAX {
            self.0.clear();
        }
        self.0.insert(operation, (ruled, until));
    }
}

/// Asks every plugin that has a say about a message: may it be published, and as what?
/// `known` = what the operation authorizers said before.
pub(crate) async fn judge(
    core: &Core,
    authenticated: &Authenticated,
    (source, message): (Source, Application),
    known: Option<Ruled>,
) -> Judged {
    let live = core.live.load_full();
    let sizes = &live.limits.sizes;
    let hooks = authenticated.hooks();
    let request = |message: &Application| {
        let (qos, retain, bytes) = (message.qos, message.retain, message.payload.len());
        (message.topic.clone(), qos, retain, bytes)
    };
    let (permitted, ruled) = permit(core, authenticated, request(&message), known).await;
    if let Err(denied) = permitted {
        return Judged { ruled, result: Err(MessageRefused::Denied(denied)) };
    }
    let topic = message.topic.clone();
    let publisher = Publisher::Client(authenticated.subject());
    let telling = Telling::of(core, Some(authenticated));
    let transforming = hooks.transform_inbound(source, publisher, message, witness(&telling));
    let result = match transforming.await {
        Err(rejected) => Err(MessageRefused::Rejected(rejected)),
        Ok(Transformed::Changed(changed)) if changed.topic != topic => {
            let valid =
                TopicName::new(&changed.topic).is_ok() && sizes.check_topic(&changed.topic).is_ok();
            match valid {
                false => Err(MessageRefused::Topic(changed.topic)),
                // The publisher needs the permission for where it goes now.
                true => match permit(core, authenticated, request(&changed), None).await.0 {
                    Ok(()) => Ok(Transformed::Changed(changed)),
                    Err(denied) => Err(MessageRefused::Denied(denied)),
                },
            }
        }
        Ok(transformed) => Ok(transformed),
    };
    Judged { ruled, result }
}

/// The same for a Will Message.
pub(crate) async fn judge_will(
    core: &Core,
    authenticated: &Authenticated,
    will: &WillMessage,
) -> Result<Transformed, MessageRefused> {
    let message = &will.message;
    let topic = message.topic().as_str();
    let whole = Publish::from_parts(topic, message.forwarded(), message.payload());
    let message = Publish {
        qos: message.qos(),
        retain: message.retain(),
        ..whole.unwrap_or_else(|| Publish::new(topic, message.payload()))
    };
    let application =
        Application { message_expiry_seconds: will.expiry_seconds, ..application(topic, &message) };
    judge(core, authenticated, (Source::Will, application), None).await.result
}

/// By rules, and by the operation authorizers that claim the topic.
async fn permit(
    core: &Core,
    authenticated: &Authenticated,
    (topic, qos, retain, payload_bytes): (String, QoS, bool, usize),
    known: Option<Ruled>,
) -> (Result<(), NotAuthorized>, Option<(Operation, Ruled)>) {
    let (hooks, permissions) = (authenticated.hooks(), authenticated.permissions());
    let request = PublishRequest { topic: &topic, qos, retain };
    let by_rules = permissions.permit_publish(request);
    let is_final = matches!(&by_rules, Err(denied) if *denied != NotAuthorized::NoRule);
    if is_final || !hooks.judge_publish(&topic) {
        return (by_rules.map(drop), None);
    }
    let operation = Operation::publish(&request, payload_bytes);
    let ruled = match known {
        Some(ruled) => ruled,
        None => rule(core, authenticated, &operation).await,
    };
    let permitted = permissions.permit_publish_ruled(request, &ruled).map(drop);
    (permitted, Some((operation, ruled)))
}

/// Asks the operation authorizers, and keeps what they said among the decisions.
async fn rule(core: &Core, authenticated: &Authenticated, operation: &Operation) -> Ruled {
    let making = core.gate.making();
    let telling = Telling::of(core, Some(authenticated));
    let hooks = authenticated.hooks();
    let asking = hooks.rule(authenticated.subject(), operation, witness(&telling));
    let ruled = access::deciding(&making, asking).await;
    let about = match operation.clone() {
        Operation::Publish { topic, qos, retain, .. } => About::Publish { topic, qos, retain },
        Operation::Subscribe { filter, qos, share_name } => About::Subscribe {
            filter: match share_name {
                Some(share) => format!("$share/{share}/{filter}"),
                None => filter,
            },
            qos,
        },
    };
    let why = (ruled.word.as_ref().err(), Vec::new());
    core.gate.note_operation(&making, authenticated, about, why, core.now_unix());
    ruled
}

/// A message as transforms see it.
pub(crate) fn application(topic: &str, publish: &Publish<'_>) -> Application {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let properties = publish.user_properties.iter();
    Application {
        topic: topic.to_owned(),
        payload: publish.payload.to_vec(),
        qos: publish.qos,
        retain: publish.retain,
        payload_is_utf8: publish.payload_format_indicator == Some(true),
        message_expiry_seconds: publish.message_expiry_interval,
        content_type: text(publish.content_type),
        response_topic: text(publish.response_topic),
        correlation_data: publish.correlation_data.map(<[u8]>::to_vec),
        user_properties: properties.map(|(name, value)| (name.into(), value.into())).collect(),
    }
}

/// The parts of a changed message that travel on, in the packet that owns such parts.
pub(crate) fn changed_parts(changed: Application) -> Will {
    Will {
        qos: changed.qos,
        retain: changed.retain,
        payload_format_indicator: changed.payload_is_utf8.then_some(true),
        message_expiry_interval: changed.message_expiry_seconds,
        content_type: changed.content_type,
        response_topic: changed.response_topic,
        correlation_data: changed.correlation_data,
        user_properties: changed.user_properties,
        topic: changed.topic,
        payload: changed.payload,
        delay_interval: 0,
    }
}

impl Connection {
    /// Whether a plugin has a say about a PUBLISH. What the rules were found to permit before is claimed
    /// by nobody.
    pub(crate) fn is_claimed(&self, at: usize, publish: &Publish<'_>) -> bool {
        let hooks = self.authenticated.hooks();
        let bit = crate::publish::permit_bit(publish.qos, publish.retain);
        let known = self.memo.topics.get(at);
        known.is_some_and(|known| {
            known.permitted & bit == 0
                && !hooks.is_empty()
                && hooks.claim_publish(known.topic.as_str())
        })
    }

    /// A PUBLISH that plugins have a say about: asked once, and handled when they have answered.
    pub(crate) fn handle_claimed(
        &mut self,
        at: usize,
        publish: &Publish<'_>,
        now: Instant,
    ) -> Result<(), Close> {
        if self.was_received(publish)? {
            return self.accept(at, publish, Verdict::ByRules, now);
        }
        if self.check_user_properties(publish).is_err() {
            // Before a plugin sees them: what it makes of the message has others.
            return self.accept(at, publish, Verdict::Rejected(ReasonCode::QuotaExceeded), now);
        }
        let judged = match self.answer_of_plugins() {
            Some(Answer::Publish(judged)) => judged,
            Some(Answer::Subscribe(..)) | None => {
                let Some(judged) = self.ask_about(at, publish, now) else { return Ok(()) };
                judged
            }
        };
        if let Some((operation, ruled)) = judged.ruled {
            self.rulings.keep(operation, ruled, now);
        }
        match judged.result {
            Ok(Transformed::Unchanged) => self.accept(at, publish, Verdict::Permitted(None), now),
            Ok(Transformed::Swallowed) => self.accept(at, publish, Verdict::Swallowed, now),
            Err(MessageRefused::Denied(denied)) => {
                self.accept(at, publish, Verdict::Denied(denied), now)
            }
            Err(MessageRefused::Topic(topic)) => {
                let client_id = telemetry::Escaped(&self.handle.client_id);
                let topic = telemetry::Escaped(&topic);
                tracing::debug!(%client_id, %topic, "a transform changed the topic to none");
                let code = ReasonCode::ImplementationSpecificError;
                self.accept(at, publish, Verdict::Rejected(code), now)
            }
            Err(MessageRefused::Rejected(rejected)) => {
                let client_id = telemetry::Escaped(&self.handle.client_id);
                let cause = telemetry::EscapedDisplay(&rejected);
                tracing::debug!(%client_id, %cause, "PUBLISH rejected");
                self.accept(at, publish, Verdict::Rejected(rejected.reason_code), now)
            }
            Ok(Transformed::Changed(changed)) => {
                let mut parts = Box::new(changed_parts(*changed));
                let at = match self.memo.find(&parts.topic) {
                    Some(at) => at,
                    None => self.learn_topic(&parts.topic)?,
                };
                // Only the properties are encoded from the parts.
                let payload = std::mem::take(&mut parts.payload);
                let changed = Publish {
                    dup: publish.dup,
                    qos: publish.qos,
                    retain: publish.retain,
                    packet_id: publish.packet_id,
                    message_expiry_interval: publish.message_expiry_interval,
                    ..Publish::new("", &payload)
                };
                self.accept(at, &changed, Verdict::Permitted(Some(parts)), now)
            }
        }
    }

    /// Whether a QoS 2 PUBLISH came before; nothing is noted.
    fn was_received(&self, publish: &Publish<'_>) -> Result<bool, Close> {
        let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id) else {
            return Ok(false);
        };
        Ok(self.own()?.session.was_received(packet_id))
    }

    /// Asks about a PUBLISH; `None` = the answer is awaited.
    fn ask_about(&mut self, at: usize, publish: &Publish<'_>, now: Instant) -> Option<Box<Judged>> {
        let topic = self.memo.topics.get(at)?.topic.as_str();
        let request = PublishRequest { topic, qos: publish.qos, retain: publish.retain };
        let operation = Operation::publish(&request, publish.payload.len());
        let known = self.rulings.find(&operation, now);
        if let Some(ruled) = known.filter(|_| !self.authenticated.hooks().transform(topic)) {
            // Nobody works on it: nothing of it has to be copied.
            let permitted = self.authenticated.permissions().permit_publish_ruled(request, ruled);
            let result = match permitted {
                Ok(_) => Ok(Transformed::Unchanged),
                Err(denied) => Err(MessageRefused::Denied(denied)),
            };
            return Some(Box::new(Judged { ruled: None, result }));
        }
        let known = known.cloned();
        let message = application(topic, publish);
        let (core, authenticated) = (Arc::clone(&self.core), Arc::clone(&self.authenticated));
        let judging = Box::pin(async move {
            let judged = judge(&core, &authenticated, (Source::Publish, message), known).await;
            Answer::Publish(Box::new(judged))
        });
        match self.ask_plugins(judging)? {
            Answer::Publish(judged) => Some(judged),
            Answer::Subscribe(..) => None,
        }
    }

    /// Asks about the filters of a SUBSCRIBE, one after the other; `false` = an answer is awaited.
    pub(crate) fn ask_about_filters(
        &mut self,
        filters: impl Iterator<Item = (SubscriptionFilter, QoS)>,
    ) -> bool {
        if self.authenticated.hooks().is_empty() {
            return true;
        }
        for (filter, qos) in filters {
            loop {
                let asked = SubscribeRequest { filter: &filter, qos };
                if !self.authenticated.permissions().must_ask(asked) {
                    break;
                }
                if self.is_asking_permissions() {
                    // What is said now would be lost with the permissions of now.
                    self.is_delayed = true;
                    return false;
                }
                let answer = match self.answer_of_plugins() {
                    Some(answer) => answer,
                    None => {
                        let authenticated = Arc::clone(&self.authenticated);
                        let core = Arc::clone(&self.core);
                        let (filter, operation) =
                            (filter.clone(), Operation::subscribe(&filter, qos));
                        let asking = Box::pin(async move {
                            let ruled = rule(&core, &authenticated, &operation).await;
                            Answer::Subscribe(filter, qos, ruled)
                        });
                        let Some(answer) = self.ask_plugins(asking) else { return false };
                        answer
                    }
                };
                if let Answer::Subscribe(filter, qos, ruled) = answer {
                    let permissions = self.authenticated.permissions();
                    let permissions = Arc::new(permissions.with_ruling(filter, qos, ruled));
                    self.authenticated = Arc::new(self.authenticated.with_permissions(permissions));
                    self.follow_permissions();
                }
            }
        }
        true
    }

    /// Looks once whether plugins answer at once; otherwise the packet waits.
    fn ask_plugins(&mut self, mut asking: BoxFuture<'static, Answer>) -> Option<Answer> {
        // The first turn with plugins has noted it; without, the packet waits for the next turn.
        let waker = self.waker.as_ref().unwrap_or(Waker::noop());
        if let Poll::Ready(answer) = asking.as_mut().poll(&mut Context::from_waker(waker)) {
            return Some(answer);
        }
        let authenticated = Arc::clone(&self.authenticated);
        self.asking = Some(Box::new(Asking { authenticated, state: State::Running(asking) }));
        None
    }

    /// What plugins said on the packet that is handled now, if they were asked; not what was said of
    /// permissions that are gone.
    fn answer_of_plugins(&mut self) -> Option<Answer> {
        let asking = self.asking.take()?;
        match asking.state {
            State::Answered(answer) if Arc::ptr_eq(&asking.authenticated, &self.authenticated) => {
                Some(answer)
            }
            State::Answered(_) | State::Running(_) => None,
        }
    }

    /// Whether a packet waits for plugins: nothing is read before they have answered.
    pub(crate) fn is_asking(&self) -> bool {
        matches!(self.asking.as_deref(), Some(Asking { state: State::Running(_), .. }))
    }

    /// Follows the question.
    pub(crate) fn poll_asking(&mut self, cx: &mut Context<'_>) {
        if let Some(asking) = &mut self.asking
            && let State::Running(running) = &mut asking.state
            && let Poll::Ready(answer) = running.as_mut().poll(cx)
        {
            asking.state = State::Answered(answer);
        }
    }
}

impl Core {
    /// Asks operation authorizers about the subscriptions of a session, before they are judged by new
    /// permissions.
    pub(crate) async fn rule_subscriptions(
        &self,
        handle: &SessionHandle,
        authenticated: Authenticated,
    ) -> Authenticated {
        let hooks: &Arc<MessageHooks> = authenticated.hooks();
        if hooks.is_empty() {
            return authenticated;
        }
        let subscriptions: Vec<_> = {
            let state = handle.state.lock();
            let subscriptions = state.session.subscriptions.iter();
            subscriptions.map(|s| (s.filter.clone(), s.options.maximum_qos)).collect()
        };
        let mut permissions = (**authenticated.permissions()).clone();
        let telling = Telling::of(self, Some(&authenticated));
        let mut failed = false;
        for (filter, qos) in subscriptions {
            if failed {
                // What was not asked is refused, and asked soon: a plugin that hangs is waited for once.
                break;
            }
            if permissions.must_ask(SubscribeRequest { filter: &filter, qos }) {
                let operation = Operation::subscribe(&filter, qos);
                let subject = authenticated.subject();
                let ruled = hooks.rule(subject, &operation, witness(&telling)).await;
                failed |= matches!(ruled.word, Err(NotAuthorized::Failed { .. }));
                permissions = permissions.with_ruling(filter, qos, ruled);
            }
        }
        authenticated.with_rulings(Arc::new(permissions), failed)
    }
}
