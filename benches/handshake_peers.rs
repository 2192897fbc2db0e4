//! What a TLS 1.3 handshake costs the broker, beside mosquitto in the same run: CPU time of each process for a full
//! handshake with the same certificate (ECDSA on P-256), in turns, and the median of the ratios.
//!
//! Once as each side likes it best (this broker prefers X25519MLKEM768, which costs more and resists quantum computers;
//! Debian's mosquitto does not know it), and once with X25519 for both. Wants `target/release/portcullis` (or
//! `PORTCULLIS=FILE`) and mosquitto (`apt-get install mosquitto`).

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark: what does not work ends it"
)]

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream as Blocking},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis_tests::{Authority, Files, client_config, handshake};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Runtime,
};
use tokio_rustls::TlsConnector;

const ROUNDS: usize = 15;
const HANDSHAKES: u32 = 400;

/// A broker in a process of its own.
struct Broker {
    process: Child,
    address: SocketAddr,
}

impl Broker {
    fn start(mut command: Command, address: SocketAddr) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while Blocking::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{command:?} does not listen on {address}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Self { process, address }
    }

    /// Time that its threads had on a core so far.
    fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("it runs");
        let nanoseconds = tasks.filter_map(|task| {
            let path = task.ok()?.path().join("schedstat");
            // One that ended meanwhile.
            let text = fs::read_to_string(path).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("an address")
}

fn portcullis(files: &Files) -> Broker {
    let address = free_address();
    let config = format!(
        "data_dir = \"data\"\n[[listeners]]\nname = \"tls\"\nbind = \"{address}\"\n\
         transport = \"tls\"\n[listeners.tls]\ncert = \"server.pem\"\nkey = \"server.key\"\n\
         [plugins]\ndir = \"plugins\"\n[admin]\nbind = \"127.0.0.1:0\"\n"
    );
    fs::create_dir(files.path("plugins")).expect("a folder");
    let config = files.write("portcullis.toml", config);
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/portcullis");
    let program = std::env::var_os("PORTCULLIS").map_or_else(|| built.into(), PathBuf::from);
    assert!(program.exists(), "{}: run cargo build --release first", program.display());
    let mut command = Command::new(program);
    command.args(["run", "--config"]).arg(config);
    Broker::start(command, address)
}

fn mosquitto(files: &Files) -> Broker {
    let address = free_address();
    let path = |name| files.path(name).display().to_string();
    let config = format!(
        "listener {} 127.0.0.1\ncertfile {}\nkeyfile {}\nallow_anonymous true\nuser root\n",
        address.port(),
        path("server.pem"),
        path("server.key"),
    );
    let config = files.write("mosquitto.conf", config);
    let mut command = Command::new("/usr/sbin/mosquitto");
    command.arg("-c").arg(config);
    Broker::start(command, address)
}

/// CPU time of the broker for a handshake.
fn cost(runtime: &Runtime, connector: &TlsConnector, broker: &Broker) -> f64 {
    let before = broker.cpu();
    for _ in 0..HANDSHAKES {
        runtime.block_on(async {
            let mut stream = handshake(connector, broker.address).await.expect("a handshake");
            stream.shutdown().await.expect("an end");
            let mut rest = [0; 64];
            while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
        });
    }
    (broker.cpu() - before).as_secs_f64() / f64::from(HANDSHAKES)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A client that knows one way to agree on a key.
fn x25519(root: &Authority) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.pem().as_bytes()).expect("PEM")).expect("a root");
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let (ours, theirs) = (portcullis(&files), mosquitto(&files));
    for (name, mut config) in
        [("as each side likes it", client_config(&root, None)), ("X25519", x25519(&root))]
    {
        config.resumption = Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(config));
        let (mut costs, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
        for broker in [&ours, &theirs] {
            cost(&runtime, &connector, broker);
        }
        for _ in 0..ROUNDS {
            let [a, b] = [&ours, &theirs].map(|broker| cost(&runtime, &connector, broker));
            costs[0].push(a);
            costs[1].push(b);
            ratios.push(a / b);
        }
        let [a, b] = costs.map(median);
        println!(
            "{name}: portcullis {:.0} us of CPU, {:.0} handshakes/s and core; mosquitto {:.0} us, \
             {:.0}; ratio {:.2}",
            a * 1e6,
            1.0 / a,
            b * 1e6,
            1.0 / b,
            median(ratios),
        );
    }
}
