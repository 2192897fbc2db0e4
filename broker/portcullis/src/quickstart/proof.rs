//! The proof: a client from outside sees that the gate is closed, opens for the right one, and
//! stays up while a plugin is replaced. Each step prints what was seen.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use access::{PluginManager, PluginState};
use codec::{QoS, ReasonCode};

use super::{
    client::Client,
    folder::{Folder, USER},
};

/// What the proof works on.
pub(super) struct Proof<'a> {
    /// The MQTT listener.
    pub(super) address: SocketAddr,
    /// Files and the password of the demo user.
    pub(super) folder: &'a Folder,
    /// Where generations are counted.
    pub(super) plugins: &'a dyn PluginManager,
}

/// How long a replaced plugin may take to go live.
const SWAP_WAIT: Duration = Duration::from_secs(15);

const ALLOWED_TOPIC: &str = "demo/hello";
const FORBIDDEN_TOPIC: &str = "factory/line1";

impl Proof<'_> {
    /// Runs every step and tells whether all were seen.
    pub(super) async fn run(&self) -> bool {
        let mut all = true;
        all &= step("refused without password", self.refused(None)).await;
        let wrong = format!("{}x", self.folder.password);
        all &= step("refused with a wrong password", self.refused(Some((USER, &wrong)))).await;
        let stranger = Some(("nobody", self.folder.password.as_str()));
        all &= step("refused as an unknown user", self.refused(stranger)).await;
        match self.connect("quickstart").await {
            Ok((mut client, seen)) => {
                report("accepted with the password", &Ok(seen));
                all &= step("publish refused by the ACL", publish_refused(&mut client)).await;
                all &= step("publish delivered", delivered(&mut client, "1")).await;
                all &= step("plugin replaced while connected", self.swapped(&mut client)).await;
                if let Err(error) = client.disconnect().await {
                    all = report("disconnected", &Err(error));
                }
            }
            Err(error) => all = report("accepted with the password", &Err(error)),
        }
        all
    }

    async fn refused(&self, credentials: Option<(&str, &str)>) -> io::Result<String> {
        let (answer, _) = Client::connect(self.address, "quickstart-stranger", credentials).await?;
        match answer.reason_code {
            ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized => {
                Ok(format!("CONNACK {}", show(answer.reason_code)))
            }
            other => Err(seen_instead(&format!("CONNACK {}", show(other)))),
        }
    }

    async fn connect(&self, client_id: &str) -> io::Result<(Client, String)> {
        let credentials = Some((USER, self.folder.password.as_str()));
        let (answer, client) = Client::connect(self.address, client_id, credentials).await?;
        let seen = format!("CONNACK {}", show(answer.reason_code));
        if answer.reason_code == ReasonCode::Success {
            return Ok((client, seen));
        }
        Err(seen_instead(&seen))
    }

    async fn swapped(&self, client: &mut Client) -> io::Result<String> {
        let before = self.generations()?;
        self.folder.replace_acl_file()?;
        let began = Instant::now();
        while self.generations()? <= before {
            if began.elapsed() > SWAP_WAIT {
                return Err(seen_instead(&format!("generation {before} after {SWAP_WAIT:?}")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let took = began.elapsed().as_millis();
        let after = self.generations()?;
        client.ping().await?;
        publish_refused(client).await?;
        delivered(client, "2").await?;
        Ok(format!(
            "acl-file generation {before} -> {after} in {took} ms, same connection, same rules"
        ))
    }

    /// How many generations of `acl-file` have gone live.
    fn generations(&self) -> io::Result<u64> {
        let plugin = self
            .plugins
            .get("acl-file")
            .ok_or_else(|| io::Error::other("the plugin acl-file is not there"))?;
        match plugin.state {
            PluginState::Live => Ok(plugin.generations),
            state => {
                let why = plugin.error.unwrap_or_default();
                Err(io::Error::other(format!("acl-file is {state:?}: {why}")))
            }
        }
    }
}

async fn publish_refused(client: &mut Client) -> io::Result<String> {
    let code = client.publish(FORBIDDEN_TOPIC, b"no").await?;
    let seen = format!("PUBACK {} for {FORBIDDEN_TOPIC}", show(code));
    if code == ReasonCode::NotAuthorized { Ok(seen) } else { Err(seen_instead(&seen)) }
}

async fn delivered(client: &mut Client, text: &str) -> io::Result<String> {
    let code = client.subscribe("demo/#").await?;
    if code != ReasonCode::GrantedQoS1 {
        return Err(seen_instead(&format!("SUBACK {}", show(code))));
    }
    let payload = format!("hello {text}");
    let code = client.publish(ALLOWED_TOPIC, payload.as_bytes()).await?;
    if code.is_failure() {
        return Err(seen_instead(&format!("PUBACK {}", show(code))));
    }
    let message = client.message().await?;
    let seen = format!(
        "{} {:?} at QoS {}",
        message.topic,
        String::from_utf8_lossy(&message.payload),
        message.qos as u8
    );
    let same = message.topic == ALLOWED_TOPIC && message.payload == payload.as_bytes();
    if same && message.qos == QoS::AtLeastOnce { Ok(seen) } else { Err(seen_instead(&seen)) }
}

async fn step(name: &str, work: impl Future<Output = io::Result<String>>) -> bool {
    report(name, &work.await)
}

fn report(name: &str, seen: &io::Result<String>) -> bool {
    match seen {
        Ok(seen) => println!("ok    {name:<32} {seen}"),
        Err(error) => println!("FAIL  {name:<32} {error}"),
    }
    seen.is_ok()
}

fn show(code: ReasonCode) -> String {
    format!("0x{:02X} {}", code.value(), code.name())
}

fn seen_instead(what: &str) -> io::Error {
    io::Error::other(format!("saw {what}"))
}
