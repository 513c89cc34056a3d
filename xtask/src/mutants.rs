//! `cargo xtask chaos --mutants`: each rule of coherence is switched off, and somebody must see it.
//!
//! The rules stand in `crates/cache-enterprise-chaos/rules.toml`, each with what finds its loss: a
//! seed of the simulation, or a test. Both are run with the rule and without: the first must pass,
//! so that the second shows something. A test that crashes or waits for ever shows nothing.

mod program;
pub(crate) mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::chaos::CHAOS;
use crate::failure::{Failure, Outcome};
use crate::servers::Servers;
use crate::test::targets_on_servers;
use crate::workspace::{Workspace, capture, show};
use program::{End, Program};
use rules::{Proof, RULES, Rule};

/// Seeds that have not been played by then hold one that waits for ever; all of a range take a
/// minute or two.
const SEEDS_TAKE_MOST: Duration = Duration::from_secs(1_200);

/// Breaks every rule, or those whose name contains an argument.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let is_json = arguments.iter().any(|argument| argument == "--json");
    let wanted: Vec<_> = arguments.iter().filter(|argument| *argument != "--json").collect();
    let path = workspace.root().join(RULES);
    let text = std::fs::read_to_string(&path).map_err(Failure::of(format!("reading `{RULES}`")))?;
    let mut rules = rules::parse(&text)?;
    rules.retain(|rule| {
        wanted.is_empty() || wanted.iter().any(|word| rule.name.contains(word.as_str()))
    });
    if needs_servers(&rules, &targets_on_servers(workspace)?) {
        Servers::find_or_install()?;
    }
    let mut trials =
        Trials { workspace, in_force: BTreeMap::new(), built: BTreeMap::new(), player: None };
    let mut count = Count::default();
    for rule in &rules {
        let found = trials.find(rule);
        count.add(&found);
        let word = match &found {
            Ok((_, true)) => "caught",
            Ok((_, false)) => "MISSED",
            Err(_) => "FAILED",
        };
        // What stands in the way of one rule says nothing of the next.
        let (seed, is_caught) = found.unwrap_or_else(|failure| {
            Failure::new(format!("{}: {failure}", rule.name)).tell();
            (None, false)
        });
        let test = rule.proof.test();
        if is_json {
            let line = json!({"rule": rule.name, "test": test, "seed": seed, "caught": is_caught});
            println!("{line}");
        } else {
            let by = test.or(seed.map(|seed| format!("seed {seed}"))).unwrap_or_default();
            println!("{word}  {}  {by}", rule.name);
        }
    }
    count.verdict()
}

/// Whether the test of a rule is in a target that runs on real servers.
fn needs_servers(rules: &[Rule], on_servers: &BTreeSet<(String, String)>) -> bool {
    rules.iter().any(|rule| match &rule.proof {
        Proof::Seeds { .. } => false,
        Proof::Test { package, target, .. } => {
            on_servers.contains(&(package.clone(), target.clone()))
        }
    })
}

/// The seed, if it was one, and whether the loss of a rule was seen.
type Found = (Option<u64>, bool);

/// How many rules were tried, and what came of it.
#[derive(Debug, Default)]
struct Count {
    all: u32,
    missed: u32,
    failed: u32,
}

impl Count {
    fn add(&mut self, found: &Outcome<Found>) {
        self.all += 1;
        match found {
            Ok((_, true)) => {}
            Ok((_, false)) => self.missed += 1,
            Err(_) => self.failed += 1,
        }
    }

    fn verdict(&self) -> Outcome {
        let Count { all, missed, failed } = self;
        match (all, missed, failed) {
            (0, ..) => Err(Failure::new("there is no such rule")),
            (_, 0, 0) => Ok(()),
            (_, _, 0) => {
                Err(Failure::new(format!("{missed} of {all} rules were broken and nobody saw it")))
            }
            _ => Err(Failure::new(format!(
                "{missed} of {all} rules were broken and nobody saw it; {failed} could not be tried"
            ))),
        }
    }
}

/// Trials of rules, and what need not be done twice for them.
struct Trials<'w> {
    workspace: &'w Workspace,
    /// Ranges of seeds that were played with every rule in force, and why one shows nothing.
    in_force: BTreeMap<(u64, u64), Result<(), String>>,
    /// Test programs by package and target.
    built: BTreeMap<(String, String), Program>,
    /// The program that plays seeds.
    player: Option<Program>,
}

