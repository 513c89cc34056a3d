//! `cargo xtask ci`: everything the CI runs, with the time of each step.
//!
//! The quick checks come first, so that a slip is known before anything is built. The steps are
//! the very functions of the other commands.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::test::Report;
use crate::workspace::{BENCH, Workspace, run as run_command};
use crate::{budget, features, licences, model, room, test, tidy};

/// Runs the steps up to the first that fails, then prints the table of times; the last line is
/// the count of the tests, if they ran.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let mut ledger = Ledger::default();
    let mut report = None;
    let outcome = steps(workspace, &mut ledger, &mut report);
    ledger.print();
    println!("{}", room::held(workspace).unwrap_or_else(|failure| failure.to_string()));
    let outcome = outcome.map_err(Failure::tell);
    if let Some(report) = &report {
        report.print();
    }
    outcome
}

fn steps(workspace: &Workspace, ledger: &mut Ledger, report: &mut Option<Report>) -> Outcome {
    let cargo = |arguments: &[&str]| run_command(&mut workspace.cargo(arguments));
    let all = ["--workspace", "--exclude", BENCH, "--all-features"];

    ledger.step("room", || room::run(workspace))?;
    ledger.step("fmt", || cargo(&["fmt", "--all", "--check"]))?;
    ledger.step("tidy", || tidy::run(workspace))?;
    ledger.step("licences", || licences::run(workspace))?;
    ledger.step("budget", || budget::run(workspace))?;
    ledger.step("clippy", || {
        let lint = ["--all-targets", "--", "-D", "warnings"];
        cargo(&[&["clippy"], &all[..], &lint].concat())
    })?;
    ledger.step("features", || features::run(workspace))?;
    ledger.step("test", || {
        let ran = test::run(workspace)?;
        let verdict = ran.verdict();
        *report = Some(ran);
        verdict
    })?;
    ledger.step("model", || model::run(workspace, &[]))?;
    ledger.step("docs", || {
        let mut command = workspace.cargo(&[&["doc", "--no-deps"], &all[..]].concat());
        run_command(command.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    // Built once, with the features it is timed with. Lints and the feature `rivals` would compile
    // the peers a second and a third time.
    ledger.step("bench", || cargo(&["test", "-p", BENCH, "--all-targets"]))?;
    if workspace.root().join("fuzz").is_dir() {
        // A workspace of its own, so that the fuzzer is in nobody's build; one target directory.
        ledger.step("fuzz", || {
            let fuzz = |task: &str, rest: &[&str]| {
                let arguments = [&[task, "--manifest-path", "fuzz/Cargo.toml"], rest].concat();
                let mut command = workspace.cargo(&arguments);
                run_command(command.env("CARGO_TARGET_DIR", workspace.target()))
            };
            // None of the steps above reaches it.
            fuzz("fmt", &["--check"])?;
            fuzz("clippy", &["--all-targets", "--", "-D", "warnings"])?;
            fuzz("test", &[])?;
            fuzz("run", &["--", "--seconds", "5"])
        })?;
    }
    Ok(())
}

/// What ran and how long it took.
#[derive(Debug, Default)]
struct Ledger {
    steps: Vec<(&'static str, Duration, bool)>,
}

impl Ledger {
    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Outcome) -> Outcome {
        println!("== {name}");
        let started = Instant::now();
        let outcome = step();
        let took = started.elapsed();
        println!("== {name}: {:.1} s", took.as_secs_f64());
        self.steps.push((name, took, outcome.is_ok()));
        outcome
    }

    fn print(&self) {
        println!();
        for line in self.table() {
            println!("{line}");
        }
    }

    fn table(&self) -> Vec<String> {
        let row = |name: &str, took: Duration, mark: &str| {
            format!("{name:<10}{:>9.1} s{mark}", took.as_secs_f64())
        };
        let mark = |passed: bool| if passed { "" } else { "  FAILED" };
        let mut lines: Vec<String> =
            self.steps.iter().map(|(name, took, passed)| row(name, *took, mark(*passed))).collect();
        lines.push(row("total", self.steps.iter().map(|(_, took, _)| took).sum(), ""));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_every_step_and_marks_the_one_that_failed() {
        let mut ledger = Ledger::default();
        assert!(ledger.step("tidy", || Ok(())).is_ok());
        assert!(ledger.step("test", || Err(Failure::new("2 failed"))).is_err());
        let table = ledger.table();
        assert_eq!(table.len(), 3);
        assert!(table[0].starts_with("tidy ") && table[0].ends_with(" s"), "{table:?}");
        assert!(table[1].starts_with("test ") && table[1].ends_with(" s  FAILED"), "{table:?}");
        assert!(table[2].starts_with("total "), "{table:?}");
    }
}
