//! Any bytes, taken as the answer of a responder: nothing panics, and nothing that its authority did not sign counts.

use server::untrusted::ocsp_answer as is_good;

/// The authority of the seed signed one answer in its life: that the certificate with this number is revoked.
pub fn ocsp_answer(data: &[u8]) {
    let good = is_good(data, &[7], (NAME, include_bytes!("../seeds/authority.key")));
    assert_ne!(good, Ok(true), "a revoked certificate is good");
}

/// CN=ca
const NAME: &[u8] = b"\x31\x0B\x30\x09\x06\x03\x55\x04\x03\x0C\x02ca";
