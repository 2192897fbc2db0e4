//! Password files: how much a guess costs who gets hold of one.

use super::{
    facts::Facts,
    finding::{Judgement, Verdict},
    host::parts,
};

/// OWASP asks for ten times more; below this a graphics card tries millions of passwords a second.
const PBKDF2_ITERATIONS: u64 = 20_000;
/// KiB of memory of argon2id.
const ARGON2_KIB: u64 = 19_456;
const BCRYPT_COST: u64 = 10;

pub(super) fn hashes(facts: &Facts) -> Option<Judgement> {
    let files = &parts(facts)?.passwords;
    if files.is_empty() {
        return None;
    }
    let mend = "portcullis passwd FILE USER writes argon2id; the user's password is needed for it";
    let mut seen = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            // The name stays out of it: this may be shown to more people than the file.
            let Some((_, hash)) = line.split_once(':').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            if let Some((verdict, what)) = weakness(hash) {
                seen.push((verdict, format!("{}:{number}: {what}", file.path.display())));
            }
        }
    }
    Some(Judgement::of(seen, "every password costs who guesses it", mend))
}

/// What is weak about a hash.
fn weakness(hash: &str) -> Option<(Verdict, String)> {
    let mut parts = hash.split('$').skip(1);
    let scheme = parts.next().unwrap_or_default();
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
    match scheme {
        "argon2id" => {
            let memory = parts.find_map(|part| part.strip_prefix("m="));
            let memory = number(memory.and_then(|memory| memory.split(',').next()))?;
            let what = format!("argon2id with {memory} KiB, better {ARGON2_KIB}");
            (memory < ARGON2_KIB).then_some((Verdict::Warn, what))
        }
        "7" => {
            let iterations = number(parts.next())?;
            let what = format!("$7$ with {iterations} iterations, better argon2id");
            (iterations < PBKDF2_ITERATIONS).then_some((Verdict::Warn, what))
        }
        "6" => Some((Verdict::Warn, "$6$, one round of SHA-512, better argon2id".to_owned())),
        "2a" | "2b" | "2y" => {
            let cost = number(parts.next())?;
            let what = format!("bcrypt with cost {cost}, better {BCRYPT_COST} or argon2id");
            (cost < BCRYPT_COST).then_some((Verdict::Warn, what))
        }
        "scrypt" | "argon2i" | "argon2d" | "pbkdf2-sha512" | "pbkdf2-sha256" => None,
        _ => Some((Verdict::Fail, "no hash that is known".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cheap_to_guess_is_weak() {
        for (hash, expect) in [
            ("$argon2id$v=19$m=47104,t=1,p=1$c2FsdA$aGFzaA", None),
            ("$argon2id$v=19$m=4096,t=1,p=1$c2FsdA$aGFzaA", Some(Verdict::Warn)),
            ("$7$101$c2FsdA==$aGFzaA==", Some(Verdict::Warn)),
            ("$7$210000$c2FsdA==$aGFzaA==", None),
            ("$6$c2FsdA==$aGFzaA==", Some(Verdict::Warn)),
            ("$2b$04$abc", Some(Verdict::Warn)),
            ("$2b$12$abc", None),
            ("secret", Some(Verdict::Fail)),
            ("", Some(Verdict::Fail)),
        ] {
            assert_eq!(weakness(hash).map(|(verdict, _)| verdict), expect, "{hash}");
        }
    }
}
