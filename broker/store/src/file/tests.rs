//! What was durable is there again; what a crash tore is cut; everything else that does not fit is
//! refused.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    task::{Wake, Waker},
    thread::Thread,
};

use codec::QoS;
use tempfile::TempDir;

use super::*;
use crate::{FoundOwed, KeptIdentity, KeptWill};

mod crash;
mod damage;
mod full_disk;
mod give_back;
mod harm;
mod model;
mod start;

/// On a disk in memory where there is one: thousands of starts synchronise a lot.
fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Whether to take the time that a proof takes, instead of that of CI.
fn proof() -> bool {
    std::env::var_os("PORTCULLIS_PROOF").is_some_and(|value| value == "1")
}

/// The same numbers for the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// From 0 to one less than `end`; 0 when that is 0.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end.max(1)
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len() as u64) as usize)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits until a ticket is durable.
fn wait(store: &FileStore, ticket: Ticket) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    while store.durable() < ticket {
        store.wake_when_durable(ticket, &waker);
        thread::park();
    }
}

fn options(folder: &Path) -> Options {
    Options { free_bytes_min: 0, segment_bytes: 16 << 10, ..Options::new(folder) }
}

fn open(folder: &Path) -> (FileStore, Recovered) {
    FileStore::open(options(folder)).expect("opens")
}

fn refused(folder: &Path) -> String {
    FileStore::open(options(folder)).err().expect("opened").to_string()
}

fn message<'a>(topic: &'a str, payload: &'a [u8]) -> MessageRef<'a> {
    MessageRef {
        topic,
        forwarded: &[],
        payload,
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_unix: None,
    }
}

fn session(client_id: &str) -> KeptSession {
    KeptSession {
        client_id: client_id.to_owned(),
        identity: KeptIdentity {
            principal: "p".to_owned(),
            authenticated_by: "l".to_owned(),
            groups: vec!["g".to_owned()],
            attributes: vec![("k".to_owned(), "v".to_owned())],
            permissions: Vec::new(),
            queue_messages_max: Some(3),
            queue_bytes_max: None,
            expires_at_unix: Some(9),
        },
        listener: "mqtt".to_owned(),
        remote: "127.0.0.1:1".to_owned(),
        protocol: 5,
        expiry_seconds: 60,
        disconnected_at_unix: None,
        sent_below: Some(3),
        will: Some(KeptWill {
            delay_seconds: 1,
            expiry_seconds: None,
            topic: "will".to_owned(),
            forwarded: vec![1],
            payload: vec![2],
            qos: 1,
            retain: true,
        }),
    }
}

fn owed(session: SessionKey, number: u64) -> Owed {
    Owed {
        session,
        number,
        qos: QoS::AtLeastOnce,
        retain: false,
        shared: false,
        subscription_identifiers: Box::default(),
    }
}

/// Writes one message for one session.
fn owe(store: &FileStore, key: SessionKey, number: u64, payload: &[u8]) -> (Position, Ticket) {
    let message = message("t", payload);
    let position = store.append_message(&message, None);
    (position, store.append_owed(position, (payload.len(), None), &[owed(key, number)]))
}

fn first(session: &FoundSession) -> FoundOwed {
    session.owed.iter().next().expect("owed something")
}

fn log_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    files.sort();
    files
}

#[test]
fn what_sessions_are_owed_is_there_again() {
    let folder = TempDir::new().unwrap();
    let (store, recovered) = open(folder.path());
    assert!(recovered.sessions.is_empty() && recovered.retained.is_empty());
    let (one, two) = (store.new_session(), store.new_session());
    store.put_session(one, session("one"));
    store.put_session(two, session("two"));
    let origin = Origin { session: two, packet_id: PacketId::new(7).unwrap() };
    let shared = message("shared", b"both");
    let position = store.append_message(&shared, Some(origin));
    store.append_owed(position, (10, Some(77)), &[owed(one, 1), owed(two, 1)]);
    let done = owe(&store, one, 2, b"done").0;
    let received = owe(&store, one, 3, b"received").0;
    let waits = owe(&store, one, 4, b"waits").0;
    store.complete(one, &[(2, done)]);
    let ticket = store.receive(one, 3);
    wait(&store, ticket);
    assert_eq!(store.read(&[waits]).unwrap()[0].as_ref().unwrap().payload, b"waits");
    drop(store);

    let (store, mut recovered) = open(folder.path());
    recovered.sessions.sort_by_key(|session| session.key);
    let [found_one, found_two] = recovered.sessions.as_slice() else { panic!("{recovered:?}") };
    assert_eq!((found_one.key, &found_one.kept), (one, &session("one")));
    let numbers = |session: &FoundSession| -> Vec<_> {
        session.owed.iter().map(|owed| (owed.number, owed.position, owed.received)).collect()
    };
    assert_eq!(numbers(found_one), [(1, position, false), (3, received, true), (4, waits, false)]);
    assert_eq!(numbers(found_two), [(1, position, false)]);
    assert_eq!((first(found_one).bytes, first(found_one).expires_at_unix), (10, Some(77)));
    assert_eq!((found_one.last_number, found_two.last_number), (4, 2));
    assert!(found_one.unreleased.is_empty());
    assert_eq!(found_two.unreleased, [origin.packet_id]);
    let messages = store.read(&[position, waits]).unwrap();
    assert_eq!(messages[0].as_ref().unwrap().as_ref(), shared);
    assert!(store.new_session() > two);
    let ticket = store.release(origin);
    wait(&store, ticket);
    drop(store);
    let (_, recovered) = open(folder.path());
    assert!(recovered.sessions.iter().all(|session| session.unreleased.is_empty()));
}

