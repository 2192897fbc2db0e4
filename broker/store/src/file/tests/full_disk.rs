//! A disk that is full: what was taken is written once there is room again, without a restart.
//! Real ones are mounted when that is allowed (`PORTCULLIS_PROOF=1`, as root).

use std::process::Command;

use super::*;

/// A disk of 32 MiB.
struct Disk(TempDir);

impl Disk {
    fn mount() -> Self {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(mounted.unwrap().success(), "mounting a disk needs root");
        Self(folder)
    }

    /// Fills it to the last page.
    fn fill(&self) -> PathBuf {
        let path = self.0.path().join("others");
        let file = fs::File::create(&path).unwrap();
        let mut at = 0;
        for piece in [1 << 20, 4096, 1] {
            while file.write_all_at(&vec![1; piece], at).is_ok() {
                at += piece as u64;
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Tests end with the store closed: nothing uses it.
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.expect("umount is there").success());
    }
}

/// Until the store says whether it takes something.
fn until(store: &FileStore, takes: bool) -> String {
    loop {
        match (store.check(), takes) {
            (Ok(()), true) => return String::new(),
            (Err(error), false) => return error.to_string(),
            _ => thread::yield_now(),
        }
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    if !proof() {
        return;
    }
    for (round, changes) in [(0, false), (1, true), (2, true)] {
        let disk = Disk::mount();
        let folder = disk.0.path().join("store");
        // The disk itself has to say so.
        let (store, _) = open(&folder);
        let key = store.new_session();
        wait(&store, store.put_session(key, session("c")));
        let first = owe(&store, key, 1, b"before").0;
        let others = disk.fill();
        let mut last = Ticket::default();
        let mut positions = vec![first];
        let before = store.durable();
        for number in 2..200 {
            let (position, ticket) = owe(&store, key, number, &[round; 20_000]);
            positions.push(position);
            last = ticket;
            if changes {
                let retained = message(&format!("r/{number}"), &[number as u8; 3_000]).into();
                last = store.put_retained(Retained { message: retained, publisher: String::new() });
            }
        }
        let said = until(&store, false);
        assert!(said.contains("failed"), "{said}");
        assert!(store.durable() < last && store.durable() >= before);
        fs::remove_file(others).unwrap();
        wait(&store, last);
        until(&store, true);
        let ticket = owe(&store, key, 200, b"after").1;
        wait(&store, ticket);
        assert!(store.read(&positions).unwrap().iter().all(Option::is_some));
        store.close().unwrap();
        drop(store);
        let (store, recovered) = open(&folder);
        assert_eq!(recovered.sessions[0].owed.len(), 200);
        assert_eq!(recovered.retained.len(), if changes { 198 } else { 0 });
        drop(store);
    }
}

/// The least that is kept free: nothing more is taken before the disk itself refuses, and again as
/// soon as there is room.
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
fn room_that_comes_back_is_seen() {
    if !proof() {
        return;
    }
    let disk = Disk::mount();
    let folder = disk.0.path().join("store");
    let least = Options { free_bytes_min: 8 << 20, ..options(&folder) };
    let (store, _) = FileStore::open(least).unwrap();
    store.check().unwrap();
    let others = disk.fill();
    let key = store.new_session();
    let said = loop {
        // Each batch looks.
        owe(&store, key, 1, b"x");
        if let Err(error) = store.check() {
            break error.to_string();
        }
    };
    assert!(said.contains("are kept free") || said.contains("failed"), "{said}");
    fs::remove_file(others).unwrap();
    until(&store, true);
}
