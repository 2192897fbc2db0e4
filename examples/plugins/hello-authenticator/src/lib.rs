//! Lets in whoever sends a user name and the password of the manifest. An example: read it from top
//! to bottom.

use portcullis_plugin::{
    Authenticator, Config, Connection, Credentials, Error, Grant, Outcome, Plugin, export, host,
};
use serde::Deserialize;

/// The state of one instance: here, the table `[config]` of the manifest. A misspelt key is an
/// error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    greeting: String,
    #[serde(default)]
    groups: Vec<String>,
}

impl Plugin for Hello {
    // An error here keeps the plugin from going live; its text is what the operator reads.
    fn init(config: &Config) -> Result<Self, Error> {
        let hello: Self = config.parse()?;
        if hello.greeting.is_empty() {
            return Err(Error::misconfigured("[config] greeting: must not be empty"));
        }
        Ok(hello)
    }
}

impl Authenticator for Hello {
    fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        // Who claims no name, or has no password, is not ours to judge.
        let (Some(name), Some(password)) = (&connection.username, &credentials.password) else {
            return Ok(Outcome::Next);
        };
        if !same(password, self.greeting.as_bytes()) {
            return Ok(Outcome::bad_credentials());
        }
        host::log::info(&format!("hello, {name}"));
        // From here on the client *is* `name`: permissions are decided by this principal.
        Ok(Grant { groups: self.groups.clone(), ..Grant::new(name.as_str()) }.into())
    }
}

// Makes a component out of it. The plugin's name and version are those of Cargo.toml.
export!(Hello with authenticator);

/// In a component the host compares in constant time; native tests have no host.
fn same(a: &[u8], b: &[u8]) -> bool {
    if cfg!(target_arch = "wasm32") { host::crypto::constant_time_equal(a, b) } else { a == b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_lets_in() {
        check(Some("alice"), Some("hello"), Grant::new("alice").group("friends").into());
    }

    #[test]
    fn another_password_does_not() {
        check(Some("alice"), Some("hullo"), Outcome::bad_credentials());
        check(Some("alice"), Some(""), Outcome::bad_credentials());
    }

    #[test]
    fn without_name_or_password_the_next_link_is_asked() {
        check(None, Some("hello"), Outcome::Next);
        check(Some("alice"), None, Outcome::Next);
    }

    #[track_caller]
    fn check(username: Option<&str>, password: Option<&str>, expected: Outcome) {
        let hello = Hello { greeting: "hello".to_owned(), groups: vec!["friends".to_owned()] };
        let connection =
            Connection { username: username.map(str::to_owned), ..Connection::default() };
        let password = password.map(|password| password.as_bytes().to_vec());
        let credentials = Credentials { password, ..Credentials::default() };
        assert_eq!(hello.authenticate(&connection, &credentials).unwrap(), expected);
    }
}
