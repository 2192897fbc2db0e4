//! Any bytes, taken as frames of a WebSocket client: where the stream is cut makes no difference.

use server::untrusted::websocket_payload;

/// Unwraps everything behind the first byte at once, and in pieces whose length the first byte says.
pub fn websocket_frames(data: &[u8]) {
    let Some((&at_once, stream)) = data.split_first() else { return };
    let whole = websocket_payload(stream, stream.len().max(1));
    assert!(whole.0.len() <= stream.len());
    assert_eq!(websocket_payload(stream, usize::from(at_once).max(1)), whole);
}
