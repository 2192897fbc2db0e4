//! Owns what counts as "the same address" for limits.
//!
//! Knows nothing of the limits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 address, or the first 64 bits of an IPv6 address.
///
/// One customer gets at least a /64 and can use each address in it: counting single IPv6
/// addresses would count nothing. An IPv4-mapped IPv6 address is the IPv4 address: which socket
/// accepted it must make no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressPrefix(Prefix);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Prefix {
    V4(Ipv4Addr),
    /// The upper half.
    V6(u64),
}

impl AddressPrefix {
    /// The prefix that `address` belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(Prefix::V4(address)),
            IpAddr::V6(address) => Self(Prefix::V6((address.to_bits() >> 64) as u64)),
        }
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Prefix::V4(address) => write!(f, "{address}"),
            Prefix::V6(half) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(half) << 64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expect: &str) {
        assert_eq!(AddressPrefix::of(address.parse().unwrap()).to_string(), expect);
    }

    #[test]
    fn prefixes() {
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        check("2001:db8:1:2:ffff::", "2001:db8:1:2::/64");
        check("2001:db8:1:3::1", "2001:db8:1:3::/64");
        check("::1", "::/64");
    }

    #[test]
    fn ipv4_neighbours_differ() {
        let [left, right] = ["192.0.2.7", "192.0.2.8"].map(|text| text.parse().unwrap());
        assert_ne!(AddressPrefix::of(left), AddressPrefix::of(right));
    }
}
