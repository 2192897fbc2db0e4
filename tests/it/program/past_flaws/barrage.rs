//! Many connections that each say something and listen until they are closed.

use std::net::SocketAddr;

use portcullis_tests::WAIT;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const AT_A_TIME: usize = 16;

/// Sends each input over a connection of its own, its end included, and waits until the broker has closed it.
pub(super) async fn barrage(address: SocketAddr, inputs: impl IntoIterator<Item = Vec<u8>>) {
    let mut open = JoinSet::new();
    for input in inputs {
        if open.len() == AT_A_TIME {
            open.join_next().await.expect("one is there").expect("no task fails");
        }
        open.spawn(async move {
            let said = tokio::time::timeout(2 * WAIT, say(address, &input)).await;
            assert!(said.is_ok(), "still open after {input:02X?}");
        });
    }
    while let Some(done) = open.join_next().await {
        done.expect("no task fails");
    }
}

async fn say(address: SocketAddr, input: &[u8]) {
    let mut stream = TcpStream::connect(address).await.expect("the listener accepts");
    // The broker may have closed it before everything was said, with or without a reset.
    let _ = stream.write_all(input).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
}
