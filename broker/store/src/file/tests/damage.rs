//! A torn end is cut; anything else that does not fit is refused, and says where.

use super::*;

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
        assert!(refused(torn.path()).contains("its end is missing"), "{lost}");
        let mark = torn.path().join(mark::NAME);
        let (marked, first) = mark::decode(&fs::read(&mark).unwrap()).unwrap();
        fs::write(&mark, mark::encode(marked - 3, first)).unwrap();
        let (store, recovered) = open(torn.path());
        assert!(recovered.sessions[0].owed.len() >= 49, "{lost}");
        // It goes on where it was cut.
        let key = recovered.sessions[0].key;
        let (position, ticket) = owe(&store, key, 99, b"after");
        wait(&store, ticket);
        drop(store);
        let (store, recovered) = open(torn.path());
        assert_eq!(recovered.torn_bytes, 0);
        assert_eq!(recovered.sessions[0].owed.iter().last().unwrap().number, 99);
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

/// A whole segment that is missing, be it the first: it was not given back.
#[test]
fn a_missing_segment_is_found() {
    let (folder, _) = filled(1_000);
    for gone in log_files(folder.path()) {
        let hurt = copy(folder.path());
        fs::remove_file(hurt.path().join(gone.file_name().unwrap())).unwrap();
        let said = refused(hurt.path());
        assert!(said.contains("damaged or missing"), "{said}");
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
    let mark = fs::read(folder.path().join(mark::NAME)).unwrap();
    let (_, ticket) = owe(&store, key, 2, &forged.repeat(10));
    wait(&store, ticket);
    let crashed = copy(folder.path());
    drop(store);
    let path = log_files(crashed.path()).pop().unwrap();
    let length = path.metadata().unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    fs::write(crashed.path().join(mark::NAME), mark).unwrap();
    let (_, recovered) = open(crashed.path());
    assert_eq!(recovered.sessions[0].owed.len(), 1);
    assert!(recovered.torn_bytes > 0);
}
