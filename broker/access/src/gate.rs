//! The gate: the current chain of every listener, swapped as a whole while decisions are being
//! made.
//!
//! Owns the snapshot and who is told of a swap. Knows nothing of what the words mean (`chain.rs`)
//! and of what rules permit (`permissions.rs`).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::{
    Chain, Connection, Credentials, Decision, Event, EventKinds, EventSink, Identity, LinkReport,
    MessageHooks, Opening, Permissions, Refusal, Subject, Whose,
    chain::{
        answers::Answers,
        authenticate::authenticate,
        authorize::{Permitted, authorize},
        exchange::{self, Stepped},
        stopwatch::Stopwatch,
    },
    permissions::SharedPermissions,
    taken_back::TakenBack,
};

/// The current chains. Shared by `server`, which asks, and `plugin-host`, which swaps.
///
/// Each method that asks plugins takes one snapshot at its start and stays on it: no decision ever
/// mixes two generations.
pub struct Gate {
    chains: ArcSwap<Chains>,
    /// That of `chains`, for those who ask for nothing else at every turn; raised right after.
    generation: AtomicU64,
    observers: Mutex<Vec<Observer>>,
    shared: SharedPermissions,
    events: OnceLock<Arc<dyn EventSink>>,
    taken_back: TakenBack,
    clock: fn() -> Duration,
}

/// Proof of an accepted CONNECT: the only way to a connected client. Only [`Gate::admit`] makes
/// one.
#[derive(Clone, Debug)]
pub struct Authenticated {
    subject: Subject,
    permissions: Arc<Permissions>,
    usable_for: Duration,
    generation: u64,
    hooks: Arc<MessageHooks>,
    /// How many times permissions had been taken back before these were asked for.
    taken_back: u64,
}

/// Where the Client Identifier comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientIdFrom {
    /// The CONNECT packet.
    #[default]
    Connect,
    /// The authenticated principal, whatever CONNECT says.
    Principal,
}

/// Somebody who authenticates in several steps; the same in each.
#[derive(Clone, Copy)]
pub struct Approaching<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// What CONNECT carried; the links that must allow whatever the method may want it.
    pub credentials: &'a Credentials,
    /// Where the Client Identifier comes from.
    pub client_id_from: ClientIdFrom,
    /// Seconds since 1970.
    pub now_unix: u64,
}

impl<'a> Approaching<'a> {
    fn asking(&self) -> exchange::Asking<'a> {
        let Self { connection, credentials, now_unix, .. } = *self;
        exchange::Asking { connection, credentials, now_unix }
    }
}

/// An authentication exchange that waits for the client's answer. At most 8 steps; how long it may
/// take is the caller's to watch.
#[derive(Debug)]
pub struct Exchange(Box<exchange::Exchange>);

/// What a step of an exchange came to.
#[derive(Debug)]
pub enum Progress {
    /// Authentication Data for the client, which has to answer it.
    Challenge(Vec<u8>, Exchange),
    /// The client is let in, with Authentication Data for the last packet, or not.
    Decided(Result<(Authenticated, Option<Vec<u8>>), Refusal>),
}

/// All that a swap replaces, in one object so that a reader never sees half of it.
struct Chains {
    generation: u64,
    default: Arc<InForce>,
    by_listener: HashMap<Arc<str>, Arc<InForce>>,
}

/// A chain, and what its authorizers answered since it was put in force.
#[derive(Default)]
struct InForce {
    chain: Arc<Chain>,
    /// One for each link.
    answers: Box<[Answers]>,
    hooks: Arc<MessageHooks>,
}

impl InForce {
    fn new(chain: Chain) -> Arc<Self> {
        let answers = chain.links.iter().map(|_| Answers::new()).collect();
        let hooks = MessageHooks::of(&chain);
        Arc::new(Self { chain: Arc::new(chain), answers, hooks })
    }

    async fn authorize(
        &self,
        subject: &Subject,
        stopwatch: &mut Stopwatch,
    ) -> (Result<Permitted, Refusal>, Vec<LinkReport>) {
        authorize(&self.chain, &self.answers, subject, stopwatch).await
    }
}

/// How long permissions are used for which an operation authorizer failed.
const RETRY_FAILED: Duration = Duration::from_secs(5);

type Observer = Arc<dyn Fn(u64) + Send + Sync>;

