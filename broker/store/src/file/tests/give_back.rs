//! Segments that nobody needs any more go away, and nothing that anybody needs goes with them.

use super::*;

fn id(packet_id: u16) -> PacketId {
    PacketId::new(packet_id).unwrap()
}

/// Behind the second batch from now on, everything is given back that could be before the first.
fn settle(store: &FileStore) {
    for _ in 0..2 {
        wait(store, store.remove_retained("none".to_owned()));
    }
}

/// Owes a session so many messages of 1,000 bytes, each durable.
fn fill(store: &FileStore, key: SessionKey, numbers: std::ops::Range<u64>) -> Vec<(u64, Position)> {
    let each = numbers.map(|number| {
        let (position, ticket) = owe(store, key, number, &[number as u8; 1_000]);
        wait(store, ticket);
        (number, position)
    });
    each.collect()
}

fn begin() -> (TempDir, FileStore, SessionKey) {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path());
    let key = store.new_session();
    store.put_session(key, session("c"));
    (folder, store, key)
}

fn reopen(folder: &TempDir, store: FileStore) -> (FileStore, FoundSession) {
    drop(store);
    let (store, mut recovered) = open(folder.path());
    (store, recovered.sessions.remove(0))
}

#[test]
fn the_oldest_go_once_all_their_claims_are_settled() {
    let (folder, store, key) = begin();
    let owed = fill(&store, key, 1..101);
    let files = log_files(folder.path());
    assert!(files.len() > 5, "{files:?}");
    // One in the first segment keeps all of them.
    store.complete(key, &owed[1..60]);
    settle(&store);
    assert_eq!(log_files(folder.path())[..files.len()], files);
    store.complete(key, &owed[..1]);
    settle(&store);
    let left = log_files(folder.path());
    assert!(left.len() < files.len() - 2 && left[0] > files[2], "{left:?}");
    assert!(store.read(&[owed[0].1]).is_err(), "read what was given back");
    let (store, found) = reopen(&folder, store);
    assert_eq!(found.owed.len(), 40);
    let positions: Vec<_> = found.owed.iter().map(|owed| owed.position).collect();
    for (message, (number, _)) in store.read(&positions).unwrap().iter().zip(&owed[60..]) {
        assert_eq!(message.as_ref().unwrap().payload, [*number as u8; 1_000]);
    }
    // What was found counts as what was written by this process.
    let found: Vec<_> = found.owed.iter().map(|owed| (owed.number, owed.position)).collect();
    store.complete(key, &found);
    settle(&store);
    assert_eq!(log_files(folder.path()).len(), 1);
    let (_, found) = reopen(&folder, store);
    assert_eq!((found.owed.len(), found.last_number), (0, 100));
}

#[test]
fn what_a_session_that_is_over_was_owed_goes() {
    let (folder, store, key) = begin();
    let owed: Vec<_> = fill(&store, key, 1..101).into_iter().map(|(_, at)| at).collect();
    store.remove_session(key);
    store.abandon(&owed);
    settle(&store);
    assert_eq!(log_files(folder.path()).len(), 1);
}

/// The writer is told when nothing else would wake it.
#[test]
fn space_is_given_back_when_nothing_happens() {
    let (folder, store, key) = begin();
    let owed: Vec<_> = fill(&store, key, 1..101).into_iter().map(|(_, at)| at).collect();
    wait(&store, store.remove_session(key));
    settle(&store);
    store.abandon(&owed);
    let begun = std::time::Instant::now();
    while log_files(folder.path()).len() > 1 {
        assert!(begun.elapsed().as_secs() < 60, "nothing was given back");
        thread::yield_now();
    }
}

/// A message whose claims are not known yet, and one that nobody is owed.
#[test]
fn a_message_is_held_until_its_claims_are_known() {
    let (folder, store, key) = begin();
    let held = store.append_message(&message("t", b"held"), None);
    let owed = fill(&store, key, 1..51);
    store.complete(key, &owed);
    settle(&store);
    assert!(log_files(folder.path()).len() > 3);
    assert_eq!(store.read(&[held]).unwrap()[0].as_ref().unwrap().payload, b"held");
    // Completed before it was counted.
    store.complete(key, &[(51, held)]);
    store.append_owed(held, (4, None), &[super::owed(key, 51)]);
    settle(&store);
    assert_eq!(log_files(folder.path()).len(), 1);
    let unowed = store.append_message(&message("t", b"nobody's"), None);
    wait(&store, store.append_owed(unowed, (8, None), &[]));
    let owed = fill(&store, key, 52..101);
    store.complete(key, &owed);
    settle(&store);
    assert_eq!(log_files(folder.path()).len(), 1);
    let (_, found) = reopen(&folder, store);
    assert!(found.owed.is_empty());
}

/// A ticket is always reached, even when nothing had to be written for it.
#[test]
fn a_ticket_for_nothing_is_durable() {
    let (_folder, store, key) = begin();
    let position = store.append_message(&message("t", b"x"), None);
    settle(&store);
    wait(&store, store.append_owed(position, (1, None), &[]));
    wait(&store, store.complete(key, &[]));
}

