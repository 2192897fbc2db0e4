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
use crate::{KeptIdentity, KeptWill};

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
    assert_eq!((found_one.owed[0].bytes, found_one.owed[0].expires_at_unix), (10, Some(77)));
    assert_eq!((found_one.last_number, found_two.last_number), (4, 1));
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
    assert!(recovered.sessions.iter().all(|session| session.owed[0].position == position));
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

/// The end of a log that the next process finds torn: nothing says that the last batch was written.
#[test]
fn a_torn_end_is_cut_off() {
    let (folder, _) = filled(100);
    let last = log_files(folder.path()).pop().unwrap();
    let length = last.metadata().unwrap().len();
    // The last batch is the empty one of the end; the one before holds a message.
    for lost in 1..150 {
        let torn = copy(folder.path());
        let path = torn.path().join(last.file_name().unwrap());
        fs::File::options().write(true).open(&path).unwrap().set_len(length - lost).unwrap();
        let mark = fs::File::options().write(true).open(torn.path().join("committed")).unwrap();
        let marked = fs::read(torn.path().join("committed")).unwrap();
        let marked = u64::from_le_bytes(marked.try_into().unwrap());
        assert!(refused(torn.path()).contains("its end is missing"), "{lost}");
        mark.write_all_at(&(marked - 3).to_le_bytes(), 0).unwrap();
        let (store, recovered) = open(torn.path());
        assert!(recovered.sessions[0].owed.len() >= 49, "{lost}");
        // It goes on where it was cut.
        let key = recovered.sessions[0].key;
        let (position, ticket) = owe(&store, key, 99, b"after");
        wait(&store, ticket);
        drop(store);
        let (store, recovered) = open(torn.path());
        assert_eq!(recovered.torn_bytes, 0);
        assert_eq!(recovered.sessions[0].owed.last().unwrap().number, 99);
        assert_eq!(store.read(&[position]).unwrap()[0].as_ref().unwrap().payload, b"after");
    }
}

/// Any flipped bit and any missing piece of the log is found, even of its end.
#[test]
fn damage_is_never_silent() {
    let (folder, _) = filled(100);
    let mut seed = 1_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let files = log_files(folder.path());
    for round in 0..60 {
        let hurt = copy(folder.path());
        let path =
            hurt.path().join(files[random(files.len() as u64) as usize].file_name().unwrap());
        let mut bytes = fs::read(&path).unwrap();
        let at = random(bytes.len() as u64) as usize;
        let what = if round % 3 == 0 {
            bytes.truncate(at);
            "cut"
        } else {
            bytes[at] ^= 1 << random(8);
            "flipped"
        };
        fs::write(&path, bytes).unwrap();
        let said = refused(hurt.path());
        assert!(said.contains(".log") || said.contains("missing"), "{what} at {at}: {said}");
    }
}

/// A whole segment that is missing, at the front excepted: those before may have been done with.
#[test]
fn a_missing_segment_is_found() {
    let (folder, _) = filled(1_000);
    for gone in log_files(folder.path()).iter().skip(1) {
        let hurt = copy(folder.path());
        fs::remove_file(hurt.path().join(gone.file_name().unwrap())).unwrap();
        assert!(refused(hurt.path()).contains("damaged or missing"));
    }
}

/// The state that fjall gives back must be as new as the log says.
#[test]
fn a_state_that_lost_its_end_is_found() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path());
    store.put_session(store.new_session(), session("c"));
    drop(store);
    let old = copy(folder.path());
    let (store, _) = open(folder.path());
    let ticket = store.put_session(store.new_session(), session("d"));
    wait(&store, ticket);
    drop(store);
    fs::remove_dir_all(folder.path().join("state")).unwrap();
    fs::create_dir(folder.path().join("state")).unwrap();
    copy_into(&old.path().join("state"), &folder.path().join("state"));
    assert!(refused(folder.path()).contains("the log relies on"));
}

#[test]
fn another_version_is_refused_with_a_sentence() {
    let (folder, _) = filled(10);
    let path = log_files(folder.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8..12].copy_from_slice(&7_u32.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(refused(folder.path()).contains("format version 7; this program reads version 1 only"));
}

#[test]
fn a_store_belongs_to_one_process() {
    let folder = TempDir::new().unwrap();
    let _store = open(folder.path());
    assert!(refused(folder.path()).contains("another process uses this store"));
}

/// A payload that looks like a batch of this format is none of this store.
#[test]
fn a_payload_cannot_pass_for_a_batch() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path());
    let key = store.new_session();
    store.put_session(key, session("c"));
    let forged = segment::BatchHeader { number: 1 << 40, bytes: 0, before: 0, state: 0 }.encode(0);
    let (_, ticket) = owe(&store, key, 1, b"whole");
    wait(&store, ticket);
    let mark = fs::read(folder.path().join("committed")).unwrap();
    let (_, ticket) = owe(&store, key, 2, &forged.repeat(10));
    wait(&store, ticket);
    let crashed = copy(folder.path());
    drop(store);
    let path = log_files(crashed.path()).pop().unwrap();
    let length = path.metadata().unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    fs::write(crashed.path().join("committed"), mark).unwrap();
    let (_, recovered) = open(crashed.path());
    assert_eq!(recovered.sessions[0].owed.len(), 1);
    assert!(recovered.torn_bytes > 0);
}

#[test]
fn nothing_is_taken_without_room_on_the_disk() {
    let folder = TempDir::new().unwrap();
    let full = Options { free_bytes_min: u64::MAX, ..options(folder.path()) };
    let (store, _) = FileStore::open(full).unwrap();
    let key = store.new_session();
    // What was taken before is written all the same.
    let ticket = store.put_session(key, session("c"));
    wait(&store, ticket);
    let said = store.check().expect_err("takes").to_string();
    assert!(said.contains("are kept free"), "{said}");
    drop(store);
    assert_eq!(open(folder.path()).1.sessions.len(), 1);
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
