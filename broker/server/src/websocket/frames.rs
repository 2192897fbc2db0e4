//! Frames that a WebSocket client sends, taken out of the byte stream where they lie (RFC 6455, section 5).
//!
//! Pure: bytes in, payload out. Neither a frame nor a message is collected: MQTT needs no borders of messages
//! [MQTT-6.0.0-2], so payload goes on as it comes and a connection owns no buffer, however long its frames are. Headers
//! are read by `tungstenite`.

use std::io::Cursor;

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

/// Why nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client closed, with this code if it gave one.
    Closed(Option<CloseCode>),
    /// The client broke a rule.
    Violation(Violation),
}

/// A rule of WebSocket, or of MQTT over it, that a client broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a WebSocket text frame: MQTT is binary [MQTT-6.0.0-1]")]
    Text,
    #[error("a WebSocket message longer than a packet may be, {most} bytes")]
    TooLong { most: u64 },
    #[error("a WebSocket frame without a mask")]
    Unmasked,
    #[error("a WebSocket frame with reserved bits: no extension was agreed on")]
    ReservedBits,
    #[error("a WebSocket frame whose header makes no sense")]
    Header,
    #[error("a WebSocket message that begins within another")]
    UnfinishedMessage,
    #[error("a WebSocket continuation without a message")]
    NoMessage,
    #[error("a WebSocket control frame in parts, or longer than 125 bytes")]
    Control,
    #[error("a WebSocket close frame that makes no sense")]
    Close,
}

impl Violation {
    /// The code for the close frame that answers it.
    pub(crate) fn close_code(self) -> CloseCode {
        match self {
            Self::Text => CloseCode::Unsupported,
            Self::TooLong { .. } => CloseCode::Size,
            _ => CloseCode::Protocol,
        }
    }
}

/// Where in the frames of a client we are.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// Start of a header whose rest has not come yet.
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    frame: Option<Frame>,
    /// Bytes of the message so far, its last frame still to come.
    message: Option<u64>,
    /// Payload of the control frame under way.
    control: Vec<u8>,
    /// Of the latest ping that was not answered yet; older ones need no answer (section 5.5.3).
    ping: Option<Vec<u8>>,
    /// Bytes that a message may have.
    most: u64,
}

/// A frame whose header was read.
#[derive(Debug)]
struct Frame {
    /// `None` = payload of MQTT.
    control: Option<Control>,
    is_final: bool,
    /// Payload bytes still to come.
    left: u64,
    /// Turned so that its first byte belongs to the next byte of payload.
    mask: [u8; 4],
}

