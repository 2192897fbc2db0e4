//! Vectors made with the libraries themselves or published, and what is refused.

use super::*;

#[track_caller]
fn verifies(stored: &str, password: &[u8]) {
    let parsed = StoredHash::parse(stored).unwrap();
    assert!(parsed.verify(password).unwrap(), "{stored}");
    assert!(!parsed.verify(b"not the password").unwrap());
    assert!(!parsed.verify(b"").unwrap());
}

#[track_caller]
fn malformed(stored: &str) {
    let error = StoredHash::parse(stored).unwrap_err();
    assert!(matches!(error, HashError::Malformed(_)), "{stored}: {error:?}");
}

#[track_caller]
fn too_costly(stored: &str) {
    let error = StoredHash::parse(stored).unwrap_err();
    assert!(matches!(error, HashError::TooCostly(_)), "{stored}: {error:?}");
}

/// Every cut of a stored hash is refused before a password is looked at.
#[track_caller]
fn no_cut_is_accepted(stored: &str) {
    for length in 0..stored.len() {
        let cut = stored.get(..length).unwrap();
        assert!(StoredHash::parse(cut).is_err(), "accepted {cut}");
    }
}

const PASSWORD: &[u8] = b"correct horse";
const SALT: &[u8] = b"0123456789abcdef";

