//! The shape of a topic in a rule: an MQTT topic filter with the two variables that the host fills
//! in. The host would refuse most of what is wrong too, but for each client and later.

/// Checks a topic filter (MQTT 5.0 section 4.7) that may hold `${clientid}` and `${username}`.
///
/// # Errors
/// A sentence for the operator.
pub fn check(topic: &str) -> Result<(), String> {
    if topic.is_empty() {
        return Err("`topic` is empty".to_owned());
    }
    if topic.len() > BYTES_MAX {
        return Err(format!("`topic` is longer than {BYTES_MAX} bytes"));
    }
    if topic.contains('\0') {
        return Err("`topic` holds a NUL character".to_owned());
    }
    if topic == "$share" || topic.starts_with("$share/") {
        return Err("`topic` starts with $share/: write the filter behind the share name, and \
                    `shared = \"NAME\"`"
            .to_owned());
    }
    // A misspelt variable would be a literal that no topic matches: harmless in an allow rule, a
    // hole in a deny rule.
    for part in topic.split("${").skip(1) {
        if !VARIABLES.iter().any(|variable| part.starts_with(variable)) {
            return Err(format!(
                "`topic` {topic:?}: the variables are ${{clientid}} and ${{username}}"
            ));
        }
    }
    let mut levels = topic.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains(['+', '#']) && level.len() > 1 {
            return Err(format!("`topic` {topic:?}: the wildcard in `{level}` has to stand alone"));
        }
        if level == "#" && levels.peek().is_some() {
            return Err(format!("`topic` {topic:?}: `#` has to be the last level"));
        }
    }
    Ok(())
}

/// Whether a text is a share name (MQTT 5.0 section 4.8.2).
#[must_use]
pub fn is_share_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '+', '#', '\0'])
}

/// Length of any MQTT string.
const BYTES_MAX: usize = 65_535;
const VARIABLES: [&str; 2] = ["clientid}", "username}"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_filter_and_what_is_none() {
        for fine in ["a", "#", "+/a/#", "a/${clientid}/${username}", "/", "$SYS/#", "a//b"] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for (topic, why) in [
            ("", "empty"),
            ("a\0", "NUL"),
            ("$share/g/a", "$share/"),
            ("a/${client_id}", "variables"),
            ("a+/b", "stand alone"),
            ("a/#/b", "last level"),
        ] {
            let error = check(topic).expect_err(topic);
            assert!(error.contains(why), "{topic}: {error}");
        }
        assert!(check(&"x".repeat(65_536)).is_err());
        assert!(is_share_name("g") && !is_share_name("") && !is_share_name("a/b"));
    }
}
