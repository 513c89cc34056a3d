//! Miss ratios over capacities as a drawing: a panel a trace, a line a policy.
//!
//! The eye tells about eight lines apart. The best eight of the policies, by their mean, are drawn
//! in colours; the others stay visible as thin grey lines behind them.

use std::fmt::Write;

/// Colours that people with the usual weaknesses of colour vision tell apart (Okabe & Ito, 2008).
const COLOURS: [&str; 8] =
    ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c564b"];

const OPT: &str = "opt";
const LRU: &str = "lru";

const COLUMNS: usize = 3;
const PANEL: (f64, f64) = (320.0, 230.0);
/// Left, top, right and bottom of a panel's axes within it.
const INSET: (f64, f64, f64, f64) = (46.0, 26.0, 14.0, 34.0);
/// Width and height of a name in the legend, which has as many in a row as the picture is wide.
const ENTRY: (f64, f64) = (96.0, 16.0);

/// A line: fractions and miss ratios, fractions ascending.
type Points = Vec<(f64, f64)>;

/// What was measured, in the order in which it came.
#[derive(Debug, Default)]
pub(crate) struct Plot {
    panels: Vec<Panel>,
}

#[derive(Debug)]
struct Panel {
    trace: String,
    lines: Vec<(String, Points)>,
}

impl Plot {
    /// Adds a point to the line of `policy` on `trace`.
    pub(crate) fn add(&mut self, trace: &str, policy: &str, point: (f64, f64)) {
        let panel = entry(
            &mut self.panels,
            |panel| panel.trace == trace,
            || Panel { trace: trace.to_owned(), lines: Vec::new() },
        );
        let (_, points) =
            entry(&mut panel.lines, |(name, _)| name == policy, || (policy.to_owned(), Vec::new()));
        let place = points.partition_point(|(fraction, _)| *fraction < point.0);
        points.insert(place, point);
    }

