//! Crashes: another process appends, completes, moves and deletes; it is stopped at random moments, and what lies
//! in its folder then is opened. For a power cut, what was not synchronised yet is cut, zeroed or
//! made garbage besides. What was durable must be there, what was completed for certain must not.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Child, Command},
};

use super::*;

const FOLDER: &str = "PORTCULLIS_TEST_CRASH";
const THREADS: u64 = 3;

/// Known from its session and number alone.
fn payload(key: SessionKey, number: u64) -> Vec<u8> {
    let mut random = Random::new(key.0 << 32 | number);
    (0..10 + random.below(200)).map(|_| random.below(256) as u8).collect()
}

fn small(folder: &Path, durability: Durability) -> Options {
    Options { durability, segment_bytes: 8 << 10, ..options(folder) }
}

/// The child: works until it is killed, and notes in a file what it knows for certain.
/// `owed`: it is durable. `completing`: it may be gone from now on. `completed`: it is gone.
#[test]
fn work_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let durability = if folder.join("os").exists() { Durability::Os } else { Durability::Fsync };
    let (store, _) = FileStore::open(small(&folder.join("store"), durability)).unwrap();
    let notes = fs::File::options().append(true).create(true).open(folder.join("notes")).unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| work(&store, &notes));
        }
    });
}

/// With one write each: whole or not at all.
fn note(mut notes: &fs::File, what: &str, key: SessionKey, numbers: &[u64]) {
    let line = |number| format!("{what} {} {number}\n", key.0);
    let lines: String = numbers.iter().map(line).collect();
    notes.write_all(lines.as_bytes()).unwrap();
}

fn work(store: &FileStore, notes: &fs::File) {
    let key = store.new_session();
    wait(store, store.put_session(key, session("c")));
    let mut random = Random::new(key.0);
    let mut claims = BTreeMap::new();
    for round in 0_u64.. {
        let mut last = Ticket::default();
        let numbers: Vec<_> = (round * 10 + 1..round * 10 + 11).collect();
        for number in &numbers {
            let (position, ticket) = owe(store, key, *number, &payload(key, *number));
            claims.insert(*number, position);
            last = ticket;
        }
        let topic = format!("r/{}", key.0);
        let retained = message(&topic, &round.to_le_bytes()).into();
        store.put_retained(Retained { message: retained, publisher: String::new() });
        wait(store, last);
        note(notes, "owed", key, &numbers);
        // A few are kept for long.
        let gone = claims.iter().filter(|(number, _)| {
            **number % 30 != 0 || **number + 3_000 < round * 10 || random.below(200) == 0
        });
        let gone: Vec<_> = gone.take(10).map(|(number, position)| (*number, *position)).collect();
        let numbers: Vec<_> = gone.iter().map(|(number, _)| *number).collect();
        note(notes, "completing", key, &numbers);
        claims.retain(|number, _| !numbers.contains(number));
        let ticket = store.complete(key, &gone);
        if round % 3 == 0 {
            wait(store, ticket);
            note(notes, "completed", key, &numbers);
        }
        let files = store.usage().files;
        if files.len() > 8 {
            let end = files[1];
            for (number, from) in claims.iter_mut().filter(|(_, from)| **from < end) {
                let bytes = payload(key, *number);
                let to = store.append_message(&message("t", &bytes), None);
                store.append_moved(*from, to, (bytes.len(), None), owed(key, *number));
                store.append_owed(to, (bytes.len(), None), &[]);
                *from = to;
            }
        }
    }
}

/// Kills the child whatever happens.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

impl Killed {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// All threads of it.
    fn stop(&self) {
        self.signal("-STOP");
        let is_stopped = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            assert_ne!(state, Some('Z'), "the child died");
            state == Some('T')
        };
        let tasks = || fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("it runs");
        while !tasks().all(|task| is_stopped(task.unwrap())) {
            thread::yield_now();
        }
    }
}

