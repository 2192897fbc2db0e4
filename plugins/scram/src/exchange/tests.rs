//! Exchanges over a host in memory: those of the standards, and what is refused.

use std::{cell::Cell, collections::HashMap};

use super::*;

#[derive(Default)]
struct Memory {
    users: HashMap<&'static str, Vec<String>>,
    is_down: Cell<bool>,
    looked_up: Cell<u32>,
}

impl Host for Memory {
    fn credentials(&self, username: &str) -> Result<Vec<String>, Error> {
        self.looked_up.set(self.looked_up.get() + 1);
        if self.is_down.get() {
            return Err(Error::unavailable("it is down"));
        }
        Ok(self.users.get(username).cloned().unwrap_or_default())
    }

    fn random(&self, count: usize) -> Vec<u8> {
        vec![7; count]
    }

    fn secret_hmac(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        Method::Sha256.hmac(b"secret", data)
    }

    fn equal(&self, a: &[u8], b: &[u8]) -> bool {
        a == b
    }
}

/// Of the password `pencil`, computed with Python's hashlib.
const SHA256: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkd\
         i4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const SHA512: &str = "SCRAM-SHA-512$4096:W22ZaJ0SNY7soEsUEjb6gQ==$6AAub3065EYRmyFp\
         M2RNwqK+eGnrkYuEWbXn19LsEmBqzu8QaCXNc1FwpnX9NhH2hK/60dzj9DoO5DvVkOHbvg==:jZHbYjC1aHh0/hKbxyBuGFjDrgjgKTT1esA7awWiKcRZ0o/0b1yWEebBeSVkkCFewf91nLDfKF24mvD5nmE6rA==";

fn exchange() -> Exchange<Memory> {
    let users = HashMap::from([("user", vec![SHA256.to_owned(), SHA512.to_owned()])]);
    let settings = Settings { secret: "s".to_owned(), iterations: 32_768, sql: None };
    Exchange::new(Memory { users, ..Memory::default() }, settings)
}

/// As if the server had chosen the nonce of RFC 7677, section 3.
fn state(method: Method) -> Vec<u8> {
    let server_first = format!("r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    let state = State {
        method: method.name(),
        username: "user",
        header: "n,,",
        client_first: "n=user,r=rOprNGfwEbeRWgbNEkqO",
        server_first: &server_first,
    };
    state.write()
}

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const PROOF_512: &str = "gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN\
         8PPC6wdp6dybEmDYXYTxwnYPJQ==";

fn proceed(method: Method, answer: &str) -> Result<Step, Error> {
    exchange().proceed(method.name(), Some(answer.as_bytes()), &state(method))
}

fn is_refused(step: &Step) -> bool {
    matches!(step, Step::Deny(denial) if denial.reason_code == reason_code::NOT_AUTHORIZED)
}

