//! `${attr.NAME}` in a topic. `${clientid}` and `${username}` are left to the host, which knows
//! them as well.

use std::borrow::Cow;

/// A topic with its attributes filled in.
#[derive(Debug, PartialEq)]
pub(crate) enum Filled<'r> {
    /// Ready for the host.
    Topic(Cow<'r, str>),
    /// The attribute is missing, or its value could mean something else than one part of one level.
    Unsafe(&'r str),
}

/// Fills in, in one pass: a value that looks like a variable is not safe.
pub(crate) fn fill<'r>(topic: &'r str, attributes: &[(&str, &str)]) -> Filled<'r> {
    if !topic.contains(OPENING) {
        return Filled::Topic(Cow::Borrowed(topic));
    }
    let mut text = String::with_capacity(topic.len());
    let mut rest = topic;
    while let Some((before, after)) = rest.split_once(OPENING) {
        // `topic::check` saw that it is closed.
        let Some((name, behind)) = after.split_once('}') else {
            return Filled::Unsafe(after);
        };
        text.push_str(before);
        match attributes.iter().find(|(found, _)| *found == name) {
            Some((_, value)) if is_safe(value) => text.push_str(value),
            _ => return Filled::Unsafe(name),
        }
        rest = behind;
    }
    text.push_str(rest);
    Filled::Topic(Cow::Owned(text))
}

/// The host's rule, and nothing from which a variable of the host could come about.
fn is_safe(value: &str) -> bool {
    let means_more = |c: char| matches!(c, '+' | '#' | '/' | '$' | '{' | '}') || c.is_control();
    !value.is_empty() && !value.contains(means_more)
}

/// What begins an attribute.
pub(crate) const OPENING: &str = "${attr.";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(topic: &str, attributes: &[(&str, &str)], expected: Result<&str, &str>) {
        let expected = match expected {
            Ok(topic) => Filled::Topic(Cow::Borrowed(topic)),
            Err(name) => Filled::Unsafe(name),
        };
        assert_eq!(fill(topic, attributes), expected);
    }

    #[test]
    fn attributes_are_filled_in() {
        let of_plant = [("plant", "berlin"), ("line", "7"), ("plant", "other")];
        check("a/${clientid}/#", &of_plant, Ok("a/${clientid}/#"));
        check("${attr.plant}/l-${attr.line}/${username}", &of_plant, Ok("berlin/l-7/${username}"));
        check("${attr.hall}/x", &of_plant, Err("hall"));
    }

    #[test]
    fn values_stay_one_part_of_one_level() {
        for value in ["", "+", "#", "a/b", "$SYS", "${clientid}", "{clientid}", "a\nb", "a}"] {
            check("x/$${attr.a}", &[("a", value)], Err("a"));
        }
    }
}
