//! A connection that may end at any byte.

use std::net::SocketAddr;

use codec::{Connect, Decoded, Packet, ProtocolVersion, ReasonCode, decode};
use portcullis_tests::packets;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::super::folder::ALICE;

pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    taken: usize,
}

impl Wire {
    /// Connects a persistent session; `None` = the broker was gone before it answered. The second says whether the
    /// session was there.
    pub(super) async fn connect(address: SocketAddr, client_id: &str) -> Option<(Self, bool)> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let mut wire = Self { stream, buffer: Vec::new(), taken: 0 };
        let login = packets::login(ProtocolVersion::V5, client_id, ALICE);
        let persistent = packets::persistent(ProtocolVersion::V5, client_id);
        let connect = Connect {
            clean_start: false,
            session_expiry_interval: persistent.session_expiry_interval,
            ..login
        };
        wire.send(&Packet::Connect(Box::new(connect))).await?;
        let present = wire
            .next(|packet| match packet {
                Packet::ConnAck(connack) => {
                    assert_eq!(connack.reason_code, ReasonCode::Success);
                    connack.session_present
                }
                other => panic!("{other:?} instead of CONNACK"),
            })
            .await?;
        Some((wire, present))
    }

    /// `None` = the connection is gone.
    pub(super) async fn send(&mut self, packet: &Packet<'_>) -> Option<()> {
        let mut bytes = Vec::new();
        packet.encode(ProtocolVersion::V5, &mut bytes);
        self.stream.write_all(&bytes).await.ok()
    }

    /// `None` = the connection is gone. May be cancelled.
    pub(super) async fn next<T>(&mut self, take: impl FnOnce(&Packet<'_>) -> T) -> Option<T> {
        loop {
            let rest = self.buffer.get(self.taken..)?;
            match decode(rest, ProtocolVersion::V5, 1 << 20).expect("well-formed packets") {
                Decoded::Packet(packet, length) => {
                    self.taken += length;
                    return Some(take(&packet));
                }
                Decoded::Incomplete { .. } => {}
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }
}
