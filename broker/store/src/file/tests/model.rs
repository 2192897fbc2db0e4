//! Random sequences of everything that a store can do, restarts among them, beside a model in memory.
//! `PORTCULLIS_SEED=n` plays one of them again; `PORTCULLIS_PROOF=1` plays thousands.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What the store should say.
#[derive(Default)]
struct Model {
    sessions: BTreeMap<SessionKey, Session>,
    retained: BTreeMap<String, Retained>,
    /// Messages whose claims are not known yet.
    held: Vec<Held>,
    /// Tells messages apart.
    messages: u32,
}

struct Session {
    kept: KeptSession,
    subscriptions: BTreeMap<String, KeptSubscription>,
    owed: BTreeMap<u64, Claim>,
    unreleased: BTreeSet<PacketId>,
    next: u64,
}

#[derive(Clone)]
struct Claim {
    found: FoundOwed,
    payload: Vec<u8>,
}

struct Held {
    position: Position,
    origin: Option<Origin>,
    payload: Vec<u8>,
    claims: Vec<Owed>,
}

struct Run {
    random: Random,
    folder: TempDir,
    store: FileStore,
    model: Model,
    last: Ticket,
}

fn tiny(random: &mut Random, folder: &Path) -> Options {
    let durability = if random.below(2) == 0 { Durability::Os } else { Durability::Fsync };
    Options { segment_bytes: 100 + random.below(3_000), durability, ..options(folder) }
}

