//! `chaos`: plays seeds. Called by `cargo xtask chaos`, which builds it.
//!
//! ```text
//! chaos --seeds A..B [--json] [--trace] [--first] [--processes N] [--break RULE]
//! ```

// A command-line tool speaks on stdout and stderr; the workspace denies both to libraries.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::ops::Range;
use std::process::ExitCode;

use cache_enterprise_chaos::{Tally, run_all, run_plan};
use cache_enterprise_testkit::simulation::Plan;
use serde_json::json;

/// One for each core of the machine the figures in the documentation are from.
const THREADS: usize = 2;

#[derive(Default)]
struct Arguments {
    seeds: Range<u64>,
    is_json: bool,
    is_told: bool,
    /// Whether the first seed that breaks a promise ends the run.
    ends_at_first: bool,
    broken: Option<String>,
    /// How many processes there are, whatever the seed says.
    processes: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!(
                "{wrong}; chaos --seeds A..B [--json] [--trace] [--first] [--processes N] [--break RULE]"
            );
            return ExitCode::FAILURE;
        }
    };
    if let Err(wrong) = break_rule(arguments.broken.as_deref()) {
        eprintln!("{wrong}");
        return ExitCode::FAILURE;
    }
    let tally = if arguments.is_told { tell(&arguments) } else { play(&arguments) };
    println!("{}", summary(&tally, arguments.is_json));
    if tally.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => arguments.is_json = true,
            "--trace" => arguments.is_told = true,
            "--first" => arguments.ends_at_first = true,
            "--seeds" => {
                let range = words.next().ok_or("--seeds takes a range")?;
                arguments.seeds = seeds(&range).ok_or(format!("`{range}` is no range A..B"))?;
            }
            "--processes" => {
                let count = words.next().ok_or("--processes takes a number")?;
                let count = count.parse().ok().filter(|count| (1..=5).contains(count));
                arguments.processes = Some(count.ok_or("there are one to five processes")?);
            }
            "--break" => arguments.broken = Some(words.next().ok_or("--break takes a rule")?),
            other => return Err(format!("`{other}` is no argument")),
        }
    }
    match arguments.seeds.is_empty() {
        true => Err("no seeds were given".to_owned()),
        false => Ok(arguments),
    }
}

fn seeds(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.split_once("..")?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

#[cfg(mutants)]
fn break_rule(rule: Option<&str>) -> Result<(), String> {
    cache_enterprise_core::mutant::break_rule(rule);
    Ok(())
}

#[cfg(not(mutants))]
fn break_rule(rule: Option<&str>) -> Result<(), String> {
    match rule {
        None => Ok(()),
        Some(_) => Err("rules can be broken in a build with `--cfg mutants` alone".to_owned()),
    }
}

fn play(arguments: &Arguments) -> Tally {
    let draw = |seed| Plan::draw_for(seed, arguments.processes);
    run_all(arguments.seeds.clone(), THREADS, draw, |seed, report| {
        let first = report.violations.first().map_or("", String::as_str);
        let replay = replay(seed, arguments.processes);
        if arguments.is_json {
            println!("{}", json!({"seed": seed, "violation": first, "replay": replay}));
        } else {
            println!("seed {seed}: {first}\n  replay: {replay}");
        }
        !arguments.ends_at_first
    })
}

/// The command that tells the story of a seed: with another number of processes it is another.
fn replay(seed: u64, processes: Option<usize>) -> String {
    // The last seed there is has no range that ends after it.
    let end = seed.saturating_add(1);
    let processes = processes.map(|count| format!(" --processes {count}")).unwrap_or_default();
    format!("cargo xtask chaos --seeds {seed}..{end} --trace{processes}")
}

/// Plays seeds one by one, with their stories.
fn tell(arguments: &Arguments) -> Tally {
    let mut tally = Tally::default();
    for seed in arguments.seeds.clone() {
        let report = run_plan(&Plan::draw_for(seed, arguments.processes), true);
        report.story.iter().for_each(|line| println!("{line}"));
        report.violations.iter().for_each(|line| println!("VIOLATION  {line}"));
        tally.note(&report);
    }
    tally
}

fn summary(tally: &Tally, is_json: bool) -> String {
    let Tally { schedules, violations, operations, faults, raced } = *tally;
    if is_json {
        let line = json!({
            "schedules": schedules,
            "violations": violations,
            "operations": operations,
            "faults": faults,
            "raced": raced,
        });
        return line.to_string();
    }
    format!(
        "{schedules} schedules, {violations} with violations, {operations} operations, \
         {faults} faults, {raced} hard invalidations that met a load"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_has_as_many_processes_as_the_play() {
        assert_eq!(replay(7, None), "cargo xtask chaos --seeds 7..8 --trace");
        let replay = replay(7, Some(3));
        let words = replay.split_whitespace().skip(3).map(str::to_owned);
        let again = parse(words).expect("it is a command of ours");
        assert_eq!((again.seeds, again.processes, again.is_told), (7..8, Some(3), true));
    }
}
