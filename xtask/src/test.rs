//! `cargo xtask test`: every test and every example, and one line that says how many passed.
//!
//! The tests run in one `cargo test` over the workspace; its output is passed on while it is
//! counted. The examples are built with the same selection of features, so that nothing is
//! compiled twice, and run one by one.

mod conformance;
mod tally;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::workspace::{BENCH, Workspace, show};
use tally::Tally;

const JSON: &str = "json-render-diagnostics";

/// How the tests and examples went.
#[derive(Debug, Default)]
pub(crate) struct Report {
    tally: Tally,
    examples_passed: usize,
    /// Failures that no test counted: a build, an example, a test binary that crashed.
    broken: Vec<String>,
}

impl Report {
    /// Prints the counts; the last line is `N passed, N failed`.
    pub(crate) fn print(&self) {
        for failure in self.tally.failed_tests().iter().chain(&self.broken) {
            println!("failed: {failure}");
        }
        let counts = self.tally.by_package();
        let total: usize = counts.values().sum();
        let each: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
        println!("tests: {total} on no server: {}", each.join(", "));
        self.tally.conformance().lines().iter().for_each(|line| println!("{line}"));
        println!("examples: {} ran", self.examples_passed);
        println!("{} passed, {} failed", self.passed(), self.failed());
    }

    /// Prints the counts and fails unless everything passed; the count stays the last line.
    pub(crate) fn close(&self) -> Outcome {
        let verdict = self.verdict().map_err(Failure::tell);
        self.print();
        verdict
    }

    /// Fails unless everything passed.
    pub(crate) fn verdict(&self) -> Outcome {
        match (self.failed(), self.tally.ignored()) {
            (0, 0) if self.passed() > 0 => Ok(()),
            (0, 0) => Err(Failure::new("no test ran")),
            (0, ignored) => Err(Failure::new(format!("{ignored} tests were ignored"))),
            (failed, _) => Err(Failure::new(format!("{failed} failed"))),
        }
    }

    fn passed(&self) -> usize {
        self.tally.passed() + self.examples_passed
    }

    fn failed(&self) -> usize {
        self.tally.failed() + self.broken.len()
    }
}

/// Runs everything, failures included, to the end.
pub(crate) fn run(workspace: &Workspace) -> Outcome<Report> {
    let mut report = Report::default();
    run_tests(workspace, &mut report)?;
    run_examples(workspace, &mut report)?;
    Ok(report)
}

fn run_tests(workspace: &Workspace, report: &mut Report) -> Outcome {
    let Some(binaries) = build(workspace, &["test", "--no-run"])? else {
        report.broken.push("the tests do not build".to_owned());
        return Ok(());
    };
    let owners: BTreeMap<String, String> =
        binaries.into_iter().map(|binary| (file_name(&binary.path), binary.package)).collect();

    let mut command = selection(workspace, &["test"]);
    // The conformance suites print their counts, which a harness shows only when asked to.
    command.args(["--no-fail-fast", "--", "--show-output"]);
    let succeeded = stream(&mut command, |line| report.tally.line(line, &owners))?;
    if !succeeded {
        report.broken.extend(report.tally.without_result());
        if report.failed() == 0 {
            report.broken.push("`cargo test` failed beside the tests".to_owned());
        }
    }
    Ok(())
}

fn run_examples(workspace: &Workspace, report: &mut Report) -> Outcome {
    let Some(binaries) = build(workspace, &["build", "--bins", "--examples"])? else {
        report.broken.push("the examples do not build".to_owned());
        return Ok(());
    };
    for binary in binaries.iter().filter(|binary| binary.package == "examples") {
        let name = file_name(&binary.path);
        let started = Instant::now();
        let mut command = Command::new(&binary.path);
        command.current_dir(workspace.root()).stdin(Stdio::null());
        let output = command.output().map_err(Failure::of(format!("starting `{name}`")))?;
        let seconds = started.elapsed().as_secs_f64();
        if output.status.success() {
            println!("example {name} ... ok ({seconds:.1} s)");
            report.examples_passed += 1;
        } else {
            println!("example {name} ... FAILED ({seconds:.1} s, {})", output.status);
            print!("{}", String::from_utf8_lossy(&output.stdout));
            print!("{}", String::from_utf8_lossy(&output.stderr));
            report.broken.push(format!("examples: {name}"));
        }
    }
    Ok(())
}

