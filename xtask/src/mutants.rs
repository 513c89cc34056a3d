//! `cargo xtask chaos --mutants`: each rule of coherence is switched off, and somebody must see it.
//!
//! The rules stand in `crates/cache-enterprise-chaos/rules.toml`, each with what finds its loss: a
//! seed of the simulation, or a test. Both are run twice, with the rule and without: the first
//! must pass, so that the second shows something.

pub(crate) mod rules;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chaos::CHAOS;
use crate::failure::{Failure, Outcome};
use crate::workspace::{Workspace, capture, show};
use rules::{Proof, RULES, Rule};

/// The variable in which a build for this command looks for the rule to break.
const BROKEN_RULE: &str = "CACHE_BROKEN_RULE";

/// A test that has not ended by then is one that waits for ever, which is a failure.
const TEST_TAKES_MOST: Duration = Duration::from_secs(100);

/// Breaks every rule, or those whose name contains an argument.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let is_json = arguments.iter().any(|argument| argument == "--json");
    let wanted: Vec<_> = arguments.iter().filter(|argument| *argument != "--json").collect();
    let path = workspace.root().join(RULES);
    let text = std::fs::read_to_string(&path).map_err(Failure::of(format!("reading `{RULES}`")))?;
    let rules = rules::parse(&text)?;
    let rules = rules.into_iter().filter(|rule| {
        wanted.is_empty() || wanted.iter().any(|word| rule.name.contains(word.as_str()))
    });
    let mut trials = Trials { workspace, passed: BTreeMap::new(), built: BTreeMap::new() };
    let (mut all, mut missed) = (0, 0);
    for rule in rules {
        let (seed, is_caught) = trials.find(&rule)?;
        all += 1;
        missed += u32::from(!is_caught);
        let test = rule.proof.test();
        if is_json {
            let line = json!({"rule": rule.name, "test": test, "seed": seed, "caught": is_caught});
            println!("{line}");
        } else {
            let by = test.or(seed.map(|seed| format!("seed {seed}"))).unwrap_or_default();
            println!("{}  {}  {by}", if is_caught { "caught" } else { "MISSED" }, rule.name);
        }
    }
    match (all, missed) {
        (0, _) => Err(Failure::new("there is no such rule")),
        (_, 0) => Ok(()),
        _ => Err(Failure::new(format!("{missed} of {all} rules were broken and nobody saw it"))),
    }
}

/// Trials of rules, and what need not be done twice for them.
struct Trials<'w> {
    workspace: &'w Workspace,
    /// Ranges of seeds that were played with every rule, and whether they pass.
    passed: BTreeMap<(u64, u64), bool>,
    /// Test programs by package and target.
    built: BTreeMap<(String, String), Program>,
}

/// A test program and where cargo would run it.
#[derive(Clone)]
struct Program {
    path: PathBuf,
    folder: PathBuf,
}

impl Trials<'_> {
    /// The seed, if it was one, and whether it fails without the rule and passes with it.
    fn find(&mut self, rule: &Rule) -> Outcome<(Option<u64>, bool)> {
        match &rule.proof {
            Proof::Seeds { first, end } => {
                let seeds = (*first, *end);
                let passes = match self.passed.get(&seeds) {
                    Some(passes) => *passes,
                    None => self.first_broken(seeds, None)?.is_none(),
                };
                self.passed.insert(seeds, passes);
                let found = self.first_broken(seeds, Some(&rule.name))?;
                Ok((found, passes && found.is_some()))
            }
            Proof::Test { package, target, name } => {
                let program = self.program(package, target)?;
                let listed = capture(program.command(name).arg("--list"))?;
                if !listed.lines().any(|line| line.ends_with(": test")) {
                    let text = format!("`{package}` has no test `{name}` in `{target}`");
                    return Err(Failure::new(text));
                }
                let passes = program.passes(name, None)?;
                Ok((None, passes && !program.passes(name, Some(&rule.name))?))
            }
        }
    }

    /// The first of the seeds that breaks a promise.
    fn first_broken(&self, (first, end): (u64, u64), rule: Option<&str>) -> Outcome<Option<u64>> {
        let run = ["run", "--quiet", "--profile", "mutants", "-p", CHAOS, "--"];
        let mut command = self.workspace.cargo(&run);
        command.args(["--json", "--first", "--seeds", &format!("{first}..{end}")]);
        command.args(rule.into_iter().flat_map(|rule| ["--break", rule]));
        with_mutants(&mut command);
        let shown = show(&command);
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .map_err(Failure::of(format!("starting `{shown}`")))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = text.lines().last().and_then(json_of);
        if last.is_none_or(|last| last.get("schedules").is_none()) {
            return Err(Failure::new(format!("`{shown}` did not run")));
        }
        let seeds = text.lines().filter_map(json_of).filter_map(|line| line.get("seed")?.as_u64());
        Ok(seeds.min())
    }

    /// The test program of a target, built where it is not yet.
    fn program(&mut self, package: &str, target: &str) -> Outcome<Program> {
        let names = (package.to_owned(), target.to_owned());
        if let Some(program) = self.built.get(&names) {
            return Ok(program.clone());
        }
        let test = ["test", "--no-run", "--quiet", "--profile", "mutants", "--all-features", "-p"];
        let mut command = self.workspace.cargo(&test);
        command.arg(package);
        match target {
            "lib" => command.arg("--lib"),
            target => command.args(["--test", target]),
        };
        command.arg("--message-format=json-render-diagnostics");
        with_mutants(&mut command);
        let told = capture(&mut command)?;
        let program = told.lines().filter_map(json_of).find_map(|line| program_of(&line));
        let program = program
            .ok_or_else(|| Failure::new(format!("`{package}` has no tests in `{target}`")))?;
        self.built.insert(names, program.clone());
        Ok(program)
    }
}

/// The test program in a message of cargo, if that is about one.
fn program_of(message: &Value) -> Option<Program> {
    let path = message.get("executable")?.as_str()?;
    let is_test = message.get("profile")?.get("test")?.as_bool()?;
    let folder = Path::new(message.get("manifest_path")?.as_str()?).parent()?;
    is_test.then(|| Program { path: path.into(), folder: folder.into() })
}

impl Program {
    fn command(&self, test: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.args(["--exact", test]).current_dir(&self.folder).env_remove(BROKEN_RULE);
        command.stdin(Stdio::null());
        command
    }

    /// Whether a test passes with `rule` broken.
    fn passes(&self, test: &str, rule: Option<&str>) -> Outcome<bool> {
        let mut command = self.command(test);
        command.envs(rule.map(|rule| (BROKEN_RULE, rule)));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let attempt = format!("starting `{}`", show(&command));
        let mut child = command.spawn().map_err(Failure::of(attempt))?;
        Ok(end_of(&mut child)?.is_some_and(|status| status.success()))
    }
}

/// How a test ended; `None` for one that had to be stopped.
fn end_of(child: &mut Child) -> Outcome<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().map_err(Failure::of("waiting for a test"))? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= TEST_TAKES_MOST {
            child.kill().map_err(Failure::of("stopping a test"))?;
            child.wait().map_err(Failure::of("stopping a test"))?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

fn json_of(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

/// A build of its own, in a target directory of its own, as that of the model checker.
fn with_mutants(command: &mut Command) {
    let mut flags = std::env::var_os("RUSTFLAGS").unwrap_or_default();
    flags.push(" --cfg mutants");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| OsString::from("target"));
    command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", PathBuf::from(target).join("mutants"));
}