impl Gate {
    /// A gate without chains: refuses everybody. `clock` never goes back and measures how long
    /// links take.
    pub fn new(clock: fn() -> Duration) -> Self {
        let none = Chains { generation: 0, default: Arc::default(), by_listener: HashMap::new() };
        Self {
            chains: ArcSwap::from_pointee(none),
            generation: AtomicU64::new(0),
            observers: Mutex::default(),
            shared: SharedPermissions::default(),
            events: OnceLock::new(),
            taken_back: TakenBack::default(),
            clock,
        }
    }

    /// Replaces all chains in one step (listener name -> chain; `default` for listeners not named),
    /// raises the generation and then calls the observers. Decisions in progress finish on the
    /// chain they began with. Returns the new generation.
    pub fn swap(&self, default: Chain, by_listener: HashMap<Arc<str>, Chain>) -> u64 {
        let default = InForce::new(default);
        let by_listener: HashMap<_, _> =
            by_listener.into_iter().map(|(name, chain)| (name, InForce::new(chain))).collect();
        let before = self.chains.rcu(|old| Chains {
            generation: old.generation + 1,
            default: default.clone(),
            by_listener: by_listener.clone(),
        });
        let generation = before.generation + 1;
        self.generation.fetch_max(generation, Ordering::AcqRel);
        // Called without the lock: an observer may register another or look at the gate.
        let observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for observer in observers {
            observer(generation);
        }
        generation
    }

    /// Who tells plugins what happens; the first one stays.
    pub fn set_event_sink(&self, sink: Arc<dyn EventSink>) {
        let _ = self.events.set(sink);
    }

    /// Tells what happened to those who want to know; `event` is only made when somebody does.
    pub fn tell(&self, kind: EventKinds, event: impl FnOnce() -> Event) {
        if let Some(sink) = self.events.get().filter(|sink| sink.wanted().has(kind)) {
            sink.tell(event());
        }
    }

    /// Raised by one at each [`Gate::swap`]; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes back what is kept of these clients' permissions: the next question about them reaches
    /// the plugins, and [`Gate::took_back`] says so of what was asked for before. `principal` = that
    /// of the client, where one client is meant and its principal is known.
    pub fn take_back(&self, whose: Whose<'_>, principal: Option<&str>) {
        let chains = self.chains.load();
        let now = (self.clock)();
        for in_force in chains.by_listener.values().chain([&chains.default]) {
            in_force.answers.iter().for_each(|answers| answers.forget(whose, principal, now));
        }
        self.taken_back.note(whose);
    }

    /// How many times permissions were taken back.
    pub fn taken_back(&self) -> u64 {
        self.taken_back.count()
    }

    /// Whether permissions of this client were taken back since the count was `since`.
    pub fn took_back(&self, subject: &Subject, since: u64) -> bool {
        self.taken_back.concerns(subject, since)
    }

    /// The chain in force for a listener.
    pub fn chain(&self, listener: &str) -> Arc<Chain> {
        Arc::clone(&self.chains.load().in_force(listener).chain)
    }

