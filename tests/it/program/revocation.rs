//! A permission is taken away while many clients get messages by it: how long does anybody still get one?

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use codec::{Packet, ProtocolVersion::V311, QoS};
use portcullis_tests::{Client, packets};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::{
    folder::{Folder, guest},
    knock::{enter, login},
    process::Program,
    proof,
};

/// Everybody gets in; `news` is permitted, or not.
fn gate(permitted: bool) -> String {
    format!(
        "[config]\nanyone = true\nanswer = \"rules\"\n[[config.rules]]\nallow = {permitted}\n\
         activity = [\"subscribe\"]\nfilter = \"news\"\n[[config.rules]]\nallow = true\n\
         activity = [\"publish\"]\nfilter = \"news\"\n"
    )
}

/// A subscriber that costs next to nothing: it notes when bytes came last.
async fn subscriber(to: SocketAddr, number: usize) -> (TcpStream, Arc<Mutex<Option<Instant>>>) {
    let mut stream = TcpStream::connect(to).await.expect("the listener accepts");
    let connect = packets::login(V311, &format!("s-{number}"), ("s", "s"));
    let subscribe = packets::subscribe(1, &[("news", QoS::AtMostOnce)]);
    let mut bytes = packets::encoded(V311, &Packet::Connect(Box::new(connect)));
    bytes.extend(packets::encoded(V311, &subscribe));
    stream.write_all(&bytes).await.expect("a login");
    // CONNACK and SUBACK of 3.1.1: 4 and 5 bytes.
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).await.expect("both answers");
    assert_eq!(answer, [0x20, 2, 0, 0, 0x90, 3, 0, 1, 0], "subscriber {number}");
    (stream, Arc::default())
}

async fn read(mut stream: TcpStream, last: Arc<Mutex<Option<Instant>>>) {
    let mut buffer = [0; 512];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
        *last.lock().unwrap() = Some(Instant::now());
    }
}

/// Publishes so often until the test ends.
async fn publish(mut publisher: Client, every: Duration) {
    let mut tick = tokio::time::interval(every);
    loop {
        tick.tick().await;
        publisher.send(packets::qos0("news", "n")).await;
    }
}

#[tokio::test]
async fn nobody_gets_a_message_long_after_it_was_forbidden() {
    let (clients, every) = if proof() { (10_000, 200) } else { (200, 50) };
    let folder = Folder::new();
    folder.install_with("gate", &guest("good"), &gate(true));
    let program = Program::start(&folder.config()).await;
    let mut last = Vec::with_capacity(clients);
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let (stream, when) = subscriber(program.mqtt(), number).await;
        last.push(Arc::clone(&when));
        tasks.spawn(read(stream, when));
    }
    let publisher = enter(program.mqtt(), login("publisher", ("p", "p"))).await;
    tasks.spawn(publish(publisher, Duration::from_millis(every)));
    super::eventually::until("everybody gets messages", async || {
        last.iter().all(|last| last.lock().unwrap().is_some())
    })
    .await;
    folder.write("plugins/gate.toml", gate(false));
    let began = Instant::now();
    program.plugin("gate", |gate| gate["generations"] == 2).await;
    let live = Instant::now();
    // Nothing has come for a while.
    let quiet = Duration::from_millis(10 * every);
    super::eventually::until("silence", async || {
        last.iter().all(|last| last.lock().unwrap().is_some_and(|at| at.elapsed() > quiet))
    })
    .await;
    let since = |moment: Instant| -> (Duration, Duration) {
        let last = last.iter().filter_map(|last| *last.lock().unwrap());
        let mut late: Vec<_> = last.map(|at| at.saturating_duration_since(moment)).collect();
        late.sort_unstable();
        (late[late.len() * 99 / 100], late[late.len() - 1])
    };
    let ((p99, most), (of_file, _)) = (since(live), since(began));
    let metrics = program.api().get("/metrics").await.expect(200).body;
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("the metric");
        line.trim().parse::<f64>().expect("a number")
    };
    let within = value("portcullis_revocation_latency_seconds_bucket{le=\"1.0\"}");
    let all = value("portcullis_revocation_latency_seconds_count");
    println!(
        "{clients} clients: last message after the new generation was seen live: p99 {p99:?}, \
         most {most:?}; after its file was written: p99 {of_file:?}; {within} of {all} refreshed \
         within 1 s"
    );
    assert!(p99 < Duration::from_secs(1), "p99 {p99:?}");
    assert!(all >= clients as f64, "only {all} were asked again");
    tasks.abort_all();
    program.stop().await;
}
