//! The host's interfaces as guests meet them: each answer goes by the tape of the instance (`recording/tape.rs`),
//! which writes it down, or tells it in place of the host. What the answers are is in `capability/`.

use std::result::Result as R;

use wasmtime::component::{HasData, Linker};

use crate::{
    bindings::portcullis::plugin::{
        broker, cache_control, clock, config, crypto, files, http_client, jwt, keys, ldap, log,
        metrics, random, secrets, sql, state, types,
    },
    instance::State,
};

/// The state of an instance, behind its tape.
pub(crate) struct Taped<'a>(&'a mut State);

/// The type that linking is done with.
struct Behind;

impl HasData for Behind {
    type Data<'a> = Taped<'a>;
}

/// Gives each interface its calls; those that wait say so.
macro_rules! taped {
    (@one $interface:ident, fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        fn $name(&mut self, $($argument: $type),*) -> wasmtime::Result<$answer> {
            let called = concat!(stringify!($interface), ".", stringify!($name));
            if let Some(told) = self.0.tape.play(called)? {
                return Ok(told);
            }
            let answer = $interface::Host::$name(self.0, $($argument),*)?;
            self.0.tape.note(called, &answer);
            Ok(answer)
        }
    };
    (@one $interface:ident, async fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        async fn $name(&mut self, $($argument: $type),*) -> wasmtime::Result<$answer> {
            let called = concat!(stringify!($interface), ".", stringify!($name));
            if let Some(told) = self.0.tape.play(called)? {
                return Ok(told);
            }
            let answer = $interface::Host::$name(self.0, $($argument),*).await?;
            self.0.tape.note(called, &answer);
            Ok(answer)
        }
    };
    ($($interface:ident { $([$($call:tt)*])* })*) => {
        $(impl $interface::Host for Taped<'_> {
            $(taped!(@one $interface, $($call)*);)*
        })*

        /// Links every interface.
        pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
            $($interface::add_to_linker::<_, Behind>(linker, |state| Taped(state))?;)*
            Ok(())
        }
    };
}

taped! {
    types {}
    log {
        [fn emit(level: log::Level, message: String, fields: Vec<log::Field>) -> ()]
        [fn enabled(level: log::Level) -> bool]
    }
    config {
        [fn json() -> String]
        [fn get(key: String) -> Option<String>]
    }
    files {
        [fn size(name: String) -> R<u64, files::Error>]
        [fn read(name: String, offset: u64, length: u32) -> R<Vec<u8>, files::Error>]
        [async fn lookup(
            name: String,
            separator: char,
            key: String
        ) -> R<Vec<Vec<u8>>, files::Error>]
    }
    clock {
        [fn now_unix_ms() -> u64]
        [fn monotonic_ns() -> u64]
    }
    random {
        [fn bytes(length: u32) -> Vec<u8>]
    }
    crypto {
        [async fn verify_password(stored: String, password: Vec<u8>) -> R<bool, crypto::Error>]
        [fn check_hash(stored: String) -> R<(), crypto::Error>]
        [fn constant_time_equal(a: Vec<u8>, b: Vec<u8>) -> bool]
        [fn sha256(data: Vec<u8>) -> Vec<u8>]
    }
    secrets {
        [fn names() -> Vec<String>]
        [fn reveal(name: String) -> R<Vec<u8>, secrets::Error>]
    }
    keys {
        [fn hmac(hash: keys::Hash, secret: String, data: Vec<u8>) -> R<Vec<u8>, keys::Error>]
        [fn seal(
            key: String,
            plaintext: Vec<u8>,
            associated_data: Vec<u8>
        ) -> R<Vec<u8>, keys::Error>]
        [fn open(key: String, sealed: Vec<u8>, associated_data: Vec<u8>) -> R<Vec<u8>, keys::Error>]
        [fn seal_for(
            key: String,
            context: String,
            plaintext: Vec<u8>,
            associated_data: Vec<u8>
        ) -> R<Vec<u8>, keys::Error>]
        [fn open_for(
            key: String,
            context: String,
            sealed: Vec<u8>,
            associated_data: Vec<u8>
        ) -> R<Vec<u8>, keys::Error>]
    }
    jwt {
        [async fn verify(verifier: String, token: String) -> R<String, jwt::Error>]
    }
    metrics {
        [fn add(name: String, amount: u64) -> ()]
        [fn set(name: String, value: f64) -> ()]
        [fn observe(name: String, value: f64) -> ()]
    }
    state {
        [async fn get(key: String) -> R<Option<state::Entry>, state::Error>]
        [async fn set(
            key: String,
            value: Vec<u8>,
            ttl_seconds: Option<u32>
        ) -> R<u64, state::Error>]
        [async fn compare_and_set(
            key: String,
            expected: Option<u64>,
            value: Vec<u8>,
            ttl_seconds: Option<u32>
        ) -> R<Option<u64>, state::Error>]
        [async fn increment(
            key: String,
            amount: i64,
            ttl_seconds: Option<u32>
        ) -> R<i64, state::Error>]
        [async fn delete(key: String) -> R<bool, state::Error>]
    }
    http_client {
        [async fn send(
            request: http_client::Request
        ) -> R<http_client::Response, http_client::Error>]
    }
    sql {
        [async fn query(
            source: String,
            statement: String,
            parameters: Vec<sql::Value>
        ) -> R<sql::Rows, sql::Error>]
        [async fn execute(
            source: String,
            statement: String,
            parameters: Vec<sql::Value>
        ) -> R<u64, sql::Error>]
    }
    ldap {
        [async fn bind(
            source: String,
            dn: String,
            password: Vec<u8>
        ) -> R<bool, ldap::Error>]
        [async fn compare(
            source: String,
            dn: String,
            attribute: String,
            value: Vec<u8>
        ) -> R<bool, ldap::Error>]
        [async fn search(
            source: String,
            base: String,
            scope: ldap::Scope,
            filter: String,
            values: Vec<String>,
            attributes: Vec<String>
        ) -> R<Vec<ldap::Entry>, ldap::Error>]
        [fn escape_dn(value: String) -> String]
    }
    cache_control {
        [fn invalidate_client(client_id: String) -> ()]
        [fn invalidate_principal(principal: String) -> ()]
        [fn invalidate_all() -> ()]
    }
    broker {
        [fn publish(message: broker::Message) -> R<u32, broker::Error>]
        [fn disconnect(client_id: String, reason_code: u8) -> R<bool, broker::Error>]
        [fn subscriptions(client_id: String) -> R<Option<Vec<broker::Subscription>>, broker::Error>]
    }
}