impl Trials<'_> {
    fn find(&mut self, rule: &Rule) -> Outcome<Found> {
        match &rule.proof {
            Proof::Seeds { first, end } => {
                let seeds = (*first, *end);
                self.holds(seeds)?;
                // With one build a seed tells one story, so it need not be played again.
                let found = self.first_broken(seeds, Some(&rule.name))?;
                Ok((found, found.is_some()))
            }
            Proof::Test { package, target, name } => {
                let program = self.program(package, target)?;
                if !program.has(name)? {
                    let text = format!("`{package}` has no test `{name}` in `{target}`");
                    return Err(Failure::new(text));
                }
                let is_caught = is_caught(name, &rule.name, |rule| program.end(name, rule))?;
                Ok((None, is_caught))
            }
        }
    }

    /// Fails when a seed breaks a promise with every rule in force.
    fn holds(&mut self, seeds: (u64, u64)) -> Outcome {
        if !self.in_force.contains_key(&seeds) {
            let played = match self.first_broken(seeds, None) {
                Ok(None) => Ok(()),
                Ok(Some(seed)) => Err(format!("seed {seed} fails with every rule in force")),
                Err(failure) => Err(failure.to_string()),
            };
            self.in_force.insert(seeds, played);
        }
        self.in_force[&seeds].clone().map_err(Failure::new)
    }

    /// The first of the seeds that breaks a promise.
    fn first_broken(
        &mut self,
        (first, end): (u64, u64),
        rule: Option<&str>,
    ) -> Outcome<Option<u64>> {
        let mut command = self.player()?.command();
        command.args(["--json", "--first", "--seeds", &format!("{first}..{end}")]);
        command.args(rule.into_iter().flat_map(|rule| ["--break", rule]));
        let shown = show(&command);
        let (status, told) = program::run(command.stdout(Stdio::piped()), SEEDS_TAKE_MOST)?;
        let Some(status) = status else {
            let seconds = SEEDS_TAKE_MOST.as_secs();
            return Err(Failure::new(format!("`{shown}` did not end in {seconds} s")));
        };
        first_seed(&told).ok_or_else(|| {
            Failure::new(format!("`{shown}` ended with {status} before it was through"))
        })
    }

    /// The program that plays seeds, built where it is not yet.
    fn player(&mut self) -> Outcome<Program> {
        if let Some(player) = &self.player {
            return Ok(player.clone());
        }
        let build = ["build", "--quiet", "--profile", "mutants", "-p", CHAOS];
        let player = build_program(&mut self.workspace.cargo_under("mutants", &build), false)?
            .ok_or_else(|| Failure::new(format!("`{CHAOS}` has no program")))?;
        self.player = Some(player.clone());
        Ok(player)
    }

    /// The test program of a target, built where it is not yet.
    fn program(&mut self, package: &str, target: &str) -> Outcome<Program> {
        let names = (package.to_owned(), target.to_owned());
        if let Some(program) = self.built.get(&names) {
            return Ok(program.clone());
        }
        let test = ["test", "--no-run", "--quiet", "--profile", "mutants", "--all-features", "-p"];
        let mut command = self.workspace.cargo_under("mutants", &test);
        command.arg(package);
        match target {
            "lib" => command.arg("--lib"),
            target => command.args(["--test", target]),
        };
        let program = build_program(&mut command, true)?
            .ok_or_else(|| Failure::new(format!("`{package}` has no tests in `{target}`")))?;
        self.built.insert(names, program.clone());
        Ok(program)
    }
}

/// Whether a test finds the loss of `rule`, by how it ends with a rule broken or none. It is run
/// with every rule in force before and after: one that fails now and then, or whose server was
/// away, shows nothing.
fn is_caught(
    test: &str,
    rule: &str,
    mut end: impl FnMut(Option<&str>) -> Outcome<End>,
) -> Outcome<bool> {
    let wrong = |end: End, when: &str| Failure::new(format!("`{test}` {end} {when}"));
    match end(None)? {
        End::Passed => {}
        other => return Err(wrong(other, "with every rule in force")),
    }
    match end(Some(rule))? {
        End::Failed => {}
        End::Passed => return Ok(false),
        other => return Err(wrong(other, "without the rule, which is no failed test")),
    }
    match end(None)? {
        End::Passed => Ok(true),
        other => Err(wrong(other, "with every rule in force, where it passed before")),
    }
}

