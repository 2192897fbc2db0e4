//! Columns in, a text for the host out. That the host verifies these texts is its own tests' to show.

use portcullis_plugin::host::sql::Value;

use super::*;
use crate::{
    rows::Rows,
    settings::tests::{rows, said, text},
};

fn ese_row(algorithm: &str, password: Value) -> Rows {
    let columns = ["password", "password_iterations", "password_salt", "algorithm"];
    let salt = text("wxw+3diCV4bWXQHb6LLniA==");
    Rows::new("q", rows(&columns, &[&[password, Value::Integer(100), salt, text(algorithm)]]))
}

fn read(form: Form, rows: &Rows) -> Result<Option<Stored>, Error> {
    form.read(rows.iter().next().unwrap())
}

#[track_caller]
fn is_hash(form: Form, rows: &Rows, expected: &str) {
    assert_eq!(read(form, rows).unwrap(), Some(Stored::Hash(expected.to_owned())));
}

#[test]
fn algorithms_of_the_extension() {
    let of = |algorithm: &str| ese_row(algorithm, text("bWluZQ=="));
    is_hash(Form::Ese, &of("SHA512"), "$ese-sha512$100$wxw+3diCV4bWXQHb6LLniA==$bWluZQ==");
    is_hash(Form::Ese, &of("PKCS5S2"), "$pbkdf2-sha512$i=100$wxw+3diCV4bWXQHb6LLniA$bWluZQ");
    let plain = Stored::Plain { text: "bWluZQ==".to_owned(), is_base64: true };
    assert_eq!(read(Form::Ese, &of("PLAIN")).unwrap(), Some(plain));
    is_hash(Form::Ese, &ese_row("BCRYPT", text("$2a$04$x")), "$2a$04$x");
    assert_eq!(read(Form::Ese, &ese_row("SHA512", Value::Null)).unwrap(), None);
    for (algorithm, what) in [
        ("MD5", "is MD5"),
        ("ARGON2ID", "does not begin with $"),
        ("sha512", "is none of SHA512"),
        ("", "is none of SHA512"),
    ] {
        let said = said(read(Form::Ese, &of(algorithm)));
        assert!(said.contains(what) && !said.contains("bWluZQ"), "{algorithm}: {said}");
    }
}

#[test]
fn one_salted_hash_in_hexadecimal() {
    let row = |hash: &str| {
        let columns = ["username", "password_hash", "salt"];
        Rows::new("q", rows(&columns, &[&[text("u"), text(hash), text("pepper-1")]]))
    };
    is_hash(Form::Sha256SaltFirst, &row("00fF10"), "$salted-sha256$prefix$cGVwcGVyLTE$AP8Q");
    is_hash(Form::Sha256SaltLast, &row("00ff10"), "$salted-sha256$suffix$cGVwcGVyLTE$AP8Q");
    is_hash(Form::Sha512SaltFirst, &row("00"), "$salted-sha512$prefix$cGVwcGVyLTE$AA");
    is_hash(Form::Sha512SaltLast, &row("00"), "$salted-sha512$suffix$cGVwcGVyLTE$AA");
    for odd in ["0", "0g", "$2a$"] {
        let said = said(read(Form::Sha256SaltFirst, &row(odd)));
        assert!(said.contains("is no hex"), "{said}");
    }
    is_hash(Form::Stored, &row("$7$"), "$7$");
}

#[test]
fn base64_as_others_write_it() {
    for (bytes, text) in
        [(&b""[..], ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"foob", "Zm9vYg")]
    {
        assert_eq!(base64(bytes), text);
    }
    assert_eq!(base64(&[0xfb, 0xff]), "+/8");
}
