//! What is restored is a moment that the store had: nothing that was durable before is missing, nothing is
//! half, nothing that was done with for certain comes back.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use codec::QoS;
use tempfile::TempDir;

use super::*;
use crate::{
    FileStore, KeptIdentity, KeptSession, MessageRef, Options, Owed, Position, Recovered, Restore,
    Restored, Retained, SessionKey, Store, Ticket,
};

const WITHIN: Duration = Duration::from_secs(60);

fn open(folder: &Path) -> (FileStore, Recovered) {
    let options = Options { free_bytes_min: 0, segment_bytes: 16 << 10, ..Options::new(folder) };
    FileStore::open(options).unwrap()
}

fn session(client_id: &str) -> KeptSession {
    KeptSession {
        client_id: client_id.to_owned(),
        identity: KeptIdentity {
            principal: "p".to_owned(),
            authenticated_by: "l".to_owned(),
            groups: Vec::new(),
            attributes: Vec::new(),
            permissions: Vec::new(),
            queue_messages_max: None,
            queue_bytes_max: None,
            expires_at_unix: None,
        },
        listener: "mqtt".to_owned(),
        remote: "127.0.0.1:1".to_owned(),
        protocol: 5,
        expiry_seconds: 60,
        disconnected_at_unix: None,
        sent_below: None,
        will: None,
    }
}

fn owe(store: &FileStore, session: SessionKey, number: u64) -> (Position, Ticket) {
    let payload = payload(session, number);
    let message = MessageRef {
        topic: "t",
        forwarded: &[],
        payload: &payload,
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_unix: None,
    };
    let owed = Owed {
        session,
        number,
        qos: QoS::AtLeastOnce,
        retain: false,
        shared: false,
        subscription_identifiers: Box::default(),
    };
    let position = store.append_message(&message, None);
    (position, store.append_owed(position, (payload.len(), None), &[owed]))
}

/// Known from its session and number alone.
fn payload(session: SessionKey, number: u64) -> Vec<u8> {
    format!("{} {number} ", session.0).repeat(1 + number as usize % 40).into_bytes()
}

fn wait(store: &FileStore, ticket: Ticket) {
    while store.durable() < ticket {
        thread::yield_now();
    }
}

fn restore(snapshot: &Snapshot, to: PathBuf) -> io::Result<Restored> {
    let mut restore = Restore::begin(to)?;
    for file in snapshot.files() {
        file.check()?;
        let mut bytes = Vec::new();
        file.reader().read_to_end(&mut bytes)?;
        assert_eq!(bytes.len() as u64, file.bytes());
        restore.file(file.number())?.write_all(&bytes)?;
    }
    snapshot.entries(500, &mut |piece| restore.entries(piece))?;
    restore.finish(&snapshot.mark())
}

