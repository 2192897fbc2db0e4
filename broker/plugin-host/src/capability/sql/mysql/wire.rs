//! Packets to and from the server over one connection, and what the last answer said of its state. A
//! packet that is larger than a result may be is never read: that is what bounds memory, whatever the
//! server sends.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fields::Fields;
use crate::capability::sql::{
    RESULT_BYTES_MAX,
    remote::{Failed, Transport},
};

/// A row with everything around it.
const PACKET_BYTES_MAX: usize = RESULT_BYTES_MAX + (64 << 10);
/// What one packet can carry; what would be longer is refused.
const SENT_BYTES_MAX: usize = 0x00ff_fffe;
const HEADER_BYTES: usize = 4;
const IN_TRANSACTION: u16 = 0x0001;
const MORE_RESULTS: u16 = 0x0008;

/// One connection.
pub(in crate::capability::sql) struct Wire {
    transport: Box<dyn Transport>,
    received: BytesMut,
    /// Number of the next packet, from both sides.
    sequence: u8,
    /// Of the last answer.
    status: u16,
    turn: Turn,
    is_mariadb: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// An answer is due, or the rest of one.
    Theirs,
    /// It has been read to its end.
    Ours,
    /// And nothing is left over on the connection.
    Clean,
}

/// The first packet of an answer.
pub(super) enum Reply {
    /// Done; how many rows were changed.
    Ok(u64),
    /// The begin of something longer.
    Other(Bytes),
}

impl Wire {
    pub(super) fn new(transport: Box<dyn Transport>) -> Self {
        let received = BytesMut::new();
        let turn = Turn::Theirs;
        Self { transport, received, sequence: 0, status: 0, turn, is_mariadb: false }
    }

    /// The same with another transport, which this one carries. What came before in the clear is
    /// nobody's word.
    pub(super) fn into_transport(self) -> Result<(Box<dyn Transport>, u8), Failed> {
        match self.received.is_empty() {
            true => Ok((self.transport, self.sequence)),
            false => Err(Failed::Broken("the server talks before TLS".to_owned())),
        }
    }

    pub(super) fn resumed(transport: Box<dyn Transport>, sequence: u8) -> Self {
        Self { sequence, ..Self::new(transport) }
    }

    /// Sends the first packet of a new exchange.
    pub(super) async fn command(
        &mut self,
        command: u8,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Failed> {
        self.sequence = 0;
        let mut content = vec![command];
        write(&mut content);
        self.send(&content).await
    }

    /// Sends the next packet.
    pub(super) async fn send(&mut self, content: &[u8]) -> Result<(), Failed> {
        self.turn = Turn::Theirs;
        if content.len() > SENT_BYTES_MAX {
            return Err(Failed::TooLarge);
        }
        let [a, b, c, ..] = content.len().to_le_bytes();
        let mut packet = Vec::with_capacity(HEADER_BYTES + content.len());
        packet.extend_from_slice(&[a, b, c, self.sequence]);
        packet.extend_from_slice(content);
        self.sequence = self.sequence.wrapping_add(1);
        let broken = |error: io::Error| Failed::broken(&error);
        self.transport.write_all(&packet).await.map_err(broken)?;
        self.transport.flush().await.map_err(broken)
    }

    /// The content of the next packet.
    pub(super) async fn packet(&mut self) -> Result<Bytes, Failed> {
        loop {
            if let Some([a, b, c, sequence]) = self.received.first_chunk().copied() {
                let length = u32::from_le_bytes([a, b, c, 0]) as usize;
                if length > PACKET_BYTES_MAX {
                    // The rest of it is on its way: the connection cannot be used again.
                    return Err(Failed::TooLarge);
                }
                if sequence != self.sequence {
                    return Err(Failed::Broken("a packet is out of order".to_owned()));
                }
                if self.received.len() >= HEADER_BYTES + length {
                    self.received.advance(HEADER_BYTES);
                    self.sequence = self.sequence.wrapping_add(1);
                    return Ok(self.received.split_to(length).freeze());
                }
            }
            match self.transport.read_buf(&mut self.received).await {
                Ok(0) => return Err(Failed::Broken("the server hung up".to_owned())),
                Ok(_) => {}
                Err(error) => return Err(Failed::broken(&error)),
            }
        }
    }

    /// The first packet of an answer, or what the server says against it.
    pub(super) async fn reply(&mut self) -> Result<Reply, Failed> {
        let packet = self.packet().await?;
        match packet.first() {
            Some(0x00) => self.done(&packet).map(Reply::Ok),
            Some(0xff) => Err(self.refused(&packet)),
            _ => Ok(Reply::Other(packet)),
        }
    }

    fn done(&mut self, packet: &[u8]) -> Result<u64, Failed> {
        let mut fields = Fields::new(packet);
        fields.u8()?;
        let changed = fields.number()?;
        fields.number()?;
        self.ended(fields.u16()?)?;
        Ok(changed)
    }

    /// What the server says against it. It ends the answer.
    pub(super) fn refused(&mut self, packet: &[u8]) -> Failed {
        self.turn = Turn::Ours;
        let mut fields = Fields::new(packet);
        let parsed = (|| {
            fields.u8()?;
            let code = fields.u16()?;
            let rest = fields.rest();
            // A mark and five characters, only after the login has begun.
            let text = rest.strip_prefix(b"#").and_then(|rest| rest.get(5..)).unwrap_or(rest);
            let text = String::from_utf8_lossy(text).into_owned();
            Ok(Failed::Refused { code: code.to_string(), text })
        })();
        parsed.unwrap_or_else(|failed: Failed| failed)
    }

    /// Behind a list of columns or parameters.
    pub(super) async fn end_of_list(&mut self) -> Result<(), Failed> {
        let packet = self.packet().await?;
        is_end(&packet).map(|_| ())
    }

    /// Behind the rows.
    pub(super) fn end_of_result(&mut self, packet: &[u8]) -> Result<(), Failed> {
        let status = is_end(packet)?;
        self.ended(status)
    }

    fn ended(&mut self, status: u16) -> Result<(), Failed> {
        if status & MORE_RESULTS != 0 {
            return Err(Failed::Broken("it answers more than once".to_owned()));
        }
        self.status = status;
        self.turn = Turn::Ours;
        Ok(())
    }

    pub(super) fn note_answered(&mut self) {
        self.turn = Turn::Ours;
    }

    pub(super) fn note_clean(&mut self) {
        let is_clean = self.turn == Turn::Ours && !self.is_in_transaction();
        if is_clean && self.received.is_empty() {
            self.turn = Turn::Clean;
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.turn == Turn::Clean
    }

    pub(super) fn is_between_answers(&self) -> bool {
        self.turn == Turn::Ours
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.status & IN_TRANSACTION != 0
    }

    pub(super) fn is_mariadb(&self) -> bool {
        self.is_mariadb
    }

    pub(super) fn set_mariadb(&mut self, is_mariadb: bool) {
        self.is_mariadb = is_mariadb;
    }
}

/// The state of the connection that the end of a list tells.
fn is_end(packet: &[u8]) -> Result<u16, Failed> {
    let mut fields = Fields::new(packet);
    if packet.len() > 8 || fields.u8()? != 0xfe {
        return Err(Failed::Broken("a list has no end".to_owned()));
    }
    fields.u16()?;
    fields.u16()
}
