//! What the bench prints: JSON lines, or a table with the bars beside the figures.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::l2::MULTIPLEXED;
use crate::rounds::{Quartiles, Series};

/// One measured comparison; its fields in this order are the JSON line.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Line {
    /// The bar this line answers, if one.
    pub(crate) bar: Option<u8>,
    pub(crate) group: String,
    pub(crate) bench: String,
    pub(crate) peer: Option<String>,
    pub(crate) ours: f64,
    /// Missing where `ours` is a count that stands for itself.
    pub(crate) theirs: Option<f64>,
    pub(crate) unit: String,
    /// Ours through theirs; for advantages theirs through ours; for counts the count.
    pub(crate) ratio: f64,
    pub(crate) p25: f64,
    pub(crate) p75: f64,
}

/// Where a line belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) bar: Option<u8>,
    pub(crate) group: &'a str,
    pub(crate) bench: &'a str,
    pub(crate) unit: &'a str,
}

impl Line {
    /// Ours against a peer: the quartiles of the ratios of each round.
    pub(crate) fn ratio(place: Place<'_>, ours: &Series, theirs: &Series) -> Self {
        if place.bar == Some(3) {
            return Self::advantage(place, ours, theirs);
        }
        Self::compared(place, ours, theirs, |ours, theirs| ours / theirs)
    }

    /// How many times theirs costs what ours does: above 1 ours is better.
    pub(crate) fn advantage(place: Place<'_>, ours: &Series, theirs: &Series) -> Self {
        Self::compared(place, ours, theirs, |ours, theirs| theirs / ours)
    }

    fn compared(
        place: Place<'_>,
        ours: &Series,
        theirs: &Series,
        ratio: impl Fn(f64, f64) -> f64,
    ) -> Self {
        let pairs = ours.costs.iter().zip(&theirs.costs);
        let ratios = Quartiles::of(pairs.map(|(ours, theirs)| ratio(*ours, *theirs)).collect());
        Self {
            bar: place.bar,
            group: place.group.to_owned(),
            bench: place.bench.to_owned(),
            peer: Some(theirs.name.clone()),
            ours: round(Quartiles::of(ours.costs.clone()).median),
            theirs: Some(round(Quartiles::of(theirs.costs.clone()).median)),
            unit: place.unit.to_owned(),
            ratio: round(ratios.median),
            p25: round(ratios.p25),
            p75: round(ratios.p75),
        }
    }

    /// A count that has no peer. The largest of the rounds is what the bar is held against.
    pub(crate) fn count(place: Place<'_>, counts: Vec<f64>) -> Self {
        let most = counts.iter().copied().fold(0.0, f64::max);
        let quartiles = Quartiles::of(counts);
        Self {
            bar: place.bar,
            group: place.group.to_owned(),
            bench: place.bench.to_owned(),
            peer: None,
            ours: most,
            theirs: None,
            unit: place.unit.to_owned(),
            ratio: most,
            p25: quartiles.p25,
            p75: quartiles.p75,
        }
    }

    /// Must and stretch of the bar, if the line answers one.
    fn goal(&self) -> Option<Goal> {
        let in_cache = self.bench.contains("4k");
        let Some(bar) = self.bar else {
            // Batching may lose a tenth to the plain connection, at no size and number of callers
            // more.
            let is_held = self.unit == "kops/s" && self.peer.as_deref() == Some(MULTIPLEXED);
            return is_held.then_some(Goal { must: 0.9, stretch: 1.0, is_floor: true });
        };
        let (must, stretch) = match bar {
            1 => (1.25, 1.10),
            2 => (1.30, 1.15),
            3 if in_cache => (5.0, 6.0),
            3 => (3.5, 6.0),
            4 => (1.5, 1.2),
            5 => (0.0, 0.0),
            6 => (1.4, 1.2),
            7 => (0.7, 0.5),
            8 => (6.0, 8.0),
            9 if self.bench.ends_with("p50") => (0.9, 1.0),
            9 if self.bench.ends_with("concurrency 16") => (0.95, 1.0),
            9 => (1.2, 1.5),
            10 => (10.0, 14.0),
            11 => (1.3, 1.1),
            12 if self.theirs.is_none() => (1.0, 1.0),
            12 => (1.3, 1.1),
            13 => (1.0, 1.0),
            14 => (1.35, 1.20),
            15 => (1.08, 1.03),
            16 => (1.5, 1.2),
            17 => (1.1, 1.05),
            18 => (1.05, 1.01),
            19 => (20.0, 5.0),
            20 => (1_000.0, 500.0),
            21 if self.unit == "frames" => (2_000.0, 2_000.0),
            21 => (1.05, 1.01),
            22 => (1.0, 1.0),
            // Servers also read what keeps the processes in touch, and time also passes elsewhere.
            23 => (1.1, 1.05),
            _ => return None,
        };
        Some(Goal { must, stretch, is_floor: matches!(bar, 3 | 8..=10) })
    }
}