impl Inbound {
    /// Before the first frame.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            header: [0; HEADER_BYTES_MAX],
            header_bytes: 0,
            frame: None,
            message: None,
            control: Vec::new(),
            ping: None,
            most: most as u64,
        }
    }

    /// Another bound for the messages from now on.
    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most as u64;
    }

    /// Payload of a ping that is to be answered.
    pub(crate) fn take_ping(&mut self) -> Option<Vec<u8>> {
        self.ping.take()
    }

    /// Takes the next bytes of the stream, of any length. What they hold of MQTT is moved to their front: returns how
    /// many bytes that is, and the end if it has come. After an end there is no more.
    pub(crate) fn unwrap(&mut self, bytes: &mut [u8]) -> (usize, Option<End>) {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            let step = match self.frame {
                None => self.read_header(bytes, &mut from),
                Some(_) => self.read_payload(bytes, &mut from, &mut to),
            };
            if let Err(end) = step {
                return (to, Some(end));
            }
        }
        (to, None)
    }

    fn read_header(&mut self, bytes: &[u8], from: &mut usize) -> Result<(), End> {
        let known = self.header_bytes;
        let new = bytes.get(*from..).unwrap_or_default();
        for (place, byte) in self.header.iter_mut().skip(known).zip(new) {
            *place = *byte;
            self.header_bytes += 1;
        }
        let mut cursor = Cursor::new(self.header.get(..self.header_bytes).unwrap_or_default());
        let header = FrameHeader::parse(&mut cursor);
        let length = usize::try_from(cursor.position()).unwrap_or(HEADER_BYTES_MAX);
        match header {
            Ok(Some((header, payload_bytes))) => {
                self.header_bytes = 0;
                *from += length.saturating_sub(known);
                // The shortest form of the length is a must (section 5.2).
                if length != header.len(payload_bytes) {
                    return Err(End::Violation(Violation::Header));
                }
                self.begin(&header, payload_bytes).map_err(End::Violation)?;
                if payload_bytes == 0 { self.complete() } else { Ok(()) }
            }
            Ok(None) if self.header_bytes < HEADER_BYTES_MAX => {
                *from = bytes.len();
                Ok(())
            }
            Ok(None) | Err(_) => Err(End::Violation(Violation::Header)),
        }
    }

    fn begin(&mut self, header: &FrameHeader, payload_bytes: u64) -> Result<(), Violation> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::ReservedBits);
        }
        let mask = header.mask.ok_or(Violation::Unmasked)?;
        let control = match (header.opcode, self.message) {
            (OpCode::Control(_), _) if !header.is_final || payload_bytes > CONTROL_BYTES_MAX => {
                return Err(Violation::Control);
            }
            (OpCode::Control(control), _) => Some(control),
            (OpCode::Data(Data::Text), _) => return Err(Violation::Text),
            (OpCode::Data(Data::Binary), None) | (OpCode::Data(Data::Continue), Some(_)) => None,
            (OpCode::Data(Data::Binary), Some(_)) => return Err(Violation::UnfinishedMessage),
            (OpCode::Data(Data::Continue), None) => return Err(Violation::NoMessage),
            (OpCode::Data(Data::Reserved(_)), _) => return Err(Violation::Header),
        };
        if control.is_none() {
            let message = self.message.unwrap_or(0).saturating_add(payload_bytes);
            if message > self.most {
                return Err(Violation::TooLong { most: self.most });
            }
            self.message = Some(message);
        }
        let is_final = header.is_final;
        self.frame = Some(Frame { control, is_final, left: payload_bytes, mask });
        Ok(())
    }

    fn read_payload(
        &mut self,
        bytes: &mut [u8],
        from: &mut usize,
        to: &mut usize,
    ) -> Result<(), End> {
        let Some(frame) = &mut self.frame else { return Ok(()) };
        let there = bytes.len().saturating_sub(*from);
        let count = usize::try_from(frame.left).map_or(there, |left| left.min(there));
        let range = *from..*from + count;
        let payload = bytes.get_mut(range.clone()).unwrap_or_default();
        unmask(payload, frame.mask);
        frame.mask.rotate_left(count % 4);
        frame.left = frame.left.saturating_sub(count as u64);
        if frame.control.is_some() {
            self.control.extend_from_slice(payload);
        } else {
            bytes.copy_within(range, *to);
            *to += count;
        }
        *from += count;
        if frame.left == 0 { self.complete() } else { Ok(()) }
    }

    fn complete(&mut self) -> Result<(), End> {
        let Some(frame) = self.frame.take() else { return Ok(()) };
        let payload = std::mem::take(&mut self.control);
        match frame.control {
            None if frame.is_final => self.message = None,
            Some(Control::Ping) => self.ping = Some(payload),
            Some(Control::Close) => return Err(closed(&payload)),
            None | Some(Control::Pong | Control::Reserved(_)) => {}
        }
        Ok(())
    }
}

/// What a close frame says.
fn closed(payload: &[u8]) -> End {
    match payload {
        [] => End::Closed(None),
        [high, low, reason @ ..] => {
            let code = CloseCode::from(u16::from_be_bytes([*high, *low]));
            if code.is_allowed() && std::str::from_utf8(reason).is_ok() {
                End::Closed(Some(code))
            } else {
                End::Violation(Violation::Close)
            }
        }
        [_] => End::Violation(Violation::Close),
    }
}

/// Takes the mask off, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

/// Two bytes, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;
/// Of a control frame's payload (section 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

#[cfg(test)]
mod tests;
