//! `cachectl`: the demo of cache-enterprise and the administration of a configured cache.

mod args;
mod config;
mod demo;
mod entry;
mod failure;
mod simulate;
mod stats;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refusal) => return refuse(&refusal),
    };
    let done = match cli.command {
        Command::Demo(options) => demo::run(&options),
        Command::Get(place) => entry::get(&place),
        Command::Set { place, value, ttl, tag } => entry::set(&place, value, ttl, tag),
        Command::Del(place) => entry::remove(&place),
        Command::Ttl(place) => entry::ttl(&place),
        Command::Inspect { place, show_value } => entry::inspect(&place, show_value),
        Command::Stats { config } => stats::run(config.as_deref()),
        Command::Simulate(options) => simulate::run(&options),
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

/// Says why the line was not read, or prints the help that was asked for.
fn refuse(refusal: &clap::Error) -> ExitCode {
    // Nobody is left to tell when the output is closed.
    let _ = match refusal.render().to_string() {
        text if refusal.use_stderr() && text.contains("://") => {
            write!(std::io::stderr(), "{}", without_passwords(&text))
        }
        _ => refusal.print(),
    };
    ExitCode::from(u8::try_from(refusal.exit_code()).unwrap_or(2))
}

/// A refusal repeats arguments, and one of them may be a URL in the wrong place. What stands in a
/// line between the first scheme and the last `@` is hidden: it may be a password.
fn without_passwords(text: &str) -> String {
    let hide = |line: &str| match (line.find("://"), line.rfind('@')) {
        (Some(scheme), Some(end)) if scheme < end => {
            format!("{}***{}", &line[..scheme + 3], &line[end..])
        }
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(hide).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_line_shows_no_password() {
        let text = "error: '--redis' and 'redis://ada:p@ss@a:1,redis://b:w@b:2'\nsee --help\n";
        assert_eq!(without_passwords(text), "error: '--redis' and 'redis://***@b:2'\nsee --help\n");
        let plain = "error: redis://cache:6379 is unexpected, ask ada@example.org\n";
        assert_eq!(without_passwords(plain), "error: redis://***@example.org\n");
        assert_eq!(without_passwords("usage: a://b\n"), "usage: a://b\n");
    }
}
