//! Every contestant on every cell.

use std::collections::BTreeMap;
use std::fs;

use cache_enterprise_workload::scan;
use cache_enterprise_workload::simulate::{Bounds, Replay, Score, capacity_of, lru, opt};

use crate::Outcome;
use crate::arguments::Arguments;
use crate::contestant::Contestant;
use crate::plot::Plot;
use crate::report::{Cell, Report};

/// Replays every file at every fraction, and reports each cell as it is done.
///
/// # Errors
/// When a strategy is unknown, a file cannot be read, a policy breaks its contract, no cell is large
/// enough, or the results cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let contestants = match arguments.strategies.as_slice() {
        [] => Contestant::all()?,
        names => Contestant::named(names)?,
    };
    // Damage in the last file shows now, and not after minutes of results.
    for path in &arguments.files {
        scan(path)?;
    }
    let mut report = Report::new(arguments.is_json);
    let mut plot = Plot::default();
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    for path in &arguments.files {
        let replay = Replay::open(path)?;
        for fraction in &arguments.fractions {
            let Some(capacity) = capacity_of(*fraction, replay.unique()) else { continue };
            let bounds = Bounds {
                opt: opt(&replay, capacity).misses,
                lru: lru(&replay, capacity).misses,
                requests: replay.len() as u64,
            };
            for contestant in &contestants {
                let run = contestant.run(&replay, capacity, arguments.is_store)?;
                let cell = Cell { trace: replay.name(), fraction: *fraction, capacity };
                report.cell(&cell, &contestant.name, &run)?;
                plot.add(replay.name(), &contestant.name, (*fraction, run.miss_ratio()));
                scores.entry(&contestant.name).or_default().add(&run, &bounds);
            }
        }
    }
    if scores.is_empty() {
        return Err("no cell holds 32 objects: ask for a larger fraction".into());
    }
    for contestant in &contestants {
        report.summary(&contestant.name, &scores[contestant.name.as_str()])?;
    }
    report.finish()?;
    match &arguments.plot {
        Some(path) => fs::write(path, plot.draw())
            .map_err(|error| format!("cannot write {}: {error}", path.display()).into()),
        None => Ok(()),
    }
}
