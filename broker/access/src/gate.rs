//! The gate: the current chain of every listener, swapped as a whole while decisions are being
//! made.
//!
//! Owns the snapshot and who is told of a swap. Knows nothing of what the words mean (`chain.rs`)
//! and of what rules permit (`permissions.rs`).

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::{
    About, Chain, Connection, Credentials, Decision, Decisions, Event, EventKinds, EventSink,
    LinkReport, Login, Making, MessageHooks, Opening, Permissions, Refusal, Subject, Whose,
    chain::{
        admin::authenticate_admin,
        answers::Answers,
        authenticate::authenticate,
        authorize::{Permitted, authorize},
        exchange::{self, Stepped},
        stopwatch::Stopwatch,
    },
    deciding,
    permissions::SharedPermissions,
    taken_back::TakenBack,
};

mod authenticated;
mod noted;

pub use authenticated::Authenticated;
use noted::Decided;

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
    /// Who judges logins of the admin API; without a link nobody logs in.
    admin: ArcSwap<Chain>,
    decisions: Decisions,
    /// When the chains were swapped or permissions taken back, the last time; microseconds of `clock`.
    changed_at: AtomicU64,
    clock: fn() -> Duration,
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
            admin: ArcSwap::default(),
            decisions: Decisions::default(),
            changed_at: AtomicU64::new(0),
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
        self.note_change();
        self.generation.fetch_max(generation, Ordering::AcqRel);
        // Called without the lock: an observer may register another or look at the gate.
        let observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for observer in observers {
            observer(generation);
        }
        generation
    }

    /// Replaces the chain of the admin API.
    pub fn set_admin_chain(&self, chain: Chain) {
        self.admin.store(Arc::new(chain));
    }

    /// The chain of the admin API; without links nobody judges.
    pub fn admin_chain(&self) -> Arc<Chain> {
        self.admin.load_full()
    }

    /// Whether anybody judges logins of the admin API.
    pub fn has_admin_chain(&self) -> bool {
        !self.admin.load().links.is_empty()
    }

    /// Decides a login of the admin API: by the rules for clients, on a chain of its own. The principal of
    /// the identity is the user, its groups are roles. `now_unix` = seconds since 1970.
    pub async fn admit_admin(&self, login: &Login, now_unix: u64) -> Decision {
        let chain = self.admin.load_full();
        let (making, begun) = self.begin_decision();
        let mut stopwatch = Stopwatch::start(self.clock);
        let asking = authenticate_admin(&chain, login, (&mut stopwatch, now_unix));
        let mut decision = deciding(&making, asking).await;
        let decided = Decided {
            about: About::AdminLogin,
            client_id: Arc::from(login.username.as_str()),
            principal: decision
                .result
                .as_ref()
                .ok()
                .map(|identity| Arc::clone(&identity.principal)),
            listener: Arc::default(),
            remote: login.remote,
            generation: self.generation(),
        };
        let refusal = decision.result.as_mut().err();
        self.note((&making, begun, now_unix), decided, refusal, &decision.walk);
        decision
    }

    /// The latest decisions.
    pub fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// Begins a decision, on the clock of the gate.
    pub(crate) fn begin_decision(&self) -> (Arc<Making>, Duration) {
        let now = (self.clock)();
        (self.decisions.begin(now), now)
    }

    /// A name and room for a decision that is made elsewhere.
    pub fn making(&self) -> Arc<Making> {
        self.begin_decision().0
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
        self.note_change();
        self.taken_back.note(whose);
    }

    fn note_change(&self) {
        let now = u64::try_from((self.clock)().as_micros()).unwrap_or(u64::MAX);
        self.changed_at.store(now, Ordering::Relaxed);
    }

    /// How long ago the chains were swapped or permissions taken back, the last time.
    pub fn since_change(&self) -> Duration {
        (self.clock)()
            .saturating_sub(Duration::from_micros(self.changed_at.load(Ordering::Relaxed)))
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

    /// The plugins of that chain that see operations and messages.
    pub fn hooks(&self, listener: &str) -> Arc<MessageHooks> {
        Arc::clone(&self.chains.load().in_force(listener).hooks)
    }

    /// Now, on the clock that [`crate::LinkInForce::since`] is told on.
    pub fn now(&self) -> Duration {
        (self.clock)()
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
        let (making, begun) = self.begin_decision();
        let mut stopwatch = Stopwatch::start(self.clock);
        // Pinned where it is: each time that it is passed on by value makes every future round it larger by as much.
        let walked = pin!(async {
            let time = (&mut stopwatch, now_unix);
            let decision = authenticate(&in_force.chain, connection, credentials, time).await;
            let mut walk = decision.walk;
            let identity = match decision.result {
                Ok(identity) => identity,
                Err(refusal) => return (Err(refusal), walk),
            };
            let subject = Subject::new(connection, identity);
            let on = (&*in_force, generation);
            let permitted = self.permit(subject, client_id_from, on, &mut stopwatch, &mut walk);
            (permitted.await, walk)
        });
        let (mut result, walk) = deciding(&making, walked).await;
        let decided = Decided::of(About::Connect, connection, result.as_ref().ok(), generation);
        let kept = self.note((&making, begun, now_unix), decided, result.as_mut().err(), &walk);
        if let Ok(authenticated) = &mut result {
            authenticated.decision = kept;
        }
        (result, walk)
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
            permissions: self.put_in_force(self.shared.share(permissions), &in_force.hooks),
            usable_for,
            generation,
            hooks: Arc::clone(&in_force.hooks),
            taken_back,
            decision: None,
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
        let (making, begun) = self.begin_decision();
        let again = opening.principal.is_some();
        let deciding = deciding(&making, async {
            let mut stopwatch = Stopwatch::start(self.clock);
            let mut walk = Vec::new();
            let on = (&*in_force.chain, generation);
            let stepped =
                exchange::begin(on, client.asking(), opening, &mut walk, &mut stopwatch).await;
            let on = (&*in_force, generation);
            let progress = self.progress(client, stepped, on, &mut stopwatch, &mut walk).await;
            (progress, walk)
        });
        let (mut progress, walk) = deciding.await;
        self.note_step((&making, begun), (client, again), (&mut progress, generation), &walk);
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
        let (making, begun) = self.begin_decision();
        let again = exchange.0.is_again();
        let deciding = deciding(&making, async {
            let mut stopwatch = Stopwatch::start(self.clock);
            let mut walk = Vec::new();
            let on = (&*in_force.chain, generation);
            let answer = (*exchange.0, exchange::Answer { data, user_properties });
            let stepped =
                exchange::proceed(on, client.asking(), answer, &mut walk, &mut stopwatch).await;
            let on = (&*in_force, generation);
            let progress = self.progress(client, stepped, on, &mut stopwatch, &mut walk).await;
            (progress, walk)
        });
        let (mut progress, walk) = deciding.await;
        self.note_step((&making, begun), (client, again), (&mut progress, generation), &walk);
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
    /// ([`crate::Identity::expires_at_unix`]) is the caller's to watch: the connection ends then.
    ///
    /// When nothing changed, the set is the very one that the client had, the one with its own name
    /// in it too: nobody has to judge again. `now_unix` = seconds since 1970.
    pub async fn refresh(
        &self,
        client: &Authenticated,
        now_unix: u64,
    ) -> (Result<Authenticated, Refusal>, Vec<LinkReport>) {
        let taken_back = self.taken_back();
        let (in_force, generation) = self.snapshot(&client.subject.listener);
        let (making, begun) = self.begin_decision();
        let mut stopwatch = Stopwatch::start(self.clock);
        let (mut result, walk) = in_force.authorize(&client.subject, &mut stopwatch).await;
        if let Err(refusal) = &mut result {
            // Only these: every client is asked for once a minute, and nothing else would be left.
            let decided = Decided {
                about: About::Permissions,
                client_id: Arc::clone(&client.subject.client_id),
                principal: Some(Arc::clone(&client.subject.identity.principal)),
                listener: Arc::clone(&client.subject.listener),
                remote: client.subject.remote,
                generation,
            };
            self.note((&making, begun, now_unix), decided, Some(refusal), &walk);
        }
        let refreshed = result.map(|Permitted { permissions, usable_for }| {
            let kept = permissions.or_kept(&client.permissions);
            let permissions = kept.unwrap_or_else(|new| self.shared.share(new));
            let permissions = self.put_in_force(permissions, &in_force.hooks);
            let subject = client.subject.clone();
            let hooks = Arc::clone(&in_force.hooks);
            Authenticated {
                subject,
                permissions,
                usable_for,
                generation,
                hooks,
                taken_back,
                decision: client.decision,
            }
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

    /// What operation authorizers have to say is asked later, one client and operation at a time.
    fn put_in_force(
        &self,
        permissions: Arc<Permissions>,
        hooks: &Arc<MessageHooks>,
    ) -> Arc<Permissions> {
        permissions.hold_from((self.clock)());
        with_hooks(permissions, hooks)
    }

    /// The chain of a listener and its generation, from one load.
    fn snapshot(&self, listener: &str) -> (Arc<InForce>, u64) {
        let chains = self.chains.load();
        (chains.in_force(listener), chains.generation)
    }
}

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
