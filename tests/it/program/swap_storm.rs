//! A plugin that is replaced every second while clients log in without end: everybody is answered, nobody is let in by
//! a generation that is gone, and what is gone leaves nothing behind.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use codec::{ProtocolVersion::V5, ReasonCode};
use portcullis_tests::{Client, packets};
use tokio::{net::TcpSocket, sync::watch, task::JoinSet};

use super::{
    folder::{Folder, guest},
    process::Program,
    proof,
};

/// Who logs in at once.
const WORKERS: u8 = 20;

/// Edition `number` lets `turn` in with its number as password, and `steady` always.
fn edition(number: u64) -> String {
    format!("[config]\nusers = {{ steady = \"s\", turn = \"{number}\" }}\n")
}

/// Logs in from an address of its own: ports of one address run out.
async fn log_in(to: SocketAddr, from: u8, user: &str, password: &str) -> ReasonCode {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::new(127, 0, 1, from), 0).into()).expect("an address of loopback");
    let stream = socket.connect(to).await.expect("the listener accepts");
    stream.set_nodelay(true).expect("no delay");
    let mut client = Client::over(stream, V5);
    let connect = packets::login(V5, &format!("{user}-{from}"), (user, password));
    client.send(codec::Packet::Connect(Box::new(connect))).await;
    client.connack().await.reason_code
}

/// Edition numbers: the newest that was written, and the newest that is known to be live.
#[derive(Default)]
struct Editions {
    written: AtomicU64,
    live: AtomicU64,
}

/// Logs in as one who always may, one who never may, and one who may by turns. Returns how many logins there were.
async fn worker(
    to: SocketAddr,
    from: u8,
    editions: Arc<Editions>,
    every: Duration,
    stopping: watch::Receiver<bool>,
) -> u64 {
    let mut tick = tokio::time::interval(every);
    let mut logins = 0;
    while !*stopping.borrow() {
        tick.tick().await;
        let code = log_in(to, from, "steady", "s").await;
        assert_eq!(code, ReasonCode::Success, "somebody was kept out");
        tick.tick().await;
        let code = log_in(to, from, "burglar", "s").await;
        assert_ne!(code, ReasonCode::Success, "somebody was let in");
        tick.tick().await;
        // Nobody may come in with what was good before: that edition was gone before the login began.
        let live = editions.live.load(Ordering::SeqCst);
        let code = log_in(to, from, "turn", &live.saturating_sub(1).to_string()).await;
        assert!(live == 0 || code != ReasonCode::Success, "edition {} lives on", live - 1);
        tick.tick().await;
        // What is good now is refused only by a newer one.
        let live = editions.live.load(Ordering::SeqCst);
        let code = log_in(to, from, "turn", &live.to_string()).await;
        let written = editions.written.load(Ordering::SeqCst);
        assert!(code == ReasonCode::Success || written > live, "edition {live} said {code:?}");
        logins += 4;
    }
    logins
}

#[tokio::test]
async fn a_swap_each_second_under_logins() {
    let (swaps, per_second) = if proof() { (60, 1_000) } else { (5, 200) };
    let folder = Folder::new();
    folder.install_with("gate", &guest("good"), &edition(0));
    let program = Program::start(&folder.config()).await;
    let editions = Arc::<Editions>::default();
    let (stop, stopping) = watch::channel(false);
    let mut workers = JoinSet::new();
    let every = Duration::from_secs(1) * u32::from(WORKERS) / per_second;
    for from in 1..=WORKERS {
        let editions = Arc::clone(&editions);
        workers.spawn(worker(program.mqtt(), from, editions, every, stopping.clone()));
    }
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut early = 0;
    for number in 1..=swaps {
        tick.tick().await;
        editions.written.store(number, Ordering::SeqCst);
        folder.write("plugins/gate.toml", edition(number));
        program.plugin("gate", |gate| gate["generations"] == number + 1).await;
        editions.live.store(number, Ordering::SeqCst);
        if number == swaps.min(5) {
            early = program.resident_bytes();
        }
        if let Some(ended) = workers.try_join_next() {
            panic!("a worker has ended: {ended:?}");
        }
    }
    let late = program.resident_bytes();
    stop.send_replace(true);
    let logins: u64 = workers.join_all().await.into_iter().sum();
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{logins} logins in {seconds:.1} s ({:.0} a second) over {swaps} swaps; {} MiB resident \
         after the first five, {} MiB in the end",
        logins as f64 / seconds,
        early >> 20,
        late >> 20,
    );
    assert!(!proof() || logins as f64 / seconds > 0.8 * f64::from(per_second), "too few");
    assert!(late < early + (24 << 20), "{} MiB more", (late - early) >> 20);
    program.stop().await;
}
