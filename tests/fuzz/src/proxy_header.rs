//! Any bytes, taken as the start of a connection behind a load balancer: a header ends within them, and no part of it is
//! one already.

use server::untrusted::proxy_header as decode;

/// Decodes `data`, and everything shorter if it is a header.
pub fn proxy_header(data: &[u8]) {
    if let Ok(Some(length)) = decode(data) {
        assert!(length <= data.len());
        for cut in 0..length {
            assert_eq!(decode(&data[..cut]), Ok(None), "{cut} of {length} bytes");
        }
    }
}
