//! Whether a topic is one of the usual ones that the configuration names.

/// Whether a filter with variables selects a topic of this client. A value that could be more than
/// a part of one level makes nothing usual.
pub(crate) fn selects(filter: &str, topic: &str, (principal, client_id): (&str, &str)) -> bool {
    let mut filter = filter.to_owned();
    for (variable, value) in [("${clientid}", client_id), ("${username}", principal)] {
        if !filter.contains(variable) {
            continue;
        }
        // A value that holds a variable of its own would be filled in again.
        if value.is_empty() || value.contains(['+', '#', '/', '$']) {
            return false;
        }
        filter = filter.replace(variable, value);
    }
    matches(&filter, topic)
}

/// MQTT 5.0 section 4.7.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for level in filter.split('/') {
        match (level, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(found)) if level == found => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &str, topic: &str, expected: bool) {
        assert_eq!(selects(filter, topic, ("alice", "press-1")), expected, "{filter} {topic}");
    }

    #[test]
    fn filters_select_topics() {
        check("a/b", "a/b", true);
        check("a/b", "a/b/c", false);
        check("a/b/c", "a/b", false);
        check("a/+", "a/", true);
        check("a/+", "a/b/c", false);
        check("a/#", "a", true);
        check("a/#", "a/b/c", true);
        check("a/#", "ab", false);
        check("#", "$SYS/x", false);
        check("#", "x", true);
        check("${username}/${clientid}/#", "alice/press-1/x", true);
        check("${username}/${clientid}/#", "alice/press-2/x", false);
        check("x-${username}", "x-alice", true);
        assert!(!selects("${clientid}/x", "a/b/x", ("alice", "a/b")));
        assert!(!selects("${clientid}/x", "y/x", ("alice", "+")));
        assert!(!selects("${clientid}/x", "alice/x", ("alice", "${username}")));
    }
}
