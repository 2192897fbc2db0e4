//! The shape of a topic in a rule: an MQTT topic filter with the two variables that the host fills
//! in.

/// Checks a topic filter (MQTT 5.0 section 4.7) that may hold `${clientid}` and `${username}`.
///
/// # Errors
/// A sentence. The host would refuse most of it too, but with the whole grant and in other words.
pub(crate) fn check(topic: &str) -> Result<(), String> {
    if topic.is_empty() {
        return Err("its topic is empty".to_owned());
    }
    if topic.len() > TOPIC_BYTES_MAX {
        return Err(format!("its topic has over {TOPIC_BYTES_MAX} bytes"));
    }
    if topic.contains('\0') {
        return Err("its topic holds a NUL character".to_owned());
    }
    if topic == "$share" || topic.starts_with("$share/") {
        return Err("its topic begins with $share/: rules name the filter behind it".to_owned());
    }
    // A misspelt variable would be a literal that no topic matches: harmless in an allow rule, a
    // hole in a deny rule.
    let mut parts = topic.split("${").skip(1);
    if !parts.all(|part| VARIABLES.iter().any(|variable| part.starts_with(variable))) {
        return Err("its topic: the variables are ${clientid} and ${username}".to_owned());
    }
    let mut levels = topic.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains(['+', '#']) && level.len() > 1 {
            return Err("its topic: a wildcard has to stand alone in its level".to_owned());
        }
        if level == "#" && levels.peek().is_some() {
            return Err("its topic: `#` has to be the last level".to_owned());
        }
    }
    Ok(())
}

/// Whether a text is a share name (MQTT 5.0 section 4.8.2).
pub(crate) fn is_share_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '+', '#', '\0'])
}

/// Length of any MQTT string.
const TOPIC_BYTES_MAX: usize = 65_535;
const VARIABLES: [&str; 2] = ["clientid}", "username}"];
