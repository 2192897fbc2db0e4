//! Roughly how long the host takes to verify a password against a stored hash. Reads the parameters
//! in the text and checks nothing: only the order of hashes matters.

/// Nanoseconds on a common machine; 0 for what is not a known hash.
pub fn of(hash: &str) -> u64 {
    let mut fields = hash.split('$').skip(1);
    let scheme = fields.next().unwrap_or_default();
    let first = fields.next().unwrap_or_default();
    match scheme {
        "argon2id" => {
            // The version stands before the parameters.
            let parameters = fields.next().unwrap_or_default();
            named(parameters, "m").saturating_mul(named(parameters, "t")).saturating_mul(700)
        }
        "2a" | "2b" | "2y" => two_to(number(first)).saturating_mul(50_000),
        "scrypt" => two_to(named(first, "ln"))
            .saturating_mul(named(first, "r"))
            .saturating_mul(named(first, "p"))
            .saturating_mul(300),
        "pbkdf2-sha256" => named(first, "i").saturating_mul(400),
        "pbkdf2-sha512" => named(first, "i").saturating_mul(900),
        "7" => number(first).saturating_mul(900),
        "ese-sha512" => number(first).saturating_mul(500),
        "6" | "salted-sha256" | "salted-sha512" => 1_000,
        _ => 0,
    }
}

/// The value of `name=value` in a list with commas.
fn named(parameters: &str, name: &str) -> u64 {
    let value = |part: &str| part.strip_prefix(name)?.strip_prefix('=').map(number);
    parameters.split(',').find_map(value).unwrap_or_default()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}

fn two_to(exponent: u64) -> u64 {
    u32::try_from(exponent)
        .ok()
        .and_then(|exponent| 1_u64.checked_shl(exponent))
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn hashes_are_in_the_order_of_their_cost() {
        let ordered = [
            "plain",
            "$6$salt$hash",
            "$7$101$salt$hash",
            "$2b$04$salthash",
            "$pbkdf2-sha256$i=10000,l=32$salt$hash",
            "$ese-sha512$10000$salt$hash",
            "$pbkdf2-sha512$i=10000$salt$hash",
            "$argon2id$v=19$m=19456,t=2,p=1$salt$hash",
            "$2y$10$salthash",
            "$argon2id$v=19$m=65536,t=3,p=4$salt$hash",
            "$scrypt$ln=16,r=8,p=1$salt$hash",
            "$2b$12$salthash",
        ];
        for pair in ordered.windows(2) {
            assert!(of(pair[0]) < of(pair[1]), "{pair:?} {} {}", of(pair[0]), of(pair[1]));
        }
    }

    #[test]
    fn nonsense_costs_something_and_no_panic() {
        for hash in ["", "$", "$argon2id", "$argon2id$v=19$m=x,t=2$", "$scrypt$$", "$7$"] {
            assert_eq!(of(hash), 0, "{hash}");
        }
        assert_eq!(of("$2b$99$x"), u64::MAX);
        assert_eq!(of("$pbkdf2-sha512$i=18446744073709551615$"), u64::MAX);
    }
}
