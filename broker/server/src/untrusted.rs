//! What reads the bytes of strangers before a packet is decoded, and what authorities publish, for the fuzz targets alone: they
//! need it without sockets.

use crate::{
    proxy_protocol, tls,
    websocket::{
        Inbound,
        upgrade::{self, Rules},
    },
};

/// The length of the PROXY header that `bytes` begin with, if it has come whole; `Err` = why there is none.
pub fn proxy_header(bytes: &[u8]) -> Result<Option<usize>, String> {
    let header = proxy_protocol::decode(bytes).map_err(|refused| refused.to_string())?;
    Ok(header.map(|(_, length)| length))
}

/// The length of the request for a WebSocket that `bytes` begin with and the answer to it, if it has come whole; `Err` = the
/// answer that refuses it.
pub fn websocket_upgrade(bytes: &[u8]) -> Result<Option<(usize, String)>, String> {
    let origins = ["https://app.example".to_owned()];
    let rules = Rules { path: "/mqtt", origins: Some(&origins) };
    upgrade::parse(bytes, rules).map_err(|refused| refused.response())
}

/// What frames of a client hold of MQTT, taken in pieces of `at_once` bytes, and how they end if they do.
pub fn websocket_payload(stream: &[u8], at_once: usize) -> (Vec<u8>, Option<String>) {
    let mut inbound = Inbound::new(MESSAGE_BYTES_MAX);
    let mut all = Vec::new();
    for piece in stream.chunks(at_once.max(1)) {
        let mut piece = piece.to_vec();
        let (count, end) = inbound.unwrap(&mut piece);
        all.extend_from_slice(piece.get(..count).unwrap_or_default());
        if let Some(end) = end {
            return (all, Some(format!("{end:?}")));
        }
    }
    (all, None)
}

/// How many certificates a revocation list revokes; `Err` = why it is none.
pub fn revocation_list(der: &[u8]) -> Result<usize, String> {
    tls::list_length(der)
}

/// Whether the authority with this name and key says in an answer of OCSP that its certificate is good.
pub fn ocsp_answer(der: &[u8], serial: &[u8], by: (&[u8], &[u8])) -> Result<bool, String> {
    tls::is_good_answer(der, serial, by)
}

const MESSAGE_BYTES_MAX: usize = 1_000;
