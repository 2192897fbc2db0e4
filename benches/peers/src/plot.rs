//! Growth as SVG: how a cost changes with a count, both on logarithmic axes. The same numbers make the
//! same file, byte for byte; colours suit a light and a dark page.

use std::fmt::Write;

use crate::statistics::{Spread, short};

/// A picture.
#[derive(Debug)]
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    /// What is counted from left to right.
    pub(crate) across: &'a str,
    /// What grows, or does not.
    pub(crate) up: &'a str,
    pub(crate) series: Vec<Series>,
}

/// One line of it.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Which colour; the same in all pictures.
    pub(crate) colour: usize,
    pub(crate) points: Vec<(u64, Spread)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
/// Colours that stand out on white and on black.
const COLOURS: [&str; 6] = ["#2a7de1", "#d9622b", "#3a9a4a", "#a45bc9", "#b8860b", "#c73a63"];

const STYLE: &str = "\
text { font: 13px sans-serif; fill: #333 }
.title { font-size: 15px; font-weight: bold }
.grid { stroke: #8888; stroke-width: 0.5 }
.line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }
";

/// An axis: powers of ten, with 2 and 5 between them where there is room.
#[derive(Clone, Copy, Debug)]
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// For values of this range, between two places of the picture.
    fn of(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Option<Self> {
        let spread = Spread::of(values.filter(|value| *value > 0.0))?;
        let (low, high) = (below(spread.lowest), above(spread.highest));
        let high = if high > low { high } else { low * 10.0 };
        Some(Self { low, high, from, to })
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.max(self.low) / self.low).log10() / (self.high / self.low).log10();
        self.from + part * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        let powers = (-9..=12).map(|power| 10_f64.powi(power));
        let steps: &[f64] = if self.high / self.low < 1e3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let all = powers.flat_map(|power| steps.iter().map(move |step| step * power));
        all.filter(|tick| *tick >= self.low * 0.999 && *tick <= self.high * 1.001).collect()
    }
}

/// The next of 1, 2, 5, 10 ... that is not above a value.
fn below(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let step = [5.0, 2.0].into_iter().find(|step| value >= step * power * 0.999);
    step.unwrap_or(1.0) * power
}

/// The next of them that is not below it.
fn above(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| value <= step * power * 1.001);
    step.unwrap_or(10.0) * power
}

impl Plot<'_> {
    /// The file; `None` if there is nothing to show.
    pub(crate) fn svg(&self) -> Option<String> {
        let points = self.series.iter().flat_map(|series| &series.points);
        let counts = points.clone().map(|(count, _)| *count as f64);
        let costs = points.flat_map(|(_, cost)| [cost.lowest, cost.highest]);
        let across = Axis::of(counts, LEFT, WIDTH - RIGHT)?;
        let up = Axis::of(costs, HEIGHT - BOTTOM, TOP)?;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\" aria-label=\"{}\">\n<style>\n{STYLE}</style>\n",
            escaped(self.title)
        );
        let title = format!("class=\"title\" x=\"{LEFT}\" y=\"20\"");
        text(&mut svg, &title, self.title);
        text(&mut svg, &format!("x=\"{LEFT}\" y=\"40\""), self.up);
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        let label = format!("x=\"{middle}\" y=\"{}\" text-anchor=\"middle\"", HEIGHT - 15.0);
        text(&mut svg, &label, self.across);
        grid(&mut svg, across, up);
        for series in &self.series {
            series.draw(&mut svg, across, up);
        }
        self.names(&mut svg, up);
        svg.push_str("</svg>\n");
        Some(svg)
    }

    /// The names stand at the ends of the lines, none over another.
    fn names(&self, svg: &mut String, up: Axis) {
        let mut places = Vec::new();
        for series in &self.series {
            if let Some((_, last)) = series.points.last() {
                places.push((up.place(last.median), series.name.as_str(), series.colour()));
            }
        }
        places.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut lowest = 0.0_f64;
        for (place, name, colour) in places {
            let y = (place + 4.0).max(lowest + 16.0);
            lowest = y;
            let at =
                format!("x=\"{}\" y=\"{y:.1}\" style=\"fill: {colour}\"", WIDTH - RIGHT + 10.0);
            text(svg, &at, name);
        }
    }
}

