//! What a manifest says without what is secret in it. A secret that a plugin needs belongs into `[secrets.NAME]` of the
//! configuration, so `[config]` stays; what is left are the passwords of golden calls, and whatever comments say.

use crate::config::Config;

/// Golden calls that show what somebody is let in with.
const LOGINS: [&str; 3] = ["authenticate", "exchange", "login"];

/// The manifest without golden calls that log somebody in, and without comments; `None` = it has neither.
///
/// # Errors
/// It is no TOML: nobody knows where its secrets stand.
pub(super) fn manifest(text: &str) -> Result<Option<String>, String> {
    let faulty = |_| "it is faulty, so that nobody knows where its secrets stand".to_owned();
    let mut table: toml::Table = toml::from_str(text).map_err(faulty)?;
    let mut changed = Config::has_comments(text);
    if let Some(golden) = table.get_mut("golden").and_then(toml::Value::as_table_mut) {
        for hook in LOGINS {
            changed |= golden.remove(hook).is_some();
        }
    }
    if !changed {
        return Ok(None);
    }
    table.retain(|key, value| key != "golden" || value.as_table().is_none_or(|it| !it.is_empty()));
    // An error would be one of a value that TOML cannot say, and it came from there.
    toml::to_string(&table).map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_calls_that_log_somebody_in_and_comments_go() {
        let text = "order = 5 # password: hush\n[config]\nmark = \"# none\"\n\
                    [[golden.authenticate]]\nclient = { username = \"a\" }\n\
                    credentials = { password = \"hush\" }\nexpect = { outcome = \"allow\" }\n\
                    [[golden.login]]\nusername = \"eve\"\npassword = \"hush\"\nexpect = {}\n\
                    [[golden.exchange]]\nmethod = \"PLAIN\"\nsteps = [{ data = \"hush\" }]\n\
                    [[golden.permissions]]\nclient = { principal = \"a\" }\nexpect = {}\n";
        let told = manifest(text).unwrap().unwrap();
        assert!(!told.contains("hush"), "{told}");
        let (told, whole): (toml::Table, toml::Table) =
            (toml::from_str(&told).unwrap(), toml::from_str(text).unwrap());
        assert_eq!(told["golden"]["permissions"], whole["golden"]["permissions"]);
        assert_eq!((&told["order"], &told["config"]), (&whole["order"], &whole["config"]));
        assert_eq!(manifest("order = 5\n[config]\nmark = \"# none\"\n"), Ok(None));
        assert!(manifest("order = \n").is_err());
    }
}
