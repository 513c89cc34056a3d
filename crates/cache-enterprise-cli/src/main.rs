//! `cachectl`: the demo of cache-enterprise and the administration of a configured cache.

mod args;
mod config;
mod demo;
mod entry;
mod failure;
mod stats;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Get(place) => entry::get(&place),
        Command::Set { place, value, ttl, tag } => entry::set(&place, value, ttl, tag),
        Command::Del(place) => entry::remove(&place),
        Command::Ttl(place) => entry::ttl(&place),
        Command::Inspect { place, show_value } => entry::inspect(&place, show_value),
        Command::Stats { config } => stats::run(config.as_deref()),
        Command::Config { action } => config::run(&action),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cachectl", &mut script);
            say(&script)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr(), "cachectl: {failure}");
            failure.exit_code()
        }
    }
}

/// Writes to stdout. A reader that has gone away (`cachectl ... | head`) is no failure.
fn say(text: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::broken(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
