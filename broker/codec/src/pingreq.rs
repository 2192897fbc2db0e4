//! PINGREQ and PINGRESP (sections 3.12 and 3.13): a fixed header and nothing else.

use crate::{Error, PacketType, fixed_header};

/// Both have a Remaining Length of 0.
pub(crate) fn decode(body: &[u8]) -> Result<(), Error> {
    if body.is_empty() { Ok(()) } else { Err(NOT_EMPTY) }
}

/// Appends a PINGREQ or PINGRESP.
pub(crate) fn encode(packet_type: PacketType, out: &mut Vec<u8>) {
    out.extend_from_slice(&[fixed_header::first_byte(packet_type), 0]);
}

const NOT_EMPTY: Error =
    Error::malformed("PINGREQ and PINGRESP have a Remaining Length of 0", "section 3.12.1");

#[cfg(test)]
mod tests {
    use crate::test_support::{BOTH, check_golden, check_refused};
    use crate::{ErrorKind, Packet};

    #[test]
    fn golden_bytes() {
        for version in BOTH {
            check_golden(version, &Packet::PingReq, &[0xC0, 0]);
            check_golden(version, &Packet::PingResp, &[0xD0, 0]);
        }
    }

    #[test]
    fn refusals() {
        for version in BOTH {
            for bytes in [&[0xC0, 1, 0][..], &[0xD0, 1, 0]] {
                check_refused(version, bytes, ErrorKind::Malformed, "section 3.12.1");
            }
            for bytes in [&[0xC1, 0][..], &[0xD8, 0]] {
                check_refused(version, bytes, ErrorKind::Malformed, "MQTT-2.1.3-1");
            }
        }
    }
}
