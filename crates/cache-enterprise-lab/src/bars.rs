//! What each strategy has to come up to on the public traces, and whether it does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use cache_enterprise_workload::simulate::Score;

use crate::Outcome;
use crate::report::Cell;

/// The reference gives six digits.
const EQUAL: f64 = 1e-6;

/// What a strategy has to come up to.
#[derive(Clone, Copy, Debug)]
enum Bar {
    /// Every cell is as far from the reference as this at most.
    Cells(f64),
    /// The mean of the cells is over the reference's by this at most.
    MeanOver(f64),
    /// The mean miss ratio is this at most.
    Mean(f64),
    /// The share of the gap that is closed is this at least.
    Gap(f64),
    /// No cell closes less of the gap.
    Worst(f64),
    /// Nanoseconds of processor time a request, at most.
    Nanos(f64),
}

const CLASSIC: Bar = Bar::Nanos(150.0);

/// The bars of each strategy, and the name the reference knows it by.
const BARS: &[(&str, &str, &[Bar])] = &[
    ("opt", "opt", &[Bar::Cells(EQUAL), CLASSIC]),
    ("lru", "lru", &[Bar::Cells(EQUAL), CLASSIC]),
    ("fifo", "fifo", &[Bar::Cells(EQUAL), CLASSIC]),
    ("sieve", "sieve", &[Bar::Cells(EQUAL), CLASSIC]),
    ("clock", "clock", &[Bar::Cells(0.003), CLASSIC]),
    ("s3-fifo", "s3fifo", &[Bar::MeanOver(0.003), CLASSIC]),
    ("arc", "arc", &[Bar::MeanOver(0.003), CLASSIC]),
    ("2q", "twoq", &[Bar::MeanOver(0.003), CLASSIC]),
    ("w-tinylfu", "", &[Bar::Mean(0.5387), CLASSIC]),
    ("adaptive", "", &[Bar::Gap(0.18), Bar::Worst(-0.10), Bar::Nanos(500.0)]),
    ("learned", "", &[Bar::Gap(0.24), Bar::Worst(-0.05), Bar::Nanos(1_000.0)]),
    ("default", "", &[Bar::Mean(0.528), Bar::Nanos(500.0)]),
];

/// A trace and the objects that fit.
type Place = (String, usize);

/// The reference, and what was run of it.
#[derive(Debug)]
pub(crate) struct Bars {
    /// Miss ratios by cell, and there by policy.
    reference: BTreeMap<Place, BTreeMap<String, f64>>,
    /// Cells by policy.
    seen: BTreeMap<String, Seen>,
}

/// The cells that a policy was run in.
#[derive(Debug, Default)]
struct Seen {
    /// Those of the reference, with the difference to it where it knows the policy.
    cells: BTreeMap<Place, Option<f64>>,
    /// How many were run that the reference lacks, or more than once.
    besides: usize,
}

