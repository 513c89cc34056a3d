//! `cargo xtask test`: every test and every example, and one line that says how many passed.
//!
//! The tests run in one `cargo test` over the workspace; its output is passed on while it is
//! counted. The examples are built with the same selection of features, so that nothing is
//! compiled twice, and run one by one.
//!
//! Tests on real servers are targets behind the feature `real-servers`. They are turned on by the
//! selection of all features, here and nowhere else that runs tests.

mod conformance;
pub(crate) mod needs;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::servers::Servers;
use crate::workspace::{BENCH, Workspace, show};
use needs::{Needs, REAL_SERVERS};
use tally::{Owner, Tally};

const JSON: &str = "json-render-diagnostics";

/// How the tests and examples went.
#[derive(Debug, Default)]
pub(crate) struct Report {
    servers: Option<Servers>,
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
        println!("tests: {}", self.by_server());
        let counts = self.tally.by_package();
        let each: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
        println!("tests by crate: {}", each.join(", "));
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

    /// Takes in how `cargo test` ended, after all that it wrote was counted.
    fn end_tests(&mut self, succeeded: bool) {
        // A test that ends its process with success takes the rest of its binary with it.
        self.broken.extend(self.tally.without_result());
        if !succeeded && self.failed() == 0 {
            self.broken.push("`cargo test` failed beside the tests".to_owned());
        }
        // The examples would still make it green.
        if succeeded && self.tally.passed() == 0 {
            self.broken.push("no test was counted".to_owned());
        }
    }

    /// `828 on no server, 120 on redis 7.0.15, 55 on memcached 1.6.18`.
    fn by_server(&self) -> String {
        let servers = self.servers.as_ref();
        let counts = self.tally.by_server();
        let each = counts.iter().map(|(needs, n)| format!("{n} on {}", needs.shown(servers)));
        each.collect::<Vec<_>>().join(", ")
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
    let servers = Some(Servers::find_or_install()?);
    let mut report = Report { servers, ..Report::default() };
    run_tests(workspace, &mut report)?;
    run_examples(workspace, &mut report)?;
    Ok(report)
}

fn run_tests(workspace: &Workspace, report: &mut Report) -> Outcome {
    let Some(binaries) = build(workspace, &["test", "--no-run"])? else {
        report.broken.push("the tests do not build".to_owned());
        return Ok(());
    };
    let on_servers = targets_on_servers(workspace)?;
    let owners: BTreeMap<String, Owner> =
        binaries.into_iter().map(|binary| owner(binary, &on_servers)).collect();

    let mut command = selection(workspace, &["test"]);
    // The conformance suites print their counts, which a harness shows only when asked to.
    command.args(["--no-fail-fast", "--", "--show-output"]);
    let succeeded = stream(&mut command, |line| report.tally.line(line, &owners))?;
    report.end_tests(succeeded);
    Ok(())
}

/// Package and name of every test target behind the feature of real servers.
pub(crate) fn targets_on_servers(workspace: &Workspace) -> Outcome<BTreeSet<(String, String)>> {
    let manifests = workspace.manifests()?;
    let targets = manifests.into_iter().flat_map(|manifest| {
        let on_servers = manifest.tests.into_iter().filter(|test| test.requires(REAL_SERVERS));
        on_servers.map(move |test| (manifest.package.clone(), test.name))
    });
    Ok(targets.collect())
}

/// The name of a binary's file, and whose tests are in it.
fn owner(binary: Binary, on_servers: &BTreeSet<(String, String)>) -> (String, Owner) {
    let file = file_name(&binary.path);
    let Binary { package, target, .. } = binary;
    let target = (package, target);
    let needs = match on_servers.contains(&target) {
        true => Needs::of(&target.1).unwrap_or(Needs::Several),
        false => Needs::Nothing,
    };
    (file, Owner { package: target.0, needs })
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
    let mut command = workspace.plain_cargo(arguments);
    command.args(["--workspace", "--exclude", BENCH, "--all-features"]);
    command
}

/// A binary cargo has built.
#[derive(Debug, PartialEq, Eq)]
struct Binary {
    path: PathBuf,
    package: String,
    target: String,
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
    let target = message["target"]["name"].as_str()?.to_owned();
    Some(Binary { path, package: file_name(manifest.parent()?), target })
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
        Report { servers: None, tally, examples_passed, broken }
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
    fn tests_of_which_none_was_counted_are_not_green() {
        let mut blind = report(&[], 3, &[]);
        blind.end_tests(true);
        assert_eq!(blind.broken, ["no test was counted"]);
        let mut counted = report(&GREEN, 3, &[]);
        counted.end_tests(true);
        assert!(counted.verdict().is_ok());
        counted.end_tests(false);
        assert_eq!(counted.broken, ["`cargo test` failed beside the tests"]);
    }

    #[test]
    fn a_suite_without_a_result_is_not_green() {
        let mut silent = report(&[GREEN[0], GREEN[1], "   Doc-tests own_backend"], 0, &[]);
        silent.end_tests(true);
        assert_eq!(silent.broken, ["own-backend: doc tests ended without a result"]);
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
            "target":{"name":"tour"},"executable":"/r/target/debug/tour"}"#;
        let library = r#"{"reason":"compiler-artifact","manifest_path":"/r/a/Cargo.toml",
            "target":{"name":"a"},"executable":null}"#;
        let expected = Binary {
            path: "/r/target/debug/tour".into(),
            package: "examples".into(),
            target: "tour".into(),
        };
        assert_eq!(binary(built), Some(expected));
        assert_eq!(binary(library), None);
    }

    #[test]
    fn only_targets_behind_the_feature_count_as_on_a_server() {
        let needs = |target: &str, on_servers: &[&str]| {
            let on_servers = on_servers.iter().map(|name| ("a".to_owned(), name.to_string()));
            let path = format!("/r/target/debug/deps/{target}-01").into();
            let binary = Binary { path, package: "a".to_owned(), target: target.to_owned() };
            let (file, owner) = owner(binary, &on_servers.collect());
            assert_eq!((file, owner.package), (format!("{target}-01"), "a".to_owned()));
            owner.needs
        };
        assert_eq!(needs("redis_story", &["redis_story"]), Needs::Redis);
        assert_eq!(needs("redis_urls", &["redis_story"]), Needs::Nothing);
    }

    #[test]
    fn the_servers_are_counted_in_one_line() {
        assert_eq!(report(&GREEN, 0, &[]).by_server(), "4 on no server");
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