impl Series {
    fn colour(&self) -> &'static str {
        COLOURS[self.colour % COLOURS.len()]
    }

    fn draw(&self, svg: &mut String, across: Axis, up: Axis) {
        let colour = self.colour();
        let place = |(count, cost): &(u64, Spread)| {
            format!("{:.1},{:.1}", across.place(*count as f64), up.place(cost.median))
        };
        let line: Vec<_> = self.points.iter().map(place).collect();
        let line = line.join(" ");
        let _ = writeln!(svg, "<polyline class=\"line\" stroke=\"{colour}\" points=\"{line}\"/>");
        for (count, cost) in &self.points {
            let x = across.place(*count as f64);
            let [low, y, high] = [cost.lowest, cost.median, cost.highest].map(|of| up.place(of));
            let _ = writeln!(
                svg,
                "<line stroke=\"{colour}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" \
                 y2=\"{high:.1}\"/><circle fill=\"{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"
            );
        }
    }
}

fn grid(svg: &mut String, across: Axis, up: Axis) {
    for tick in up.ticks() {
        let y = up.place(tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            WIDTH - RIGHT
        );
        let at = format!("x=\"{}\" y=\"{:.1}\" text-anchor=\"end\"", LEFT - 8.0, y + 4.0);
        text(svg, &at, &label(tick));
    }
    for tick in across.ticks() {
        let x = across.place(tick);
        let low = HEIGHT - BOTTOM;
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{low}\"/>"
        );
        let at = format!("x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\"", low + 18.0);
        text(svg, &at, &label(tick));
    }
}

/// A tick: 1,000 and 0.05 as people write them.
fn label(tick: f64) -> String {
    if tick < 1.0 {
        return short(tick).trim_end_matches('0').to_owned();
    }
    let digits = format!("{tick:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn text(svg: &mut String, attributes: &str, words: &str) {
    let _ = writeln!(svg, "<text {attributes}>{}</text>", escaped(words));
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot<'static> {
        let point =
            |count, median| (count, Spread { median, lowest: median * 0.9, highest: median * 1.2 });
        let series = |name: &str, cost: f64| Series {
            name: name.to_owned(),
            colour: name.len(),
            points: vec![point(10, cost), point(1_000, cost * 1.1), point(1_000_000, cost * 1.2)],
        };
        Plot {
            title: "Subscriptions & cost",
            across: "subscriptions",
            up: "µs of CPU per message",
            series: vec![series("mosquitto", 4.0), series("ours", 0.2), series("other", 0.21)],
        }
    }

    #[test]
    fn the_same_numbers_make_the_same_file() {
        let svg = plot().svg().unwrap();
        assert_eq!(svg, plot().svg().unwrap());
        assert_eq!(svg.matches("<polyline").count(), 3);
        assert_eq!(svg.matches("<circle").count(), 9);
        for part in
            ["Subscriptions &amp; cost", "prefers-color-scheme: dark", ">1,000,000<", ">0.2<"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn names_do_not_stand_over_each_other() {
        let svg = plot().svg().unwrap();
        let place = |name: &str| -> f64 {
            let line = svg.lines().find(|line| line.ends_with(&format!(">{name}</text>"))).unwrap();
            line.split(" y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        assert!((place("ours") - place("other")).abs() >= 16.0);
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, low, high) in [(0.21, 0.2, 0.5), (1.0, 1.0, 1.0), (7.0, 5.0, 10.0)] {
            assert!((below(value) - low).abs() < 1e-9, "{value}");
            assert!((above(value) - high).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn nothing_is_no_picture() {
        let nothing = Plot { title: "", across: "", up: "", series: Vec::new() };
        assert_eq!(nothing.svg(), None);
    }
}
