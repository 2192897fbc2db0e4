//! Blocks of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::{fmt, net::IpAddr};

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    first: IpAddr,
    prefix: u8,
}

impl Block {
    /// Reads a block.
    ///
    /// # Errors
    /// A sentence that fits behind the key. Bits behind the prefix are one: who writes
    /// `10.1.2.3/8` means something else than what would be matched.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(first) = address.parse::<IpAddr>() else {
            return Err(format!("`{text}` is no address: write 192.0.2.7, 10.0.0.0/8 or fd00::/8"));
        };
        if first != first.to_canonical() {
            return Err(format!("`{text}` is an IPv4 address: write {}", first.to_canonical()));
        }
        let most = if first.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(digits) => match number(digits).filter(|prefix| *prefix <= most) {
                Some(prefix) => prefix,
                None => return Err(format!("`{text}`: the prefix is 0 to {most}")),
            },
        };
        let block = Self { first, prefix };
        if bits(first) & !block.mask() != 0 {
            return Err(format!("`{text}` has bits set behind its first {prefix}"));
        }
        Ok(block)
    }

    /// Whether an address is in it; an IPv4 address in the clothes of IPv6 is one of IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && bits(address) & self.mask() == bits(self.first)
    }

    /// Whether every address of the other is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.first)
    }

    /// Whether it is every address of its family.
    #[must_use]
    pub const fn is_everywhere(&self) -> bool {
        self.prefix == 0
    }

    fn mask(&self) -> u128 {
        let unused = 128 - u32::from(self.prefix);
        let mask = u128::MAX.checked_shl(unused).unwrap_or(0);
        // Addresses of IPv4 stand in the upper 32 bits here.
        if self.prefix == 0 { 0 } else { mask }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// The address with its first bit first.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Digits only: no sign, no leading zero.
fn number(digits: &str) -> Option<u8> {
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = canonical && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(block: &str, inside: &[&str], outside: &[&str]) {
        let block = Block::parse(block).unwrap();
        for address in inside {
            assert!(block.contains(address.parse().unwrap()), "{block} {address}");
        }
        for address in outside {
            assert!(!block.contains(address.parse().unwrap()), "{block} {address}");
        }
    }

    #[test]
    fn blocks_contain_what_begins_with_the_same_bits() {
        check(
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["11.0.0.0", "a00::"],
        );
        check("10.1.2.3", &["10.1.2.3", "::ffff:10.1.2.3"], &["10.1.2.2", "10.1.2.4"]);
        check("192.168.4.0/22", &["192.168.7.255"], &["192.168.8.0", "192.168.3.255"]);
        check("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::", "::1"]);
        check("::/0", &["::", "ffff::"], &["0.0.0.0", "::ffff:1.2.3.4"]);
        check("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::", "32.1.13.184"]);
        check("::1", &["::1"], &["::2", "127.0.0.1"]);
        check("0.0.0.0/1", &["127.255.255.255"], &["128.0.0.0"]);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0/8",
            "10.0.0.1/8",
            "::1/127",
            "localhost",
            "::ffff:10.0.0.0/104",
            "10.0.0.0/8/8",
            " 10.0.0.1",
        ] {
            assert!(Block::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_block_covers_its_parts() {
        let block = |text| Block::parse(text).unwrap();
        assert!(block("10.0.0.0/8").covers(&block("10.1.0.0/16")));
        assert!(block("10.0.0.0/8").covers(&block("10.0.0.0/8")));
        assert!(!block("10.1.0.0/16").covers(&block("10.0.0.0/8")));
        assert!(!block("0.0.0.0/0").covers(&block("::/0")));
        assert!(!block("10.0.0.0/8").covers(&block("11.0.0.0/16")));
    }
}