impl Bars {
    /// Reads `reference.csv` of the public traces.
    ///
    /// # Errors
    /// When the file cannot be read or a line of it does not fit.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let named = |problem: String| format!("{}: {problem}", path.display());
        let text = fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        let mut reference = BTreeMap::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            let (place, policy, ratio) = read_line(line)
                .ok_or_else(|| named(format!("line {} is no reference", number + 1)))?;
            reference.entry(place).or_insert_with(BTreeMap::new).insert(policy, ratio);
        }
        Ok(Self { reference, seen: BTreeMap::new() })
    }

    /// Notes what a policy missed in a cell.
    pub(crate) fn note(&mut self, cell: &Cell<'_>, policy: &str, miss_ratio: f64) {
        let Some((_, name, _)) = BARS.iter().find(|(known, ..)| *known == policy) else { return };
        let seen = self.seen.entry(policy.to_owned()).or_default();
        let place = (cell.trace.to_owned(), cell.capacity);
        let ratios = self.reference.get(&place);
        let expected = ratios.and_then(|ratios| ratios.get(*name));
        let is_known = ratios.is_some() && (name.is_empty() || expected.is_some());
        let difference = expected.map(|expected| miss_ratio - expected);
        if !is_known || seen.cells.insert(place, difference).is_some() {
            seen.besides += 1;
        }
    }

    /// A table for a document: the scores, the bars, and whether they are met. They were set for
    /// the cells of the reference, so of other cells, or a part of these, it says how many there
    /// were and not that a bar is met.
    pub(crate) fn table(&self, scores: &[(&str, &Score)]) -> String {
        let mut table =
            "| strategy | mean miss ratio | gap closed | worst cell | ns a request | bar | met |\n\
             |---|---|---|---|---|---|---|\n"
                .to_owned();
        for (policy, score) in scores {
            let bars = BARS.iter().find(|(known, ..)| known == policy).map_or(&[][..], |row| row.2);
            let texts: Vec<String> = bars.iter().map(Bar::text).collect();
            let met = self.met(policy, score, bars, &texts);
            writeln!(
                table,
                "| {policy} | {:.4} | {:.3} | {:.3} | {:.0} | {} | {met} |",
                score.mean_miss_ratio(),
                score.gap_closed(),
                score.worst_cell(),
                score.ns_per_request(),
                texts.join("; "),
            )
            .expect("a string takes all text");
        }
        table
    }

    /// Whether the bars are met; names those that are not.
    fn met(&self, policy: &str, score: &Score, bars: &[Bar], texts: &[String]) -> String {
        let Some(seen) = self.seen.get(policy) else { return String::new() };
        let differences: Vec<f64> = seen.cells.values().flatten().copied().collect();
        let missed: Vec<&str> = bars
            .iter()
            .zip(texts)
            .filter(|(bar, _)| !bar.is_met(score, &differences))
            .map(|(_, text)| text.as_str())
            .collect();
        let mut parts = Vec::new();
        if seen.cells.len() < self.reference.len() || seen.besides > 0 {
            let mut cells = format!("{} of {} cells", seen.cells.len(), self.reference.len());
            if seen.besides > 0 {
                write!(cells, " and {} besides", seen.besides).expect("a string takes all text");
            }
            parts.push(cells);
        }
        if !missed.is_empty() {
            parts.push(format!("no: {}", missed.join("; ")));
        }
        if parts.is_empty() { "yes".to_owned() } else { parts.join(", ") }
    }
}

/// A line `trace,capacity_fraction,capacity_objects,policy,miss_ratio`.
fn read_line(line: &str) -> Option<(Place, String, f64)> {
    let fields: Vec<&str> = line.split(',').collect();
    let [trace, _, capacity, policy, ratio] = fields.as_slice() else { return None };
    let place = ((*trace).to_owned(), capacity.parse().ok()?);
    Some((place, (*policy).to_owned(), ratio.parse().ok()?))
}

