//! Every contestant on every cell.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cache_enterprise_workload::scan;
use cache_enterprise_workload::simulate::{Bounds, Replay, Run, Score, capacity_of, lru, opt};

use crate::Outcome;
use crate::arguments::Arguments;
use crate::bars::Bars;
use crate::contestant::Contestant;
use crate::plot::Plot;
use crate::report::{Cell, Report};
use crate::sources::sources;

/// Replays every file at every fraction, and reports each cell as it is done.
///
/// # Errors
/// When a strategy is unknown, a file is given twice or cannot be read twice, the plot has no place,
/// a policy breaks its contract, no cell is large enough, or the results cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let contestants = match arguments.strategies.as_slice() {
        [] => Contestant::all()?,
        names => Contestant::named(names)?,
    };
    // Damage in the last file shows now, and not after minutes of results.
    let sources = sources(&arguments.files)?;
    for source in &sources {
        scan(&source.path)?;
    }
    let mut results = Results::open(arguments)?;
    for source in &sources {
        let replay = Replay::open(&source.path)?;
        for fraction in &arguments.fractions {
            let Some(capacity) = capacity_of(*fraction, replay.unique()) else { continue };
            let bounds = Bounds {
                opt: opt(&replay, capacity).misses,
                lru: lru(&replay, capacity).misses,
                requests: replay.len() as u64,
            };
            let cell = Cell { trace: &source.name, fraction: *fraction, capacity };
            for contestant in &contestants {
                let run = contestant.run(&replay, capacity, arguments.is_store)?;
                results.add(&cell, &contestant.name, &run, &bounds)?;
            }
        }
    }
    results.close(&contestants)
}

/// Where results go.
#[derive(Debug)]
struct Results {
    report: Report,
    bars: Option<Bars>,
    sheet: Option<Sheet>,
    scores: BTreeMap<String, Score>,
}

impl Results {
    fn open(arguments: &Arguments) -> Outcome<Self> {
        Ok(Self {
            report: Report::new(arguments.is_json),
            bars: arguments.bars.as_deref().map(Bars::read).transpose()?,
            sheet: arguments.plot.as_deref().map(Sheet::open).transpose()?,
            scores: BTreeMap::new(),
        })
    }

    fn add(&mut self, cell: &Cell<'_>, policy: &str, run: &Run, bounds: &Bounds) -> Outcome {
        match &mut self.bars {
            Some(bars) => bars.note(cell, policy, run.miss_ratio()),
            None => self.report.cell(cell, policy, run)?,
        }
        if let Some(sheet) = &mut self.sheet {
            sheet.plot.add(cell.trace, policy, (cell.fraction, run.miss_ratio()));
        }
        self.scores.entry(policy.to_owned()).or_default().add(run, bounds);
        Ok(())
    }

    fn close(mut self, contestants: &[Contestant]) -> Outcome {
        if self.scores.is_empty() {
            return Err("no cell holds 32 objects: ask for a larger fraction".into());
        }
        let scores: Vec<(&str, &Score)> = contestants
            .iter()
            .filter_map(|contestant| Some((&*contestant.name, self.scores.get(&contestant.name)?)))
            .collect();
        match &self.bars {
            Some(bars) => self.report.text(&bars.table(&scores))?,
            None => {
                for (policy, score) in scores {
                    self.report.summary(policy, score)?;
                }
            }
        }
        self.report.finish()?;
        self.sheet.map_or(Ok(()), Sheet::fill)
    }
}

/// A plot and the file it goes to, opened before the replay so that results of minutes are not for
/// nothing. What the file held before stays until the new drawing is whole.
#[derive(Debug)]
struct Sheet {
    path: PathBuf,
    file: File,
    plot: Plot,
}

impl Sheet {
    fn open(path: &Path) -> Outcome<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, plot: Plot::default() })
    }

    fn fill(mut self) -> Outcome {
        let svg = self.plot.draw();
        self.write(svg.as_bytes())
            .map_err(|error| format!("cannot write {}: {error}", self.path.display()).into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A pipe has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(bytes)
    }
}
