//! Topic permissions from a TOML file of rules.
//!
//! - *Owns* the way from the rules of the file (`acl-rules`) to an answer (`list`).
//! - *Knows nothing of* topics that are published: it hands rules to the host, which compiles and
//!   applies them.
//! - *Invariant*: a file that cannot be understood to the last key is refused; a file without rules
//!   denies everything (CVE-2018-12550), whatever other links say.

mod list;

use std::str;

use portcullis_plugin::{Answer, Authorizer, Config, Error, Plugin, Subject, export, host};

use list::List;

/// The plugin.
#[derive(Debug)]
pub struct AclFile(List);

impl Plugin for AclFile {
    fn init(config: &Config) -> Result<Self, Error> {
        config.expect_empty()?;
        let content = host::files::read_whole(FILE, FILE_BYTES_MAX)?;
        let text = str::from_utf8(&content)
            .map_err(|error| Error::misconfigured(format!("acl: is not UTF-8: {error}")))?;
        let document =
            acl_rules::parse(text).map_err(|why| Error::misconfigured(format!("acl: {why}")))?;
        Ok(Self(List::new(document)))
    }

    fn self_test(&self) -> Result<(), Error> {
        if self.0.is_empty() {
            host::log::warn("the file has no rules: everything is denied");
        } else {
            host::log::info(&format!("{} rules", self.0.len()));
        }
        Ok(())
    }
}

impl Authorizer for AclFile {
    fn permissions(&self, subject: &Subject) -> Result<Answer, Error> {
        Ok(self.0.answer(subject))
    }
}

export!(AclFile with authorizer);

/// Its name under `[files]` in the manifest.
const FILE: &str = "acl";
/// Each instance keeps the rules in its memory of 16 MiB, so this is far below that.
const FILE_BYTES_MAX: u64 = 1 << 20;