/// Three writers that are never held up, and ten snapshots of what they do.
#[test]
fn a_snapshot_under_load_is_a_moment_that_the_store_had() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder.path().join("live"));
    let keys: Vec<_> = (0..3).map(|_| store.new_session()).collect();
    for key in &keys {
        wait(&store, store.put_session(*key, session(&key.0.to_string())));
    }
    // Of each session: below, everything is done with for certain; and the last that is durable.
    let done: Vec<_> = keys.iter().map(|_| AtomicU64::new(0)).collect();
    let durable: Vec<_> = keys.iter().map(|_| AtomicU64::new(0)).collect();
    let begun: Vec<_> = keys.iter().map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    let load = |of: &[AtomicU64]| Vec::from_iter(of.iter().map(|it| it.load(Ordering::SeqCst)));
    thread::scope(|scope| {
        for (at, key) in keys.iter().enumerate() {
            let (store, stop) = (&store, &stop);
            let (done, durable, begun) = (&done[at], &durable[at], &begun[at]);
            scope.spawn(move || {
                let mut claims = BTreeMap::new();
                for number in 1.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (position, ticket) = owe(store, *key, number);
                    claims.insert(number, position);
                    wait(store, ticket);
                    durable.store(number, Ordering::SeqCst);
                    store.put_retained(Retained {
                        message: store.read(&[position]).unwrap()[0].clone().unwrap(),
                        publisher: format!("{}", key.0),
                    });
                    if let Some(old) = number.checked_sub(20).filter(|old| *old > 0) {
                        begun.store(old, Ordering::SeqCst);
                        let ticket = store.complete(*key, &[(old, claims[&old])]);
                        wait(store, ticket);
                        done.store(old, Ordering::SeqCst);
                    }
                }
            });
        }
        while load(&done).contains(&0) {
            thread::yield_now();
        }
        for round in 0..10 {
            let (done_before, durable_before) = (load(&done), load(&durable));
            let snapshot = store.snapshot(WITHIN).unwrap();
            let begun_after = load(&begun);
            // The writers go on while it is read: files are given back meanwhile.
            let to = folder.path().join(round.to_string());
            let restored = restore(&snapshot, to.clone()).unwrap();
            drop(snapshot);
            let (copy, found) = open(&to);
            assert_eq!(restored.sessions, 3);
            assert_eq!(restored.retained, found.retained.len());
            for (at, key) in keys.iter().enumerate() {
                let found = found.sessions.iter().find(|session| session.key == *key).unwrap();
                let owed: Vec<_> = found.owed.iter().collect();
                let numbers: Vec<_> = owed.iter().map(|owed| owed.number).collect();
                assert!(numbers.iter().all(|number| *number > done_before[at]), "{numbers:?}");
                for number in begun_after[at] + 1..=durable_before[at] {
                    assert!(numbers.contains(&number), "{number} is missing in {numbers:?}");
                }
                for owed in owed {
                    let message = copy.read(&[owed.position]).unwrap().remove(0).unwrap();
                    assert_eq!(message.payload, payload(*key, owed.number));
                }
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn files_that_are_given_back_meanwhile_are_still_read() {
    let folder = TempDir::new().unwrap();
    let live = folder.path().join("live");
    let (store, _) = open(&live);
    let key = store.new_session();
    store.put_session(key, session("c"));
    let owed: Vec<_> = (1..=300).map(|number| (number, owe(&store, key, number))).collect();
    wait(&store, owed[299].1.1);
    // Another batch begins another file.
    wait(&store, owe(&store, key, 301).1);
    let snapshot = store.snapshot(WITHIN).unwrap();
    assert!(snapshot.files().len() > 1);
    let oldest = live.join(format!("{:020}.log", snapshot.files().next().unwrap().number()));
    assert!(oldest.exists());
    let done: Vec<_> = owed.iter().map(|(number, (position, _))| (*number, *position)).collect();
    wait(&store, store.complete(key, &done));
    wait(&store, owe(&store, key, 302).1);
    while oldest.exists() {
        thread::yield_now();
    }
    let restored = restore(&snapshot, folder.path().join("copy")).unwrap();
    assert_eq!((restored.sessions, restored.messages), (1, 301));
}

#[test]
fn an_empty_store_is_restored_to_an_empty_one() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder.path().join("live"));
    let snapshot = store.snapshot(WITHIN).unwrap();
    let restored = restore(&snapshot, folder.path().join("copy")).unwrap();
    assert_eq!(restored, Restored::default());
    store.close().unwrap();
    assert!(store.snapshot(WITHIN).unwrap_err().to_string().contains("closed"));
}

/// What a disk made of the log is not handed on.
#[test]
fn damage_is_found_before_it_is_copied() {
    let folder = TempDir::new().unwrap();
    let live = folder.path().join("live");
    let (store, _) = open(&live);
    let key = store.new_session();
    store.put_session(key, session("c"));
    wait(&store, owe(&store, key, 1).1);
    let snapshot = store.snapshot(WITHIN).unwrap();
    let path = live.join(format!("{:020}.log", 1));
    let length = snapshot.files().next().unwrap().bytes();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    for at in 0..length {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
        assert!(snapshot.files().next().unwrap().check().is_err(), "byte {at}");
        file.write_all_at(&byte, at).unwrap();
    }
    snapshot.files().next().unwrap().check().unwrap();
}

/// Whatever is missing of a copy, it is not taken for a store.
#[test]
fn a_copy_that_lacks_something_is_refused() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(&folder.path().join("live"));
    let key = store.new_session();
    store.put_session(key, session("c"));
    wait(&store, owe(&store, key, 1).1);
    let snapshot = store.snapshot(WITHIN).unwrap();
    let file = snapshot.files().next().unwrap();
    let mut log = Vec::new();
    file.reader().read_to_end(&mut log).unwrap();
    let mut pieces = Vec::new();
    let mut keep = |piece: &[u8]| {
        pieces.push(piece.to_owned());
        Ok(())
    };
    snapshot.entries(1, &mut keep).unwrap();
    let attempt = |name: &str, log: &[u8], pieces: &[Vec<u8>], mark: &[u8]| -> io::Result<_> {
        let mut restore = Restore::begin(folder.path().join(name))?;
        restore.file(1)?.write_all(log)?;
        for piece in pieces {
            restore.entries(piece)?;
        }
        restore.finish(mark)
    };
    let mark = snapshot.mark();
    assert_eq!(attempt("whole", &log, &pieces, &mark).unwrap().messages, 1);
    assert!(attempt("log", &log[..log.len() - 1], &pieces, &mark).is_err());
    assert!(attempt("entries", &log, &[], &mark).is_err());
    assert!(attempt("mark", &log, &pieces, &mark[..30]).is_err());
    assert!(attempt("piece", &log, &[pieces[0][..9].to_owned()], &mark).is_err());
    assert!(attempt("whole", &log, &pieces, &mark).is_err(), "the folder is there");
    assert!(fs::read_dir(folder.path().join("whole")).unwrap().next().is_some());
}
