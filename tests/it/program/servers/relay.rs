//! A relay before a directory: it passes everything on, as late as it is told, and notes what is asked.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Ends with its test.
pub(crate) struct Relay {
    pub(crate) port: u16,
    late_ms: Arc<AtomicU64>,
    asked: Arc<Mutex<Vec<&'static str>>>,
    listening: JoinHandle<()>,
}

impl Relay {
    /// Before what listens at this port.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (late_ms, asked) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (late, asked_of) = (Arc::clone(&late_ms), Arc::clone(&asked));
        let listening = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(pass_on(client, to, Arc::clone(&late), Arc::clone(&asked_of)));
            }
        });
        Self { port, late_ms, asked, listening }
    }

    /// Each question is this late from now on.
    pub(crate) fn delay(&self, by: Duration) {
        self.late_ms.store(u64::try_from(by.as_millis()).expect("short"), Relaxed);
    }

    /// What was asked since the last time: `bind`, `search`, `compare`.
    pub(crate) fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.asked.lock().expect("nobody panicked"))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn pass_on(
    mut client: TcpStream,
    to: u16,
    late_ms: Arc<AtomicU64>,
    asked: Arc<Mutex<Vec<&'static str>>>,
) {
    let to = SocketAddr::from(([127, 0, 0, 1], to));
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    let (mut question, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let (from_client, read) = tokio::select! {
            read = client.read(&mut question) => (true, read),
            read = server.read(&mut answer) => (false, read),
        };
        let Ok(read @ 1..) = read else { return };
        let passed = if from_client {
            asked.lock().expect("nobody panicked").extend(operation(&question[..read]));
            // Slowness is what is shown here; nothing waits for it to be over.
            tokio::time::sleep(Duration::from_millis(late_ms.load(Relaxed))).await;
            server.write_all(&question[..read]).await
        } else {
            client.write_all(&answer[..read]).await
        };
        if passed.is_err() {
            return;
        }
    }
}

/// Which question a message is that begins here; each waits for the answer to the one before.
fn operation(message: &[u8]) -> Option<&'static str> {
    // A sequence, its length in one of two forms, then the number of the message.
    let length = *message.get(1)?;
    let number = if length & 0x80 == 0 { 2 } else { 2 + usize::from(length & 0x7f) };
    let number_length = usize::from(*message.get(number + 1)?);
    match message.get(number + 2 + number_length)? {
        0x60 => Some("bind"),
        0x63 => Some("search"),
        0x6e => Some("compare"),
        _ => None,
    }
}
