//! What is printed: JSON lines for programs, or a table for people.

use std::io::{self, StdoutLock, Write};

use cache_enterprise_workload::simulate::{Run, Score};
use serde_json::json;

use crate::Outcome;

/// Where a result was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    /// Name of the trace, no other's.
    pub(crate) trace: &'a str,
    /// Share of its unique objects that fit.
    pub(crate) fraction: f64,
    /// Objects that fit.
    pub(crate) capacity: usize,
}

/// Prints results as they come.
#[derive(Debug)]
pub(crate) struct Report {
    output: StdoutLock<'static>,
    is_json: bool,
    /// Whether the heading of the summary was printed.
    is_headed: bool,
}

impl Report {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { output: io::stdout().lock(), is_json, is_headed: false }
    }

    /// One policy in one cell.
    pub(crate) fn cell(&mut self, cell: &Cell<'_>, policy: &str, run: &Run) -> Outcome {
        let Cell { trace, fraction, capacity } = cell;
        if self.is_json {
            let line = json!({
                "trace": trace,
                "fraction": fraction,
                "capacity": capacity,
                "policy": policy,
                "miss_ratio": rounded(run.miss_ratio(), 1e9),
                "ns_per_request": rounded(run.ns_per_request(), 10.0),
            });
            return self.line(&line.to_string());
        }
        self.line(&format!(
            "{trace:<12} {fraction:<6} {capacity:>8}  {policy:<17} {:.4} {:>7.0} ns",
            run.miss_ratio(),
            run.ns_per_request()
        ))
    }

    /// One policy over all cells.
    pub(crate) fn summary(&mut self, policy: &str, score: &Score) -> Outcome {
        if self.is_json {
            let line = json!({
                "summary": true,
                "policy": policy,
                "cells": score.cells(),
                "mean_miss_ratio": rounded(score.mean_miss_ratio(), 1e9),
                "gap_closed": rounded(score.gap_closed(), 1e6),
                "worst_cell": rounded(score.worst_cell(), 1e6),
                "ns_per_request": rounded(score.ns_per_request(), 10.0),
            });
            return self.line(&line.to_string());
        }
        if !self.is_headed {
            self.is_headed = true;
            self.line(
                "\npolicy            cells  mean miss  gap closed  worst cell  ns a request",
            )?;
        }
        self.line(&format!(
            "{policy:<17} {:>5} {:>10.4} {:>11.4} {:>11.4} {:>13.0}",
            score.cells(),
            score.mean_miss_ratio(),
            score.gap_closed(),
            score.worst_cell(),
            score.ns_per_request()
        ))
    }

    /// Text that is ready to be read.
    pub(crate) fn text(&mut self, text: &str) -> Outcome {
        self.line(text.trim_end())
    }

    /// Hands the last lines over.
    pub(crate) fn finish(mut self) -> Outcome {
        Ok(self.output.flush()?)
    }

    fn line(&mut self, text: &str) -> Outcome {
        writeln!(self.output, "{text}")
            .map_err(|error| format!("cannot write results: {error}"))?;
        Ok(())
    }
}

/// The number to one part in `parts`, without a minus before zero.
fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts + 0.0
}
