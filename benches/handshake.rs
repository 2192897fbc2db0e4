//! TLS handshakes with a running broker over loopback, one after the other, client and server on this machine: with and without a
//! client certificate, full and resumed, up to the end of the handshake as the client sees it.
//!
//! What a core can do is about the inverse: both sides compute about the same. Beside mosquitto: `handshake_peers.rs`.

#![allow(missing_docs, clippy::expect_used, reason = "a benchmark: what does not work ends it")]

use std::net::SocketAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_tests::{Authority, Files, Setup, connector, forgetful, handshake};
use server::Transport;
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsConnector;

fn handshakes(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let broker = runtime.block_on(async {
        let setup = Setup::default().listening("plain", Transport::Tcp { bind });
        let setup = setup.encrypted(files.config()).listening("mutual", Transport::Tcp { bind });
        setup.encrypted(files.mutual()).start().await
    });
    let client = root.client("a", 2);
    let mut group = criterion.benchmark_group("handshake");
    for (name, listener, connector) in [
        ("server certificate", "plain", forgetful(&root, None)),
        ("both certificates", "mutual", forgetful(&root, Some(&client))),
        ("both, resumed", "mutual", connector(&root, Some(&client))),
    ] {
        let address = broker.listener(listener);
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(one(&connector, address)));
        });
    }
    group.finish();
}

/// A handshake, and the goodbye, so that the ticket of the session is read.
async fn one(connector: &TlsConnector, address: SocketAddr) {
    let mut stream = handshake(connector, address).await.expect("a handshake");
    let (_, session) = stream.get_mut();
    session.send_close_notify();
    let mut rest = [0; 64];
    while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
}

criterion_group!(benches, handshakes);
criterion_main!(benches);
