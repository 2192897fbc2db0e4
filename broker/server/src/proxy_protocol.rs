//! The PROXY protocol, versions 1 and 2: who is behind a load balancer.
//!
//! Owns when a header is complete, how long it may be, and its checksum; `proxy_header` reads it. Knows nothing of who is
//! trusted to send one: the listener does.

use std::{io, net::SocketAddr};

use crc::{CRC_32_ISCSI, Crc};
use proxy_header::{Error, ParseConfig, Protocol, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Why a header is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("connection ended before the PROXY header was complete: {0}")]
    Network(io::ErrorKind),
    #[error("no PROXY header, or a malformed one")]
    Malformed,
    #[error("a PROXY header of {0} bytes, allowed: at most {HEADER_BYTES_MAX}")]
    TooLong(usize),
    #[error("a PROXY header for datagrams")]
    Datagrams,
    #[error("a PROXY header with a wrong CRC32C")]
    Checksum,
}

/// What a header says: the client's address, or none when the sender speaks for itself (LOCAL), does not know (UNKNOWN)
/// or has no IP address to tell.
pub(crate) type Source = Option<SocketAddr>;

/// Reads the header at the start of a connection. What came behind it is put into `early`.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    early: &mut Vec<u8>,
) -> Result<Source, Refused> {
    loop {
        if let Some((source, length)) = decode(early)? {
            early.drain(..length);
            return Ok(source);
        }
        let count = stream.read_buf(early).await.map_err(|error| Refused::Network(error.kind()))?;
        if count == 0 {
            return Err(Refused::Network(io::ErrorKind::UnexpectedEof));
        }
    }
}

/// The header that `bytes` begin with and its length, if it has come whole.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Source, usize)>, Refused> {
    // As far as it has come: strangers are not waited for.
    let begins = |mark: &[u8]| bytes.iter().zip(mark).all(|(byte, expected)| byte == expected);
    if !begins(V1_MARK) && !begins(V2_MARK) {
        return Err(Refused::Malformed);
    }
    let end = match bytes.get(14..16) {
        Some([high, low]) if begins(V2_MARK) => {
            let length = V2_BYTES_MIN + usize::from(u16::from_be_bytes([*high, *low]));
            if length > HEADER_BYTES_MAX {
                return Err(Refused::TooLong(length));
            }
            Some(length)
        }
        _ => bytes.windows(2).position(|two| two == b"\r\n").filter(|at| *at > 0).map(|at| at + 2),
    };
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (header, length) = match ProxyHeader::parse(bytes, config) {
        Ok(parsed) => parsed,
        // Not when it has come to its end: what misses is not on its way.
        Err(Error::BufferTooShort) if end.is_none_or(|end| bytes.len() < end) => return Ok(None),
        Err(_) => return Err(Refused::Malformed),
    };
    if begins(V1_MARK) && length > V1_BYTES_MAX {
        return Err(Refused::Malformed);
    }
    let Some(address) = header.proxied_address() else { return Ok(Some((None, length))) };
    if address.protocol != Protocol::Stream {
        return Err(Refused::Datagrams);
    }
    if begins(V2_MARK) {
        check_tlvs(bytes.get(..length).unwrap_or_default())?;
    }
    Ok(Some((Some(address.source), length)))
}

/// Skips what stands behind the addresses of version 2, but for a checksum: taken over the header with zeros in its own
/// place.
fn check_tlvs(header: &[u8]) -> Result<(), Refused> {
    let family = header.get(13).map_or(0, |byte| byte >> 4);
    let mut at = V2_BYTES_MIN + if family == AF_INET { 12 } else { 36 };
    while at < header.len() {
        let start = header.get(at..).and_then(|rest| rest.first_chunk::<3>());
        let [kind, high, low] = start.ok_or(Refused::Malformed)?;
        let value = at + 3;
        at = value + usize::from(u16::from_be_bytes([*high, *low]));
        let bytes = header.get(value..at).ok_or(Refused::Malformed)?;
        if *kind == PP2_TYPE_CRC32C {
            let expected = u32::from_be_bytes(bytes.try_into().map_err(|_| Refused::Malformed)?);
            let mut found = CRC32C.digest();
            found.update(header.get(..value).unwrap_or_default());
            found.update(&[0; 4]);
            found.update(header.get(at..).unwrap_or_default());
            if found.finalize() != expected {
                return Err(Refused::Checksum);
            }
        }
    }
    Ok(())
}

const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const V1_MARK: &[u8] = b"PROXY ";
const V2_MARK: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1 that its specification knows.
const V1_BYTES_MAX: usize = 107;
/// Mark, version and command, family and transport, length.
const V2_BYTES_MIN: usize = 16;
const AF_INET: u8 = 1;
const PP2_TYPE_CRC32C: u8 = 3;
/// Of a whole header, TLVs among it: the certificate names of a TLS load balancer fit.
const HEADER_BYTES_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests;
