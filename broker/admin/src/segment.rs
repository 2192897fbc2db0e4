//! How a value stands as one segment of a path.
//!
//! `.` and `..` cannot: browsers and other clients of HTTP take such a segment for a way through the
//! tree and drop it, percent-encoded or not. They are written `~.` and `~..`; so that every value has
//! one form, those that look like that get one more `~`. Everything else stands for itself.

use std::borrow::Cow;

/// A value as it is written into a path of the API, before percent-encoding.
pub fn path_segment(value: &str) -> Cow<'_, str> {
    if is_dots(value.trim_start_matches('~')) { format!("~{value}").into() } else { value.into() }
}

/// What a segment says, after percent-decoding.
pub(crate) fn read(segment: &str) -> &str {
    match segment.strip_prefix('~') {
        Some(value) if is_dots(segment.trim_start_matches('~')) => value,
        _ => segment,
    }
}

fn is_dots(text: &str) -> bool {
    matches!(text, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_one_form_that_no_client_drops() {
        for (value, form) in [
            (".", "~."),
            ("..", "~.."),
            ("~.", "~~."),
            ("~~..", "~~~.."),
            ("...", "..."),
            ("~", "~"),
            ("~a", "~a"),
            ("a/../b", "a/../b"),
            ("", ""),
        ] {
            assert_eq!(path_segment(value), form);
            assert_eq!(read(form), value);
        }
    }
}