/// `cargo` with `arguments` over all of the workspace that is quick to build.
fn selection(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = workspace.cargo(arguments);
    command.args(["--workspace", "--exclude", BENCH, "--all-features"]);
    command
}

/// A binary cargo has built.
#[derive(Debug, PartialEq, Eq)]
struct Binary {
    path: PathBuf,
    package: String,
}

/// Builds what `arguments` ask for and lists the binaries; none when the build fails, which cargo
/// has explained on stderr by then.
fn build(workspace: &Workspace, arguments: &[&str]) -> Outcome<Option<Vec<Binary>>> {
    let mut command = selection(workspace, arguments);
    command.args(["--message-format", JSON]).stderr(Stdio::inherit());
    let shown = show(&command);
    let output = command.output().map_err(Failure::of(format!("starting `{shown}`")))?;
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success().then(|| messages.lines().filter_map(binary).collect()))
}

/// The binary in one of cargo's messages, if it is about one. A package is known by the folder of
/// its manifest, which `tidy` keeps equal to its name.
fn binary(message: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = PathBuf::from(message["executable"].as_str()?);
    let manifest = Path::new(message["manifest_path"].as_str()?);
    Some(Binary { path, package: file_name(manifest.parent()?) })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs `command` with both of its outputs in one pipe, so that cargo's headings and the tests'
/// results keep their order; passes each line on and shows it to `watch`. Says whether the
/// command succeeded.
fn stream(command: &mut Command, mut watch: impl FnMut(&str)) -> Outcome<bool> {
    let shown = show(command);
    let failed = || Failure::of::<std::io::Error>(format!("running `{shown}`"));
    let (reader, writer) = std::io::pipe().map_err(failed())?;
    command.stdout(writer.try_clone().map_err(failed())?).stderr(writer);
    let mut child = command.spawn().map_err(failed())?;
    // The command still holds the writing ends; the reader ends only when all are closed.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(failed())? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        watch(&text);
        line.clear();
    }
    Ok(child.wait().map_err(failed())?.success())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn report(lines: &[&str], examples_passed: usize, broken: &[&str]) -> Report {
        let mut tally = Tally::default();
        for line in lines {
            tally.line(line, &BTreeMap::new());
        }
        let broken = broken.iter().map(ToString::to_string).collect();
        Report { tally, examples_passed, broken }
    }

    const GREEN: [&str; 2] = [
        "   Doc-tests cache_enterprise_core",
        "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
    ];

    #[test]
    fn examples_and_what_broke_count() {
        let report = report(&GREEN, 2, &["examples: tour"]);
        assert_eq!((report.passed(), report.failed()), (6, 1));
        assert_eq!(report.verdict().unwrap_err().to_string(), "1 failed");
    }

    #[test]
    fn nothing_at_all_is_not_green() {
        assert!(report(&GREEN, 0, &[]).verdict().is_ok());
        assert!(report(&[], 0, &[]).verdict().is_err());
    }

    #[test]
    fn an_ignored_test_is_not_green() {
        let lines = [GREEN[0], "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured"];
        let failure = report(&lines, 0, &[]).verdict().unwrap_err();
        assert_eq!(failure.to_string(), "1 tests were ignored");
    }

    #[test]
    fn binaries_are_found_in_cargos_messages() {
        let built = r#"{"reason":"compiler-artifact","manifest_path":"/r/examples/Cargo.toml",
            "executable":"/r/target/debug/tour"}"#;
        let library = r#"{"reason":"compiler-artifact","manifest_path":"/r/a/Cargo.toml",
            "executable":null}"#;
        let expected = Binary { path: "/r/target/debug/tour".into(), package: "examples".into() };
        assert_eq!(binary(built), Some(expected));
        assert_eq!(binary(library), None);
    }

    #[test]
    fn both_outputs_are_read_in_order() {
        let workspace = Workspace::find().unwrap();
        let mut lines = Vec::new();
        let succeeded =
            stream(&mut workspace.cargo(&["--version"]), |line| lines.push(line.to_owned()));
        assert!(succeeded.unwrap());
        assert!(lines[0].starts_with("cargo ") && lines.len() == 1, "{lines:?}");

        let mut errors = Vec::new();
        let failed = stream(&mut workspace.cargo(&["--no-such-flag"]), |line| {
            errors.push(line.to_owned());
        });
        assert!(!failed.unwrap());
        assert!(errors.iter().any(|line| line.contains("--no-such-flag")), "{errors:?}");
    }
}
