//! Any bytes, taken as the request of a WebSocket client: it ends within them, no part of it is one already, and what a
//! stranger wrote does not steer the answer.

use server::untrusted::websocket_upgrade as judge;

/// Judges `data`, and everything shorter if it is a request.
pub fn websocket_upgrade(data: &[u8]) {
    match judge(data) {
        Ok(None) => {}
        Ok(Some((length, answer))) => {
            assert!(length <= data.len());
            assert_eq!(whole(&answer), "HTTP/1.1 101 Switching Protocols");
            for cut in (0..length).step_by(7).chain([length - 1]) {
                assert_eq!(judge(&data[..cut]), Ok(None), "{cut} of {length} bytes");
            }
        }
        Err(answer) => {
            let status = whole(&answer);
            assert!(status.starts_with("HTTP/1.1 4"), "{answer:?}");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            let length = format!("Content-Length: {}", body.len());
            assert!(head.ends_with(&length), "{answer:?}");
        }
    }
}

/// The status line of an answer with one head.
fn whole(answer: &str) -> &str {
    assert!(answer.is_ascii(), "{answer:?}");
    assert_eq!(answer.matches("\r\n\r\n").count(), 1, "{answer:?}");
    answer.lines().next().expect("a line")
}
