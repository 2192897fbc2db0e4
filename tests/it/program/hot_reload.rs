//! Plugins that are replaced while clients talk: nobody notices, and no decision is made by
//! anything but a complete generation.

use std::{
    collections::HashSet,
    fs,
    io::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode, Will};
use portcullis_tests::{BOTH, Client, packets};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    eventually::{WAIT, until},
    folder::{ALICE, Folder, another_build, bundled, guest},
    knock::{enter, knock, login},
    process::Program,
    proof,
    traffic::{Load, Traffic},
};

/// The figures: 200 clients, 1,000 messages a second, 100 replacements, at least 50 of them
/// valid builds; not one connection ends, not one message is lost, not one decision is wrong.
#[tokio::test]
async fn acl_file_is_replaced_under_load() {
    let (clients, per_second, replacements) =
        if proof() { (200, 1_000, 100) } else { (40, 200, 8) };
    let folder = Folder::bundled();
    folder.write("acl.toml", acl(0));
    let program = Program::start(&folder.config()).await;
    let mut traffic = Traffic::start(program.mqtt(), Load { clients, per_second }).await;
    let began = Instant::now();
    let mut probe = Probe::start(program.mqtt()).await;
    let knocks = Knocks::start(program.mqtt());
    probe.sees(0).await;
    let mut editor = Editor::new(&folder, &program).await;
    for number in 1..=replacements {
        if number % 5 == 2 || number % 5 == 4 {
            editor.replace_badly(number).await;
        } else {
            editor.replace(number).await;
            probe.sees(number).await;
        }
        traffic.check();
        probe.check();
        knocks.check();
    }
    let valid = editor.generations.len() as u64 - 1;
    assert!(valid >= u64::from(replacements) / 2, "{valid} distinct generations");
    let decisions = probe.finish().await;
    let knocks = knocks.finish().await;
    let disconnected = disconnected(&program, "ring-");
    assert_eq!(disconnected, Vec::<Value>::new(), "connections ended");
    let messages = traffic.finish().await;
    let rate = messages as f64 / began.elapsed().as_secs_f64();
    assert!(!proof() || rate > 0.95 * f64::from(per_second), "only {rate} messages a second");
    println!(
        "{clients} clients: {messages} messages, {rate:.0} a second, {decisions} rounds of \
         decisions, {knocks} logins while acl-file was replaced {replacements} times, \
         {valid} times by a new generation"
    );
}

/// Identity, permissions and Will of one CONNECT are the word of one generation, and a generation
/// that is confirmed live is the one that answers.
#[tokio::test]
async fn one_generation_decides_a_whole_connect() {
    let replacements = if proof() { 100 } else { 10 };
    let folder = Folder::new();
    folder.install_with("gate", &guest("good"), &numbered(0));
    let program = Program::start(&folder.config()).await;
    let wills = Wills::start(program.mqtt());
    wills.accepted(0).await;
    for number in 1..=replacements {
        folder.write("plugins/gate.toml", numbered(number));
        program.plugin("gate", |gate| gate["generations"] == number + 1).await;
        wills.accepted(number).await;
        wills.check();
    }
    let accepted = wills.finish().await;
    println!("{accepted} CONNECTs accepted over {replacements} generations");
}

/// What acl-file says in its edition `number`: one of two markers is permitted, by turns.
fn acl(number: u32) -> String {
    let marker = MARKERS[parity(number)];
    format!(
        "# Edition {number}\n[[rules]]\ndeny = \"all\"\ntopic = \"free/secret/#\"\n\
         [[rules]]\nallow = \"all\"\ntopic = \"free/#\"\n\
         [[rules]]\nallow = \"all\"\ntopic = \"{marker}\"\n"
    )
}

const MARKERS: [&str; 2] = ["marker/even", "marker/odd"];

fn parity(number: u32) -> usize {
    number as usize % 2
}

/// What the guest `good` says in its edition `number`: the number in CONNACK, and a topic with the
/// number.
fn numbered(number: u64) -> String {
    format!(
        "[config]\nanyone = true\nanswer = \"rules\"\n\
         user_properties = [[\"generation\", \"{number}\"]]\n\
         [[config.rules]]\nallow = true\nactivity = [\"publish\"]\n\
         filter = \"generation/{number}\"\n"
    )
}

/// Events `disconnected` of clients whose identifiers start so.
fn disconnected(program: &Program, prefix: &str) -> Vec<Value> {
    let is_one = |line: &Value| {
        let client_id = line["client_id"].as_str().unwrap_or_default();
        line["event"] == "disconnected" && client_id.starts_with(prefix)
    };
    program.log().into_iter().filter(is_one).collect()
}

/// Replaces acl-file, well and badly, and waits for the broker's word on it.
struct Editor<'a> {
    folder: &'a Folder,
    program: &'a Program,
    original: Vec<u8>,
    /// Every generation that was live, by hash.
    generations: HashSet<String>,
    live: String,
    refused: u32,
}

