//! `password_file` of mosquitto: `USER:HASH` a line, whose hashes the plugin `password-file` verifies as they are. That
//! plugin refuses a file with one line that it does not understand; mosquitto skips such lines.

use std::collections::BTreeMap;

use super::{ImportError, Imported, Note};
use crate::password_file::check_user;

/// A password file with the users whose hashes can be verified.
pub(crate) fn convert(text: &str) -> Result<Imported<String>, ImportError> {
    let mut lost = Vec::new();
    let mut users: Vec<(usize, &str, &str)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        match user(line) {
            Ok((name, hash)) => users.push((number, name, hash)),
            Err(text) => lost.push(Note::new(number, format!("left out: {text}"))),
        }
    }
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, name, _) in &users {
        *count.entry(*name).or_default() += 1;
    }
    let mut made = "# Made of a password_file of mosquitto by `portcullis import`.\n".to_owned();
    let mut written = 0;
    for (number, name, hash) in users {
        if count.get(name) != Some(&1) {
            let text = "left out: the user stands on several lines, and only one password is right";
            lost.push(Note::new(number, text));
            continue;
        }
        made.push_str(&format!("{name}:{hash}\n"));
        written += 1;
    }
    if written == 0 {
        return Err(ImportError::Whole("has no user that could be brought over".to_owned()));
    }
    lost.sort_by_key(|note| note.line);
    Ok(Imported { made, lost, notes: Vec::new() })
}

/// User and hash of a line, parted as mosquitto parts them: what is behind a second colon does not count.
fn user(line: &str) -> Result<(&str, &str), String> {
    let (name, rest) = line.split_once(':').ok_or("no colon between user and hash")?;
    let name = name.trim();
    let hash = rest.split(':').next().unwrap_or_default().trim();
    check_user(name).map_err(|failure| failure.to_string())?;
    if hash.is_empty() {
        return Err("no hash".to_owned());
    }
    plugin_host::check_stored_hash(hash).map_err(|what| {
        let plain = !hash.starts_with('$');
        let hint = if plain { "; `mosquitto_passwd -U` hashes plain passwords" } else { "" };
        format!("the hash {what}{hint}")
    })?;
    Ok((name, hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$7$101$cG9ydGN1bGxpcy1h$7VgJqOTojpNK6/ko0wjNyD7rYjwrTELUUZUQxH2RsIeW5Bj8vLyLpwGwqjI+8gqhf3WVeYtzX7nkSHvNQbrmTg==";

    #[test]
    fn users_come_over_as_they_are() {
        let text = format!("# comment\n\nalice:{HASH}\r\n bob : {HASH} \ncarol:{HASH}:more\n");
        let imported = convert(&text).unwrap();
        assert_eq!(imported.lost, []);
        let lines: Vec<_> = imported.made.lines().skip(1).map(str::to_owned).collect();
        let expected = ["alice", "bob", "carol"].map(|user| format!("{user}:{HASH}"));
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_the_plugin_would_refuse_is_left_out() {
        let cut = &HASH[..HASH.len() - 8];
        let text = format!(
            "alice:{HASH}\nnobody\n:{HASH}\nbob:\nbob2:plain\ncarol:{cut}\ndave:{HASH}\ndave:{HASH}\n\
             eve:$7$99999999$cG9ydGN1bGxpcy1h$aa==\n"
        );
        let imported = convert(&text).unwrap();
        assert!(imported.made.ends_with(&format!("\nalice:{HASH}\n")), "{}", imported.made);
        let lines: Vec<_> = imported.lost.iter().map(|note| note.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 9]);
        let told = format!("{:?}", imported.lost);
        assert!(told.contains("mosquitto_passwd -U") && !told.contains(cut), "{told}");
    }

    #[test]
    fn a_file_without_users_is_refused() {
        for text in ["", "# alice\n", "alice:plain\n"] {
            assert!(matches!(convert(text), Err(ImportError::Whole(_))), "{text}");
        }
    }
}
