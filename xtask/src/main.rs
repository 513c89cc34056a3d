//! Tasks of this repository: one word per command, one file per command.
//!
//! `cargo xtask` alone lists them. Every child process gets its arguments as a list, so nothing
//! here depends on a shell, and `cargo xtask ci` is the whole of what the CI runs.

// A command-line tool speaks on stdout and stderr; the workspace denies both to libraries.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod budget;
mod chaos;
mod ci;
mod failure;
mod features;
mod licences;
mod manifest;
mod metadata;
mod model;
mod mutants;
mod room;
mod servers;
mod simulate;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use failure::{Failure, Outcome};
use workspace::Workspace;

const HELP: &str = "\
cargo xtask COMMAND

  test                      every test, on real servers too, and every example; finds or installs
                            the servers and ends in `N passed, N failed`
  ci                        everything the CI runs, with the time of each step
  tidy                      layers, clients, manifests, unused dependencies, sizes, words, links
  features                  each feature alone, none, all; each crate alone
  licences                  licences and bans of every dependency
  budget                    what the default features of the umbrella pull in
  model [STORY]             the engine under a scheduler that tries interleavings
  chaos --seeds A..B        the engine in a simulated world, a schedule a seed; [--json] [--trace]
  chaos --mutants [RULE]    each rule of coherence broken, and who finds it; [--json]
  simulate --traces DIR     recorded requests through every policy; [--strategy A,B] [--json];
                            `simulate --help` lists the rest
  bench [GROUP] [--json]    peers beside us in one run; JSON lines on stdout
  bench rivals [--json]     five scenarios of coherence and loading: which library passes
  help                      this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    match dispatch(command, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_told() {
                failure.tell();
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, rest: &[String]) -> Outcome {
    let workspace = Workspace::find()?;
    match command {
        "bench" => return bench::run(&workspace, rest),
        "chaos" => return chaos::run(&workspace, rest),
        "model" => return model::run(&workspace, rest),
        "simulate" => return simulate::run(&workspace, rest),
        _ => {}
    }
    if let Some(extra) = rest.first() {
        return Err(Failure::new(format!("takes no argument, but was given `{extra}`")));
    }
    match command {
        "test" => test::run(&workspace)?.close(),
        "ci" => ci::run(&workspace),
        "tidy" => tidy::run(&workspace),
        "features" => features::run(&workspace),
        "licences" => licences::run(&workspace),
        "budget" => budget::run(&workspace),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(Failure::new(format!("no such command; the commands are:\n\n{HELP}"))),
    }
}
