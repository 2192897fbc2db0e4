//! The shape of a topic in a rule: an MQTT topic filter with variables.

/// Checks a topic filter (MQTT 5.0 section 4.7) that may hold variables: `${clientid}`,
/// `${username}` and `${attr.NAME}`.
///
/// # Errors
/// A sentence for the operator. The host would refuse most of it too, but for each client and
/// later.
pub fn check(topic: &str) -> Result<(), String> {
    if topic.is_empty() {
        return Err("`topic` is empty".to_owned());
    }
    if topic.len() > TOPIC_BYTES_MAX {
        return Err(format!("`topic` is longer than {TOPIC_BYTES_MAX} bytes"));
    }
    if topic.contains('\0') {
        return Err("`topic` holds a NUL character".to_owned());
    }
    if topic == "$share" || topic.starts_with("$share/") {
        return Err("`topic` starts with $share/: write the filter behind the share name, and \
                    `shared = \"NAME\"`"
            .to_owned());
    }
    check_variables(topic)?;
    let mut levels = topic.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains(['+', '#']) && level.len() > 1 {
            return Err(format!("`topic`: the wildcard in `{level}` has to stand alone"));
        }
        if level == "#" && levels.peek().is_some() {
            return Err("`topic`: `#` has to be the last level".to_owned());
        }
    }
    Ok(())
}

/// Whether a text is a share name (MQTT 5.0 section 4.8.2). The host fills nothing into one: a name
/// that looks so would be no use.
#[must_use]
pub fn is_share_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '+', '#', '\0']) && !name.contains("${")
}

/// A misspelt variable would be a literal that no topic matches: harmless in an allow rule, a hole
/// in a deny rule.
fn check_variables(topic: &str) -> Result<(), String> {
    for part in topic.split("${").skip(1) {
        let Some((name, _)) = part.split_once('}') else {
            return Err("`topic`: a variable is not closed by }".to_owned());
        };
        let attribute = name.strip_prefix("attr.").is_some_and(is_attribute_name);
        if !attribute && !VARIABLES.contains(&name) {
            return Err("`topic`: the variables are ${clientid}, ${username} and ${attr.NAME}, \
                        with a NAME of letters, digits, `.`, `_` and `-`"
                .to_owned());
        }
    }
    Ok(())
}

fn is_attribute_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.chars().all(plain)
}

/// Length of any MQTT string.
const TOPIC_BYTES_MAX: usize = 65_535;
const VARIABLES: [&str; 2] = ["clientid", "username"];
