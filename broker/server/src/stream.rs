//! What a connection reads and writes, whatever it came over: a byte stream.
//!
//! An enum, not a trait object: for TCP a read is the system call and one comparison. Knows nothing of packets, and nothing
//! of what came before them but the change to WebSocket.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use crate::{
    tls::{Encrypted, Opened},
    websocket::WebSocket,
};

/// An accepted network connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    WebSocket(Box<WebSocket<TcpStream>>),
    Tls(Box<Encrypted>),
    TlsWebSocket(Box<WebSocket<Encrypted>>),
    /// A TCP connection is in the hands of its handshake.
    Away,
}

impl Stream {
    /// The same connection, frames from now on. `early` came behind the handshake; a message may have `most` bytes.
    pub(crate) fn into_websocket(self, early: Vec<u8>, most: usize) -> Self {
        match self {
            Self::Tcp(stream) => Self::WebSocket(Box::new(WebSocket::new(stream, early, most))),
            Self::Tls(stream) => Self::TlsWebSocket(Box::new(WebSocket::new(*stream, early, most))),
            // The configuration has no other transport below frames.
            other => other,
        }
    }

    /// The longest message that frames may make up; it is a packet's length.
    pub(crate) fn set_message_bytes_max(&mut self, most: usize) {
        match self {
            Self::WebSocket(stream) => stream.set_message_bytes_max(most),
            Self::TlsWebSocket(stream) => stream.set_message_bytes_max(most),
            Self::Tcp(_) | Self::Unix(_) | Self::Tls(_) | Self::Away => {}
        }
    }

    /// The socket, for a handshake; `early` was read from it already. Only TCP is encrypted.
    pub(crate) fn take_socket(&mut self, early: Vec<u8>) -> Option<Opened> {
        match std::mem::replace(self, Self::Away) {
            Self::Tcp(stream) => Some(Opened::new(stream, early)),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Whether the client is owed a goodbye of the transport, packets or not.
    pub(crate) fn has_goodbye(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::Away => false,
            // Without it, the end could be somebody else's doing.
            Self::Tls(_) => true,
            Self::WebSocket(stream) => stream.is_open(),
            Self::TlsWebSocket(stream) => stream.is_open(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::WebSocket(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::TlsWebSocket(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Away => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::WebSocket(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::TlsWebSocket(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Away => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::WebSocket(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::TlsWebSocket(stream) => Pin::new(stream).poll_flush(cx),
            Self::Away => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::WebSocket(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::TlsWebSocket(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Away => Poll::Ready(Ok(())),
        }
    }
}
