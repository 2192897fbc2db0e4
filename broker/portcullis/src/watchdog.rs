//! The service manager's watchdog: told twice in each of its intervals that the broker is well, as long as it is.
//!
//! Well means that the threads of the broker take turns and that its admin API answers. Who hangs is silent, and is
//! restarted by the manager.

use std::net::SocketAddr;

use sd_notify::NotifyState;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::from_here::from_here;

/// Tells it until the process ends; returns at once where no manager watches. `admin` = where the admin API listens.
pub(crate) async fn feed(admin: SocketAddr) {
    let Some(every) = sd_notify::watchdog_enabled() else { return };
    let half = every / 2;
    let mut tick = interval(half);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_well = true;
    loop {
        tick.tick().await;
        // An answer that takes longer comes too late for the next half.
        let well = timeout(half, check(admin)).await;
        match well.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(()) => {
                was_well = true;
                crate::run::notify(&[NotifyState::Watchdog]);
            }
            Err(what) => {
                if std::mem::take(&mut was_well) {
                    tracing::error!(
                        what,
                        "not well: the watchdog of the service manager is not fed"
                    );
                }
            }
        }
    }
}

/// Another task gets its turn, and the API answers who asks whether the process lives.
async fn check(admin: SocketAddr) -> Result<(), String> {
    tokio::spawn(async {}).await.map_err(|error| error.to_string())?;
    let said = |error: std::io::Error| format!("admin API: {error}");
    let mut stream = TcpStream::connect(from_here(admin)).await.map_err(said)?;
    let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.map_err(said)?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.map_err(said)?;
    let good = &start == b"HTTP/1.1 200";
    good.then_some(()).ok_or_else(|| "admin API: it does not say that it lives".to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one question with `answer`.
    async fn api(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 1024];
            assert!(stream.read(&mut question).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn well_is_what_answers() {
        assert_eq!(check(api("HTTP/1.1 200 OK\r\n\r\n").await).await, Ok(()));
        let ill = check(api("HTTP/1.1 503 Service Unavailable\r\n\r\n").await).await;
        assert!(ill.unwrap_err().contains("does not say"));
        assert!(check(api("HTTP/1.1").await).await.is_err());
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(check(closed).await.unwrap_err().starts_with("admin API: "));
    }
}