    /// `observer` is called after each swap with the new generation, on the swapping thread; it
    /// must not block. When two threads swap at once, the calls may come in either order.
    pub fn on_swap(&self, observer: Box<dyn Fn(u64) + Send + Sync>) {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::from(observer));
    }

    /// Decides one CONNECT: authenticates, then asks for permissions, all on one generation. The
    /// walk holds both. `now_unix` = seconds since 1970.
    pub async fn admit(
        &self,
        connection: &Connection,
        credentials: &Credentials,
        client_id_from: ClientIdFrom,
        now_unix: u64,
    ) -> (Result<Authenticated, Refusal>, Vec<LinkReport>) {
        let (in_force, generation) = self.snapshot(&connection.listener);
        let mut stopwatch = Stopwatch::start(self.clock);
        let time = (&mut stopwatch, now_unix);
        let decision = authenticate(&in_force.chain, connection, credentials, time).await;
        let mut walk = decision.walk;
        let identity = match decision.result {
            Ok(identity) => identity,
            Err(refusal) => return (Err(refusal), walk),
        };
        let subject = Subject::new(connection, identity);
        let permitted = self.permit(
            subject,
            client_id_from,
            (&in_force, generation),
            &mut stopwatch,
            &mut walk,
        );
        (permitted.await, walk)
    }

    /// What a client may do whose identity is proved.
    async fn permit(
        &self,
        mut subject: Subject,
        client_id_from: ClientIdFrom,
        (in_force, generation): (&InForce, u64),
        stopwatch: &mut Stopwatch,
        walk: &mut Vec<LinkReport>,
    ) -> Result<Authenticated, Refusal> {
        if client_id_from == ClientIdFrom::Principal {
            subject.client_id = subject.identity.principal.clone();
        }
        let taken_back = self.taken_back();
        let (permitted, reports) = in_force.authorize(&subject, stopwatch).await;
        walk.extend(reports);
        permitted.map(|Permitted { permissions, usable_for }| Authenticated {
            subject,
            permissions: with_hooks(self.shared.share(permissions), &in_force.hooks),
            usable_for,
            generation,
            hooks: Arc::clone(&in_force.hooks),
            taken_back,
        })
    }

    /// Begins enhanced authentication, for a CONNECT with an Authentication Method or a client that
    /// authenticates again. The walk holds the links that were asked.
    pub async fn begin(
        &self,
        client: Approaching<'_>,
        opening: Opening,
    ) -> (Progress, Vec<LinkReport>) {
        let (in_force, generation) = self.snapshot(&client.connection.listener);
        let mut stopwatch = Stopwatch::start(self.clock);
        let mut walk = Vec::new();
        let on = (&*in_force.chain, generation);
        let stepped =
            exchange::begin(on, client.asking(), opening, &mut walk, &mut stopwatch).await;
        let on = (&*in_force, generation);
        let progress = self.progress(client, stepped, on, &mut stopwatch, &mut walk).await;
        (progress, walk)
    }

    /// Goes on with what the client answered to [`Progress::Challenge`].
    pub async fn proceed(
        &self,
        client: Approaching<'_>,
        exchange: Exchange,
        data: Option<Vec<u8>>,
        user_properties: Vec<(String, String)>,
    ) -> (Progress, Vec<LinkReport>) {
        let (in_force, generation) = self.snapshot(&client.connection.listener);
        let mut stopwatch = Stopwatch::start(self.clock);
        let mut walk = Vec::new();
        let on = (&*in_force.chain, generation);
        let answer = (*exchange.0, exchange::Answer { data, user_properties });
        let stepped =
            exchange::proceed(on, client.asking(), answer, &mut walk, &mut stopwatch).await;
        let on = (&*in_force, generation);
        let progress = self.progress(client, stepped, on, &mut stopwatch, &mut walk).await;
        (progress, walk)
    }

    async fn progress(
        &self,
        client: Approaching<'_>,
        stepped: Stepped,
        on: (&InForce, u64),
        stopwatch: &mut Stopwatch,
        walk: &mut Vec<LinkReport>,
    ) -> Progress {
        match stepped {
            Stepped::Challenge(data, exchange) => Progress::Challenge(data, Exchange(exchange)),
            Stepped::Decided(Err(refusal), _) => Progress::Decided(Err(refusal)),
            Stepped::Decided(Ok(identity), data) => {
                let subject = Subject::new(client.connection, identity);
                let from = client.client_id_from;
                let permitted = self.permit(subject, from, on, stopwatch, walk).await;
                Progress::Decided(permitted.map(|authenticated| (authenticated, data)))
            }
        }
    }

    /// Asks for the permissions again, with the chain now in force; the identity stays. For the end
    /// of [`Authenticated::usable_for`] and after a swap. Whether the identity itself has ended
    /// ([`Identity::expires_at_unix`]) is the caller's to watch: the connection ends then.
    ///
    /// When nothing changed, the set is the very one that the client had, the one with its own name
    /// in it too: nobody has to judge again.
    pub async fn refresh(
        &self,
        client: &Authenticated,
    ) -> (Result<Authenticated, Refusal>, Vec<LinkReport>) {
        let taken_back = self.taken_back();
        let (in_force, generation) = self.snapshot(&client.subject.listener);
        let mut stopwatch = Stopwatch::start(self.clock);
        let (result, walk) = in_force.authorize(&client.subject, &mut stopwatch).await;
        let refreshed = result.map(|Permitted { permissions, usable_for }| {
            let kept = permissions.or_kept(&client.permissions);
            let permissions = kept.unwrap_or_else(|new| self.shared.share(new));
            let permissions = with_hooks(permissions, &in_force.hooks);
            let subject = client.subject.clone();
            let hooks = Arc::clone(&in_force.hooks);
            Authenticated { subject, permissions, usable_for, generation, hooks, taken_back }
        });
        (refreshed, walk)
    }

    /// Walks the chain of the connection's listener once, without asking for permissions.
    /// `now_unix` = seconds since 1970.
    pub async fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
        now_unix: u64,
    ) -> Decision {
        let (in_force, _) = self.snapshot(&connection.listener);
        let time = (&mut Stopwatch::start(self.clock), now_unix);
        authenticate(&in_force.chain, connection, credentials, time).await
    }

    /// The answers of every link with an authorizer, in order, asked or kept, compiled. Returns the
    /// generation that answered.
    pub async fn permissions(
        &self,
        subject: &Subject,
    ) -> (Result<(Arc<Permissions>, u64), Refusal>, Vec<LinkReport>) {
        let (in_force, generation) = self.snapshot(&subject.listener);
        let mut stopwatch = Stopwatch::start(self.clock);
        let (result, walk) = in_force.authorize(subject, &mut stopwatch).await;
        let shared = |permitted: Permitted| {
            with_hooks(self.shared.share(permitted.permissions), &in_force.hooks)
        };
        (result.map(|permitted| (shared(permitted), generation)), walk)
    }

    /// The chain of a listener and its generation, from one load.
    fn snapshot(&self, listener: &str) -> (Arc<InForce>, u64) {
        let chains = self.chains.load();
        (chains.in_force(listener), chains.generation)
    }
}