fn phc(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

fn argon2id_stored() -> String {
    let params = argon2::Params::new(64, 2, 1, Some(32)).unwrap();
    let mut hash = [0; 32];
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(PASSWORD, SALT, &mut hash)
        .unwrap();
    format!("$argon2id$v=19$m=64,t=2,p=1${}${}", phc(SALT), phc(&hash))
}

#[test]
fn argon2id() {
    verifies(&argon2id_stored(), PASSWORD);
    // Published in the documentation of the reference implementation's test suite (t=2, m=2^16,
    // p=1).
    verifies(
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        b"password",
    );
    no_cut_is_accepted(&argon2id_stored());
    let tail = format!("{}${}", phc(SALT), phc(&[7; 32]));
    let error = StoredHash::parse(&format!("$argon2id$v=19$m=65537,t=1,p=1${tail}")).unwrap_err();
    let text = "argon2 m (KiB) = 65537: at most 65536";
    assert_eq!(error, HashError::TooCostly(text.to_owned()));
    too_costly(&format!("$argon2id$v=19$m=64,t=17,p=1${tail}"));
    too_costly(&format!("$argon2id$v=19$m=4096,t=1,p=17${tail}"));
    malformed(&format!("$argon2id$v=19$m=64,t=2${tail}"));
    malformed(&format!("$argon2id$v=19$m=64,t=0,p=1${tail}"));
    malformed(&format!("$argon2id$v=19$m=064,t=2,p=1${tail}"));
    malformed(&format!("$argon2id$v=19$m=64,t=2,p=1,x=1${tail}"));
    malformed(&format!("$argon2id$v=19$m=64,t=2,p=1${}${}", phc(b"short"), phc(&[7; 32])));
    malformed("$argon2id$v=19$m=64,t=2,p=1$$");
}

#[test]
fn bcrypt_and_its_72_bytes() {
    // Made by another implementation (node's).
    let foreign = "$2a$04$n4Uy0eSnMfvnESYL.bLwuuj0U/ETSsoTpRT9GVk5bektyVVa5xnIi";
    verifies(foreign, b"correctbatteryhorsestapler");
    let stored = bcrypt::hash(PASSWORD, 4).unwrap();
    verifies(&stored, PASSWORD);
    verifies(&stored.replace("$2b$", "$2y$"), PASSWORD);
    verifies(&stored.replace("$2b$", "$2a$"), PASSWORD);
    let full = bcrypt::hash([b'a'; 72], 4).unwrap();
    verifies(&full, &[b'a'; 72]);
    let parsed = StoredHash::parse(&full).unwrap();
    assert!(!parsed.verify(&[b'a'; 73]).unwrap());
    assert!(!parsed.verify(&[b'a'; 100]).unwrap());
    assert!(!StoredHash::parse(&stored).unwrap().verify(b"correct horse\0x").unwrap());
    no_cut_is_accepted(&stored);
    too_costly(&stored.replace("$04$", "$15$"));
    malformed(&stored.replace("$04$", "$03$"));
    malformed(&stored.replace("$04$", "$4$"));
    assert!(matches!(StoredHash::parse("$2x$04$"), Err(HashError::Unsupported(_))));
}

#[test]
fn scrypt_phc() {
    let mut hash = [0; 32];
    let params = scrypt::Params::new(4, 8, 1).unwrap();
    scrypt::scrypt(PASSWORD, SALT, &params, &mut hash).unwrap();
    let stored = format!("$scrypt$ln=4,r=8,p=1${}${}", phc(SALT), phc(&hash));
    verifies(&stored, PASSWORD);
    no_cut_is_accepted(&stored);
    let mut long = [0; 64];
    scrypt::scrypt(PASSWORD, SALT, &params, &mut long).unwrap();
    malformed(&format!("$scrypt$ln=4,r=8,p=1${}${}", phc(SALT), phc(&long)));
    let tail = format!("{}${}", phc(SALT), phc(&[7; 32]));
    too_costly(&format!("$scrypt$ln=18,r=8,p=1${tail}"));
    too_costly(&format!("$scrypt$ln=17,r=8,p=1${tail}"));
    assert!(StoredHash::parse(&format!("$scrypt$ln=16,r=8,p=1${tail}")).is_ok());
    too_costly(&format!("$scrypt$ln=4,r=8,p=5${tail}"));
    malformed(&format!("$scrypt$ln=4,r=0,p=1${tail}"));
}

#[test]
fn pbkdf2_phc() {
    let mut hash = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(PASSWORD, SALT, 1000, &mut hash);
    let stored = format!("$pbkdf2-sha256$i=1000,l=32${}${}", phc(SALT), phc(&hash));
    verifies(&stored, PASSWORD);
    verifies(&stored.replace(",l=32", ""), PASSWORD);
    no_cut_is_accepted(&stored);
    malformed(&stored.replace("l=32", "l=64"));
    let mut hash = [0; 64];
    pbkdf2::pbkdf2_hmac::<Sha512>(PASSWORD, SALT, 1000, &mut hash);
    let long = format!("$pbkdf2-sha512$i=1000${}${}", phc(SALT), phc(&hash));
    verifies(&long, PASSWORD);
    no_cut_is_accepted(&long);
    no_cut_is_accepted(&long.replace("i=1000", "i=1000,l=64"));
    too_costly(&stored.replace("i=1000", "i=2000001"));
    malformed(&stored.replace("i=1000", "i=0"));
    malformed(&stored.replace("i=1000", "i=+1"));
}

#[test]
fn mosquitto() {
    let salt = STANDARD.encode(b"twelve bytes");
    let digest = Sha512::new().chain_update(PASSWORD).chain_update(b"twelve bytes").finalize();
    let stored = format!("$6${salt}${}", STANDARD.encode(digest));
    verifies(&stored, PASSWORD);
    no_cut_is_accepted(&stored);
    let mut hash = [0; 64];
    pbkdf2::pbkdf2_hmac::<Sha512>(PASSWORD, b"twelve bytes", 101, &mut hash);
    let stored = format!("$7$101${salt}${}", STANDARD.encode(hash));
    verifies(&stored, PASSWORD);
    no_cut_is_accepted(&stored);
    too_costly(&stored.replace("$101$", "$3000000$"));
    malformed(&stored.replace("$101$", "$0$"));
}

/// Rows that the extension's makers published, with the passwords that they published to them.
#[test]
fn rows_of_hivemq() {
    for (salt, hash, password) in [
        (
            "Nv6NU9XY7tvHdSGaKmNTOw==",
            "wtUo2dri+ttHGHRpngg9uG21piWLiKSX7IaNSnU/BfN9pt+ZOLQByG/3JlPPQ7t/\
             pl8S3tjR2+Um/DPBdAQULg==",
            "backendpassword",
        ),
        (
            "JhpW27QU9WfIaG6FJT5MkQ==",
            "ZHg/rNJel1BHOYMEvc40ekCRUE5vVLcsPF6mk9GPDcdEmX3stm50MplaqjGb8Lxh\
             y6rNFQZSQRSbOxmFZ8ps1Q==",
            "clientpassword",
        ),
        (
            "wxw+3diCV4bWXQHb6LLniA==",
            "nOgr9xVnkt51Lr68KS/rAKm/LqxAt8oEki7vCerRod3qDbyMFfDBGT8obnkw+AGy\
             gxCQDWdaA2sQnXXoAbVK6Q==",
            "supersecurepassword",
        ),
    ] {
        let stored = format!("$ese-sha512$100${salt}${hash}");
        verifies(&stored, password.as_bytes());
        no_cut_is_accepted(&stored);
        let other = StoredHash::parse(&stored.replace("$100$", "$101$")).unwrap();
        assert!(!other.verify(password.as_bytes()).unwrap());
        too_costly(&stored.replace("$100$", "$2000001$"));
        malformed(&stored.replace("$100$", "$0$"));
        malformed(&stored.replace("$100$", "$-1$"));
        malformed(&stored.replace(&format!("${salt}$"), "$c2hvcnQ=$"));
    }
}

/// Computed with Python's hashlib.
#[test]
fn one_salted_hash() {
    for stored in [
        "$salted-sha256$prefix$MDEyMzQ1Njc4OWFiY2RlZg$j97FnIGc8CAcMPPA53TDJOFeYZ4BzqOBpemyTkgmPnw",
        "$salted-sha256$suffix$MDEyMzQ1Njc4OWFiY2RlZg$TycnyLJ5QhE2eprQH+cZDi318lzhJ/29M/zKKptu2m4",
        "$salted-sha512$prefix$MDEyMzQ1Njc4OWFiY2RlZg$\
         uWKMOWy3FqzZfDPg9J7627uM1oVpc0ziH8wm3+mN/r9oQeKcXdnchV/jH9Z5Zmzt8bevnkGU6nsW6+XE9y1+TQ",
        "$salted-sha512$suffix$MDEyMzQ1Njc4OWFiY2RlZg$\
         uIMBRJDYyi++ydl2YpjLqJsD4FEOY4x6dYBTjdryDtlK4nDiaGfezq9n4Yt9tUKSnHDcO95zcLlVgujbGyXJFg",
    ] {
        verifies(stored, PASSWORD);
        no_cut_is_accepted(stored);
    }
    malformed(
        "$salted-sha256$middle$MDEyMzQ1Njc4OWFiY2RlZg$j97FnIGc8CAcMPPA53TDJOFeYZ4BzqOBpemyTkgmPnw",
    );
    malformed(
        "$salted-sha512$prefix$MDEyMzQ1Njc4OWFiY2RlZg$j97FnIGc8CAcMPPA53TDJOFeYZ4BzqOBpemyTkgmPnw",
    );
}

/// Computed with Python's hashlib: what the libraries here agree on among themselves could be wrong.
#[test]
fn hashes_of_others() {
    for stored in [
        "$scrypt$ln=4,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$OAkZqUBelG6VIYdTJfYSENL5Om\
             ZRxMa3GwXn5oFliTg",
        "$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$cBg8D2DungRB9k76szThf5ehf\
             yBz991ay6PT8Srwk4M",
        "$pbkdf2-sha512$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$OM0FAoIqCVK1sWtxDiffVlBej\
             tLa+ks4TP71JiecwuSZCG8iLbnlIEPOMoVX+i2B2wkSxjQ8CRGR9OkNGuIPMQ",
        "$6$dHdlbHZlIGJ5dGVz$YYM06ssfmQH9NV69YjPqpNXGPKzgBzqazj7DavYb1aEG8UUkAT\
             oyJ8azRLUtfRmNtHCy4Ojw0B8kg4wPIp/p0Q==",
        "$7$101$dHdlbHZlIGJ5dGVz$lJ52z3hAwLa+BDIdLIO25mhVx/bPzos30D17l1I/0/AQEY\
             6bVa1h0/ImFT6/pPb+TCKv/rkojQi5RPb9cZtUTA==",
    ] {
        verifies(stored, PASSWORD);
        no_cut_is_accepted(stored);
    }
}

/// As Mosquitto 2.1 writes it by default: its parameters are under the caps.
#[test]
fn argon2id_of_mosquitto() {
    let tail = format!("{}${}", phc(SALT), phc(&[7; 32]));
    assert!(StoredHash::parse(&format!("$argon2id$v=19$m=47104,t=1,p=1${tail}")).is_ok());
}

#[test]
fn plain_text_and_strangers_are_not_hashes() {
    for stored in ["", "secret", "$", "$1$salt$hash", "$5$a$b", "$argon2i$v=19$m=64,t=1,p=1$a$b"] {
        let error = StoredHash::parse(stored).unwrap_err();
        assert!(matches!(error, HashError::Unsupported(_)), "{stored}: {error:?}");
    }
    malformed(&format!("$6${}", "x".repeat(2000)));
}
