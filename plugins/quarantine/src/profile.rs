//! What one client's topics were in its time of learning, and how that is kept.

/// The profile of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    /// When learning ends, in milliseconds since 1970.
    pub(crate) until_unix_ms: u64,
    topics: Vec<String>,
}

impl Profile {
    pub(crate) const fn new(until_unix_ms: u64) -> Self {
        Self { until_unix_ms, topics: Vec::new() }
    }

    /// Reads what [`Self::to_bytes`] wrote; none of anything else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let mut parts = text.split(SEPARATOR);
        let until_unix_ms = parts.next()?.parse().ok()?;
        Some(Self { until_unix_ms, topics: parts.map(str::to_owned).collect() })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut text = self.until_unix_ms.to_string();
        for topic in &self.topics {
            text.push(SEPARATOR);
            text.push_str(topic);
        }
        text.into_bytes()
    }

    pub(crate) fn knows(&self, topic: &str) -> bool {
        self.topics.iter().any(|known| known == topic)
    }

    /// Adds a topic; false if there are too many already.
    pub(crate) fn learn(&mut self, topic: &str, topics_max: usize) -> bool {
        let length: usize = self.topics.iter().map(|topic| topic.len() + 1).sum();
        if self.topics.len() >= topics_max || length + topic.len() > BYTES_MAX {
            return false;
        }
        self.topics.push(topic.to_owned());
        true
    }
}

/// The leading levels of a topic.
pub(crate) fn leading(topic: &str, levels: Option<usize>) -> &str {
    let Some(levels) = levels else { return topic };
    let end = topic.match_indices('/').nth(levels.saturating_sub(1)).map(|(at, _)| at);
    end.and_then(|end| topic.get(..end)).unwrap_or(topic)
}

/// No topic holds it [MQTT-4.7.3-2].
const SEPARATOR: char = '\0';
/// A value of the state has at most 64 KiB.
const BYTES_MAX: usize = 60 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_survives_the_way_through_bytes() {
        let mut profile = Profile::new(17);
        assert_eq!(Profile::from_bytes(&profile.to_bytes()), Some(profile.clone()));
        assert!(profile.learn("a/b", 3) && profile.learn("", 3) && profile.learn("ä\n", 3));
        assert!(!profile.learn("one too many", 3));
        let read = Profile::from_bytes(&profile.to_bytes()).unwrap();
        assert_eq!(read, profile);
        assert!(read.knows("ä\n") && read.knows("") && !read.knows("a"));
        for bytes in [&b""[..], b"x", b"-1\0a", b"1\0\xFF"] {
            assert_eq!(Profile::from_bytes(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_profile_stays_below_what_the_state_takes() {
        let mut profile = Profile::new(1);
        let topic = "x".repeat(1_000);
        while profile.learn(&topic, 500) {}
        assert!(profile.to_bytes().len() < 64 << 10);
    }

    #[test]
    fn leading_levels() {
        for (topic, levels, expected) in [
            ("a/b/c", None, "a/b/c"),
            ("a/b/c", Some(1), "a"),
            ("a/b/c", Some(2), "a/b"),
            ("a/b/c", Some(3), "a/b/c"),
            ("a/b/c", Some(9), "a/b/c"),
            ("/a", Some(1), ""),
        ] {
            assert_eq!(leading(topic, levels), expected, "{topic} {levels:?}");
        }
    }
}
