//! Who passes: five scenarios of coherence and loading, the same for every library.
//!
//! ```text
//! stampede             10 000 callers of one cold key; also with the leader dropped or panicking
//! invalidation race    a key, or its tag, is removed while it is loaded
//! late joiner          an instance joins a shared tier after a tag was invalidated
//! outage               the shared tier answers every call with an error
//! overlapping batches  50 batches of 100 keys at once
//! ```
//!
//! Nothing is timed. A scenario waits for what happened, never for time to pass, on a runtime of
//! one thread; `docs/rivals.md` says what each asks and how each library is set up. The last
//! library is a plain map that coalesces nothing: a scenario that it passed would show nothing.

mod adapter;
mod crowd;
mod library;
mod origin;
mod report;
mod scenario;

use std::process::ExitCode;

use cache_enterprise_testkit::Seed;

use report::{Line, Report, progress};
use scenario::{Outcome, Scenario};

/// The seed of the batches where none is given.
const SEED: Seed = Seed(4);

struct Arguments {
    is_json: bool,
    seed: Seed,
    /// Only libraries and scenarios whose names hold this text.
    only: String,
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut read = Self { is_json: false, seed: SEED, only: String::new() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => read.is_json = true,
                "--seed" => {
                    let seed = words.next().and_then(|word| word.parse().ok());
                    read.seed = Seed(seed.ok_or("`--seed` takes a number")?);
                }
                "--only" => read.only = words.next().ok_or("`--only` takes a text")?,
                other => return Err(format!("no argument `{other}`")),
            }
        }
        read.asks_for_something()?;
        Ok(read)
    }

    /// A run of nothing would look like one in which all passed.
    fn asks_for_something(&self) -> Result<(), String> {
        let libraries: Vec<_> = adapter::all().iter().map(|library| library.name()).collect();
        let scenarios = Scenario::ALL.map(Scenario::name);
        if scenarios.iter().chain(&libraries).any(|name| self.keeps(name)) {
            return Ok(());
        }
        let only = &self.only;
        Err(format!(
            "no scenario and no library has `{only}` in its name; there are {scenarios:?} and \
             {libraries:?}"
        ))
    }

    fn keeps(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(text) => {
            progress(&text);
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            progress("cache-enterprise failed a scenario, or the plain map passed one");
            ExitCode::FAILURE
        }
        Err(error) => {
            progress(&format!("the run stopped: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Plays every scenario with every library. `false` when ours did not pass one, or when the plain
/// map did.
fn run(arguments: &Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    origin::hush_planned_panics();
    progress(&format!("seed {}", arguments.seed));
    if cfg!(not(feature = "rivals")) {
        progress("built without the feature `rivals`: some libraries are left out");
    }
    let mut report = Report::new(arguments.is_json);
    let mut is_as_expected = true;
    for scenario in Scenario::ALL {
        for library in adapter::all() {
            let (scenario_name, library_name) = (scenario.name(), library.name());
            if ![scenario_name, library_name].iter().any(|name| arguments.keeps(name)) {
                continue;
            }
            let verdict = scenario.play(library.as_ref(), arguments.seed)?;
            is_as_expected &= match library_name {
                adapter::OURS => verdict.outcome == Outcome::Passes,
                adapter::PLAIN => verdict.outcome != Outcome::Passes,
                _ => true,
            };
            report.line(&Line {
                scenario: scenario_name,
                library: library_name,
                version: &library.version(),
                outcome: verdict.outcome,
                seen: &verdict.seen,
            })?;
        }
    }
    Ok(is_as_expected)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn played(scenario: Scenario, library: &str) -> scenario::Verdict {
        origin::hush_planned_panics();
        let all = adapter::all();
        let library = all.iter().find(|candidate| candidate.name() == library).unwrap();
        scenario.play(library.as_ref(), SEED).unwrap()
    }

    #[test]
    fn a_plain_map_fails_stampede_race_and_batches() {
        for scenario in Scenario::ALL {
            let verdict = played(scenario, adapter::PLAIN);
            let expected = match scenario {
                Scenario::LateJoiner | Scenario::Outage => Outcome::NotOffered,
                _ if scenario == Scenario::RACE_OF_A_TAG => Outcome::NotOffered,
                _ => Outcome::Fails,
            };
            assert_eq!(verdict.outcome, expected, "{}: {}", scenario.name(), verdict.seen);
        }
    }

    #[test]
    fn ours_passes_all() {
        for scenario in Scenario::ALL {
            let verdict = played(scenario, adapter::OURS);
            assert_eq!(verdict.outcome, Outcome::Passes, "{}: {}", scenario.name(), verdict.seen);
        }
    }

    #[test]
    fn arguments_are_read_and_unknown_ones_refused() {
        let read = |line: &str| Arguments::read(line.split_whitespace().map(str::to_owned));
        let arguments = read("--json --seed 7 --only moka").unwrap();
        assert_eq!((arguments.seed, arguments.only.as_str()), (Seed(7), "moka"));
        assert!(arguments.is_json);
        assert!(read("--seed x").is_err() && read("l1").is_err());
    }

    #[test]
    fn a_text_in_no_name_is_refused_with_the_names() {
        let read = |text: &str| Arguments::read(["--only", text].map(str::to_owned).into_iter());
        assert!(read("joiner").is_ok() && read("plain").is_ok());
        let refused = read("joyner").map(drop).unwrap_err();
        for part in ["`joyner`", "late joiner", adapter::PLAIN] {
            assert!(refused.contains(part), "{refused}");
        }
    }
}
