//! `portcullis passwd FILE USER`: asks for a password, or reads it from standard input, and writes
//! its hash.

use std::{
    io::{self, BufRead, IsTerminal, Read},
    path::Path,
};

use zeroize::Zeroizing;

use crate::{
    failure::Failure,
    password_file::{self, PASSWORD_BYTES_MAX},
    scram,
};

/// Sets the line of `user` in `file`: argon2id, or what SCRAM stores with so many iterations.
pub(crate) fn run(
    file: &Path,
    user: &str,
    scram: Option<(scram::Method, u32)>,
) -> Result<(), Failure> {
    // Before asking for a password that could not be used.
    password_file::check_user(user)?;
    let stdin = io::stdin();
    let password =
        if stdin.is_terminal() { ask_twice(user)? } else { read_line(&mut stdin.lock())? };
    match scram {
        None => password_file::set(file, user, &password_file::hash(&password)?, ""),
        Some((method, iterations)) => {
            scram::check_user(user)?;
            let credential = scram::credential(method, iterations, &password)?;
            // What the user has for the other method stays.
            password_file::set(file, user, &credential, method.name())
        }
    }
}

fn ask_twice(user: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let ask = |prompt: String| {
        rpassword::prompt_password(prompt)
            .map(|password| Zeroizing::new(password.into_bytes()))
            .map_err(|error| Failure::internal("reading from the terminal", error))
    };
    let first = ask(format!("Password for {user}: "))?;
    let second = ask("Once more: ".to_owned())?;
    if first != second {
        return Err(Failure::Refused("the two passwords differ".to_owned()));
    }
    Ok(first)
}

/// The first line without its end. Never grows beyond what a password may have.
fn read_line(input: &mut impl BufRead) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut line = Zeroizing::new(Vec::with_capacity(PASSWORD_BYTES_MAX + 3));
    input
        .take(PASSWORD_BYTES_MAX as u64 + 3)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::internal("reading standard input", error))?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &[u8], expect: &[u8]) {
        assert_eq!(*read_line(&mut &*input).unwrap(), expect);
    }

    #[test]
    fn one_line_is_read_without_its_end() {
        check(b"secret\n", b"secret");
        check(b"secret\r\nmore\n", b"secret");
        check(b"se cret ", b"se cret ");
        check(b"\n", b"");
        check(b"", b"");
        check(b"\xff\xfe\n", b"\xff\xfe");
    }
}
