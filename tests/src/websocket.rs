//! A WebSocket client for dialogues, frame by frame; and a [`Client`] whose packets go through its frames.
//!
//! Written by hand on purpose: it can cut frames where no library would, and break every rule.

use std::{io, net::SocketAddr};

use codec::ProtocolVersion;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::{Client, WAIT};

/// First byte of a frame: the last one of its message.
pub const FIN: u8 = 0x80;
/// First byte of a frame: goes on with a message.
pub const CONTINUE: u8 = 0;
/// First byte of a frame: text.
pub const TEXT: u8 = 1;
/// First byte of a frame: binary.
pub const BINARY: u8 = 2;
/// First byte of a frame: close.
pub const CLOSE: u8 = 8;
/// First byte of a frame: ping.
pub const PING: u8 = 9;
/// First byte of a frame: pong.
pub const PONG: u8 = 10;

/// The lines of a request that is agreed to, without the one at its end.
pub const REQUEST: &[&str] = &[
    "GET /mqtt HTTP/1.1",
    "Host: broker.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: mqtt",
];

/// What belongs to that key (RFC 6455, section 1.3).
const ACCEPT: &str = "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// How packets are cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// What is sent at once is one frame.
    Whole,
    /// Each byte is a message of its own.
    Bytes,
    /// What is sent at once is one message in frames of three bytes, with pings between.
    Fragments,
}

/// One WebSocket.
pub struct WebSocket {
    incoming: Incoming,
    writer: OwnedWriteHalf,
}

/// What the broker sends, and what of it was not looked at yet.
struct Incoming {
    reader: OwnedReadHalf,
    buffer: Vec<u8>,
}

impl Incoming {
    async fn head(&mut self) -> io::Result<String> {
        loop {
            let end = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.buffer.drain(..end + 4).collect();
                return Ok(String::from_utf8(head).expect("a head is text"));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((first, payload, length)) = whole_frame(&self.buffer) {
                self.buffer.drain(..length);
                return Some((first, payload));
            }
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => {
                    assert_eq!(self.buffer, b"", "closed within a frame");
                    return None;
                }
            }
        }
    }
}

/// First byte, payload and length of the frame that `bytes` begin with; those of a broker have no mask.
fn whole_frame(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let [first, length, rest @ ..] = bytes else { return None };
    let (payload_bytes, start) = match length {
        127 => (u64::from_be_bytes(*rest.first_chunk()?) as usize, 10),
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        short => (usize::from(*short), 2),
    };
    assert!(*length < 128, "a broker masks nothing");
    let payload = bytes.get(start..start + payload_bytes)?;
    Some((*first, payload.to_vec(), start + payload_bytes))
}

impl Shape {
    fn frames(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Whole => frame(FIN | BINARY, bytes),
            Self::Bytes => bytes.iter().flat_map(|byte| frame(FIN | BINARY, &[*byte])).collect(),
            Self::Fragments => {
                let mut frames = frame(BINARY, &[]);
                for part in bytes.chunks(3) {
                    frames.extend(frame(CONTINUE, part));
                    frames.extend(frame(FIN | PING, b"still there?"));
                }
                frames.extend(frame(FIN | CONTINUE, &[]));
                frames
            }
        }
    }
}

/// A frame as a client sends it.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len());
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The header of a frame whose payload may never come.
pub fn header(first: u8, payload_bytes: usize) -> Vec<u8> {
    let mut header = vec![first];
    match payload_bytes {
        short @ 0..=125 => header.push(0x80 | short as u8),
        middle @ 126..=0xFFFF => {
            header.push(0x80 | 126);
            header.extend((middle as u16).to_be_bytes());
        }
        long => {
            header.push(0x80 | 127);
            header.extend((long as u64).to_be_bytes());
        }
    }
    header.extend(MASK);
    header
}

impl WebSocket {
    /// Sends a request and returns the head of its answer.
    pub async fn ask(address: SocketAddr, request: &str) -> (Self, String) {
        let stream = TcpStream::connect(address).await.expect("the listener accepts");
        Self::ask_on(stream, request).await
    }

    /// The same on a connection that is there.
    pub async fn ask_on(stream: TcpStream, request: &str) -> (Self, String) {
        stream.set_nodelay(true).expect("no delay");
        let (reader, writer) = stream.into_split();
        let mut socket = Self { incoming: Incoming { reader, buffer: Vec::new() }, writer };
        socket.send_bytes(request.as_bytes()).await;
        let head = tokio::time::timeout(WAIT, socket.incoming.head()).await;
        let head = head.expect("an answer in time").expect("an answer");
        (socket, head)
    }

    /// A WebSocket for MQTT.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the listener accepts");
        Self::open_on(stream).await
    }

    /// The same on a connection that is there.
    pub async fn open_on(stream: TcpStream) -> Self {
        let request = format!("{}\r\n\r\n", REQUEST.join("\r\n"));
        let (socket, head) = Self::ask_on(stream, &request).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains(ACCEPT), "{head}");
        assert!(head.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"), "{head}");
        socket
    }

    /// Everything that comes before the broker closes the connection, in no frame.
    pub async fn rest(&mut self) -> String {
        let Incoming { reader, buffer } = &mut self.incoming;
        let reading = reader.read_to_end(buffer);
        let read = tokio::time::timeout(WAIT, reading).await;
        read.expect("the broker closes in time").expect("an orderly end");
        String::from_utf8_lossy(&self.incoming.buffer).into_owned()
    }

    /// Sends one frame.
    pub async fn send(&mut self, first: u8, payload: &[u8]) {
        self.send_bytes(&frame(first, payload)).await;
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.expect("the broker reads");
    }

    /// The next frame within [`WAIT`]: its first byte and its payload; `None` = the connection is closed.
    pub async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let frame = tokio::time::timeout(WAIT, self.incoming.frame()).await;
        frame.expect("a frame, or the end, in time")
    }

    /// The broker says that it is over, with this code, and closes.
    pub async fn expect_close(&mut self, code: u16) {
        let mut frame = self.next().await;
        while frame.as_ref().is_some_and(|(first, _)| *first == FIN | BINARY) {
            frame = self.next().await;
        }
        let (first, payload) = frame.expect("a close frame before the end");
        assert_eq!((first, payload), (FIN | CLOSE, code.to_be_bytes().to_vec()));
        assert_eq!(self.next().await, None);
    }

    /// A client whose packets are cut like this. Text frames from the broker fail its task, which ends the connection.
    pub fn into_client(self, version: ProtocolVersion, shape: Shape) -> Client {
        let (inside, outside) = duplex(1 << 20);
        let (mut packets_out, mut packets_in) = tokio::io::split(inside);
        let Self { mut incoming, mut writer } = self;
        tokio::spawn(async move {
            let mut chunk = vec![0; 1 << 20];
            while let Ok(count @ 1..) = packets_out.read(&mut chunk).await {
                if writer.write_all(&shape.frames(&chunk[..count])).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            while let Some((first, payload)) = incoming.frame().await {
                match first {
                    PONG_FRAME => {}
                    BINARY_FRAME => packets_in.write_all(&payload).await.expect("a reader"),
                    CLOSE_FRAME => break,
                    other => panic!("a frame that begins with {other:#x}"),
                }
            }
            packets_in.shutdown().await.expect("a reader");
        });
        Client::over(outside, version)
    }
}

const PONG_FRAME: u8 = FIN | PONG;
const BINARY_FRAME: u8 = FIN | BINARY;
const CLOSE_FRAME: u8 = FIN | CLOSE;
