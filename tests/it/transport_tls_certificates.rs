//! Certificates of clients and our own beside what the other files of TLS look at: behind a load balancer, with keys of two kinds,
//! over in the middle of a connection, banned.

use std::{net::SocketAddr, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use codec::{Connect, Packet, ProtocolVersion::V5, ReasonCode};
use limits::{BanOrigin, BanTarget, NewBan};
use portcullis_tests::{Authority, Broker, Client, Files, Holder, Setup, Wish, connector};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use server::{BrokerHandle, CertificateFiles, Transport};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::transport_tls_openssl::{contains, s_client, start};

/// A client that said `header` before its handshake, and CONNECT behind it.
async fn knock(broker: &Broker, root: &Authority, holder: &Holder, header: &[u8]) -> Client {
    let mut stream = TcpStream::connect(broker.listener("tls")).await.expect("accepts");
    stream.write_all(header).await.expect("written");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = connector(root, Some(holder)).connect(name, stream).await.expect("a handshake");
    let mut client = Client::over(stream, V5);
    let name = format!("c{}", holder.serial);
    client.name.clone_from(&name);
    client.send(Packet::Connect(Box::new(Connect::new(V5, &name)))).await;
    client
}

async fn enter(broker: &Broker, root: &Authority, holder: &Holder) -> Client {
    let mut client = knock(broker, root, holder, b"").await;
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
    client
}

/// The load balancer passes TLS on: the address is the one that it names, the certificate the client's.
#[tokio::test]
async fn tls_behind_the_proxy_protocol() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let setup = Setup::default().listening("tls", Transport::Tcp { bind });
    let broker = setup.encrypted(files.mutual()).behind("127.0.0.0/8").start().await;
    let holder = root.client("a", 7);
    let header = b"PROXY TCP4 203.0.113.9 192.0.2.200 4711 8883\r\n";
    let mut client = knock(&broker, &root, &holder, header).await;
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
    let shown = broker.broker.client("c7").expect("is there");
    assert_eq!(shown.remote, Some(SocketAddr::from(([203, 0, 113, 9], 4711))));
    // Without the header there is nothing but a handshake where one is wanted.
    let stream = TcpStream::connect(broker.listener("tls")).await.expect("accepts");
    let name = ServerName::try_from("localhost").expect("a name");
    assert!(connector(&root, Some(&holder)).connect(name, stream).await.is_err());
}

/// Each client is shown the certificate whose key it can use.
#[tokio::test]
async fn rsa_beside_ecdsa() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let names = &["localhost"];
    let rsa = root.certify(&Wish { names, serial: 5, is_rsa: true, ..Wish::default() });
    let mut tls = files.config();
    tls.certificates.push(CertificateFiles {
        cert: files.write("rsa.pem", &rsa.chain),
        key: files.write("rsa.key", &rsa.key),
    });
    let broker = start(tls).await;
    let address = broker.listener("tls");
    for (arguments, peer) in [
        (["-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256"], b"ECDSA".as_slice()),
        (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], b"RSA-PSS"),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], b"ECDSA"),
        (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], b"RSA"),
    ] {
        let output = s_client(address, &arguments).await;
        let shown = [b"Peer signature type: ".as_slice(), peer].concat();
        assert!(contains(&output, &shown), "{arguments:?}: {}", String::from_utf8_lossy(&output));
    }
}

/// A connection does not outlive the certificate that it was made with.
#[tokio::test]
async fn who_has_a_certificate_that_ends_goes_when_it_ends() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let broker = start(files.mutual()).await;
    let ends_in = Some(Duration::from_secs(4));
    let wish = Wish { common_names: &["a"], serial: 6, ends_in, ..Wish::default() };
    let mut goes = enter(&broker, &root, &root.certify(&wish)).await;
    let mut stays = enter(&broker, &root, &root.client("b", 7)).await;
    let end = async {
        goes.next(|packet| match packet {
            Packet::Disconnect(disconnect) => disconnect.reason_code,
            other => panic!("{other:?}"),
        })
        .await
    };
    let end = tokio::time::timeout(Duration::from_secs(15), end).await.expect("an end");
    assert_eq!(end, Some(ReasonCode::NotAuthorized));
    stays.quiet().await;
}

fn fingerprint(holder: &Holder) -> [u8; 32] {
    let leaf = CertificateDer::from_pem_slice(holder.chain.as_bytes()).expect("a certificate");
    let digest = digest(&SHA256, &leaf);
    digest.as_ref().try_into().expect("32 bytes")
}

/// A certificate that is banned: who has it goes, and does not come back; others of the same name do.
#[tokio::test]
async fn a_banned_certificate_is_out() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let broker = start(files.mutual()).await;
    let [banned, other] = [root.client("a", 8), root.client("a", 9)];
    let mut goes = enter(&broker, &root, &banned).await;
    let mut stays = enter(&broker, &root, &other).await;
    let target = BanTarget::Certificate(fingerprint(&banned));
    let (reason, origin) = ("lost".to_owned(), BanOrigin::Administrator);
    let new = NewBan { target, reason, origin, until_unix: None };
    let (ban, gone) = broker.broker.ban(new).expect("is made");
    assert_eq!(gone, 1);
    goes.expect_disconnect(ReasonCode::AdministrativeAction).await;
    stays.quiet().await;
    let mut again = knock(&broker, &root, &banned, b"").await;
    assert_eq!(again.connack().await.reason_code, ReasonCode::Banned);
    broker.broker.lift_ban(ban.id).expect("is kept").expect("was there");
    enter(&broker, &root, &banned).await;
}