/// The first seed that broke a promise, in what a player told that went through; none when it did
/// not.
fn first_seed(told: &str) -> Option<Option<u64>> {
    let last = told.lines().last().and_then(json_of)?;
    last.get("schedules")?;
    let seeds = told.lines().filter_map(json_of).filter_map(|line| line.get("seed")?.as_u64());
    Some(seeds.min())
}

/// What a command of cargo builds.
fn build_program(command: &mut Command, is_test: bool) -> Outcome<Option<Program>> {
    command.arg("--message-format=json-render-diagnostics");
    let told = capture(command)?;
    Ok(told.lines().filter_map(json_of).find_map(|line| Program::of(&line, is_test)))
}

fn json_of(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// What comes of a test that ends so with every rule, without one, and with every rule again.
    fn tried([before, without, after]: [End; 3]) -> Outcome<bool> {
        let (mut in_force, mut broken) = ([before, after].into_iter(), [without].into_iter());
        is_caught("t", "r", |rule| {
            let end = if rule.is_some() { broken.next() } else { in_force.next() };
            Ok(end.unwrap())
        })
    }

    fn said(ends: [End; 3]) -> String {
        tried(ends).unwrap_err().to_string()
    }

    #[test]
    fn a_rule_is_caught_by_a_test_that_fails_without_it_alone() {
        assert!(tried([End::Passed, End::Failed, End::Passed]).unwrap());
        assert!(!tried([End::Passed, End::Passed, End::Passed]).unwrap());
    }

    #[test]
    fn a_test_that_fails_with_every_rule_shows_nothing() {
        assert_eq!(
            said([End::Failed, End::Failed, End::Passed]),
            "`t` fails with every rule in force"
        );
        assert_eq!(
            said([End::Passed, End::Failed, End::Failed]),
            "`t` fails with every rule in force, where it passed before"
        );
    }

    #[test]
    fn a_test_that_does_not_end_is_no_failed_test() {
        assert_eq!(
            said([End::Passed, End::Endless, End::Passed]),
            "`t` does not end in 100 s without the rule, which is no failed test"
        );
    }

    #[test]
    fn seeds_count_where_all_were_played() {
        let through = "{\"schedules\":9}\n";
        assert_eq!(first_seed(through), Some(None));
        let broken = format!("{{\"seed\":7}}\n{{\"seed\":3}}\n{through}");
        assert_eq!(first_seed(&broken), Some(Some(3)));
        assert_eq!(first_seed("{\"seed\":7}\n"), None);
        assert_eq!(first_seed(""), None);
    }

    #[test]
    fn servers_are_needed_for_the_targets_that_run_on_them() {
        let listed = "[[rule]]\nname = \"a\"\nseeds = [1, 2]\n\
                      [[rule]]\nname = \"b\"\ntest = \"redis lib x::y\"\n\
                      [[rule]]\nname = \"c\"\ntest = \"redis redis_story z\"\n";
        let rules = rules::parse(listed).unwrap();
        let on_servers = [("redis".to_owned(), "redis_story".to_owned())].into();
        assert!(needs_servers(&rules, &on_servers));
        assert!(!needs_servers(&rules[..2], &on_servers));
        assert!(!needs_servers(&rules, &BTreeSet::new()));
    }

    #[test]
    fn rules_that_could_not_be_tried_are_counted_apart() {
        let told = |found: Vec<Outcome<Found>>| {
            let mut count = Count::default();
            found.iter().for_each(|found| count.add(found));
            count.verdict().map_err(|failure| failure.to_string())
        };
        assert_eq!(told(vec![Ok((Some(7), true))]), Ok(()));
        assert_eq!(told(Vec::new()), Err("there is no such rule".to_owned()));
        let missed = "1 of 2 rules were broken and nobody saw it";
        assert_eq!(told(vec![Ok((None, true)), Ok((None, false))]), Err(missed.to_owned()));
        let failed = "0 of 1 rules were broken and nobody saw it; 1 could not be tried";
        assert_eq!(told(vec![Err(Failure::new("x"))]), Err(failed.to_owned()));
    }
}