    /// The drawing as SVG.
    pub(crate) fn draw(&self) -> String {
        let styles = self.styles();
        let rows = self.panels.len().div_ceil(COLUMNS);
        let width = PANEL.0 * COLUMNS.min(self.panels.len().max(1)) as f64;
        let (legend, legend_height) = legend(&styles, width);
        let height = legend_height + PANEL.1 * rows as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        svg.push_str(&legend);
        for (number, panel) in self.panels.iter().enumerate() {
            let left = PANEL.0 * (number % COLUMNS) as f64;
            let top = legend_height + PANEL.1 * (number / COLUMNS) as f64;
            let drawn = panel.draw(&styles);
            push(
                &mut svg,
                format_args!("<g transform=\"translate({left} {top})\">\n{drawn}</g>\n"),
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// How each policy is drawn, the ends of the scale first, then from the best mean to the worst.
    fn styles(&self) -> Vec<Style> {
        let mut means: Vec<(f64, &str)> = Vec::new();
        for (name, _) in self.panels.iter().flat_map(|panel| &panel.lines) {
            if means.iter().all(|(_, other)| other != name) {
                means.push((self.mean(name), name));
            }
        }
        means.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut colours = COLOURS.iter();
        let mut styles: Vec<Style> = Vec::new();
        for (_, name) in means {
            let (colour, is_named) = match name {
                OPT | LRU => ("#000000", true),
                _ => colours.next().map_or(("#c8c8c8", false), |colour| (*colour, true)),
            };
            styles.push(Style { name: name.to_owned(), colour, is_named });
        }
        styles.sort_by_key(|style| !matches!(style.name.as_str(), OPT | LRU));
        styles
    }

    fn mean(&self, policy: &str) -> f64 {
        let lines = self.panels.iter().flat_map(|panel| &panel.lines);
        let points = lines.filter(|(name, _)| name == policy).flat_map(|(_, points)| points);
        let (count, sum) =
            points.fold((0.0, 0.0), |(count, sum), (_, miss)| (count + 1.0, sum + miss));
        sum / f64::max(count, 1.0)
    }
}

/// The element that fits, put at the end where there is none.
fn entry<T>(list: &mut Vec<T>, fits: impl Fn(&T) -> bool, make: impl Fn() -> T) -> &mut T {
    let place = list.iter().position(fits).unwrap_or_else(|| {
        list.push(make());
        list.len() - 1
    });
    &mut list[place]
}

#[derive(Debug)]
struct Style {
    name: String,
    colour: &'static str,
    /// Whether the legend names it.
    is_named: bool,
}

impl Style {
    /// The attributes of a line.
    fn stroke(&self) -> String {
        let (width, dashes) = match (self.name.as_str(), self.is_named) {
            (OPT, _) => (1.6, " stroke-dasharray=\"2 3\""),
            (LRU, _) => (1.6, " stroke-dasharray=\"7 3\""),
            (_, true) => (1.6, ""),
            (_, false) => (0.8, ""),
        };
        format!("stroke=\"{}\" stroke-width=\"{width}\" fill=\"none\"{dashes}", self.colour)
    }
}

/// Names beside short lines, in as many rows as they need, and the height of all with some space
/// below.
fn legend(styles: &[Style], width: f64) -> (String, f64) {
    let per_row = ((width - 20.0) / ENTRY.0).max(1.0) as usize;
    let mut rows = 0;
    let mut svg = String::new();
    let others = styles.iter().find(|style| !style.is_named);
    let shown = styles.iter().filter(|style| style.is_named).map(|style| (style, &*style.name));
    for (number, (style, name)) in shown.chain(others.map(|style| (style, "others"))).enumerate() {
        let x = 12.0 + ENTRY.0 * (number % per_row) as f64;
        let y = 16.0 + ENTRY.1 * (number / per_row) as f64;
        rows = number / per_row + 1;
        let (end, text, stroke) = (x + 22.0, x + 27.0, style.stroke());
        let (name, base) = (escaped(name), y + 4.0);
        push(
            &mut svg,
            format_args!(
                "<path d=\"M{x} {y}H{end}\" {stroke}/><text x=\"{text}\" y=\"{base}\">{name}</text>\n"
            ),
        );
    }
    (svg, 20.0 + ENTRY.1 * rows as f64)
}

impl Panel {
    fn draw(&self, styles: &[Style]) -> String {
        let scale = Scale::of(self);
        let (left, right) = (INSET.0, PANEL.0 - INSET.2);
        let (top, bottom) = (INSET.1, PANEL.1 - INSET.3);
        let mut svg = format!(
            "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{}</text>\n",
            top - 9.0,
            escaped(&self.trace)
        );
        for miss in scale.miss_ticks() {
            let y = scale.y(miss);
            push(
                &mut svg,
                format_args!(
                    "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#e4e4e4\"/>\
                     <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{miss:.2}</text>\n",
                    left - 5.0,
                    y + 4.0
                ),
            );
        }
        for fraction in &scale.fractions {
            let x = scale.x(*fraction);
            push(
                &mut svg,
                format_args!(
                    "<path d=\"M{x:.1} {bottom}v4\" stroke=\"#555\"/>\
                     <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{fraction}</text>\n",
                    bottom + 16.0
                ),
            );
        }
        push(
            &mut svg,
            format_args!(
                "<path d=\"M{left} {top}V{bottom}H{right}\" stroke=\"#555\" fill=\"none\"/>\n"
            ),
        );
        // Later ones lie above: grey lines first, the best of the coloured last.
        for style in styles.iter().rev() {
            if let Some((_, points)) = self.lines.iter().find(|(name, _)| *name == style.name) {
                svg.push_str(&line(points, style, &scale));
            }
        }
        svg
    }
}

fn line(points: &Points, style: &Style, scale: &Scale) -> String {
    let mut path = String::new();
    for (number, (fraction, miss)) in points.iter().enumerate() {
        let step = if number == 0 { 'M' } else { 'L' };
        push(&mut path, format_args!("{step}{:.1} {:.1}", scale.x(*fraction), scale.y(*miss)));
    }
    let mut svg = format!("<path d=\"{path}\" {}/>\n", style.stroke());
    if style.is_named {
        for (fraction, miss) in points {
            let (x, y) = (scale.x(*fraction), scale.y(*miss));
            push(
                &mut svg,
                format_args!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"{}\"/>\n",
                    style.colour
                ),
            );
        }
    }
    svg
}

/// Where values lie within a panel: fractions by their logarithm, miss ratios from the least to
/// the greatest there is.
struct Scale {
    fractions: Vec<f64>,
    misses: (f64, f64),
}

impl Scale {
    fn of(panel: &Panel) -> Self {
        let points = || panel.lines.iter().flat_map(|(_, points)| points);
        let mut fractions: Vec<f64> = points().map(|(fraction, _)| *fraction).collect();
        fractions.sort_by(f64::total_cmp);
        fractions.dedup();
        let low = points().map(|(_, miss)| *miss).fold(1.0, f64::min);
        let high = points().map(|(_, miss)| *miss).fold(0.0, f64::max);
        let low = (low * 20.0).floor() / 20.0;
        Self { fractions, misses: (low, ((high * 20.0).ceil() / 20.0).max(low + 0.05)) }
    }

    fn x(&self, fraction: f64) -> f64 {
        let (left, right) = (INSET.0 + 10.0, PANEL.0 - INSET.2 - 10.0);
        let low = self.fractions.first().map_or(0.0, |first| first.ln());
        let high = self.fractions.last().map_or(0.0, |last| last.ln());
        match high - low {
            0.0 => f64::midpoint(left, right),
            range => left + (right - left) * (fraction.ln() - low) / range,
        }
    }

    fn y(&self, miss: f64) -> f64 {
        let (top, bottom) = (INSET.1, PANEL.1 - INSET.3);
        bottom - (bottom - top) * (miss - self.misses.0) / (self.misses.1 - self.misses.0)
    }

    fn miss_ticks(&self) -> Vec<f64> {
        let (low, high) = self.misses;
        (0..=4).map(|tick| low + (high - low) * f64::from(tick) / 4.0).collect()
    }
}

/// Names come from files and may hold anything.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a string takes all text");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_best_eight_are_named_and_the_ends_of_the_scale_always() {
        let mut plot = Plot::default();
        for policy in 0..12_u8 {
            plot.add("a<b", &format!("p{policy}"), (0.1, 0.5 + f64::from(policy) / 100.0));
        }
        plot.add("a<b", LRU, (0.1, 0.9));
        plot.add("a<b", LRU, (0.01, 0.95));
        let styles = plot.styles();
        let named: Vec<&str> =
            styles.iter().filter(|style| style.is_named).map(|style| &*style.name).collect();
        assert_eq!(named, ["lru", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"]);
        let svg = plot.draw();
        assert!(svg.contains("a&lt;b") && !svg.contains("NaN") && svg.contains("others"));
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    }

    #[test]
    fn the_legend_ends_above_the_first_panel() {
        for panels in 1..=4 {
            let mut plot = Plot::default();
            for (panel, policy) in (0..panels).flat_map(|panel| (0..11).map(move |n| (panel, n))) {
                plot.add(&format!("t{panel}"), &format!("p{policy}"), (0.1, 0.5));
            }
            plot.add("t0", OPT, (0.1, 0.4));
            plot.add("t0", LRU, (0.1, 0.6));
            let svg = plot.draw();
            let (legend, drawing) = svg.split_once("<g transform=\"translate(0 ").unwrap();
            let last = legend.rsplit(" y=\"").next().unwrap().split('"').next().unwrap();
            let top = drawing.split(')').next().unwrap();
            let (last, top): (f64, f64) = (last.parse().unwrap(), top.parse().unwrap());
            assert_eq!(top - last, 16.0, "{panels} panels");
            // The whole last row of panels is within the picture.
            let height: f64 =
                svg.split('"').nth(3).unwrap().split(' ').nth(3).unwrap().parse().unwrap();
            assert_eq!(height, top + PANEL.1 * f64::from(u8::from(panels > 3) + 1));
        }
    }

    #[test]
    fn a_line_runs_from_small_to_large_and_lower_misses_lie_lower() {
        let mut plot = Plot::default();
        for point in [(0.3, 0.2), (0.001, 0.8), (0.1, 0.4)] {
            plot.add("t", LRU, point);
        }
        let scale = Scale::of(&plot.panels[0]);
        let xs: Vec<f64> = plot.panels[0].lines[0].1.iter().map(|(x, _)| scale.x(*x)).collect();
        assert!(xs.is_sorted() && xs[0] >= INSET.0 && xs[2] <= PANEL.0);
        assert!(scale.y(0.2) > scale.y(0.8));
    }
}