impl<'a> Editor<'a> {
    async fn new(folder: &'a Folder, program: &'a Program) -> Self {
        let plugin = program.plugin(NAME, |plugin| plugin["state"] == "live").await;
        let live = hash(&plugin);
        let generations = HashSet::from([live.clone()]);
        Self { folder, program, original: bundled(NAME), generations, live, refused: 0 }
    }

    /// A new build with a new ACL file, which goes live.
    async fn replace(&mut self, number: u32) {
        let before = self.program.generations(NAME).await;
        let build = another_build(&self.original, number);
        self.folder.write("acl.toml", acl(number));
        match number % 5 {
            // As `cp` does it: in place and in parts.
            0 => self.copy_in_parts(&build),
            _ => self.folder.install(NAME, &build),
        }
        let is_new = |plugin: &Value| {
            let more = plugin["generations"].as_u64().is_some_and(|count| count > before);
            plugin["state"] == "live" && more && hash(plugin) != self.live
        };
        self.live = hash(&self.program.plugin(NAME, is_new).await);
        assert!(self.generations.insert(self.live.clone()), "an old generation came back");
    }

    /// Something that never goes live; the generation before it stays.
    async fn replace_badly(&mut self, number: u32) {
        let before = self.program.generations(NAME).await;
        self.refused += 1;
        let (bad, expected) = match self.refused % 3 {
            0 => {
                let build = another_build(&self.original, number);
                (build[..build.len() * 2 / 3].to_owned(), "damaged")
            }
            1 => (garbage(number), "neither a WebAssembly component nor a core module"),
            _ => (another_build(&guest("next-version"), number), "0.2.0"),
        };
        self.folder.install(NAME, &bad);
        let plugin = self.program.plugin(NAME, |plugin| plugin["state"] == "live_old").await;
        let error = plugin["error"].as_str().unwrap_or_default();
        assert!(error.contains(expected), "replacement {number}: {error}");
        assert_eq!(hash(&plugin), self.live, "replacement {number}");
        assert_eq!(plugin["generations"], before, "replacement {number}");
    }

    fn copy_in_parts(&self, build: &[u8]) {
        let path = self.folder.path("plugins/acl-file.wasm");
        let mut file = fs::File::create(path).expect("the component can be overwritten");
        for part in build.chunks(build.len() / 4 + 1) {
            file.write_all(part).and_then(|()| file.sync_data()).expect("a part is written");
        }
    }
}

const NAME: &str = "acl-file";

fn hash(plugin: &Value) -> String {
    plugin["generation"].as_str().unwrap_or_default().to_owned()
}

/// Bytes without any sense, the same for the same number.
fn garbage(number: u32) -> Vec<u8> {
    let mut state = number;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(65_536).collect()
}

/// A client that asks for decisions without end, and knows which are possible.
struct Probe {
    stop: watch::Sender<bool>,
    /// Parity of the generation that decided last.
    seen: watch::Receiver<Option<usize>>,
    client: JoinHandle<u64>,
}

impl Probe {
    async fn start(address: SocketAddr) -> Self {
        let mut client = enter(address, login("probe", ALICE)).await;
        let (stop, stopping) = watch::channel(false);
        let (seeing, seen) = watch::channel(None);
        let client = tokio::spawn(async move {
            let mut rounds = 0;
            while !*stopping.borrow() {
                let parity = tokio::time::timeout(WAIT, Self::ask(&mut client)).await;
                seeing.send_replace(Some(parity.expect("an answer in time")));
                rounds += 1;
            }
            rounds
        });
        Self { stop, seen, client }
    }

    /// One round: what must be granted is, what must not is not, and exactly one marker is. Returns
    /// which.
    async fn ask(client: &mut Client) -> usize {
        let [even, odd] = MARKERS;
        let filters = [(even, QOS), (odd, QOS), ("free/secret/x", QOS), ("free/open", QOS)];
        client
            .send_all([
                packets::subscribe(1, &filters),
                packets::qos1(2, "free/secret/x", "never"),
                packets::qos1(3, "free/nobody-listens", "always"),
            ])
            .await;
        let codes = client.next(|packet| match packet {
            Packet::SubAck(suback) => suback.reason_codes.clone(),
            other => panic!("{other:?} instead of SUBACK"),
        });
        let codes = codes.await.expect("the connection stays");
        let (granted, denied) = (packets::granted(QOS), ReasonCode::NotAuthorized);
        let parity = match *codes {
            [first, second, secret, open] if (secret, open) == (denied, granted) => {
                let parities = [(granted, denied), (denied, granted)];
                parities.iter().position(|pair| *pair == (first, second))
            }
            _ => None,
        };
        let parity = parity.unwrap_or_else(|| panic!("no generation says {codes:?}"));
        assert_eq!(client.puback(2).await, ReasonCode::NotAuthorized);
        assert_eq!(client.puback(3).await, ReasonCode::NoMatchingSubscribers);
        parity
    }

    /// Waits until the edition `number` decides.
    async fn sees(&mut self, number: u32) {
        let (wanted, seen) = (parity(number), &mut self.seen);
        let decided = seen.wait_for(|seen| *seen == Some(wanted));
        let decided = tokio::time::timeout(WAIT, decided).await;
        decided.expect("the new generation decides in time").expect("the probe works");
    }