impl Authenticated {
    /// Who it is.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.subject.identity
    }

    /// Reduced form, as the authorizers saw it.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What it may do.
    pub fn permissions(&self) -> &Arc<Permissions> {
        &self.permissions
    }

    /// The plugins that see its operations and messages.
    pub fn hooks(&self) -> &Arc<MessageHooks> {
        &self.hooks
    }

    /// The same client with other permissions: those of now with more rulings.
    #[must_use]
    pub fn with_permissions(&self, permissions: Arc<Permissions>) -> Self {
        Self { permissions, ..self.clone() }
    }

    /// The same with what operation authorizers said on its subscriptions. When one of them failed
    /// (`failed`), it is to be asked again soon.
    #[must_use]
    pub fn with_rulings(&self, permissions: Arc<Permissions>, failed: bool) -> Self {
        let most = if failed { RETRY_FAILED } else { Duration::MAX };
        let usable_for = self.usable_for.min(most);
        Self { usable_for, ..self.with_permissions(permissions) }
    }

    /// How long the permissions may be used from when they were given: at most
    /// [`Permissions::ttl`], less when the answer had been given before.
    pub fn usable_for(&self) -> Duration {
        self.usable_for
    }

    /// [`Gate::generation`] that the permissions came from.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// [`Gate::taken_back`] from before the permissions were asked for.
    pub fn taken_back(&self) -> u64 {
        self.taken_back
    }

    /// Who a session belongs to that an earlier process left: proved then, and no permission at all.
    /// For [`Gate::refresh`]; nobody is let in by it.
    pub fn remembered(subject: Subject) -> Self {
        let (permissions, usable_for) = (Arc::default(), Duration::ZERO);
        let hooks = Arc::default();
        Self { subject, permissions, usable_for, generation: 0, hooks, taken_back: 0 }
    }

    /// The same client with no permission at all: for when they cannot be learned again.
    #[must_use]
    pub fn without_permissions(&self) -> Self {
        Self { permissions: Arc::default(), ..self.clone() }
    }
}

/// What operation authorizers have to say is asked later, one client and operation at a time.
fn with_hooks(permissions: Arc<Permissions>, hooks: &Arc<MessageHooks>) -> Arc<Permissions> {
    match hooks.is_empty() {
        true => permissions,
        false => Arc::new((*permissions).clone().with_hooks(hooks)),
    }
}

impl Chains {
    fn in_force(&self, listener: &str) -> Arc<InForce> {
        self.by_listener.get(listener).unwrap_or(&self.default).clone()
    }
}

#[cfg(test)]
mod tests;
