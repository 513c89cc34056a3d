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

/// The reference, and how far from it each policy was.
#[derive(Debug)]
pub(crate) struct Bars {
    /// Miss ratios by trace, capacity and policy.
    reference: BTreeMap<(String, usize, String), f64>,
    /// Of each policy the differences to the reference, one a cell that both have.
    differences: BTreeMap<String, Vec<f64>>,
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
            let (key, ratio) = read_line(line)
                .ok_or_else(|| named(format!("line {} is no reference", number + 1)))?;
            reference.insert(key, ratio);
        }
        Ok(Self { reference, differences: BTreeMap::new() })
    }

    /// Notes what a policy missed in a cell.
    pub(crate) fn note(&mut self, cell: &Cell<'_>, policy: &str, miss_ratio: f64) {
        let Some((_, name, _)) = BARS.iter().find(|(known, ..)| *known == policy) else { return };
        let key = (cell.trace.to_owned(), cell.capacity, (*name).to_owned());
        if let Some(expected) = self.reference.get(&key) {
            self.differences.entry(policy.to_owned()).or_default().push(miss_ratio - expected);
        }
    }

    /// A table for a document: the scores, the bars, and whether they are met.
    pub(crate) fn table(&self, scores: &[(&str, &Score)]) -> String {
        let mut table =
            "| strategy | mean miss ratio | gap closed | worst cell | ns a request | bar | met |\n\
             |---|---|---|---|---|---|---|\n"
                .to_owned();
        for (policy, score) in scores {
            let bars = BARS.iter().find(|(known, ..)| known == policy).map_or(&[][..], |row| row.2);
            let differences = self.differences.get(*policy).map_or(&[][..], Vec::as_slice);
            let texts: Vec<String> = bars.iter().map(Bar::text).collect();
            let missed: Vec<&str> = bars
                .iter()
                .zip(&texts)
                .filter(|(bar, _)| !bar.is_met(score, differences))
                .map(|(_, text)| text.as_str())
                .collect();
            let met = match (bars, missed.as_slice()) {
                ([], _) => String::new(),
                (_, []) => "yes".to_owned(),
                (_, missed) => format!("no: {}", missed.join("; ")),
            };
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
}

/// A line `trace,fraction,capacity,policy,miss_ratio`.
fn read_line(line: &str) -> Option<((String, usize, String), f64)> {
    let fields: Vec<&str> = line.split(',').collect();
    let [trace, _, capacity, policy, ratio] = fields.as_slice() else { return None };
    let key = ((*trace).to_owned(), capacity.parse().ok()?, (*policy).to_owned());
    Some((key, ratio.parse().ok()?))
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
            Self::Gap(least) => score.gap_closed() >= least,
            Self::Worst(least) => score.worst_cell() >= least,
            Self::Nanos(most) => score.ns_per_request() <= most,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Cells(EQUAL) => "every cell as the reference".to_owned(),
            Self::Cells(most) => format!("every cell within {most} of the reference"),
            Self::MeanOver(most) => format!("mean within {most} of the reference"),
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

    fn met(bars: &Bars, policy: &str, misses: u64) -> String {
        let mut score = Score::default();
        let bounds = Bounds { opt: 40_000, lru: 60_000, requests: 100_000 };
        score.add(&Run { requests: 100_000, misses, ..Run::default() }, &bounds);
        let table = bars.table(&[(policy, &score)]);
        table.lines().last().unwrap().rsplit(" | ").next().unwrap().replace(" |", "")
    }

    #[test]
    fn a_bar_that_is_missed_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("reference.csv");
        fs::write(&path, "trace,fraction,capacity,policy,miss_ratio\na,0.1,50,lru,0.6\n").unwrap();
        let mut bars = Bars::read(&path).unwrap();
        let cell = Cell { trace: "a", fraction: 0.1, capacity: 50 };
        assert_eq!(met(&bars, "lru", 60_000), "no: every cell as the reference");
        bars.note(&cell, "lru", 0.600_000_5);
        assert_eq!(met(&bars, "lru", 60_000), "yes");
        bars.note(&cell, "lru", 0.600_01);
        assert_eq!(met(&bars, "lru", 60_000), "no: every cell as the reference");
        assert_eq!(met(&bars, "adaptive", 56_000), "yes");
        assert_eq!(met(&bars, "learned", 56_000), "no: gap >= 0.24");
        assert_eq!(met(&bars, "random", 90_000), "");
        fs::write(&path, "trace,fraction\na,0.1\n").unwrap();
        assert!(Bars::read(&path).unwrap_err().to_string().ends_with("line 2 is no reference"));
    }
}
