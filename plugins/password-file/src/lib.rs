//! Names and passwords from a file of lines `user:hash`, in the formats that the host can verify.
//!
//! - *Owns* the rules of that file (`entry`, `lines`), how dear a hash is (`cost`), and the answers
//!   to a CONNECT (`gate`).
//! - *Knows nothing of* hashing: the host verifies, in constant time and on its own CPU budget.
//! - *Invariant*: a file with one line that cannot be understood is refused as a whole. The file
//!   never enters the plugin's memory whole, so its size does not matter.

mod entry;
mod gate;
mod lines;

use portcullis_plugin::{
    Authenticator, Config, Connection, Credentials, Error, Outcome, Plugin, export, host,
};

use gate::{Gate, PasswordHost, Settings, VerifyError};

/// The plugin.
#[derive(Debug)]
pub struct PasswordFile(Gate<Broker>);

impl Plugin for PasswordFile {
    fn init(config: &Config) -> Result<Self, Error> {
        let settings: Settings = config.parse()?;
        Gate::open(Broker, settings).map(Self)
    }

    fn self_test(&self) -> Result<(), Error> {
        let checked = self.0.check_file()?;
        host::log::info(&format!("{} users", checked.users));
        if let Some(line) = checked.costlier_line {
            host::log::warn(&format!(
                "passwords: line {line}: the hash costs more than all near the start of the file; \
                 answers that take less time tell that a user is not it: move the line up"
            ));
        }
        Ok(())
    }
}

impl Authenticator for PasswordFile {
    fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        self.0.judge(connection.username.as_deref(), credentials.password.as_deref())
    }
}

export!(PasswordFile with authenticator);

/// The functions of the broker.
#[derive(Debug)]
struct Broker;

impl PasswordHost for Broker {
    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        Ok(host::files::read(FILE, offset, length)?)
    }

    fn lookup(&self, user: &str) -> Result<Vec<Vec<u8>>, Error> {
        Ok(host::files::lookup(FILE, entry::SEPARATOR, user)?)
    }

    fn check_hash(&self, hash: &str) -> Result<(), String> {
        host::crypto::check_hash(hash).map_err(|error| error.sentence())
    }

    fn verify(&self, hash: &str, password: &[u8]) -> Result<bool, VerifyError> {
        host::crypto::verify_password(hash, password).map_err(|error| match error {
            host::crypto::Error::Busy => VerifyError::Busy,
            other => VerifyError::Hash(other.sentence()),
        })
    }
}

/// Its name under `[files]` in the manifest.
const FILE: &str = "passwords";
