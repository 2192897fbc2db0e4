//! MQTT over WebSocket (section 6 of both versions): a byte stream over binary frames.
//!
//! Owns the frames in both directions, pings, and the close at either end. Knows nothing of packets: the connection reads
//! and writes bytes as over TCP. Payload is passed through in the caller's buffers: an idle connection owns none.

mod frames;
pub(crate) mod upgrade;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

use self::frames::End;
pub(crate) use self::frames::{Inbound, Violation};

/// A byte stream inside WebSocket frames over `S`, as a server.
///
/// What [`AsyncWrite::poll_write`] left over must be what the next call begins with: the header of its frame may be on
/// its way.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    stream: S,
    /// Read behind the handshake, and not unwrapped yet.
    early: Vec<u8>,
    inbound: Inbound,
    end: Option<End>,
    /// Bytes that go before any further payload: control frames, and the header of the frame that is open.
    head: Vec<u8>,
    /// Payload bytes that the open frame still needs.
    owed: usize,
    said_close: bool,
}

impl<S> WebSocket<S> {
    /// After the handshake; `early` came behind it. A message may have `most` bytes.
    pub(crate) fn new(stream: S, early: Vec<u8>, most: usize) -> Self {
        Self {
            stream,
            early,
            inbound: Inbound::new(most),
            end: None,
            head: Vec::new(),
            owed: 0,
            said_close: false,
        }
    }

    /// Another bound for the messages from now on.
    pub(crate) fn set_message_bytes_max(&mut self, most: usize) {
        self.inbound.set_most(most);
    }

    /// Whether the client was not told yet that it is over.
    pub(crate) fn is_open(&self) -> bool {
        !self.said_close
    }

    fn push_control(&mut self, control: Control, payload: &[u8]) {
        push_header(&mut self.head, OpCode::Control(control), payload.len());
        self.head.extend_from_slice(payload);
    }

    /// Puts what the client is owed between two frames before them: a pong, or the answer to its close.
    fn push_replies(&mut self) {
        if self.said_close || self.owed > 0 {
            return;
        }
        if let Some(payload) = self.inbound.take_ping() {
            self.push_control(Control::Pong, &payload);
        }
        if let Some(End::Closed(code)) = self.end {
            self.push_close(code);
        }
    }

    fn push_close(&mut self, code: Option<CloseCode>) {
        self.said_close = true;
        let code = code.map(|code| u16::from(code).to_be_bytes());
        self.push_control(Control::Close, code.as_ref().map_or(&[], <[u8; 2]>::as_slice));
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Writes what goes before any payload, unless a frame is open.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.owed == 0 && !self.head.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.head))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.head.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes of the network; 0 = its end.
    fn poll_raw(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(room.len());
            for (place, byte) in room.iter_mut().zip(self.early.drain(..count)) {
                *place = byte;
            }
            if self.early.is_empty() {
                self.early = Vec::new();
            }
            return Poll::Ready(Ok(count));
        }
        let mut buffer = ReadBuf::new(room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            this.push_replies();
            // What cannot be written now does not hold up reading: it goes before the next frame.
            if let Poll::Ready(Err(error)) = this.poll_head(cx) {
                return Poll::Ready(Err(error));
            }
            match this.end {
                Some(End::Closed(_)) => return Poll::Ready(Ok(())),
                Some(End::Violation(violation)) if !this.said_close => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation)));
                }
                None | Some(End::Violation(_)) => {}
            }
            let room = buffer.initialize_unfilled();
            if room.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let count = ready!(this.poll_raw(cx, room))?;
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            if this.end.is_some() {
                // Told that it is over: what still comes is read, so that no reset overtakes that, and means nothing.
                continue;
            }
            let received = room.get_mut(..count).unwrap_or_default();
            let (payload, end) = this.inbound.unwrap(received);
            this.end = end;
            if payload > 0 {
                buffer.advance(payload);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        payload: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.owed == 0 {
            if payload.is_empty() {
                return Poll::Ready(Ok(0));
            }
            this.push_replies();
            if this.said_close {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            this.owed = payload.len().min(FRAME_BYTES);
            push_header(&mut this.head, OpCode::Data(Data::Binary), this.owed);
        }
        let payload = payload.get(..this.owed).unwrap_or(payload);
        loop {
            let slices = [IoSlice::new(&this.head), IoSlice::new(payload)];
            let written = Pin::new(&mut this.stream).poll_write_vectored(cx, &slices);
            let count = ready!(written)?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = count.min(this.head.len());
            this.head.drain(..of_head);
            if count > of_head {
                this.owed -= count - of_head;
                return Poll::Ready(Ok(count - of_head));
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_head(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says that it is over, unless a frame is cut short.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.said_close && this.owed == 0 {
            let code = match this.end {
                Some(End::Violation(violation)) => violation.close_code(),
                Some(End::Closed(_)) | None => CloseCode::Normal,
            };
            this.push_close(Some(code));
        }
        ready!(this.poll_head(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// The rule that was broken, if that is what an error of reading says.
pub(crate) fn violation(error: &io::Error) -> Option<Violation> {
    error.get_ref()?.downcast_ref().copied()
}

/// Appends the header of a whole message.
fn push_header(head: &mut Vec<u8>, opcode: OpCode, payload_bytes: usize) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // Into memory: nothing can fail.
    let written = header.format(payload_bytes as u64, head);
    debug_assert!(written.is_ok());
}

/// Most payload in one frame: a pong waits no longer than for this.
const FRAME_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
