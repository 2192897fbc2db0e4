//! Which key was meant: the known word that a mistyped one is closest to.

/// The known key that a mistyped one is closest to, if it is close at all.
pub(super) fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let distances = known.iter().map(|known| (distance(name, known), *known));
    let (distance, meant) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 3 && distance * 2 < meant.len()).then_some(meant)
}

/// How many letters must be put in, taken out or changed to get from one word to the other
/// (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.bytes()) {
            let changed = corner + usize::from(a != b);
            corner = *cell;
            *cell = changed.min(left + 1).min(*cell + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_keys_are_recognised() {
        for (from, to, expect) in
            [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("same", "same", 0)]
        {
            assert_eq!(distance(from, to), expect, "{from} {to}");
        }
        let known = ["connections", "connect_rate", "queue_bytes"];
        assert_eq!(nearest("conections", &known), Some("connections"));
        assert_eq!(nearest("colour", &known), None);
    }
}