impl Run {
    fn new(seed: u64) -> Self {
        let (mut random, folder) = (Random::new(seed), in_memory());
        let (store, _) = FileStore::open(tiny(&mut random, folder.path())).unwrap();
        Self { random, folder, store, model: Model::default(), last: Ticket::default() }
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..3 => self.new_session(),
            3 => self.put_session(),
            4 => self.remove_session(),
            5 | 6 => self.subscribe(),
            7 | 8 => self.retain(),
            9..18 => self.message(),
            18 | 19 => self.owe_held(),
            20..27 => self.complete(),
            27..29 => self.receive(),
            29 | 30 => self.release(),
            31..33 => self.move_one(),
            33 => self.make_room(),
            34..36 => self.read_one(),
            36 => self.restart(),
            _ => wait(&self.store, self.last),
        }
    }

    fn new_session(&mut self) {
        let key = self.store.new_session();
        assert!(self.model.sessions.last_key_value().is_none_or(|(last, _)| *last < key));
        let kept = session(&format!("client-{}", key.0));
        self.last = self.store.put_session(key, kept.clone());
        let session = Session {
            kept: KeptSession { sent_below: None, ..kept },
            subscriptions: BTreeMap::new(),
            owed: BTreeMap::new(),
            unreleased: BTreeSet::new(),
            next: 1,
        };
        self.last = self.store.put_session(key, session.kept.clone());
        self.model.sessions.insert(key, session);
    }

    fn some_session(&mut self) -> Option<SessionKey> {
        let keys: Vec<_> = self.model.sessions.keys().copied().collect();
        self.random.one_of(&keys).copied()
    }

    fn put_session(&mut self) {
        let Some(key) = self.some_session() else { return };
        let session = self.model.sessions.get_mut(&key).unwrap();
        session.kept.sent_below = (self.random.below(2) == 0).then_some(session.next);
        session.kept.disconnected_at_unix = Some(self.random.below(1_000));
        self.last = self.store.put_session(key, session.kept.clone());
    }

    fn remove_session(&mut self) {
        let Some(key) = self.some_session() else { return };
        let session = self.model.sessions.remove(&key).unwrap();
        self.last = self.store.remove_session(key);
        let owed: Vec<_> = session.owed.values().map(|claim| claim.found.position).collect();
        self.store.abandon(&owed);
    }

    fn subscribe(&mut self) {
        let Some(key) = self.some_session() else { return };
        let filter = format!("f/{}", self.random.below(4));
        let session = self.model.sessions.get_mut(&key).unwrap();
        if session.subscriptions.remove(&filter).is_some() && self.random.below(2) == 0 {
            self.last = self.store.remove_subscription(key, filter);
            return;
        }
        let subscription = KeptSubscription {
            filter: filter.clone(),
            identifier: Some(self.random.below(9) as u32 + 1),
            options: self.random.below(60) as u8,
            retained_due: self.random.below(2) == 0,
            since_unix: (self.random.below(2) == 0).then_some(1_700_000_000),
        };
        self.last = self.store.put_subscription(key, subscription.clone());
        session.subscriptions.insert(filter, subscription);
    }

    fn retain(&mut self) {
        let topic = format!("r/{}", self.random.below(6));
        if self.random.below(3) == 0 {
            self.model.retained.remove(&topic);
            self.last = self.store.remove_retained(topic);
            return;
        }
        let payload = self.payload();
        let retained = Retained {
            message: message(&topic, &payload).into(),
            publisher: "publisher".to_owned(),
        };
        self.last = self.store.put_retained(retained.clone());
        self.model.retained.insert(topic, retained);
    }

    fn payload(&mut self) -> Vec<u8> {
        self.model.messages += 1;
        let mut payload = self.model.messages.to_le_bytes().to_vec();
        payload.resize(4 + self.random.below(300) as usize, 7);
        payload
    }

    /// A message from a session or from somebody else, for some of all sessions.
    fn message(&mut self) {
        let payload = self.payload();
        let origin = self.some_session().filter(|_| self.random.below(2) == 0).and_then(|key| {
            let packet_id = PacketId::new(self.random.below(5) as u16 + 1).unwrap();
            let origin = Origin { session: key, packet_id };
            let is_used = self.model.sessions.get(&key)?.unreleased.contains(&packet_id)
                || self.model.held.iter().any(|held| held.origin == Some(origin));
            (!is_used).then_some(origin)
        });
        let position = self.store.append_message(&message("t", &payload), origin);
        let mut claims = Vec::new();
        for (key, session) in &mut self.model.sessions {
            if self.random.below(3) > 0 {
                continue;
            }
            claims.push(Owed {
                session: *key,
                number: session.next,
                qos: [QoS::AtLeastOnce, QoS::ExactlyOnce][self.random.below(2) as usize],
                retain: self.random.below(2) == 0,
                shared: self.random.below(2) == 0,
                subscription_identifiers: (0..self.random.below(3) as u32).collect(),
            });
            session.next += 1;
        }
        self.model.held.push(Held { position, origin, payload, claims });
        if self.random.below(4) > 0 {
            self.owe_held();
        }
    }

    /// The claims on the message that waits longest for it. Some are completed before, or received.
    fn owe_held(&mut self) {
        if self.model.held.is_empty() {
            return;
        }
        let Held { position, origin, payload, claims } = self.model.held.remove(0);
        // In use once it is known who is owed the message: PUBREC is answered after that.
        if let Some(Origin { session, packet_id }) = origin
            && let Some(session) = self.model.sessions.get_mut(&session)
        {
            session.unreleased.insert(packet_id);
        }
        let expires_at_unix = Some(self.random.below(3)).filter(|at| *at > 0);
        let size = (payload.len(), expires_at_unix);
        for owed in &claims {
            let Some(session) = self.model.sessions.get_mut(&owed.session) else {
                // It ended meanwhile, and what it was owed is given up.
                self.store.abandon(&[position]);
                continue;
            };
            let received = self.random.below(8) == 0;
            if received {
                self.store.receive(owed.session, owed.number);
            }
            if self.random.below(8) == 0 {
                self.store.complete(owed.session, &[(owed.number, position)]);
                continue;
            }
            let found = FoundOwed {
                position,
                number: owed.number,
                bytes: size.0 as u64,
                expires_at_unix,
                qos: owed.qos,
                retain: owed.retain,
                shared: owed.shared,
                subscription_identifiers: owed.subscription_identifiers.clone(),
                received,
            };
            session.owed.insert(owed.number, Claim { found, payload: payload.clone() });
        }
        // Moved before it is counted.
        if self.random.below(8) == 0
            && let Some(owed) = claims.first()
            && self.is_owed(owed)
        {
            self.move_claim(owed.session, owed.number);
        }
        self.last = self.store.append_owed(position, size, &claims);
    }

    fn is_owed(&self, owed: &Owed) -> bool {
        let session = self.model.sessions.get(&owed.session);
        session.is_some_and(|session| session.owed.contains_key(&owed.number))
    }

    fn complete(&mut self) {
        let Some(key) = self.some_session() else { return };
        let session = self.model.sessions.get_mut(&key).unwrap();
        // Mostly the first ones, as a client does.
        let mut done: Vec<_> = session.owed.iter().map(|(n, c)| (*n, c.found.position)).collect();
        let at =
            if self.random.below(4) == 0 { self.random.below(done.len() as u64 + 1) } else { 0 };
        done.drain(..at as usize);
        done.truncate(self.random.below(8) as usize);
        for (number, _) in &done {
            session.owed.remove(number);
        }
        self.last = self.store.complete(key, &done);
    }

    fn some_claim(&mut self) -> Option<(SessionKey, u64)> {
        let key = self.some_session()?;
        let numbers: Vec<_> = self.model.sessions[&key].owed.keys().copied().collect();
        self.random.one_of(&numbers).map(|number| (key, *number))
    }

    fn claim(&mut self, (key, number): (SessionKey, u64)) -> &mut Claim {
        self.model.sessions.get_mut(&key).unwrap().owed.get_mut(&number).unwrap()
    }

    fn receive(&mut self) {
        let Some((key, number)) = self.some_claim() else { return };
        self.claim((key, number)).found.received = true;
        self.last = self.store.receive(key, number);
    }

    fn release(&mut self) {
        let Some(key) = self.some_session() else { return };
        let session = self.model.sessions.get_mut(&key).unwrap();
        if let Some(packet_id) = session.unreleased.pop_first() {
            self.last = self.store.release(Origin { session: key, packet_id });
        }
    }

    fn move_one(&mut self) {
        if let Some((key, number)) = self.some_claim() {
            self.move_claim(key, number);
        }
    }

    fn move_claim(&mut self, key: SessionKey, number: u64) {
        let store = &self.store;
        let session = self.model.sessions.get_mut(&key).unwrap();
        let Claim { found, payload } = session.owed.get_mut(&number).unwrap();
        let to = store.append_message(&message("t", payload), None);
        let owed = Owed {
            session: key,
            number,
            qos: found.qos,
            retain: found.retain,
            shared: found.shared,
            subscription_identifiers: found.subscription_identifiers.clone(),
        };
        let size = (payload.len(), found.expires_at_unix);
        store.append_moved(found.position, to, size, owed);
        self.last = store.append_owed(to, size, &[]);
        found.position = to;
    }

    /// What the server does from time to time.
    fn make_room(&mut self) {
        let files = self.store.usage().files;
        let end = files[self.random.below(files.len() as u64) as usize];
        let claims = self.model.sessions.iter().flat_map(|(key, session)| {
            let old = session.owed.iter().filter(|(_, claim)| claim.found.position < end);
            old.map(|(number, _)| (*key, *number))
        });
        for (key, number) in claims.collect::<Vec<_>>() {
            self.move_claim(key, number);
        }
    }

    fn read_one(&mut self) {
        let Some(which) = self.some_claim() else { return };
        let Claim { found, payload } = self.claim(which).clone();
        if let Some(read) = self.store.read(&[found.position]).unwrap().remove(0) {
            assert_eq!(read.payload, payload);
        } else {
            wait(&self.store, self.last);
            let read = self.store.read(&[found.position]).unwrap().remove(0);
            assert_eq!(read.expect("it is durable").payload, payload);
        }
    }

    fn restart(&mut self) {
        // Nobody was told that these were taken.
        self.model.held.clear();
        self.store.close().unwrap();
        let options = tiny(&mut self.random, self.folder.path());
        // The folder is free only once the store is gone.
        let aside = in_memory();
        self.store = FileStore::open(super::options(aside.path())).unwrap().0;
        let (store, recovered) = FileStore::open(options).unwrap();
        self.store = store;
        self.last = Ticket::default();
        self.compare(recovered);
    }

    fn compare(&mut self, recovered: Recovered) {
        let Recovered { mut sessions, mut retained, torn_bytes } = recovered;
        assert_eq!(torn_bytes, 0);
        retained.sort_by(|one, other| one.message.topic.cmp(&other.message.topic));
        assert_eq!(retained, self.model.retained.values().cloned().collect::<Vec<_>>());
        sessions.sort_by_key(|session| session.key);
        assert_eq!(sessions.len(), self.model.sessions.len());
        for (found, (key, session)) in sessions.into_iter().zip(&mut self.model.sessions) {
            assert_eq!((found.key, &found.kept), (*key, &session.kept));
            let mut subscriptions = found.subscriptions;
            subscriptions.sort_by(|one, other| one.filter.cmp(&other.filter));
            assert_eq!(subscriptions, session.subscriptions.values().cloned().collect::<Vec<_>>());
            let unreleased: BTreeSet<_> = found.unreleased.into_iter().collect();
            assert_eq!(unreleased, session.unreleased, "session {}", key.0);
            let owed: Vec<_> = found.owed.into_iter().collect();
            let expected: Vec<_> = session.owed.values().map(|claim| claim.found.clone()).collect();
            assert_eq!(owed, expected, "session {}", key.0);
            let sent = session.kept.sent_below.unwrap_or(1) - 1;
            let last = session.owed.last_key_value().map_or(0, |(number, _)| *number);
            assert!((sent.max(last)..session.next).contains(&found.last_number));
            session.next = found.last_number + 1;
            for claim in session.owed.values() {
                let read = self.store.read(&[claim.found.position]).unwrap().remove(0);
                assert_eq!(read.expect("it was written").payload, claim.payload);
            }
        }
    }

    /// When everything is done with, nothing is kept of it.
    fn end(&mut self) {
        self.restart();
        let keys: Vec<_> = self.model.sessions.keys().copied().collect();
        for key in keys {
            let session = self.model.sessions.get_mut(&key).unwrap();
            let done: Vec<_> = session.owed.iter().map(|(n, c)| (*n, c.found.position)).collect();
            session.owed.clear();
            self.store.complete(key, &done);
        }
        self.restart();
        self.store.close().unwrap();
        let left = log_files(self.folder.path());
        assert!(left.len() <= 2, "{left:?}");
    }
}

#[test]
fn a_store_does_what_a_model_does() {
    let one = std::env::var("PORTCULLIS_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 0..if proof() { 5_000 } else { 200 },
    };
    for seed in seeds {
        let played = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            for _ in 0..150 {
                run.step();
            }
            run.end();
        });
        assert!(played.is_ok(), "seed {seed}: PORTCULLIS_SEED={seed} plays it again");
    }
}
