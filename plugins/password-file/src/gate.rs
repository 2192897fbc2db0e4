//! The answers to a CONNECT, and the check of the whole file. Knows the host only as a trait, so
//! that all of it runs in native tests.

use portcullis_plugin::{Error, Outcome};
use serde::Deserialize;

use crate::{entry, lines};

/// What the plugin needs from its host.
pub(crate) trait PasswordHost {
    /// A range of the file; none at its end.
    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, Error>;
    /// The lines of one user.
    fn lookup(&self, user: &str) -> Result<Vec<Vec<u8>>, Error>;
    /// Whether a stored hash can be verified; the error is a sentence that fits behind "the hash ".
    fn check_hash(&self, hash: &str) -> Result<(), String>;
    /// Whether a password is the one that was hashed.
    fn verify(&self, hash: &str, password: &[u8]) -> Result<bool, VerifyError>;
}

/// Why a password could not be verified.
#[derive(Debug)]
pub(crate) enum VerifyError {
    /// Too many wait already.
    Busy,
    /// The stored hash is no good; a sentence that fits behind "the hash ".
    Hash(String),
}

/// The table `[config]` of the manifest.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    unknown_user: UnknownUser,
}

/// What to say of a user who is not in the file.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnknownUser {
    /// Refuse, as if the password were wrong.
    #[default]
    Deny,
    /// Leave it to the next link.
    Next,
}

/// Judges clients by the file.
#[derive(Debug)]
pub(crate) struct Gate<H> {
    host: H,
    settings: Settings,
    /// The costliest hash near the start of the file: an unknown user's password is verified against
    /// it, and the result thrown away, so that the time of the answer does not tell who exists.
    example_hash: String,
}

/// What a check of the whole file found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// How many users there are.
    pub(crate) users: u64,
    /// The first line whose hash costs more than the example.
    pub(crate) costlier_line: Option<u64>,
}

/// Bytes of the file that an example is looked for in: one part, read for every instance.
const EXAMPLE_BYTES_MAX: usize = 256 * 1024;

impl<H: PasswordHost> Gate<H> {
    /// Reads the start of the file, at least as far as its first user.
    ///
    /// # Errors
    /// The file has no user, or a line before the first one is wrong.
    pub(crate) fn open(host: H, settings: Settings) -> Result<Self, Error> {
        let mut example: Option<(u64, String)> = None;
        let mut bytes = 0;
        lines::for_each(
            |offset, length| host.read(offset, length),
            |number, line| {
                bytes += line.len() + 1;
                let entry = match parse(number, line) {
                    Ok(entry) => entry,
                    // Behind the first user it is for the check of the whole file to say.
                    Err(_) if example.is_some() => None,
                    Err(error) => return Err(error),
                };
                if let Some(entry) = entry {
                    let cost = hash_cost::of(entry.hash);
                    if example.as_ref().is_none_or(|(known, _)| cost > *known) {
                        example = Some((cost, entry.hash.to_owned()));
                    }
                }
                Ok(example.is_none() || bytes < EXAMPLE_BYTES_MAX)
            },
        )?;
        let (_, example_hash) =
            example.ok_or_else(|| Error::misconfigured("passwords: the file has no user"))?;
        Ok(Self { host, settings, example_hash })
    }

    /// Checks every line. The file is read part by part, and a name
    /// that stands twice is found by the host's index: the plugin's memory does not grow with the
    /// file.
    ///
    /// # Errors
    /// The first line that is wrong, by its number.
    pub(crate) fn check_file(&self) -> Result<Checked, Error> {
        let mut checked = Checked { users: 0, costlier_line: None };
        let example_cost = hash_cost::of(&self.example_hash);
        lines::for_each(
            |offset, length| self.host.read(offset, length),
            |number, line| {
                if let Some(entry) = parse(number, line)? {
                    self.check_entry(number, &entry)?;
                    checked.users += 1;
                    if checked.costlier_line.is_none() && hash_cost::of(entry.hash) > example_cost {
                        checked.costlier_line = Some(number);
                    }
                }
                Ok(true)
            },
        )?;
        Ok(checked)
    }

    /// Says who may pass.
    ///
    /// # Errors
    /// The password could not be verified.
    pub(crate) fn judge(
        &self,
        username: Option<&str>,
        password: Option<&[u8]>,
    ) -> Result<Outcome, Error> {
        let Some(username) = username else {
            return Ok(Outcome::Next);
        };
        let password = password.unwrap_or_default();
        if password.is_empty() {
            return Ok(Outcome::bad_credentials());
        }
        let found = self.host.lookup(username)?;
        match found.as_slice() {
            [] => self.judge_unknown(password),
            [line] => self.judge_known(username, line, password),
            _ => Err(Error::misconfigured("passwords: the user stands on more than one line")),
        }
    }

    fn judge_unknown(&self, password: &[u8]) -> Result<Outcome, Error> {
        if self.settings.unknown_user == UnknownUser::Next {
            return Ok(Outcome::Next);
        }
        self.verify(&self.example_hash, password)?;
        Ok(Outcome::bad_credentials())
    }

    fn judge_known(&self, username: &str, line: &[u8], password: &[u8]) -> Result<Outcome, Error> {
        let entry = match entry::parse(lines::without_end(line)) {
            Ok(Some(entry)) if entry.user == username => entry,
            // The self-test let this file through, so host and plugin disagree on what a line is.
            _ => return Err(Error::internal("passwords: the index found another line")),
        };
        if self.verify(entry.hash, password)? {
            return Ok(Outcome::allow(username));
        }
        // A refusal that came sooner than an unknown user's would tell that this one exists.
        if hash_cost::of(entry.hash) < hash_cost::of(&self.example_hash) {
            self.verify(&self.example_hash, password)?;
        }
        Ok(Outcome::bad_credentials())
    }

    fn verify(&self, hash: &str, password: &[u8]) -> Result<bool, Error> {
        self.host.verify(hash, password).map_err(|error| match error {
            VerifyError::Busy => Error::unavailable("too many password verifications wait already"),
            VerifyError::Hash(why) => Error::misconfigured(format!("passwords: the hash {why}")),
        })
    }

    fn check_entry(&self, number: u64, entry: &entry::Entry<'_>) -> Result<(), Error> {
        self.host
            .check_hash(entry.hash)
            .map_err(|why| wrong_line(number, &format!("the hash {why}")))?;
        match self.host.lookup(entry.user)?.len() {
            1 => Ok(()),
            0 => Err(wrong_line(number, "is not found by the index of the broker")),
            count => Err(wrong_line(number, &format!("has a user who stands on {count} lines"))),
        }
    }
}

fn parse(number: u64, line: &[u8]) -> Result<Option<entry::Entry<'_>>, Error> {
    entry::parse(line).map_err(|why| wrong_line(number, why))
}

fn wrong_line(number: u64, why: &str) -> Error {
    Error::misconfigured(format!("passwords: line {number}: {why}"))
}

#[cfg(test)]
mod tests;
