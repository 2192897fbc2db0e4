//! What a durable message costs: our log beside fjall, in one run on one disk. 1 KiB messages, eight publishers, each
//! waiting for its message to be durable as a publisher waits for PUBACK; `fdatasync` for every group.
//!
//! Not criterion: what counts is CPU and bytes written for a message, and those are the process's, not one call's.

use std::{
    error::Error,
    fs, io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use codec::QoS;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use store::{FileStore, MessageRef, Options, Owed, Store, Ticket};

const MESSAGES: u64 = 40_000;
/// Each publisher has so many messages on their way, as many as our Receive Maximum.
const PUBLISHERS: u64 = 8;
const IN_FLIGHT: u64 = 32;
const PAYLOAD_BYTES: usize = 1024;

/// What the process used so far.
struct Used {
    at: Instant,
    cpu: Duration,
    written: u64,
}

impl Used {
    fn now() -> io::Result<Self> {
        Ok(Self { at: Instant::now(), cpu: cpu()?, written: written()? })
    }
}

/// CPU time of all threads, to 10 ms.
fn cpu() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Bytes that went to the disk.
fn written() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.and_then(|bytes| bytes.parse().ok()).unwrap_or_default())
}

fn report(name: &str, before: &Used) -> io::Result<()> {
    let after = Used::now()?;
    let seconds = (after.at - before.at).as_secs_f64();
    let messages = MESSAGES as f64;
    println!(
        "{name:<8} {:>9.0} messages/s  {:>6.2} us of CPU  {:>5.2} bytes written per payload byte",
        messages / seconds,
        (after.cpu - before.cpu).as_secs_f64() * 1e6 / messages,
        (after.written - before.written) as f64 / (messages * PAYLOAD_BYTES as f64),
    );
    Ok(())
}

/// A payload that no compression makes smaller.
fn payload(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
    while payload.len() < PAYLOAD_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        payload.extend_from_slice(&state.to_le_bytes());
    }
    payload
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn ours(folder: &Path) -> Result<(), Box<dyn Error>> {
    let (store, _) = FileStore::open(Options::new(folder))?;
    let before = Used::now()?;
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let store = &store;
            scope.spawn(move || {
                let session = store.new_session();
                let waker = Waker::from(Arc::new(Unpark(thread::current())));
                let mut last = Ticket::default();
                for number in 0..MESSAGES / PUBLISHERS {
                    let payload = payload(publisher << 32 | number);
                    let message = MessageRef {
                        topic: "plant/7/line/3/temperature",
                        forwarded: &[],
                        payload: &payload,
                        qos: QoS::AtLeastOnce,
                        retain: false,
                        expires_at_unix: None,
                    };
                    let position = store.append_message(&message, None);
                    let owed = Owed {
                        session,
                        number,
                        qos: QoS::AtLeastOnce,
                        retain: false,
                        shared: false,
                        subscription_identifiers: Box::default(),
                    };
                    last = store.append_owed(position, (payload.len(), None), &[owed]);
                    if number % IN_FLIGHT == IN_FLIGHT - 1 {
                        while store.durable() < last {
                            store.wake_when_durable(last, &waker);
                            thread::park();
                        }
                    }
                }
                while store.durable() < last {
                    store.wake_when_durable(last, &waker);
                    thread::park();
                }
            });
        }
    });
    report("our log", &before)?;
    store.close()?;
    Ok(())
}

/// The same with fjall: publishers insert, one thread synchronises for all who wait.
fn fjall(folder: &Path) -> Result<(), Box<dyn Error>> {
    let database = Database::builder(folder).manual_journal_persist(true).open()?;
    let messages = database.keyspace("messages", KeyspaceCreateOptions::default)?;
    let before = Used::now()?;
    // Groups begun, and groups durable.
    let groups = (Mutex::new((0_u64, 0_u64)), Condvar::new());
    let left = AtomicU64::new(PUBLISHERS);
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let (messages, groups, left, failed) = (&messages, &groups, &left, &failed);
            scope.spawn(move || {
                for number in 0..MESSAGES / PUBLISHERS {
                    let mut key = publisher.to_be_bytes().to_vec();
                    key.extend_from_slice(&number.to_be_bytes());
                    if let Err(error) = messages.insert(key, payload(publisher << 32 | number)) {
                        *lock(failed) = Some(error);
                        break;
                    }
                    if number % IN_FLIGHT == IN_FLIGHT - 1 {
                        let mut state = lock(&groups.0);
                        // The group that is being synchronised may have begun before.
                        state.0 += 1;
                        let mine = state.0;
                        groups.1.notify_all();
                        while state.1 < mine {
                            state = wait(&groups.1, state);
                        }
                    }
                }
                left.fetch_sub(1, Ordering::AcqRel);
                groups.1.notify_all();
            });
        }
        loop {
            let begun = {
                let mut state = lock(&groups.0);
                while state.0 == state.1 && left.load(Ordering::Acquire) > 0 {
                    state = wait(&groups.1, state);
                }
                state.0
            };
            if let Err(error) = database.persist(PersistMode::SyncData) {
                *lock(&failed) = Some(error);
            }
            lock(&groups.0).1 = begun;
            groups.1.notify_all();
            if left.load(Ordering::Acquire) == 0 {
                break;
            }
        }
    });
    if let Some(error) = lock(&failed).take() {
        return Err(error.into());
    }
    report("fjall", &before)?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A moment at most: the last publisher may go between the look and the wait.
fn wait<'a, T>(
    condition: &Condvar,
    guard: std::sync::MutexGuard<'a, T>,
) -> std::sync::MutexGuard<'a, T> {
    let waited = condition.wait_timeout(guard, Duration::from_millis(1));
    waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder =
        std::env::temp_dir().join(format!("portcullis-bench-store-{}", std::process::id()));
    for round in 0..3 {
        for (name, run) in [("ours", ours as fn(&Path) -> _), ("fjall", fjall)] {
            let folder = folder.join(format!("{name}-{round}"));
            fs::create_dir_all(&folder)?;
            run(&folder)?;
            fs::remove_dir_all(&folder)?;
        }
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}
