//! A guest of the tests that tries what the standard library offers, which for `wasm32-wasip2` is WASI.
//! The username says what, the password is its argument, and the Reason String of the denial is what
//! came of it.

#![allow(
    clippy::panic,
    clippy::exit,
    clippy::disallowed_methods,
    reason = "that is what it is there to try"
)]

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::BuildHasher,
    io::{self, Read},
    process, thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use portcullis_plugin::{
    Authenticator, Config, Connection, Credentials, Error, Outcome, Plugin, export, reason_code,
};

/// The guest.
#[derive(Debug)]
pub struct Wasi;

impl Plugin for Wasi {
    fn init(_: &Config) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl Authenticator for Wasi {
    fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        let what = connection.username.as_deref().unwrap_or_default();
        let password = credentials.password.as_deref().unwrap_or_default();
        let told = attempt(what, &String::from_utf8_lossy(password));
        Ok(Outcome::deny(reason_code::NOT_AUTHORIZED, told))
    }
}

export!(Wasi with authenticator);

fn attempt(what: &str, argument: &str) -> String {
    match what {
        "environment" => format!("{:?} {:?}", env::vars().count(), env::args().count()),
        "read" => told(fs::read(argument).map(|bytes| bytes.len())),
        "write" => told(fs::write(argument, "x")),
        "folder" => told(fs::read_dir(argument).map(Iterator::count)),
        "stdin" => told(io::stdin().read(&mut [0; 16])),
        "print" => {
            println!("{argument}");
            eprintln!("{argument}");
            "printed".to_owned()
        }
        "flood" => {
            for _ in 0..1_000 {
                println!("{argument}");
            }
            "printed".to_owned()
        }
        "time" => told(SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs())),
        "random" => format!("ok: {}", RandomState::new().hash_one(0)),
        "sleep" => {
            thread::sleep(Duration::from_millis(argument.parse().unwrap_or_default()));
            "slept".to_owned()
        }
        "exit" => process::exit(0),
        "panic" => panic!("{argument}"),
        other => format!("no attempt {other}"),
    }
}

fn told<T: std::fmt::Debug, E: std::fmt::Debug>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("ok: {value:?}"),
        Err(error) => format!("error: {error:?}"),
    }
}