    fn check(&self) {
        assert!(!self.client.is_finished(), "the probe has ended");
    }

    async fn finish(self) -> u64 {
        self.stop.send_replace(true);
        self.client.await.expect("the probe")
    }
}

const QOS: QoS = QoS::AtLeastOnce;

/// Logins without end, good and bad ones.
struct Knocks {
    stop: watch::Sender<bool>,
    task: JoinHandle<u64>,
}

impl Knocks {
    fn start(address: SocketAddr) -> Self {
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut number = 0;
            while !*stopping.borrow() {
                let version = BOTH[number as usize % 2];
                let connect = |client_id: &str, credentials| {
                    packets::login(version, &format!("{client_id}-{number}"), credentials)
                };
                let (code, client) = knock(address, connect("guest", ALICE)).await;
                assert_eq!(code, ReasonCode::Success);
                client.leave().await;
                let (code, _) = knock(address, connect("burglar", (ALICE.0, "guessed"))).await;
                assert_eq!(code, ReasonCode::BadUserNameOrPassword);
                number += 1;
            }
            number
        });
        Self { stop, task }
    }

    fn check(&self) {
        assert!(!self.task.is_finished(), "the logins have ended");
    }

    async fn finish(self) -> u64 {
        self.stop.send_replace(true);
        self.task.await.expect("the logins")
    }
}

/// CONNECTs without end whose Will is permitted by one generation only, which says its number.
struct Wills {
    stop: watch::Sender<bool>,
    /// The highest number that was accepted.
    newest: Arc<AtomicU64>,
    task: JoinHandle<u64>,
}

impl Wills {
    fn start(address: SocketAddr) -> Self {
        let (stop, stopping) = watch::channel(false);
        let newest = Arc::new(AtomicU64::new(0));
        let highest = Arc::clone(&newest);
        let task = tokio::spawn(async move {
            let mut accepted = 0;
            while !*stopping.borrow() {
                let known = highest.load(Ordering::Relaxed);
                for number in [known, known + 1] {
                    if Self::knock(address, number).await {
                        highest.fetch_max(number, Ordering::Relaxed);
                        accepted += 1;
                    }
                }
            }
            accepted
        });
        Self { stop, newest, task }
    }

    /// Whether the generation `number` let a client in.
    async fn knock(address: SocketAddr, number: u64) -> bool {
        let mut client = Client::open(address, ProtocolVersion::V5).await;
        let will = Will::new(&format!("generation/{number}"), b"");
        let connect = Connect::new(ProtocolVersion::V5, "with-a-will");
        client.send(Packet::Connect(Box::new(packets::with_will(connect, will)))).await;
        let connack = client.connack().await;
        if connack.reason_code == ReasonCode::NotAuthorized {
            return false;
        }
        assert_eq!(connack.reason_code, ReasonCode::Success);
        let says = vec![("generation".to_owned(), number.to_string())];
        assert_eq!(connack.user_properties, says, "another generation judged the Will");
        client.leave().await;
        true
    }

    /// Waits until the generation `number` has let somebody in.
    async fn accepted(&self, number: u64) {
        until(&format!("generation {number} lets somebody in"), async || {
            self.newest.load(Ordering::Relaxed) >= number || self.task.is_finished()
        })
        .await;
    }

    fn check(&self) {
        assert!(!self.task.is_finished(), "the CONNECTs have ended");
    }

    async fn finish(self) -> u64 {
        self.stop.send_replace(true);
        self.task.await.expect("the CONNECTs")
    }
}

/// An admin goes back to the version before, also for the next process, and forward again. Nobody is
/// disconnected.
#[tokio::test]
async fn an_admin_goes_back_and_forward() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let mut alice = enter(program.mqtt(), login("alice", ALICE)).await;
    let first = program.plugin("acl-file", |_| true).await["version"].clone();
    folder.install("acl-file", &another_build(&bundled("acl-file"), 1));
    let second = program
        .plugin("acl-file", |plugin| plugin["version"] != first && plugin["state"] == "live")
        .await;
    assert_eq!(second["on_probation"], true, "{second}");
    program.api().post("/api/v1/plugins/acl-file/rollback").await.expect(200);
    let back = program.plugin("acl-file", |_| true).await;
    assert_eq!((&back["version"], &back["state"]), (&first, &"live_old".into()), "{back}");
    assert_eq!(back["held"]["because"], "asked", "{back}");
    assert_eq!(back["kept"].as_array().map(Vec::len), Some(2), "{back}");
    let metrics = program.api().get("/metrics").await.expect(200).body;
    let counted = "portcullis_plugin_rollbacks_total{plugin=\"acl-file\",because=\"asked\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert_eq!(alice.publish("free/x", "1").await, ReasonCode::NoMatchingSubscribers);
    program.api().post("/api/v1/plugins/acl-file/reload").await.expect(200);
    let forward = program.plugin("acl-file", |_| true).await;
    assert_eq!((&forward["version"], &forward["state"]), (&second["version"], &"live".into()));
    assert_eq!(alice.publish("free/x", "2").await, ReasonCode::NoMatchingSubscribers);
    alice.leave().await;
}
