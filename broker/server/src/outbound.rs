//! Messages that outbound transforms work on, on their way to one client. They wait in its session as they
//! were published (`session/transform.rs`); here plugins are asked, and what they made of each is handed in.
//!
//! What does not depend on who gets the message is found out once for all its subscribers: the first who needs it
//! asks, the others wait for the answer, which is kept with the message.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use access::{Authenticated, BoxFuture, MessageHooks, Transformed};
use codec::Publish;
use limits::Sizes;
use parking_lot::Mutex;
use session::Message;
use tokio::sync::OnceCell;

use crate::{
    broker::Core,
    claimed::{application, changed_parts},
    close::Close,
    connection::Connection,
    traced::{Telling, witness},
};

/// Lots that are worked on in one turn, before others get theirs.
const LOTS_PER_TURN: usize = 4;

/// A lot of messages that plugins work on.
pub(crate) struct Working {
    /// Of the chain that is asked.
    hooks: Arc<MessageHooks>,
    running: BoxFuture<'static, Vec<(Arc<Message>, Fate)>>,
}

/// What becomes of a message.
#[derive(Clone)]
enum Fate {
    Goes(Arc<Message>),
    Swallowed,
    /// A transform failed, or made of it what is too large.
    Failed,
}

/// What was found out for all subscribers of a message, for each chain that has some.
#[derive(Default)]
struct ForAll(Mutex<Vec<OfChain>>);

type OfChain = (Arc<MessageHooks>, Arc<OnceCell<Fate>>);

impl ForAll {
    fn cell(&self, hooks: &Arc<MessageHooks>) -> Arc<OnceCell<Fate>> {
        let mut cells = self.0.lock();
        if let Some((_, cell)) = cells.iter().find(|(of, _)| Arc::ptr_eq(of, hooks)) {
            return Arc::clone(cell);
        }
        let cell = Arc::<OnceCell<Fate>>::default();
        cells.push((Arc::clone(hooks), Arc::clone(&cell)));
        cell
    }
}

impl Connection {
    /// Has plugins work on the messages that are next.
    pub(crate) fn poll_outbound(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Result<(), Close> {
        for _ in 0..LOTS_PER_TURN {
            let hooks = self.authenticated.hooks();
            // Asked of plugins that are gone.
            self.working.take_if(|working| !Arc::ptr_eq(&working.hooks, hooks));
            let mut working = match self.working.take() {
                Some(working) => working,
                None => {
                    let messages = self.own()?.session.untransformed();
                    if messages.is_empty() {
                        return Ok(());
                    }
                    let hooks = Arc::clone(hooks);
                    let (core, authenticated) = (&self.core, &self.authenticated);
                    let asking = work(Arc::clone(core), Arc::clone(authenticated), messages);
                    Box::new(Working { hooks, running: Box::pin(asking) })
                }
            };
            let Poll::Ready(fates) = working.running.as_mut().poll(cx) else {
                self.working = Some(working);
                return Ok(());
            };
            self.hand_on(fates, now)?;
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn hand_on(&mut self, fates: Vec<(Arc<Message>, Fate)>, now: Instant) -> Result<(), Close> {
        let (mut swallowed, mut failed) = (0, 0);
        let outcomes = fates.into_iter().map(|(message, fate)| match fate {
            Fate::Goes(outgoing) => (message, Some(outgoing)),
            Fate::Swallowed => {
                swallowed += 1;
                (message, None)
            }
            Fate::Failed => {
                failed += 1;
                (message, None)
            }
        });
        let mut state = self.own()?;
        state.session.transformed(outcomes);
        let expired = state.session.pump(now) as u64;
        drop(state);
        self.counts.dropped("transform_swallowed", swallowed);
        self.counts.dropped("transform_failed", failed);
        self.counts.dropped("expired", expired);
        Ok(())
    }
}

async fn work(
    core: Arc<Core>,
    authenticated: Arc<Authenticated>,
    messages: Vec<Arc<Message>>,
) -> Vec<(Arc<Message>, Fate)> {
    let live = core.live.load_full();
    let mut fates = Vec::with_capacity(messages.len());
    for message in messages {
        let fate = fate(&core, &authenticated, &message, &live.limits.sizes).await;
        fates.push((message, fate));
    }
    fates
}

async fn fate(
    core: &Core,
    authenticated: &Authenticated,
    message: &Arc<Message>,
    sizes: &Sizes,
) -> Fate {
    let hooks = authenticated.hooks();
    let (for_all, for_one) = hooks.outbound_scopes(message.topic().as_str());
    let mut fate = Fate::Goes(Arc::clone(message));
    if for_all {
        let asking = || part(core, (hooks, None), message, sizes);
        fate = match message.attached::<ForAll>() {
            Some(cells) => cells.cell(hooks).get_or_init(asking).await.clone(),
            None => asking().await,
        };
    }
    match fate {
        Fate::Goes(message) if for_one => {
            part(core, (hooks, Some(authenticated)), &message, sizes).await
        }
        fate => fate,
    }
}

async fn part(
    core: &Core,
    (hooks, subscriber): (&MessageHooks, Option<&Authenticated>),
    message: &Arc<Message>,
    sizes: &Sizes,
) -> Fate {
    let topic = message.topic().as_str();
    let whole = Publish::from_parts(topic, message.forwarded(), message.payload());
    let whole = Publish {
        qos: message.qos(),
        retain: message.retain(),
        message_expiry_interval: message.expiry_left_seconds(Instant::now()),
        ..whole.unwrap_or_else(|| Publish::new(topic, message.payload()))
    };
    let telling = Telling::of(core, subscriber);
    let (whom, whole) = (subscriber.map(Authenticated::subject), application(topic, &whole));
    match hooks.transform_outbound(whom, whole, witness(&telling)).await {
        Ok(Transformed::Unchanged) => Fate::Goes(Arc::clone(message)),
        Ok(Transformed::Swallowed) => Fate::Swallowed,
        Ok(Transformed::Changed(changed)) => {
            let (parts, mut forwarded) = (changed_parts(*changed), Vec::new());
            parts.encode_forwarded(&mut forwarded);
            let bytes = forwarded.len() + parts.payload.len();
            if bytes > sizes.packet_bytes {
                let (topic, most) = (telemetry::Escaped(topic), sizes.packet_bytes);
                tracing::debug!(%topic, bytes, most,
                    "a transform made a message larger than packets may be: it is not delivered");
                return Fate::Failed;
            }
            Fate::Goes(Arc::new(message.with_parts(&forwarded, &parts.payload)))
        }
        Err(failed) => {
            let (topic, cause) = (telemetry::Escaped(topic), telemetry::EscapedDisplay(&failed));
            tracing::debug!(%topic, %cause, "a message is not delivered: a transform failed");
            Fate::Failed
        }
    }
}
