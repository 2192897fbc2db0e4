//! A cursor over the bytes of one packet: reads the data types of section 1.5, never past the end.
//!
//! Knows nothing of packets or of which value a field may have.

use crate::{Error, PacketId, utf8, variable_byte_integer};

/// What is still to be read of a packet or of a property section.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that was not read yet.
    #[inline]
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The packet must be used up: bytes after the last field are not MQTT.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(TRAILING_BYTES) }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two Byte Integer (section 1.5.2).
    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four Byte Integer (section 1.5.3).
    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, Error> {
        PacketId::new(self.u16()?).ok_or(PACKET_ID_ZERO)
    }

    /// Binary Data (section 1.5.6), also the raw form of a UTF-8 string.
    #[inline]
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// UTF-8 Encoded String (section 1.5.4).
    #[inline]
    pub(crate) fn utf8(&mut self) -> Result<&'a str, Error> {
        utf8::decode(self.binary()?)
    }

    /// Variable Byte Integer (section 1.5.5), in its shortest form.
    #[inline]
    pub(crate) fn variable_byte_integer(&mut self) -> Result<u32, Error> {
        let found = variable_byte_integer::decode(self.rest)?.ok_or(TRUNCATED)?;
        if !found.shortest {
            return Err(variable_byte_integer::NOT_SHORTEST);
        }
        self.take(found.bytes)?;
        Ok(found.value)
    }

    /// A property section: its length, then that many bytes (section 2.2.2).
    #[inline]
    pub(crate) fn property_section(&mut self) -> Result<&'a [u8], Error> {
        let length = self.variable_byte_integer()?;
        self.take(usize::try_from(length).map_err(|_| TRUNCATED)?)
    }
}

const TRUNCATED: Error =
    Error::malformed("a field announces more bytes than its packet has left", "section 2.1.4");
const TRAILING_BYTES: Error =
    Error::malformed("bytes are left over after the packet's last field", "section 2.1.4");
const PACKET_ID_ZERO: Error =
    Error::protocol("Packet Identifier is 0, allowed are 1 to 65,535", "MQTT-2.2.1-3");