#[test]
fn exchanges_of_the_standards() {
    let signature_512 = "ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSe\
         VGT4+5ZxXnJq199RVG2rR7N7Zw==";
    for (method, proof, signature) in [
        (Method::Sha256, PROOF, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
        (Method::Sha512, PROOF_512, signature_512),
    ] {
        let step = proceed(method, &format!("c=biws,r={NONCE},p={proof}")).unwrap();
        let Step::Success(success) = step else { panic!("{method:?}: {step:?}") };
        assert_eq!(success.grant, Grant::new("user"));
        assert_eq!(success.data.unwrap(), format!("v={signature}").into_bytes());
    }
}

#[test]
fn what_differs_is_refused() {
    let good = format!("c=biws,r={NONCE},p={PROOF}");
    for (from, to) in [
        ("biws", "eSws"),
        ("biws", "biw="),
        ("biws", "cD10bHMtdW5pcXVlLCw="),
        ("k0,p", "k1,p"),
        ("k0,p", "k,p"),
        ("c=biws", "C=biws"),
        ("p=dH", "p=eH"),
        ("VQ=", "VR="),
        (PROOF, ""),
        (PROOF, PROOF_512),
        (PROOF, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ] {
        let step = proceed(Method::Sha256, &good.replacen(from, to, 1)).unwrap();
        assert!(is_refused(&step), "{to}: {step:?}");
    }
    // What another method's step left is nothing to go on with.
    let other =
        exchange().proceed(Method::Sha512.name(), Some(good.as_bytes()), &state(Method::Sha256));
    assert!(other.is_err());
    assert!(exchange().proceed("SCRAM-SHA-256", Some(good.as_bytes()), b"x").is_err());
}

fn begin(exchange: &Exchange<Memory>, data: &str) -> (String, Vec<u8>) {
    let step = exchange.begin("SCRAM-SHA-256", Some(data.as_bytes())).unwrap();
    let Step::Challenge(challenge) = step else { panic!("{data}: {step:?}") };
    (String::from_utf8(challenge.data).unwrap(), challenge.state)
}

/// The same kind of answer, the same salt each time, as many looks; and no way in at the end.
#[test]
fn an_unknown_user_cannot_be_told_from_a_known_one() {
    let exchange = exchange();
    let (known, _) = begin(&exchange, "n,,n=user,r=01234567");
    let nonce = base64::encode(&[7; NONCE_BYTES]);
    assert_eq!(known, format!("r=01234567{nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    assert_eq!(exchange.host.looked_up.take(), 1);
    let (unknown, state) = begin(&exchange, "n,,n=nobody,r=01234567");
    assert_eq!(exchange.host.looked_up.take(), 1);
    let (start, rest) = unknown.split_once(",s=").unwrap();
    let (salt, iterations) = rest.split_once(",i=").unwrap();
    assert_eq!((start, iterations), (&*format!("r=01234567{nonce}"), "32768"));
    assert_eq!(base64::decode(salt).unwrap().len(), SALT_BYTES);
    let (again, _) = begin(&exchange, "n,,n=nobody,r=abcdefgh");
    assert!(again.contains(&format!(",s={salt},")), "{again}");
    let (other, _) = begin(&exchange, "n,,n=nobody2,r=01234567");
    assert!(!other.contains(salt), "a salt for each: {other}");
    // A proof that would fit the made-up keys, if somebody knew the secret.
    let (credential, _) = exchange.credential(Method::Sha256, "nobody").unwrap();
    let last = format!("c=biws,r=01234567{nonce}");
    let said = format!("n=nobody,r=01234567,{unknown},{last}");
    let signature = Method::Sha256.hmac(&credential.stored_key, said.as_bytes()).unwrap();
    let key = exchange.host.secret_hmac(b"stored key\nSCRAM-SHA-256\nnobody").unwrap();
    let proof: Vec<u8> = signature.iter().zip(&key).map(|(a, b)| a ^ b).collect();
    let answer = format!("{last},p={}", base64::encode(&proof));
    let step = exchange.proceed("SCRAM-SHA-256", Some(answer.as_bytes()), &state).unwrap();
    assert!(is_refused(&step), "{step:?}");
}

#[test]
fn first_steps_that_go_nowhere() {
    let exchange = exchange();
    assert_eq!(exchange.begin("SCRAM-SHA-1", Some(b"n,,n=user,r=01234567")).unwrap(), Step::Next);
    for odd in [None, Some(&b""[..]), Some(b"p=tls-exporter,,n=user,r=01234567")] {
        assert!(is_refused(&exchange.begin("SCRAM-SHA-256", odd).unwrap()));
    }
    exchange.host.is_down.set(true);
    let down = exchange.begin("SCRAM-SHA-256", Some(b"n,,n=user,r=01234567"));
    assert!(matches!(down, Err(Error::Unavailable(_))));
    assert!(exchange.check().is_ok(), "what is down may come back");
}

#[test]
fn credentials_that_are_none() {
    for (stored, what) in [
        (vec![SHA256.replace("4096", "100")], "fewer than 4,096"),
        (vec![SHA256.to_owned(); 2], "more than one"),
        (vec!["SCRAM-SHA-256$".to_owned()], "is not METHOD"),
    ] {
        let mut exchange = exchange();
        exchange.host.users.insert("user", stored);
        let error = exchange.begin("SCRAM-SHA-256", Some(b"n,,n=user,r=01234567")).unwrap_err();
        let said = format!("{error:?}");
        assert!(said.contains(what) && !said.contains("W22Z"), "{said}");
    }
    // What is for other methods, or no credential of this kind, is no way in.
    let mut exchange = exchange();
    exchange.host.users.insert("user", vec![SHA512.to_owned(), "$argon2id$".to_owned()]);
    let (told, _) = begin(&exchange, "n,,n=user,r=01234567");
    assert!(told.ends_with(",i=32768"), "{told}");
}