#[test]
fn sessions_subscriptions_and_retained_messages_are_there_again() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path());
    let (stays, goes) = (store.new_session(), store.new_session());
    let subscription = |filter: &str| KeptSubscription {
        filter: filter.to_owned(),
        identifier: Some(3),
        options: 0x2d,
        retained_due: filter == "a/#",
        since_unix: Some(1_700_000_000),
    };
    let retained = |topic: &str, payload: &[u8]| Retained {
        message: message(topic, payload).into(),
        publisher: "pub".to_owned(),
    };
    for key in [stays, goes] {
        store.put_session(key, session("c"));
        store.put_subscription(key, subscription("a/#"));
        store.put_subscription(key, subscription("$share/g/b"));
    }
    store.put_session(stays, KeptSession { disconnected_at_unix: Some(5), ..session("c") });
    store.remove_subscription(stays, "a/#".to_owned());
    owe(&store, goes, 1, b"nobody's");
    store.remove_session(goes);
    store.put_retained(retained("r/1", b"old"));
    store.put_retained(retained("r/1", b"new"));
    store.put_retained(retained("r/2", b"gone"));
    store.remove_retained("r/2".to_owned());
    drop(store);
    let (_, recovered) = open(folder.path());
    let [found] = recovered.sessions.as_slice() else { panic!("{recovered:?}") };
    assert_eq!((found.key, found.kept.disconnected_at_unix), (stays, Some(5)));
    assert_eq!(found.subscriptions, [subscription("$share/g/b")]);
    assert_eq!(recovered.retained, [retained("r/1", b"new")]);
}

/// One payload, however many are owed it.
#[test]
fn a_message_is_written_once() {
    let folder = TempDir::new().unwrap();
    let (store, _) = FileStore::open(Options::new(folder.path())).unwrap();
    let keys: Vec<_> = (0..1_000).map(|_| store.new_session()).collect();
    for key in &keys {
        store.put_session(*key, session(&key.0.to_string()));
    }
    let payload = vec![7; 100_000];
    let position = store.append_message(&message("t", &payload), None);
    let owed: Vec<_> = keys.iter().map(|key| owed(*key, 1)).collect();
    wait(&store, store.append_owed(position, (payload.len(), None), &owed));
    let written: u64 = log_files(folder.path()).iter().map(|p| p.metadata().unwrap().len()).sum();
    assert!(written < 110_000, "{written} bytes");
    drop(store);
    let (store, recovered) = open(folder.path());
    assert_eq!(recovered.sessions.len(), 1_000);
    assert!(recovered.sessions.iter().all(|session| first(session).position == position));
    assert_eq!(store.read(&[position]).unwrap()[0].as_ref().unwrap().payload, payload);
}

/// A folder with several segments and a state, closed in the midst of things: as after kill -9,
/// nothing says goodbye.
fn filled(payload_bytes: usize) -> (TempDir, Vec<Position>) {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path());
    let key = store.new_session();
    store.put_session(key, session("c"));
    let mut positions = Vec::new();
    for number in 1..=50 {
        let (position, ticket) = owe(&store, key, number, &vec![number as u8; payload_bytes]);
        positions.push(position);
        wait(&store, ticket);
    }
    drop(store);
    (folder, positions)
}

#[test]
fn a_log_of_many_segments_is_read_in_order() {
    let (folder, positions) = filled(1_000);
    assert!(log_files(folder.path()).len() > 2);
    let (store, recovered) = open(folder.path());
    let found: Vec<_> = recovered.sessions[0].owed.iter().map(|owed| owed.position).collect();
    assert_eq!(found, positions);
    for (number, message) in (1..).zip(store.read(&positions).unwrap()) {
        assert_eq!(message.unwrap().payload, vec![number; 1_000]);
    }
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
            copy_into(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_store_belongs_to_one_process() {
    let folder = TempDir::new().unwrap();
    let _store = open(folder.path());
    assert!(refused(folder.path()).contains("another process uses this store"));
}

#[test]
fn what_is_not_written_yet_is_not_read() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path());
    let (position, ticket) = owe(&store, store.new_session(), 1, b"x");
    let early = store.read(&[position]).unwrap().remove(0);
    assert!(early.is_none_or(|message| message.payload == b"x"));
    wait(&store, ticket);
    assert!(store.read(&[position]).unwrap()[0].is_some());
    assert!(store.read(&[Position(1 << 60)]).unwrap()[0].is_none());
}
