//! Flipped bits and missing ends in every file of a folder, those of fjall included: what opens is
//! what was written, or it does not open and says where. `PORTCULLIS_SEED=n` does one of them again.
//!
//! One exception, which is loud too: a few bytes of fjall's files make it panic while it holds a lock
//! that its destructors want, or allocate as much as a damaged length says: the process aborts.

use std::{os::unix::process::ExitStatusExt, process::Command};

use super::*;

const FOLDER: &str = "PORTCULLIS_TEST_HARM";

/// A folder with all that a store keeps, and what it says when it is opened.
fn full() -> (TempDir, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path());
    let mut random = Random::new(1);
    let keys: Vec<_> = (0..10).map(|_| store.new_session()).collect();
    let mut owed_to_first = Vec::new();
    for (number, key) in (1..).zip(&keys) {
        store.put_session(*key, session(&format!("client-{number}")));
        for filter in 0..3 {
            let filter = format!("filter/{filter}");
            let kept = KeptSubscription {
                filter,
                identifier: Some(7),
                options: 2,
                retained_due: false,
                since_unix: None,
            };
            store.put_subscription(*key, kept);
        }
    }
    for number in 1..=100_u64 {
        let payload = vec![number as u8; random.below(600) as usize];
        let origin = (number % 10 == 0)
            .then(|| Origin { session: keys[1], packet_id: PacketId::new(number as u16).unwrap() });
        let position = store.append_message(&message("t", &payload), origin);
        let claims: Vec<_> = keys.iter().map(|key| owed(*key, number)).collect();
        let ticket = store.append_owed(position, (payload.len(), None), &claims);
        owed_to_first.push((number, position));
        let topic = format!("retained/{}", number % 30);
        let retained = message(&topic, &payload).into();
        store.put_retained(Retained { message: retained, publisher: "p".to_owned() });
        if number % 7 == 0 {
            wait(&store, ticket);
        }
    }
    store.complete(keys[0], &owed_to_first[..40]);
    store.receive(keys[2], 3);
    drop(store);
    in_tables(&folder.path().join("state"));
    // One journal more, behind the tables.
    let (store, _) = open(folder.path());
    store.put_session(keys[3], session("changed"));
    store.remove_retained("retained/3".to_owned());
    drop(store);
    let said = contents(folder.path()).expect("opens");
    (folder, said)
}

/// Has fjall write its tables, as it does when there is more.
fn in_tables(state: &Path) {
    let database = fjall::Database::builder(state).open().unwrap();
    for name in ["sessions", "subscriptions", "retained", "meta"] {
        let keyspace = database.keyspace(name, fjall::KeyspaceCreateOptions::default).unwrap();
        keyspace.rotate_memtable_and_wait().unwrap();
    }
}

/// Everything that is found in a folder, line by line.
fn contents(folder: &Path) -> Result<Vec<String>, OpenError> {
    let (store, recovered) = FileStore::open(options(folder))?;
    let mut lines: Vec<_> = recovered.retained.iter().map(|kept| format!("{kept:?}")).collect();
    for found in recovered.sessions {
        let (key, last) = (found.key, found.last_number);
        lines.push(format!("{key:?} {last} {:?} {:?}", found.kept, found.unreleased));
        lines.extend(found.subscriptions.iter().map(|kept| format!("{key:?} {kept:?}")));
        for owed in found.owed {
            let message = store.read(&[owed.position]).expect("reads").remove(0);
            lines.push(format!("{key:?} {owed:?} {message:?}"));
        }
    }
    lines.sort();
    Ok(lines)
}

fn all_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_files(&path, files);
        } else if path.metadata().unwrap().len() > 0 {
            files.push(path);
        }
    }
    files.sort();
}

/// The child: opens a folder, and aborts if fjall does.
#[test]
fn opening_of_a_folder() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        _ = FileStore::open(options(Path::new(&folder)));
    }
}

/// Whether fjall aborts the process that opens a folder.
fn aborts(folder: &Path) -> bool {
    let copied = in_memory();
    copy_into(folder, copied.path());
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "file::tests::harm::opening_of_a_folder", "--nocapture"])
        .env(FOLDER, copied.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    let known = said.contains("lsm-tree") || said.contains("memory allocation of");
    assert!(child.status.success() || known, "{said}");
    child.status.signal().is_some()
}

/// One harm; what it was, and whether it was refused.
fn harm(folder: &Path, seed: u64, expected: &[String]) -> bool {
    let mut random = Random::new(seed);
    let hurt = in_memory();
    copy_into(folder, hurt.path());
    let mut files = Vec::new();
    all_files(hurt.path(), &mut files);
    let path = random.one_of(&files).expect("files").clone();
    let mut bytes = fs::read(&path).unwrap();
    let at = random.below(bytes.len() as u64) as usize;
    let what = if random.below(2) == 0 {
        bytes.truncate(at);
        "cut"
    } else {
        bytes[at] ^= 1 << random.below(8);
        "flipped"
    };
    fs::write(&path, bytes).unwrap();
    let what = format!("seed {seed}: {} {what} at {at}", path.display());
    if path.starts_with(hurt.path().join("state")) && aborts(hurt.path()) {
        println!("{what}: fjall aborts");
        return true;
    }
    let found = std::panic::catch_unwind(|| contents(hurt.path()));
    match found.unwrap_or_else(|_| panic!("{what}: panics")) {
        Ok(found) => {
            let missing = expected.iter().find(|line| !found.contains(line));
            assert!(missing.is_none(), "{what}: lost {missing:?}");
            assert!(found == expected, "{what}: found more than was written");
            false
        }
        Err(error) => {
            let said = error.to_string();
            let place = hurt.path().display().to_string();
            assert!(said.contains(&place), "{what}: names no file: {said}");
            true
        }
    }
}

#[test]
fn no_harm_is_silent() {
    let (folder, expected) = full();
    let one = std::env::var("PORTCULLIS_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 0..if proof() { 4_000 } else { 400 },
    };
    let count = seeds.end - seeds.start;
    let refused = seeds.filter(|seed| harm(folder.path(), *seed, &expected)).count();
    println!("{refused} of {count} refused, the others had no effect");
}
