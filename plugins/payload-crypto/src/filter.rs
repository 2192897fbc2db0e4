//! Topic Filters of rules: their shape, and which topics they match (MQTT 5.0 section 4.7).

/// A checked Topic Filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter(String);

impl Filter {
    /// # Errors
    /// A sentence on what is wrong with it.
    pub(crate) fn new(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > BYTES_MAX || text.contains('\0') {
            return Err(format!(
                "topic {text:?} is no Topic Filter: 1 to {BYTES_MAX} bytes, no NUL"
            ));
        }
        if text == "$share" || text.starts_with("$share/") {
            return Err(format!("topic {text:?}: write the filter behind the share name"));
        }
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let whole = !level.contains(['+', '#']) || level.len() == 1;
            if !whole || (level == "#" && levels.peek().is_some()) {
                return Err(format!(
                    "topic {text:?}: a wildcard stands alone in its level, and # in the last one"
                ));
            }
        }
        Ok(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every topic that it matches has a level `number`, counted from 1.
    pub(crate) fn has_level(&self, number: usize) -> bool {
        self.0.split('/').take_while(|level| *level != "#").count() >= number
    }

    /// No filter that begins with a wildcard matches a topic that begins with `$` [MQTT-4.7.2-1].
    pub(crate) fn matches(&self, topic: &str) -> bool {
        if topic.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = topic.split('/');
        for wanted in self.0.split('/') {
            match (wanted, levels.next()) {
                ("#", _) | ("+", Some(_)) => {}
                (wanted, Some(level)) if wanted == level => {}
                _ => return false,
            }
            if wanted == "#" {
                return true;
            }
        }
        levels.next().is_none()
    }
}

/// Length of any MQTT string.
const BYTES_MAX: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::new(text.to_owned()).unwrap()
    }

    #[test]
    fn what_matches() {
        for (text, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b", "a", false),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("+/b", "/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("+", "a/b", false),
        ] {
            assert_eq!(filter(text).matches(topic), expected, "{text} {topic}");
        }
    }

    #[test]
    fn what_is_no_filter() {
        for text in ["", "a\0", "a+", "#/a", "a/#/b", "a#", "$share/g/t", "$share"] {
            assert!(Filter::new(text.to_owned()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn levels_that_are_always_there() {
        for (text, level, expected) in
            [("a/+/b", 2, true), ("a/+/b", 4, false), ("a/#", 1, true), ("a/#", 2, false)]
        {
            assert_eq!(filter(text).has_level(level), expected, "{text} {level}");
        }
    }
}
