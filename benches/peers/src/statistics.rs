//! Medians with their spread, and ratios of runs that were made in the same round.

use std::fmt;

/// A median and the lowest and highest value beside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// Of these values; `None` if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<_> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (lowest, highest) = (*sorted.first()?, *sorted.last()?);
        let half = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[half],
            _ => f64::midpoint(sorted[half - 1], sorted[half]),
        };
        Some(Self { median, lowest, highest })
    }

    /// Ratios of `ours` to `theirs`, round by round: what disturbed both falls out.
    pub(crate) fn of_ratios(ours: &[(u32, f64)], theirs: &[(u32, f64)]) -> Option<Self> {
        let in_round = |round| theirs.iter().find(|(of, _)| *of == round).map(|(_, value)| *value);
        Self::of(ours.iter().filter_map(|(round, value)| Some(value / in_round(*round)?)))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, lowest, highest] = [self.median, self.lowest, self.highest].map(short);
        write!(out, "{median} [{lowest}..{highest}]")
    }
}

/// About three digits of a number.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 1e6 => format!("{:.2} M", number / 1e6),
        size if size >= 1e4 => format!("{:.0} k", number / 1e3),
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.0, lowest: 1.0, highest: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[test]
    fn ratios_are_those_of_the_same_round() {
        let ours = [(0, 1.0), (1, 2.0), (2, 9.0)];
        let theirs = [(1, 4.0), (0, 4.0)];
        let ratios = Spread::of_ratios(&ours, &theirs).unwrap();
        assert_eq!((ratios.lowest, ratios.highest), (0.25, 0.5));
        assert_eq!(Spread::of_ratios(&ours, &[]), None);
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.061_23, "0.061"),
            (4.871, "4.87"),
            (42.42, "42.4"),
            (910.4, "910"),
            (162_345.0, "162 k"),
            (5_123_456.0, "5.12 M"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