/// Identifiers of QoS 2 that were not released, and what a client said that it has.
#[test]
fn notes_outlive_their_segment() {
    let (folder, store, key) = begin();
    let origin = |packet_id| Origin { session: key, packet_id: id(packet_id) };
    for packet_id in 1..=3 {
        let unowed = store.append_message(&message("t", b"x"), Some(origin(packet_id)));
        store.append_owed(unowed, (1, None), &[]);
    }
    store.release(origin(2));
    let mut owed = fill(&store, key, 1..31);
    store.receive(key, 3);
    store.receive(key, 4);
    owed.extend(fill(&store, key, 31..61));
    // The third goes on living elsewhere.
    let to = store.append_message(&message("t", b"third"), None);
    store.append_moved(owed[2].1, to, (5, None), super::owed(key, 3));
    store.append_owed(to, (5, None), &[]);
    let rest: Vec<_> = owed.iter().filter(|(number, _)| *number != 3).copied().collect();
    store.complete(key, &rest);
    settle(&store);
    assert!(log_files(folder.path()).len() <= 2);
    let (store, found) = reopen(&folder, store);
    assert_eq!(found.unreleased, [id(1), id(3)]);
    let claims: Vec<_> = found.owed.iter().map(|o| (o.number, o.position, o.received)).collect();
    assert_eq!(claims, [(3, to, true)]);
    assert_eq!(store.read(&[to]).unwrap()[0].as_ref().unwrap().payload, b"third");
    // Once more: what was found is noted again as well.
    let owed = fill(&store, key, 61..101);
    store.complete(key, &owed);
    store.complete(key, &[(3, to)]);
    settle(&store);
    assert_eq!(log_files(folder.path()).len(), 1);
    let (store, found) = reopen(&folder, store);
    assert_eq!((found.unreleased, found.owed.len()), (vec![id(1), id(3)], 0));
    store.release(origin(1));
    store.release(origin(3));
    let (_, found) = reopen(&folder, store);
    assert!(found.unreleased.is_empty());
}

/// A few old claims keep many segments; once they are moved, the space is given back.
#[test]
fn the_oldest_files_go_when_their_claims_are_moved() {
    let (folder, store, key) = begin();
    let mut kept = Vec::new();
    let mut number = 1;
    while store.usage().files.len() < 20 {
        let owed = fill(&store, key, number..number + 10);
        kept.push(owed[0]);
        store.complete(key, &owed[1..]);
        number += 10;
    }
    settle(&store);
    let many = log_files(folder.path());
    let on_disk = many.iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
    let usage = store.usage();
    assert_eq!((usage.files.len(), usage.log_bytes), (many.len(), on_disk));
    assert!(usage.commits >= number && !usage.commit_time.is_zero(), "{usage:?}");
    let end = usage.files[10];
    for (number, from) in kept.iter_mut().filter(|(_, from)| *from < end) {
        let message = store.read(&[*from]).unwrap().remove(0).unwrap();
        let to = store.append_message(&message.as_ref(), None);
        let size = (1_000, None);
        store.append_moved(*from, to, size, owed(key, *number));
        store.append_owed(to, size, &[]);
        *from = to;
    }
    settle(&store);
    assert_eq!(log_files(folder.path())[0], many[10]);
    assert_eq!(store.usage().files[0], end);
    kept.sort();
    let (store, found) = reopen(&folder, store);
    let claims: Vec<_> = found.owed.iter().map(|owed| (owed.number, owed.position)).collect();
    assert_eq!(claims, kept);
    let positions: Vec<_> = kept.iter().map(|(_, position)| *position).collect();
    for (message, (number, _)) in store.read(&positions).unwrap().iter().zip(&kept) {
        assert_eq!(message.as_ref().unwrap().payload, [*number as u8; 1_000]);
    }
}

/// A crash between noting that the log begins later and deleting the files.
#[test]
fn what_was_given_back_is_deleted_at_the_next_start() {
    let (folder, store, key) = begin();
    let owed = fill(&store, key, 1..61);
    let before = copy(folder.path());
    store.complete(key, &owed[..50]);
    settle(&store);
    drop(store);
    let left = log_files(folder.path());
    for file in log_files(before.path()) {
        let there = folder.path().join(file.file_name().unwrap());
        if !there.exists() {
            fs::copy(&file, there).unwrap();
        }
    }
    assert!(log_files(folder.path()).len() > left.len());
    let (_store, recovered) = open(folder.path());
    assert_eq!(recovered.sessions[0].owed.len(), 10);
    assert_eq!(log_files(folder.path()), left);
}

#[test]
fn a_flood_of_retained_messages_is_not_taken() {
    let (_folder, store, _) = begin();
    let retained = |number: usize| Retained {
        message: message(&format!("r/{number}"), &[0; 1 << 20]).into(),
        publisher: "p".to_owned(),
    };
    let mut log = store.log.lock();
    let before = log.waiting_bytes();
    log.change(Change::PutRetained(retained(1)));
    assert!(log.waiting_bytes() > before + (1 << 20));
    drop(log);
}