/// Four decimals: more would be noise.
fn round(figure: f64) -> f64 {
    (figure * 10_000.0).round() / 10_000.0
}

struct Goal {
    must: f64,
    stretch: f64,
    is_floor: bool,
}

impl Goal {
    fn mark(&self, ratio: f64) -> &'static str {
        let reaches = |goal: f64| if self.is_floor { ratio >= goal } else { ratio <= goal };
        match (reaches(self.must), reaches(self.stretch)) {
            (_, true) => "pass, stretch",
            (true, false) => "pass",
            (false, false) => "FAIL",
        }
    }
}

/// Prints lines as they come.
pub(crate) struct Report {
    is_json: bool,
    has_head: bool,
    failures: usize,
}

impl Report {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { is_json, has_head: false, failures: 0 }
    }

    pub(crate) fn line(&mut self, line: &Line) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.is_json {
            serde_json::to_writer(&mut out, line)?;
            return writeln!(out);
        }
        if !self.has_head {
            self.has_head = true;
            writeln!(
                out,
                "{:>3}  {:<58} {:<18} {:>10} {:>10} {:<13} {:>7} {:>15}  verdict",
                "bar", "bench", "peer", "ours", "theirs", "unit", "ratio", "p25..p75"
            )?;
        }
        let bar = line.bar.map_or(String::new(), |bar| bar.to_string());
        // Shares differ where one decimal would make them one.
        let digits = if line.unit.starts_with("share") { 3 } else { 1 };
        let theirs = line.theirs.map_or(String::from("-"), |theirs| format!("{theirs:.digits$}"));
        let verdict = line.goal().map_or(String::new(), |goal| {
            let mark = goal.mark(line.ratio);
            self.failures += usize::from(mark == "FAIL");
            format!("{mark} (must {}, stretch {})", goal.must, goal.stretch)
        });
        writeln!(
            out,
            "{bar:>3}  {:<58} {:<18} {:>10.digits$} {theirs:>10} {:<13} {:>7.2} {:>7.2}..{:<6.2}  {verdict}",
            line.bench,
            line.peer.as_deref().unwrap_or("-"),
            line.ours,
            line.unit,
            line.ratio,
            line.p25,
            line.p75,
        )
    }

    pub(crate) fn close(&self) -> io::Result<()> {
        if self.is_json {
            return Ok(());
        }
        writeln!(io::stdout().lock(), "bars missed: {}", self.failures)
    }
}

/// Tells the person who waits; stdout is kept for figures.
pub(crate) fn progress(text: &str) {
    // A closed stderr is no reason to stop measuring.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn series(name: &str, costs: &[f64]) -> Series {
        Series { name: name.to_owned(), costs: costs.to_vec() }
    }

    #[test]
    fn ratios_are_taken_round_by_round_and_bar_3_is_an_advantage() {
        let ours = series("ours", &[10.0, 20.0, 40.0]);
        let theirs = series("peer", &[10.0, 10.0, 10.0]);
        let mut place = Place { bar: Some(1), group: "l1", bench: "hit", unit: "ns" };
        assert_eq!(Line::ratio(place, &ours, &theirs).ratio, 2.0);
        place.bar = Some(3);
        assert_eq!(Line::ratio(place, &ours, &theirs).ratio, 0.5);
    }

    #[test]
    fn a_line_has_exactly_the_agreed_fields() {
        let place = Place { bar: None, group: "flight", bench: "calls", unit: "calls" };
        let json = serde_json::to_string(&Line::count(place, vec![1.0, 2.0])).unwrap();
        assert_eq!(
            json,
            r#"{"bar":null,"group":"flight","bench":"calls","peer":null,"ours":2.0,"theirs":null,"unit":"calls","ratio":2.0,"p25":1.25,"p75":1.75}"#
        );
    }

    #[test]
    fn marks_follow_the_direction_of_the_bar() {
        let goal = Goal { must: 1.25, stretch: 1.1, is_floor: false };
        assert_eq!(goal.mark(1.05), "pass, stretch");
        assert_eq!(goal.mark(1.2), "pass");
        assert_eq!(goal.mark(1.3), "FAIL");
        let goal = Goal { must: 3.5, stretch: 6.0, is_floor: true };
        assert_eq!(goal.mark(3.0), "FAIL");
        assert_eq!(goal.mark(7.0), "pass, stretch");
    }
}