impl Bar {
    fn is_met(&self, score: &Score, differences: &[f64]) -> bool {
        // Without the reference's cells nothing is shown.
        let is_known = !differences.is_empty();
        match *self {
            Self::Cells(most) => is_known && differences.iter().all(|off| off.abs() <= most),
            Self::MeanOver(most) => {
                is_known && differences.iter().sum::<f64>() / differences.len() as f64 <= most
            }
            Self::Mean(most) => score.mean_miss_ratio() <= most,
            // Both are 0 where no cell has a gap.
            Self::Gap(least) => score.gap_cells() > 0 && score.gap_closed() >= least,
            Self::Worst(least) => score.gap_cells() > 0 && score.worst_cell() >= least,
            Self::Nanos(most) => score.ns_per_request() <= most,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Cells(EQUAL) => "every cell as the reference".to_owned(),
            Self::Cells(most) => format!("every cell within {most} of the reference"),
            Self::MeanOver(most) => format!("mean at most {most} over the reference"),
            Self::Mean(most) => format!("mean <= {most}"),
            Self::Gap(least) => format!("gap >= {least}"),
            Self::Worst(least) => format!("worst >= {least}"),
            Self::Nanos(most) => format!("<= {most} ns"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cache_enterprise_workload::simulate::{Bounds, Run};

    use super::*;

    /// A reference of two cells, as the public traces have it.
    fn two_cells(directory: &Path) -> Bars {
        let path = directory.join("reference.csv");
        let mut csv = "trace,capacity_fraction,capacity_objects,policy,miss_ratio\n".to_owned();
        for policy in ["lru", "clock", "arc"] {
            csv += &format!("a,0.1,50,{policy},0.6\na,0.3,150,{policy},0.4\n");
        }
        fs::write(&path, csv).unwrap();
        Bars::read(&path).unwrap()
    }

    fn note(bars: &mut Bars, policy: &str, cells: &[(usize, f64)]) {
        for (capacity, miss_ratio) in cells {
            let cell = Cell { trace: "a", fraction: 0.1, capacity: *capacity };
            bars.note(&cell, policy, *miss_ratio);
        }
    }

    /// What the table says in its last column to a score of so many misses in 100,000 requests,
    /// where LRU has 60,000 and foresight `opt`.
    fn met(bars: &Bars, policy: &str, misses: u64, opt: u64) -> String {
        let mut score = Score::default();
        let bounds = Bounds { opt, lru: 60_000, requests: 100_000 };
        score.add(&Run { requests: 100_000, misses, ..Run::default() }, &bounds);
        let table = bars.table(&[(policy, &score)]);
        table.lines().last().unwrap().rsplit(" | ").next().unwrap().replace(" |", "")
    }

    #[test]
    fn a_bar_that_is_missed_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut bars = two_cells(directory.path());
        note(&mut bars, "lru", &[(50, 0.600_000_5), (150, 0.4)]);
        assert_eq!(met(&bars, "lru", 60_000, 40_000), "yes");
        note(&mut bars, "clock", &[(50, 0.6), (150, 0.396)]);
        assert_eq!(
            met(&bars, "clock", 60_000, 40_000),
            "no: every cell within 0.003 of the reference"
        );
        for policy in ["adaptive", "learned", "random"] {
            note(&mut bars, policy, &[(50, 0.6), (150, 0.4)]);
        }
        assert_eq!(met(&bars, "adaptive", 56_000, 40_000), "yes");
        assert_eq!(met(&bars, "learned", 56_000, 40_000), "no: gap >= 0.24");
        assert_eq!(met(&bars, "random", 90_000, 40_000), "");
    }

    #[test]
    fn a_part_of_the_cells_is_no_yes() {
        let directory = tempfile::tempdir().unwrap();
        let mut bars = two_cells(directory.path());
        for policy in ["lru", "adaptive"] {
            note(&mut bars, policy, &[(50, 0.6)]);
            assert_eq!(met(&bars, policy, 56_000, 40_000), "1 of 2 cells");
            note(&mut bars, policy, &[(250, 0.3)]);
            assert_eq!(met(&bars, policy, 56_000, 40_000), "1 of 2 cells and 1 besides");
            note(&mut bars, policy, &[(150, 0.4)]);
            assert_eq!(met(&bars, policy, 56_000, 40_000), "2 of 2 cells and 1 besides");
        }
        note(&mut bars, "arc", &[(50, 0.7)]);
        assert_eq!(
            met(&bars, "arc", 60_000, 40_000),
            "1 of 2 cells, no: mean at most 0.003 over the reference"
        );
    }

    #[test]
    fn without_a_gap_nothing_is_shown_about_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut bars = two_cells(directory.path());
        note(&mut bars, "adaptive", &[(50, 0.6), (150, 0.4)]);
        assert_eq!(met(&bars, "adaptive", 60_000, 59_000), "no: gap >= 0.18; worst >= -0.1");
    }

    #[test]
    fn a_mean_below_the_reference_is_not_over_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut bars = two_cells(directory.path());
        note(&mut bars, "arc", &[(50, 0.5), (150, 0.3)]);
        assert_eq!(met(&bars, "arc", 40_000, 40_000), "yes");
    }

    #[test]
    fn a_line_that_does_not_fit_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("reference.csv");
        fs::write(&path, "trace,capacity_fraction\na,0.1\n").unwrap();
        assert!(Bars::read(&path).unwrap_err().to_string().ends_with("line 2 is no reference"));
    }
}