/// Harms what was not synchronised: everything behind the batch of which the mark knows.
fn cut_power(folder: &Path, random: &mut Random) {
    let (marked, _) = mark::decode(&fs::read(folder.join(mark::NAME)).unwrap()).unwrap();
    let path = log_files(folder).pop().expect("a log");
    let Some(header) = segment::header(&path, true).unwrap() else { return };
    let length = path.metadata().unwrap().len();
    let scanned = segment::scan(&path, header, None, &mut |_, _| Ok(())).unwrap();
    // At most one batch is behind it.
    let synchronised = match scanned.chain.batch.saturating_sub(marked) {
        0 => scanned.length,
        1 => end_of_batch(&path, header, marked),
        more => panic!("{more} batches behind the mark"),
    };
    let at = synchronised + random.below(length - synchronised + 1);
    let mut bytes = fs::read(&path).unwrap();
    match random.below(3) {
        0 => bytes.truncate(at as usize),
        1 => bytes[at as usize..].fill(0),
        _ => bytes[at as usize..].fill_with(|| random.below(256) as u8),
    }
    fs::write(&path, bytes).unwrap();
}

/// Bytes of a file up to the end of a batch that is the last but one, or stands in the file before.
fn end_of_batch(path: &Path, header: segment::SegmentHeader, number: u64) -> u64 {
    let mut length = segment::SEGMENT_HEADER as u64;
    let copy = TempDir::new().unwrap();
    let whole = fs::read(path).unwrap();
    let cut = copy.path().join("cut.log");
    for end in (length..whole.len() as u64).rev() {
        fs::write(&cut, &whole[..end as usize]).unwrap();
        let scanned = segment::scan(&cut, header, None, &mut |_, _| Ok(())).unwrap();
        if scanned.chain.batch <= number {
            length = scanned.length;
            break;
        }
    }
    length
}

fn check(folder: &Path, durability: Durability, notes: &str) {
    let (store, recovered) = FileStore::open(small(folder, durability)).expect("opens");
    let mut known: BTreeMap<&str, BTreeSet<(u64, u64)>> = BTreeMap::new();
    for line in notes.lines() {
        let mut words = line.split(' ');
        let what = words.next().unwrap();
        let mut number = || words.next().unwrap().parse().unwrap();
        known.entry(what).or_default().insert((number(), number()));
    }
    let set = |what| known.get(what).cloned().unwrap_or_default();
    let (durable, completing, completed) = (set("owed"), set("completing"), set("completed"));
    let mut found = BTreeSet::new();
    for session in recovered.sessions {
        for owed in session.owed {
            found.insert((session.key.0, owed.number));
            let read = store.read(&[owed.position]).unwrap().remove(0).expect("it is durable");
            assert!(read.payload == payload(session.key, owed.number), "{owed:?}: {read:?}");
        }
    }
    let lost: Vec<_> = durable.difference(&completing).filter(|it| !found.contains(it)).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    let back: Vec<_> = completed.intersection(&found).collect();
    assert!(back.is_empty(), "came back: {back:?}");
}

/// One child, and what it left at so many moments.
const MOMENTS: u64 = 12;

fn crash(durability: Durability, round: u64) {
    let folder = in_memory();
    if durability == Durability::Os {
        fs::write(folder.path().join("os"), []).unwrap();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "file::tests::crash::work_until_killed"])
        .env(FOLDER, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let child = Killed(child);
    let notes = folder.path().join("notes");
    let noted = || notes.metadata().map_or(0, |data| data.len());
    let (mut random, mut after) = (Random::new(round), 0);
    for moment in 0..MOMENTS {
        after += 200 + random.below(20_000);
        while noted() < after {
            thread::yield_now();
        }
        child.stop();
        let copied = in_memory();
        copy_into(&folder.path().join("store"), copied.path());
        let text = fs::read_to_string(&notes).unwrap();
        after = text.len() as u64;
        child.signal("-CONT");
        if durability == Durability::Fsync && moment % 4 != 0 {
            cut_power(copied.path(), &mut random);
        }
        check(copied.path(), durability, &text);
    }
    let first = log_files(&folder.path().join("store")).remove(0);
    assert!(first.file_stem().unwrap() > "00000000000000000001", "nothing was given back");
}

#[test]
fn what_was_durable_survives_a_power_cut() {
    (0..if proof() { 20 } else { 1 }).for_each(|round| crash(Durability::Fsync, round));
}

#[test]
fn what_was_written_survives_the_death_of_the_process() {
    (0..if proof() { 20 } else { 1 }).for_each(|round| crash(Durability::Os, round));
}
